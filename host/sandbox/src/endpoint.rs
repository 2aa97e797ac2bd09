//! Endpoints and clusters: an adaptor with its configuration and grant, and what can be asked of it.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use crate::{
    Adaptor, AdaptorError, Budgets, Egress, EventStream, Fault, Form, Grant, Meter, Operation, Pace,
    ReplyKind, Sandbox, Step, UpstreamResponse,
    bindings::{
        airlock::adaptor::common,
        exports::airlock::adaptor::{cluster, replies::Reply},
    },
    call::{CallPlan, Live},
    form::OwnBody,
    health::{self, Health},
    host::outbound,
};

pub use crate::bindings::exports::airlock::adaptor::cluster::{Job, Jobs};

/// What an adaptor is told about the endpoint that it runs.
#[derive(Debug, Clone)]
pub struct EndpointInfo {
    /// Unique name.
    pub slug: Arc<str>,
    /// The cluster's name.
    pub cluster: String,
    /// The framework's name.
    pub framework: String,
    /// The model, as the backend knows it.
    pub model: String,
    /// One JSON object, without secrets.
    pub config: String,
}

/// Who a task runs for, as far as adaptors are told.
#[derive(Debug, Clone)]
pub struct User {
    /// Stable identifier.
    pub id: String,
    /// Display name.
    pub name: Option<String>,
    /// Group identifiers.
    pub groups: Vec<String>,
    /// Identity domain.
    pub domain: Option<String>,
}

/// One request, for an endpoint.
#[derive(Debug, Clone)]
pub struct Task {
    /// The request id.
    pub id: Arc<str>,
    /// Which API was called.
    pub operation: Operation,
    /// The model as the client named it.
    pub model: String,
    /// Whether the client wants events.
    pub stream: bool,
    /// Who asks.
    pub user: Option<User>,
    /// The client's JSON; of a form, an object with its `model` alone.
    pub body: Bytes,
    /// The client's form, where it sends one.
    pub form: Option<Form>,
    /// Those of the client's headers that are meant for the API behind the gateway: [`Operation::client_headers`].
    pub headers: HeaderMap,
}

/// What an endpoint gave back, with the instance gone where the contract says so.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and moved twice")]
pub enum Answer {
    /// A backend's response, forwarded or relayed. No instance exists any more.
    Upstream(UpstreamResponse),
    /// A complete body. No instance exists any more.
    Body(Bytes),
    /// Events, made by an instance that lives as long as they do.
    Events(Box<EventStream>),
}

/// One endpoint, ready to run.
#[derive(Clone)]
pub struct Endpoint {
    /// Where it runs.
    pub sandbox: Sandbox,
    /// What runs.
    pub adaptor: Arc<Adaptor>,
    /// What it is told.
    pub info: EndpointInfo,
    /// What it may reach.
    pub grant: Arc<Grant>,
    /// What it may use.
    pub budgets: Arc<Budgets>,
    /// How quick it has been.
    pub pace: Arc<Pace>,
    /// What the calls of its versions come to, where somebody wants to know: one for each uploaded part of its chain.
    pub health: Vec<Arc<Health>>,
    /// What its calls use, where somebody wants to know.
    pub meter: Option<Meter>,
}

impl Endpoint {
    /// Asks the adaptor to check the endpoint's configuration. It cannot call out meanwhile.
    pub async fn validate(self: &Arc<Self>, egress: &Egress) -> Result<(), Fault> {
        let this = Arc::clone(self);
        let checked = self.sandbox.call(self.offline_plan(egress), async move |mut live| {
            let (exports, info) = (this.adaptor.endpoint()?, this.contract_info());
            let checked = live.export(async |store, instance| {
                let guest = exports.endpoint.load(&mut *store, instance)?;
                guest.call_validate(&mut *store, info).await
            });
            let checked = checked.await?;
            Ok((live, checked))
        });
        checked.await?.1.map_err(|error| Fault::Reported(error.into()))
    }

    /// Runs a task in a fresh instance.
    pub async fn run(self: &Arc<Self>, egress: &Egress, task: &Arc<Task>) -> Result<Answer, Fault> {
        let answer = self.answer(egress, task).await;
        health::note_call(&self.health, answer.as_ref().err());
        answer
    }

    /// Notes that an answer turned out to be of no use when it was looked at.
    pub fn note_fault(&self, fault: &Fault) {
        health::note_fault(&self.health, Some(fault));
    }

    async fn answer(self: &Arc<Self>, egress: &Egress, task: &Arc<Task>) -> Result<Answer, Fault> {
        let plan = self.plan(egress, Arc::clone(&task.id), self.own_body(task));
        let (this, own_task) = (Arc::clone(self), Arc::clone(task));
        let replied = self.sandbox.call(plan, async move |mut live| {
            let reply = this.submit(&mut live, &own_task).await?;
            Ok((live, reply))
        });
        let (mut live, reply) = replied.await?;
        if let Some(witness) = egress.witness() {
            witness.saw(&Step::Reply { kind: kind_of(&reply) });
        }
        match reply {
            Reply::Forward(request) => {
                let body = live.own_body();
                drop(live); // before the backend is contacted
                let mut request = outbound(request, &body)?;
                task.operation.pass_on(&task.headers, &mut request);
                Ok(Answer::Upstream(egress.send(&self.grant, request).await?))
            }
            Reply::Relay(handle) => {
                let response = live.take_response(handle)?;
                drop(live); // before the first byte goes on
                Ok(Answer::Upstream(response))
            }
            Reply::Body(body) => Ok(Answer::Body(body.into())),
            Reply::Events(handle) => {
                let (adaptor, health) = (Arc::clone(&self.adaptor), self.health.clone());
                Ok(Answer::Events(Box::new(EventStream { live: Some(live), adaptor, handle, health })))
            }
        }
    }

    async fn submit(&self, live: &mut Live, task: &Task) -> Result<Reply, Fault> {
        let exports = self.adaptor.endpoint()?;
        let info = self.contract_info();
        let groups: Vec<&str> = task.user.iter().flat_map(|u| &u.groups).map(String::as_str).collect();
        let task = common::Task {
            id: &task.id,
            operation: task.operation.into(),
            model: &task.model,
            stream: task.stream,
            user: task.user.as_ref().map(|user| contract_user(user, &groups)),
            body: &task.body,
        };
        let reply = live.export(async |store, instance| {
            let guest = exports.endpoint.load(&mut *store, instance)?;
            if task.stream {
                guest.call_submit_streaming_task(&mut *store, info, task).await
            } else {
                guest.call_submit_task(&mut *store, info, task).await
            }
        });
        reply.await?.map_err(|error| Fault::Reported(error.into()))
    }

    /// For what is asked while an endpoint is loaded: no call to a backend.
    pub(crate) fn offline_plan(&self, egress: &Egress) -> CallPlan {
        let mut plan = self.plan(egress, "validate".into(), OwnBody::default());
        plan.budgets = Arc::new(Budgets { outbound_calls: 0, ..Budgets::clone(&self.budgets) });
        plan
    }

    /// What goes out where the adaptor sends no body of its own.
    fn own_body(&self, task: &Task) -> OwnBody {
        match &task.form {
            Some(form) => {
                let (form, shown) = (form.clone(), task.body.clone());
                OwnBody::Form { form, model: self.info.model.as_str().into(), shown }
            }
            None => OwnBody::Whole(task.body.clone()),
        }
    }

    pub(crate) fn plan(&self, egress: &Egress, request_id: Arc<str>, own_body: OwnBody) -> CallPlan {
        CallPlan {
            adaptor: Arc::clone(&self.adaptor),
            grant: Arc::clone(&self.grant),
            budgets: Arc::clone(&self.budgets),
            egress: egress.clone(),
            subject: Arc::clone(&self.info.slug),
            request_id,
            own_body,
            pace: Arc::clone(&self.pace),
            meter: self.meter.clone(),
        }
    }

    pub(crate) fn contract_info(&self) -> common::EndpointInfo<'_> {
        common::EndpointInfo {
            slug: &self.info.slug,
            cluster: &self.info.cluster,
            framework: &self.info.framework,
            model: &self.info.model,
            config: &self.info.config,
        }
    }
}

/// One model of a cluster, as its adaptor is told.
#[derive(Debug, Clone)]
pub struct ClusterModel {
    /// The endpoint's slug.
    pub slug: String,
    /// Its framework.
    pub framework: String,
    /// Its model.
    pub model: String,
    /// Its configuration, as its own adaptor gets it.
    pub config: String,
}

/// One cluster, ready to be asked.
#[derive(Clone)]
pub struct Cluster {
    /// Where its adaptor runs.
    pub sandbox: Sandbox,
    /// What runs.
    pub adaptor: Arc<Adaptor>,
    /// Its name.
    pub name: Arc<str>,
    /// One JSON object, without secrets.
    pub config: String,
    /// Its endpoints, by slug.
    pub models: Vec<ClusterModel>,
    /// What its adaptor may reach.
    pub grant: Arc<Grant>,
    /// What its adaptor may use.
    pub budgets: Arc<Budgets>,
    /// How quick it has been.
    pub pace: Arc<Pace>,
    /// What its calls use, where somebody wants to know.
    pub meter: Option<Meter>,
}

impl Cluster {
    /// Whether the component's functions have the types of the contract. Loading looks at names alone: types
    /// can be compared on an instance only. Endpoints learn the same when they are validated.
    pub async fn validate(self: &Arc<Self>, egress: &Egress) -> Result<(), Fault> {
        let this = Arc::clone(self);
        let checked = self.sandbox.call(self.plan(egress, "validate".into()), async move |mut live| {
            let indices = this.adaptor.cluster()?;
            live.export(async |store, instance| indices.load(&mut *store, instance).map(drop)).await?;
            Ok((live, ()))
        });
        checked.await.map(drop)
    }

    /// Asks what the cluster is running.
    pub async fn get_jobs(
        self: &Arc<Self>,
        egress: &Egress,
        request_id: &Arc<str>,
        user: Option<&User>,
    ) -> Result<Jobs, Fault> {
        let (this, user) = (Arc::clone(self), user.cloned());
        let asked = self.sandbox.call(self.plan(egress, Arc::clone(request_id)), async move |mut live| {
            let jobs = this.ask(&mut live, user.as_ref()).await?;
            Ok((live, jobs))
        });
        let jobs = asked.await?.1;
        if let Some(witness) = egress.witness() {
            witness.saw(&Step::Reply { kind: ReplyKind::Jobs });
        }
        Ok(jobs)
    }

    async fn ask(&self, live: &mut Live, user: Option<&User>) -> Result<Jobs, Fault> {
        let indices = self.adaptor.cluster()?;
        let models: Vec<_> = self.models.iter().map(contract_model).collect();
        let info = cluster::ClusterInfo { name: &self.name, config: &self.config, models: &models };
        let groups: Vec<&str> = user.iter().flat_map(|u| &u.groups).map(String::as_str).collect();
        let user = user.map(|user| contract_user(user, &groups));
        let jobs = live.export(async |store, instance| {
            let guest = indices.load(&mut *store, instance)?;
            guest.call_get_jobs(&mut *store, info, user).await
        });
        jobs.await?.map_err(|error| Fault::Reported(error.into()))
    }

    fn plan(&self, egress: &Egress, request_id: Arc<str>) -> CallPlan {
        CallPlan {
            adaptor: Arc::clone(&self.adaptor),
            grant: Arc::clone(&self.grant),
            budgets: Arc::clone(&self.budgets),
            egress: egress.clone(),
            subject: Arc::clone(&self.name),
            request_id,
            own_body: OwnBody::default(),
            pace: Arc::clone(&self.pace),
            meter: self.meter.clone(),
        }
    }
}

fn kind_of(reply: &Reply) -> ReplyKind {
    match reply {
        Reply::Forward(_) => ReplyKind::Forward,
        Reply::Relay(_) => ReplyKind::Relay,
        Reply::Body(_) => ReplyKind::Body,
        Reply::Events(_) => ReplyKind::Events,
    }
}

fn contract_model(model: &ClusterModel) -> cluster::ModelInfo<'_> {
    cluster::ModelInfo {
        slug: &model.slug,
        framework: &model.framework,
        model: &model.model,
        config: &model.config,
    }
}

pub(crate) fn contract_user<'a>(user: &'a User, groups: &'a [&'a str]) -> common::User<'a> {
    common::User { id: &user.id, name: user.name.as_deref(), groups, domain: user.domain.as_deref() }
}

impl From<common::AdaptorError> for AdaptorError {
    fn from(error: common::AdaptorError) -> Self {
        Self {
            status: error.status,
            code: error.code,
            message: error.message,
            retry_after_ms: error.retry_after_ms,
        }
    }
}
