//! `GET /list-endpoints`, `/{cluster}/jobs` and `/status`: what there is, what runs, what is up.

use std::collections::BTreeMap;

use airlock_sandbox::Operation;
use axum::{
    Json,
    extract::{Extension, Path, State},
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    admission::{Asked, Ticket},
    api::{
        error::{ApiError, ErrorKind as E},
        extract::RequestId,
        openapi::{About, Api, Components, named},
    },
    auth::Scope,
    gateway::Worker,
    jobs::Report,
    routing::{Admit as _, VisibleCluster, public_status, visible_clusters},
    tenants::DEFAULT_TENANT,
};

/// What a caller may use.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedClusters)]
struct Listed {
    /// By name.
    clusters: BTreeMap<String, ListedCluster>,
}

/// One cluster.
#[derive(Serialize, ToSchema)]
struct ListedCluster {
    /// Below which its frameworks' routes are.
    base_url: String,
    /// By name.
    frameworks: BTreeMap<String, ListedFramework>,
}

/// One framework.
#[derive(Serialize, ToSchema)]
struct ListedFramework {
    models: Vec<String>,
    /// Operations, as `/v1/chat/completions`.
    endpoints: Vec<String>,
}

pub(super) fn routes(api: Api, base: &str) -> Api {
    let up = |_: &mut Components| json!({ "type": "object", "additionalProperties": { "type": "boolean" } });
    let status_about = About::open("Which clusters without access rules are up");
    let jobs_about = About::inference("What runs and waits on a cluster")
        .answers(StatusCode::OK, "Its jobs.", named::<Report>)
        .fails(&[E::ClusterNotFound, E::Maintenance, E::JobsFailed, E::Overloaded])
        .fails(&[E::RateLimit, E::TokensUsedUp, E::LimitsUnavailable])
        .relayed();
    let list_about = About::inference("The clusters, frameworks and models that the key may use");
    api.get(&format!("{base}/status"), status, status_about.answers(StatusCode::OK, "By name.", up))
        .get(&format!("{base}/{{cluster}}/jobs"), jobs, jobs_about)
        .get(
            &format!("{base}/list-endpoints"),
            list_endpoints,
            list_about.answers(StatusCode::OK, "All of them.", named::<Listed>),
        )
}

async fn list_endpoints(State(worker): State<Worker>, headers: HeaderMap) -> Result<Json<Listed>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.callers().authenticate_for(Scope::Inference, &headers).await?;
    let clusters = visible_clusters(&gateway.catalog(&caller.tenant), &caller);
    let clusters =
        clusters.into_iter().map(|(name, cluster)| (name.clone(), listed(&name, &cluster))).collect();
    Ok(Json(Listed { clusters }))
}

fn listed(name: &str, cluster: &VisibleCluster) -> ListedCluster {
    let operations: Vec<String> = cluster.operations.iter().map(|o| format!("/v1/{}", o.path())).collect();
    let framework =
        |models: &Vec<String>| ListedFramework { models: models.clone(), endpoints: operations.clone() };
    let frameworks =
        cluster.frameworks.iter().map(|(name, models)| (name.clone(), framework(models))).collect();
    ListedCluster { base_url: format!("/resource_server/{name}"), frameworks }
}

async fn jobs(
    State(worker): State<Worker>,
    Path(cluster): Path<String>,
    Extension(RequestId(id)): Extension<RequestId>,
    headers: HeaderMap,
) -> Result<Json<Report>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.callers().authenticate_for(Scope::Inference, &headers).await?;
    // It may ask a backend, which is worth a request.
    let wanted = Asked { operation: Operation::CountTokens, body: &[], answer: None };
    let mut ticket = Ticket::new(gateway.admission(), &caller, &gateway.limits_of(&caller), &wanted);
    if !ticket.admit_caller().await {
        return Err(ApiError::not_admitted(ticket.refusal()));
    }
    let report = gateway
        .jobs()
        .report(&gateway.catalog(&caller.tenant), worker.egress(), &id, &cluster, &caller)
        .await;
    // Nobody says what it came to.
    ticket.charge();
    report.map(Json).map_err(|error| {
        let error = ApiError::from(error);
        tracing::warn!(request_id = %id, cluster, code = error.code(), detail = error.detail(), "no jobs");
        error
    })
}

/// Without a key: clusters without access rules only.
async fn status(State(worker): State<Worker>) -> Json<BTreeMap<String, bool>> {
    Json(public_status(&worker.gateway().catalog(DEFAULT_TENANT)))
}
