//! Bench only: the same work as the forwarding adaptor, without a sandbox around it.

use std::sync::Arc;

use airlock_sandbox::{Answer, Egress, Fault, Grant, Task, egress::OutboundRequest};
use http::{HeaderMap, HeaderValue, Method, Uri, header};

/// An endpoint that sends each task on to one base URL.
pub struct NativeEndpoint {
    base: String,
    grant: Arc<Grant>,
}

impl NativeEndpoint {
    /// `None` where `api_url` is no URL.
    pub fn new(api_url: &str, grant: Arc<Grant>) -> Option<Self> {
        api_url.parse::<Uri>().ok()?;
        Some(Self { base: api_url.trim_end_matches('/').to_owned(), grant })
    }

    /// Sends the task's body on, unchanged.
    pub async fn run(&self, egress: &Egress, task: &Task) -> Result<Answer, Fault> {
        let url = format!("{}/{}", self.base, task.operation.path());
        let uri: Uri = url.parse().map_err(|_| Fault::BadOutput("malformed URL".into()))?;
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = OutboundRequest::full(task.body.clone());
        let request = OutboundRequest { method: Method::POST, uri, headers, body, timeout: None };
        Ok(Answer::Upstream(egress.send(&self.grant, request).await?))
    }
}
