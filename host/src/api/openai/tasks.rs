//! `POST /v1/chat/completions` and the other operations: one path through all rooms.

use std::{sync::Arc, time::Duration};

use airlock_sandbox::{Egress, EgressError, Endpoint, Fault, Form, Operation, Takes, Task, Vendor};
use axum::{
    extract::{Extension, Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{course::Course, form, request::ParsedRequest, unknown};
use crate::{
    admission::{Asked as Wanted, CallerLimits, Ticket},
    api::{
        edge::Recorded,
        error::{ApiError, ErrorKind},
        extract::{RequestId, ScopePath, authenticate_as, discard, read_body},
        openapi::{About, Api, Operations},
    },
    auth::Caller,
    catalog::{CatalogEndpoint, OnDisconnect},
    gateway::{Gateway, Worker},
    ledger::{Answerer, Entry, Outcome, trace},
    relay::{self, Answering, Opened, Plan, Reader, RelayError, Successor},
    routing::{Admit as _, Scope, Session, Tries, candidates, dispatch, order},
};

use ErrorKind as E;

/// The route of one operation.
pub(super) fn route(api: Api, base: &str, operation: Operation) -> Api {
    let handler = move |State(worker): State<Worker>,
                        ScopePath(scope): ScopePath,
                        Extension(id): Extension<RequestId>,
                        request: Request| {
        let successor = Successor::default();
        Answering::new(handle(worker, scope, id, operation, request, successor.clone()), successor)
    };
    api.post(&format!("{base}/{}", operation.path()), handler, about(base, operation))
}

fn about(base: &str, operation: Operation) -> About {
    let Operations { summary, request, answer, events } = Operations::of(operation);
    let mut forms = answer.to_vec();
    forms.extend(events.map(|events| ("text/event-stream", events)));
    let about = About::inference(summary).of(operation.vendor());
    let about = match operation.takes() {
        Takes::Json => about.takes(request),
        Takes::Form => about.takes_as("multipart/form-data", request).fails(&[E::InvalidForm]),
    };
    let about = about.answers_as(StatusCode::OK, "The backend's answer.", &forms).fails(FAILURES).relayed();
    if base.contains('{') { about.fails(&[E::ClusterNotFound, E::UnsupportedFramework]) } else { about }
}

/// What comes of a body and of the way to a backend, beside what backends and adaptors choose.
const FAILURES: &[ErrorKind] = &[
    E::InvalidValue,
    E::MissingParameter,
    E::UnknownParameter,
    E::ModelNotFound,
    E::UnsupportedOperation,
    E::Maintenance,
    E::RateLimit,
    E::TokensUsedUp,
    E::LimitsUnavailable,
    E::UpstreamError,
    E::UpstreamAuth,
    E::UpstreamBadResponse,
    E::UpstreamUnreachable,
    E::UpstreamTimeout,
    E::UpstreamDisconnected,
    E::ResponseTooLarge,
    E::OutboundCallLimit,
    E::EgressDenied,
    E::AdaptorReported,
    E::AdaptorTrap,
    E::AdaptorBadOutput,
    E::AdaptorMemoryLimit,
    E::AdaptorCpuLimit,
    E::AdaptorTimeout,
    E::AnswerTimeout,
    E::Overloaded,
];

/// Every way out of here leaves one ledger record; a client that goes away drops the future, and the
/// entry with it.
async fn handle(
    worker: Worker,
    scope: Scope,
    RequestId(id): RequestId,
    operation: Operation,
    request: Request,
    successor: Successor,
) -> Response {
    let (ledger, open) = (Arc::clone(worker.gateway().ledger()), worker.gateway().requests().count());
    let mut entry = Entry::open(ledger, open, Arc::clone(&id), operation);
    let trace = worker.gateway().records().has_traces().then(|| trace::begin(request.headers()));
    entry.note(|r| r.trace = trace);
    let mut course = Course::new(worker.egress(), trace::outgoing(request.headers(), trace.as_ref()));
    entry.charge(course.egress().spent());
    let progress = Progress { entry: &mut entry, course: &mut course, successor: &successor };
    let answer = run(&worker, &scope, Arc::clone(&id), operation, request, progress).await;
    let mut response = match answer {
        Ok((opened, plan)) => opened.into_response(plan, entry, successor.get()),
        Err(error) => {
            entry.answered(error.status().as_u16());
            entry.error(error.code().to_owned(), error.cause());
            entry.note(|r| r.detail = Some(error.detail().to_owned()));
            entry.end(Outcome::Failed);
            error.answer(operation, &id)
        }
    };
    if let (Vendor::Anthropic, Ok(id)) = (operation.vendor(), HeaderValue::from_str(&id)) {
        response.headers_mut().insert("request-id", id);
    }
    course.tell(operation.vendor(), response.headers_mut());
    response.extensions_mut().insert(Recorded);
    response
}

/// What is told of a request on its way.
struct Progress<'a> {
    entry: &'a mut Entry,
    course: &'a mut Course,
    successor: &'a Successor,
}

async fn run(
    worker: &Worker,
    scope: &Scope,
    id: Arc<str>,
    operation: Operation,
    request: Request,
    progress: Progress<'_>,
) -> Result<(Opened, Plan), ApiError> {
    let Progress { entry, course, successor } = progress;
    let gateway = worker.gateway();
    let (caller, parts, body) = authenticate_as(gateway.callers(), operation.vendor(), request).await?;
    note_caller(entry, &caller);

    let (settings, limits) = (gateway.settings(), gateway.limits_of(&caller));
    let parsed = match operation.takes() {
        Takes::Json => {
            if is_form(&parts.headers) {
                discard(body).await;
                let message = format!("`{}` takes JSON; the body is a form.", operation.path());
                return Err(ApiError::new(ErrorKind::InvalidJson, message));
            }
            let most = usize::try_from(limits.body(settings.max_body_bytes as u64)).unwrap_or(usize::MAX);
            let body = read_body(&parts.headers, body, most).await?;
            course.body_read();
            ParsedRequest::check(operation, body, gateway.large_bodies()).await?
        }
        Takes::Form => {
            let most = limits.body(settings.max_form_bytes);
            let most = form::Limits { form: most, head: settings.max_body_bytes };
            let parsed = form::read(&parts.headers, body, most).await?;
            course.body_read();
            parsed
        }
    };
    entry.note(|r| {
        r.name_model(&parsed.model);
        r.stream = parsed.stream;
    });
    let form = parsed.form.clone();
    let asked = Asked { scope, id, operation, caller, limits, headers: &parts.headers, parsed };
    let opened = ask(worker, asked, Progress { entry, course, successor }).await;
    // A client that is still sending would not see the answer otherwise.
    if !matches!(opened, Ok((Opened::Stream(..) | Opened::Events(..), _)))
        && let Some(rest) = form.and_then(Form::into_rest)
    {
        discard(rest).await;
    }
    opened
}

/// A request that was read as far as it has to be.
struct Asked<'a> {
    scope: &'a Scope,
    id: Arc<str>,
    operation: Operation,
    caller: Caller,
    limits: CallerLimits,
    headers: &'a HeaderMap,
    parsed: ParsedRequest,
}

/// Finds who may answer, and the beginning of the answer.
async fn ask(worker: &Worker, asked: Asked<'_>, progress: Progress<'_>) -> Result<(Opened, Plan), ApiError> {
    let Asked { scope, id, operation, caller, limits, headers, parsed } = asked;
    let Progress { entry, course, successor } = progress;
    let gateway = worker.gateway();
    let (turn, catalog) = (gateway.next_turn(), gateway.catalog(&caller.tenant));
    let candidates = candidates(&catalog, scope, &caller, &parsed.model, operation)?;
    let candidates = unknown::takers(candidates, operation, parsed.unknown.as_deref())?;
    let header = headers.get("x-airlock-session").and_then(|value| value.to_str().ok());
    let settings = gateway.settings();
    let routing = &settings.routing;
    let session = Session::of(routing, &caller, header.or(parsed.session.as_deref()));
    let warmth = |endpoint: &CatalogEndpoint| {
        gateway.jobs().warmth(&catalog, worker.egress(), endpoint, routing.state_period())
    };
    let candidates = order(candidates, turn, session, warmth);
    let plan = plan(gateway, operation, &parsed);
    let wanted = Wanted { operation, body: &parsed.body, answer: parsed.answer_tokens };
    let mut ticket = Ticket::new(gateway.admission(), &caller, &limits, &wanted);
    entry.hold(ticket.held());
    let task = Arc::new(Task {
        id,
        operation,
        model: parsed.model,
        stream: parsed.stream,
        user: Some(caller.for_adaptors()),
        body: parsed.body,
        form: parsed.form,
        headers: operation.client_headers(headers),
    });
    let mut tries = Tries::of(candidates, routing);
    let (mut failed, mut was_asked) = (None, false);
    while let Some(endpoint) = tries.candidate() {
        let is_admitted = ticket.admit(&endpoint).await;
        course.limited(ticket.standing());
        if !is_admitted {
            continue;
        }
        let mut tried = tries.ask(endpoint);
        let endpoint = &tried.endpoint;
        let owner = endpoint.owner().filter(|_| endpoint.on_disconnect == OnDisconnect::Finish);
        successor.set(owner.map(|owner| Reader::new(worker.unattended(), owner, entry)));
        course.answered_by(&catalog, endpoint);
        let opened = run_on(course.egress(), endpoint, turn, &task, plan, entry).await;
        // A form that was begun to be sent is gone.
        let can_repeat = task.form.as_ref().is_none_or(Form::is_whole);
        let goes_on = tries.goes_on(&mut tried, &opened, can_repeat, &task.id);
        match opened {
            Ok(opened) => {
                entry.hold(Box::new(tried));
                return Ok((opened, plan));
            }
            Err(error) => {
                was_asked |= asked_a_backend(&error);
                failed = Some(error);
            }
        }
        if !goes_on {
            break;
        }
    }
    let Some(error) = failed else { return Err(ApiError::not_admitted(ticket.refusal())) };
    if !was_asked {
        ticket.was_not_asked();
    }
    Err(error.into())
}

/// The beginning of one endpoint's answer; where it is a complete one, all of it.
async fn run_on(
    egress: &Egress,
    endpoint: &CatalogEndpoint,
    turn: usize,
    task: &Arc<Task>,
    plan: Plan,
    entry: &mut Entry,
) -> Result<Opened, RelayError> {
    // What one that was asked before has counted is not of this answer.
    entry.note(|r| r.usage = None);
    note_answerer(entry, endpoint, None, &task.body);
    let (version, answer) = dispatch(egress, endpoint, turn, task).await;
    note_answerer(entry, endpoint, version.as_deref(), &task.body);
    let owner = version.as_ref().map(|version| &**version.grant.tenant());
    let opened = match answer {
        Ok(answer) => relay::open(answer, plan, owner, entry).await,
        Err(fault) => return Err(fault.into()),
    };
    if let (Some(version), Err(RelayError::Fault(fault))) = (&version, &opened) {
        version.note_fault(fault);
    }
    opened
}

/// Whether a backend may know of a request that failed so.
fn asked_a_backend(error: &RelayError) -> bool {
    use EgressError::{Busy, DayUsedUp};
    !matches!(
        error,
        RelayError::Fault(
            Fault::Overloaded { .. } | Fault::DayUsedUp { .. } | Fault::Egress(Busy(_) | DayUsedUp(_))
        )
    )
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..10));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/"))
}

fn note_caller(entry: &mut Entry, caller: &Caller) {
    entry.note(|r| {
        r.caller = Some(Arc::clone(&caller.name));
        r.tenant = Some(Arc::clone(&caller.tenant));
        r.user = Some(Arc::clone(&caller.user));
        r.key_id = Some(Arc::clone(&caller.key_id));
    });
}

/// Who answers. What is asked and answered is kept where its cluster wants that, and no other's of those that were asked.
fn note_answerer(entry: &mut Entry, endpoint: &CatalogEndpoint, version: Option<&Endpoint>, prompt: &[u8]) {
    entry.note(|r| {
        r.endpoint = Some(Arc::clone(&endpoint.slug));
        r.answerer = Some(Answerer {
            owner: endpoint.owner().map(|owner| Arc::clone(owner.name())),
            cluster: endpoint.cluster.clone(),
            adaptor: version.map(|version| version.adaptor.name().into()),
        });
    });
    entry.keep_content(endpoint.log_content.then_some(prompt));
}

fn plan(gateway: &Gateway, operation: Operation, parsed: &ParsedRequest) -> Plan {
    let settings = gateway.settings();
    Plan {
        operation,
        events: operation.events().filter(|_| parsed.stream || parsed.form.is_some()),
        leaves_open: parsed.form.is_some(),
        show_usage: parsed.show_usage,
        max_answer_bytes: settings.max_answer_bytes,
        max_stream_bytes: settings.max_stream_bytes,
        max_answer_time: Duration::from_secs(settings.max_answer_seconds),
        client_stall: Duration::from_secs(settings.client_stall_seconds),
        silence: Duration::from_secs(settings.keep_alive_seconds),
        render: ApiError::render,
    }
}
