//! `wasi:http`: the same grant, pool and limits as `upstream`, behind wasmtime's types.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderName, Request, Response};
use http_body_util::BodyExt;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::p2::body::{HostOutgoingBody, StreamContext};
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::{
    EgressError,
    call::CallState,
    egress::{Egress, Grant, OutboundRequest, OutgoingBody, is_guests},
};

/// What wasi:http asks us during a call.
pub(crate) struct Hooks {
    pub(crate) egress: Egress,
    pub(crate) grant: Arc<Grant>,
    pub(crate) calls_left: u32,
    pub(crate) call_limit: u32,
    pub(crate) regained: Option<Instant>,
}

/// How often a call that leads others gets an outbound call back.
const REGAIN: Duration = Duration::from_millis(250);

impl Hooks {
    /// Takes one of the call's outbound calls.
    pub(crate) fn count(&mut self) -> Result<(), EgressError> {
        self.calls_left = self.calls_left.checked_sub(1).ok_or(EgressError::CallLimit(self.call_limit))?;
        Ok(())
    }

    /// Gives one back for a turn as a leader, which works for others: four a second, and never more than the limit.
    pub(crate) fn regain(&mut self) {
        let now = Instant::now();
        let since = self.regained.replace(now);
        if since.is_some_and(|since| now.duration_since(since) < REGAIN) {
            self.regained = since;
            return;
        }
        self.calls_left = self.calls_left.saturating_add(1).min(self.call_limit);
    }
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name: &HeaderName| !is_guests(name))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        64 << 10
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        written: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        drop(written); // tells when the body is written; hyper's connection task sees to that
        let allowed = self.count();
        let (egress, grant) = (self.egress.clone(), Arc::clone(&self.grant));
        Box::new(async move {
            let (parts, body) = request.into_parts();
            let mut headers = parts.headers;
            headers.remove(http::header::HOST); // egress writes it from the granted origin
            let request = OutboundRequest {
                method: parts.method,
                uri: parts.uri,
                headers,
                body: OutgoingBody::Guest { body, left: egress.max_request_bytes() },
                timeout: options.and_then(head_timeout),
            };
            let sent = match allowed {
                Ok(()) => egress.send(&grant, request).await,
                Err(error) => Err(error),
            };
            let response = sent.map_err(into_wasi)?;
            let mut built = Response::new(response.body.map_err(into_wasi).boxed_unsync());
            *built.status_mut() = response.status;
            *built.headers_mut() = response.headers;
            Ok::<Sent, Error>((built, Box::new(async { Ok(()) })))
        })
    }
}

/// Breaks off the request bodies that a guest has not finished. Dropped as they are, they would end as if they
/// were complete, and a backend would work on half a request.
pub(crate) fn abort_unfinished(table: &mut ResourceTable) {
    for entry in table.iter_mut() {
        let entry: &mut dyn Any = entry;
        if let Some(body) = entry.downcast_mut::<HostOutgoingBody>() {
            let (nothing, _) = HostOutgoingBody::new(StreamContext::Request, None, 1, 1);
            std::mem::replace(body, nothing).abort();
        }
    }
}

/// Connecting and waiting are one limit here. Zero means that the guest did not choose.
fn head_timeout(options: RequestOptions) -> Option<Duration> {
    let connect = options.connect_timeout.unwrap_or_default();
    let first_byte = options.first_byte_timeout.filter(|t| !t.is_zero())?;
    Some(connect.saturating_add(first_byte))
}

fn into_wasi(error: EgressError) -> Error {
    match error {
        EgressError::Denied(_) => Error::HttpRequestDenied,
        EgressError::Unreachable(_) => Error::ConnectionRefused,
        EgressError::HeadTimeout(_) | EgressError::IdleTimeout(_) => Error::ConnectionReadTimeout,
        EgressError::Disconnected(_) => Error::ConnectionTerminated,
        EgressError::Credential(_) => Error::InternalError(Some("no token for the backend".into())),
        EgressError::RequestTooLarge => Error::HttpRequestBodySize(None),
        // None goes this way.
        EgressError::Form(_) => Error::InternalError(None),
        EgressError::TooLarge(limit) => Error::HttpResponseBodySize(Some(limit)),
        EgressError::Undecodable(why) => Error::HttpResponseContentCoding(Some(why)),
        EgressError::CallLimit(_) | EgressError::Busy(_) | EgressError::DayUsedUp(_) => {
            Error::ConnectionLimitReached
        }
    }
}
