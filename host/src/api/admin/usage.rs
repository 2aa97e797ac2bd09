//! What a tenant has used today, and may use.

use axum::{
    Json,
    extract::{Path, State},
};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    OWN,
    access::{Allowed, Wish, allow, no_tenant},
};
use crate::{
    api::{
        error::ApiError,
        openapi::{About, Api, named},
    },
    gateway::Worker,
    tenants::today,
};

/// What a tenant has used today, as the gateway that is asked knows: what others on the same store use it learns within
/// some seconds.
#[derive(Debug, Serialize, ToSchema)]
struct Usage {
    /// `usage`
    object: &'static str,
    tenant: String,
    /// The day that is counted, in UTC: `2026-01-31`.
    day: String,
    cpu_seconds: f64,
    egress_bytes: u64,
    /// What may be used in a day; `null`: without a limit.
    #[schema(required = true)]
    cpu_seconds_per_day: Option<u64>,
    /// The same.
    #[schema(required = true)]
    egress_bytes_per_day: Option<u64>,
}

pub(super) fn routes(api: Api) -> Api {
    let about = About::admin("What a tenant has used today, and may use");
    api.get(&format!("{OWN}/usage"), read, about.answers(StatusCode::OK, "It.", named::<Usage>))
}

/// `GET …/usage`
async fn read(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Usage>, ApiError> {
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read).await?;
    let found = worker.gateway().tenants().tenant(&tenant).ok_or_else(|| no_tenant(&tenant))?;
    let (used, limits) = (found.usage().today(), found.limits());
    let begin = Timestamp::from_second(today().saturating_mul(86_400)).unwrap_or_default();
    Ok(Json(Usage {
        object: "usage",
        tenant,
        day: begin.strftime("%Y-%m-%d").to_string(),
        cpu_seconds: std::time::Duration::from_nanos(used.cpu_ns).as_secs_f64(),
        egress_bytes: used.egress_bytes,
        cpu_seconds_per_day: limits.daily_cpu.map(|limit| limit.as_secs()),
        egress_bytes_per_day: limits.daily_egress_bytes,
    }))
}
