//! What a tenant has used today, and may use.

use axum::{
    Json,
    extract::{Path, State},
};
use http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;

use super::access::{Allowed, Wish, allow, no_tenant};
use crate::{api::error::ApiError, gateway::Worker, tenants::today};

/// What a tenant has used today, as the gateway that is asked knows: what others on the same store use it learns within
/// some seconds.
#[derive(Debug, Serialize)]
pub(super) struct UsageAnswer {
    object: &'static str,
    tenant: String,
    /// The day that is counted, in UTC: `2026-01-31`.
    day: String,
    cpu_seconds: f64,
    egress_bytes: u64,
    /// What may be used in a day, where there is a limit.
    cpu_seconds_per_day: Option<u64>,
    egress_bytes_per_day: Option<u64>,
}

/// `GET …/usage`
pub(super) async fn read(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<Json<UsageAnswer>, ApiError> {
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read)?;
    let found = worker.gateway().tenants().tenant(&tenant).ok_or_else(|| no_tenant(&tenant))?;
    let (used, limits) = (found.usage().today(), found.limits());
    let begin = Timestamp::from_second(today().saturating_mul(86_400)).unwrap_or_default();
    Ok(Json(UsageAnswer {
        object: "usage",
        tenant,
        day: begin.strftime("%Y-%m-%d").to_string(),
        cpu_seconds: std::time::Duration::from_nanos(used.cpu_ns).as_secs_f64(),
        egress_bytes: used.egress_bytes,
        cpu_seconds_per_day: limits.daily_cpu.map(|limit| limit.as_secs()),
        egress_bytes_per_day: limits.daily_egress_bytes,
    }))
}
