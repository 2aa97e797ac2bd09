//! Where a request for a model goes, and why.

use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    extract::{Path, State},
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    OWN,
    access::{Allowed, Wish, allow},
};
use crate::{
    api::{
        error::{ApiError, ErrorKind},
        openapi::{About, Api, named},
    },
    catalog::Backend,
    gateway::Worker,
    pulse::Standing,
};

/// Where a request for a model goes, and why.
#[derive(Serialize, ToSchema)]
struct ModelRoute {
    /// `route`
    object: &'static str,
    model: String,
    why: &'static str,
    /// Those that may be asked. Which one is asked first, each request decides anew: by rest, load and weight.
    endpoints: Vec<RouteEnd>,
}

/// One of the endpoints that may answer.
#[derive(Serialize, ToSchema)]
struct RouteEnd {
    /// Its slug.
    endpoint: String,
    cluster: String,
    framework: String,
    model: String,
    /// Why it is not asked, where the operator has taken its cluster down.
    #[schema(required = true)]
    maintenance: Option<String>,
    /// How many requests it gets, beside the others.
    weight: u32,
    /// Requests that this gateway has open there; `null`: it is another tenant's business.
    #[schema(required = true)]
    open_requests: Option<usize>,
    /// How long it rests yet, after failures; `null`: it does not, or it is another tenant's business.
    #[schema(required = true)]
    rests_seconds: Option<f64>,
    /// Which versions of its adaptor answer.
    #[schema(required = true)]
    adaptor: Option<RunningVersions>,
}

/// Which versions of an adaptor answer.
#[derive(Serialize, ToSchema)]
struct RunningVersions {
    /// A digest.
    live: String,
    #[schema(required = true)]
    canary: Option<RunningTrial>,
}

/// A version on trial.
#[derive(Serialize, ToSchema)]
struct RunningTrial {
    digest: String,
    /// How many of a hundred tasks it gets.
    percent: u8,
}

/// The routes that are of no collection.
pub(super) fn routes(api: Api) -> Api {
    let about = About::admin("Where a request for this model goes, and why")
        .answers(StatusCode::OK, "The endpoints.", named::<ModelRoute>)
        .fails(&[ErrorKind::ModelNotFound]);
    api.get(&format!("{OWN}/routes/{{*model}}"), route, about)
}

/// `GET …/routes/{model}`: where a request for this model goes, and why.
async fn route(
    State(worker): State<Worker>,
    Path((tenant, model)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<ModelRoute>, ApiError> {
    let gateway = worker.gateway();
    let Allowed { tenant, .. } = allow(gateway, &headers, &tenant, Wish::Read).await?;
    let catalog = gateway.catalog(&tenant);
    let (endpoints, why) = match (catalog.federated(&model), catalog.endpoints_of(&model)) {
        (Some(federated), _) => {
            let targets = federated.targets.iter().map(|(_, endpoint)| endpoint.clone()).collect::<Vec<_>>();
            (targets, "a federated endpoint has this name: its targets, by load")
        }
        (None, own) if !own.is_empty() => {
            (own.to_vec(), "the tenant's own endpoints for this model, by load")
        }
        _ => (
            catalog.shared_of(&model).to_vec(),
            "endpoints that other tenants share; there is none of its own",
        ),
    };
    if endpoints.is_empty() {
        return Err(ApiError::new(
            ErrorKind::ModelNotFound,
            format!("The tenant `{tenant}` reaches no model `{model}`."),
        ));
    }
    let now = Instant::now();
    let endpoints = endpoints
        .iter()
        .map(|endpoint| {
            #[cfg_attr(not(feature = "native-path"), expect(irrefutable_let_patterns, reason = "one kind"))]
            let adaptor = if let Backend::Adaptor(deployed) = &endpoint.backend {
                let canary = deployed.canary.as_ref().map(|canary| RunningTrial {
                    digest: canary.endpoint.adaptor.digest().to_owned(),
                    percent: canary.percent,
                });
                Some(RunningVersions { live: deployed.live.adaptor.digest().to_owned(), canary })
            } else {
                None
            };
            let is_own = catalog.endpoint(&endpoint.slug).is_some_and(|own| Arc::ptr_eq(own, endpoint));
            let rests_seconds = match endpoint.pulse.standing(now) {
                Standing::Resting(until) if is_own => {
                    Some(until.saturating_duration_since(now).as_secs_f64())
                }
                Standing::Resting(_) | Standing::Ready => None,
            };
            RouteEnd {
                weight: endpoint.weight,
                open_requests: is_own.then(|| endpoint.pulse.open()),
                rests_seconds,
                endpoint: endpoint.slug.to_string(),
                cluster: endpoint.cluster.clone(),
                framework: endpoint.framework.clone(),
                model: endpoint.model.clone(),
                maintenance: endpoint.maintenance.clone(),
                adaptor,
            }
        })
        .collect();
    Ok(Json(ModelRoute { object: "route", model, why, endpoints }))
}
