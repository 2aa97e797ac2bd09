//! What an answer's head says of its way: who gave it, and what the gateway took beside waiting for backends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use airlock_sandbox::{Egress, Vendor, Waited};
use http::{HeaderMap, HeaderValue};

use crate::{
    admission::Standing,
    api::limits,
    catalog::{Catalog, CatalogEndpoint},
};

/// The way of one request.
pub(super) struct Course {
    egress: Egress,
    waited: Waited,
    body_read: Option<Instant>,
    endpoint: Option<Arc<str>>,
    standing: Standing,
}

impl Course {
    /// At the request's arrival. Backends are told of its `trace`.
    pub(super) fn new(egress: &Egress, trace: HeaderMap) -> Self {
        let (egress, waited) = egress.timed(trace);
        Self { egress, waited, body_read: None, endpoint: None, standing: Standing::default() }
    }

    /// The way out; what is waited for there is counted.
    pub(super) fn egress(&self) -> &Egress {
        &self.egress
    }

    /// The request's body has come whole: until here the client was waited for.
    pub(super) fn body_read(&mut self) {
        self.body_read = Some(Instant::now());
    }

    /// Who answered. Where another tenant shares an endpoint, its slug is that tenant's business: it names cluster and
    /// framework, and lists show the model alone.
    pub(super) fn answered_by(&mut self, own: &Catalog, endpoint: &Arc<CatalogEndpoint>) {
        let is_own = own.endpoint(&endpoint.slug).is_some_and(|known| Arc::ptr_eq(known, endpoint));
        self.endpoint = is_own.then(|| Arc::clone(&endpoint.slug));
    }

    /// How far the request's limits are used up.
    pub(super) fn limited(&mut self, standing: Standing) {
        self.standing = standing;
    }

    /// Writes it down, in the words of this vendor where it has its own.
    pub(super) fn tell(&self, vendor: Vendor, headers: &mut HeaderMap) {
        limits::tell(&self.standing, vendor, headers);
        if let Some(Ok(slug)) = self.endpoint.as_deref().map(HeaderValue::from_str) {
            headers.insert("x-airlock-endpoint", slug);
        }
        if let Some(overhead) = self.overhead()
            && let Ok(value) = HeaderValue::try_from(format!("{:.3}", overhead.as_secs_f64() * 1e3))
        {
            headers.insert("x-airlock-overhead-ms", value);
        }
    }

    /// Calls that an adaptor makes at the same time each count as waiting.
    fn overhead(&self) -> Option<Duration> {
        Some(self.body_read?.elapsed().saturating_sub(self.waited.total()))
    }
}
