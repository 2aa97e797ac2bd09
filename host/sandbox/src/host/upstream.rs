//! `airlock:adaptor/upstream` and `upstream-http`: the ways to a backend.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Uri, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use wasmtime::{Result, component::Resource};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError};
use wasmtime_wasi_http::p2::{
    body::{HostIncomingBody, HostIncomingBodyStream},
    types::HostIncomingResponse,
};

use crate::{
    EgressError,
    bindings::airlock::adaptor::{
        common::{AdaptorError, UpstreamRequest},
        upstream, upstream_http,
    },
    call::CallState,
    egress::{OutboundRequest, OutgoingBody, UpstreamBody, UpstreamResponse, outgoing_headers},
    form::OwnBody,
};

impl From<EgressError> for AdaptorError {
    fn from(error: EgressError) -> Self {
        Self {
            status: error.status(),
            code: error.code().to_owned(),
            message: error.to_string(),
            retry_after_ms: None,
        }
    }
}

/// What the guest described, as a request that the egress room can check and send. Only the syntax is
/// looked at here.
pub(crate) fn outbound(request: UpstreamRequest, own_body: &OwnBody) -> Result<OutboundRequest, EgressError> {
    let denied = |what: &str| EgressError::Denied(what.to_owned());
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| denied("the request's method is malformed"))?;
    let uri: Uri = request.url.parse().map_err(|_| denied("the request's URL is malformed"))?;
    let mut headers = outgoing_headers(&request.headers)?;
    let body = match (request.body, own_body) {
        (Some(body), _) => OutboundRequest::full(body.into()),
        (None, _) if method == Method::GET || method == Method::HEAD => OutboundRequest::full(Bytes::new()),
        (None, OwnBody::Whole(body)) => OutboundRequest::full(body.clone()),
        (None, OwnBody::Form { form, model, .. }) => {
            // The adaptor does not know the boundary.
            headers.insert(header::CONTENT_TYPE, form.content_type().clone());
            OutgoingBody::Form(form.send(model)?)
        }
    };
    Ok(OutboundRequest {
        headers,
        method,
        uri,
        body,
        timeout: request.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
    })
}

impl upstream::Host for CallState {
    async fn send(
        &mut self,
        request: UpstreamRequest,
    ) -> Result<Result<Resource<UpstreamResponse>, AdaptorError>> {
        self.check_serves()?;
        let sent = async {
            self.hooks.count()?;
            let request = outbound(request, &self.own_body)?;
            self.hooks.egress.send(&self.hooks.grant, request).await
        };
        match sent.await {
            Ok(response) => Ok(Ok(self.table.push(response)?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl upstream::HostResponse for CallState {
    fn status(&mut self, response: Resource<UpstreamResponse>) -> Result<u16> {
        Ok(self.table.get(&response)?.status.as_u16())
    }

    fn headers(&mut self, response: Resource<UpstreamResponse>) -> Result<Vec<(String, String)>> {
        let headers = &self.table.get(&response)?.headers;
        Ok(headers
            .iter()
            .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect())
    }

    async fn read(
        &mut self,
        response: Resource<UpstreamResponse>,
    ) -> Result<Result<Option<Vec<u8>>, AdaptorError>> {
        let body = &mut self.table.get_mut(&response)?.body;
        loop {
            match body.frame().await {
                None => return Ok(Ok(None)),
                Some(Err(error)) => return Ok(Err(error.into())),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Ok(Some(data.into()))),
                    _ => {} // trailers, or nothing
                },
            }
        }
    }

    fn drop(&mut self, response: Resource<UpstreamResponse>) -> Result<()> {
        let body = self.table.delete(response)?.body;
        // A witness is to see what the guest has read, and not what came after.
        if !body.is_end_stream() && self.witness().is_none() {
            tokio::spawn(finish(body));
        }
        Ok(())
    }
}

/// A guest that has seen `[DONE]` drops a response whose end is about to come: read on for a moment, so that
/// its connection can serve the next request. A call that is cut off does not come here: it closes at once.
async fn finish(mut body: UpstreamBody) {
    let mut left = READ_SIZE;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(50), reading).await;
}

impl upstream_http::Host for CallState {
    fn adopt(
        &mut self,
        response: Resource<HostIncomingResponse>,
    ) -> Result<Result<Resource<UpstreamResponse>, AdaptorError>> {
        let response = self.table.delete(response)?;
        let idle_timeout = self.hooks.egress.idle_timeout();
        let Some(body) = response.body.and_then(|body| AdoptedBody::new(body, idle_timeout)) else {
            return Ok(Err(AdaptorError {
                status: 502,
                code: "body_already_taken".into(),
                message: "the response's body was consumed before it was to be relayed".into(),
                retry_after_ms: None,
            }));
        };
        let adopted = UpstreamResponse {
            status: http::StatusCode::from_u16(response.status)?,
            headers: response.headers.into(),
            body: UpstreamBody::adopted(body),
        };
        Ok(Ok(self.table.push(adopted)?))
    }
}

/// The body of a wasi:http response, read the way a guest would. The outer part keeps the inner one's
/// connection alive.
struct AdoptedBody {
    stream: Option<HostIncomingBodyStream>,
    waiting: Option<Waiting>,
    idle_timeout: Duration,
    _keeps_alive: HostIncomingBody,
}

/// The stream, away until it has something.
type Waiting = Pin<Box<dyn Future<Output = HostIncomingBodyStream> + Send>>;

const READ_SIZE: usize = 64 << 10;

impl AdoptedBody {
    fn new(mut body: HostIncomingBody, idle_timeout: Duration) -> Option<Self> {
        let stream = body.take_stream()?;
        Some(Self { stream: Some(stream), waiting: None, idle_timeout, _keeps_alive: body })
    }
}

impl AdoptedBody {
    /// The egress room's own error again, which went through wasi:http's.
    fn cause(&self, error: &StreamError) -> EgressError {
        use wasmtime_wasi_http::Error;
        let StreamError::LastOperationFailed(cause) = error else {
            return EgressError::Disconnected(error.to_string());
        };
        match cause.downcast_ref::<Error>() {
            Some(Error::ConnectionReadTimeout) => EgressError::IdleTimeout(self.idle_timeout),
            Some(Error::HttpResponseBodySize(Some(limit))) => EgressError::TooLarge(*limit),
            Some(Error::HttpResponseContentCoding(Some(why))) => EgressError::Undecodable(why.clone()),
            _ => EgressError::Disconnected(cause.to_string()),
        }
    }
}

impl Body for AdoptedBody {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let this = self.get_mut();
        loop {
            if let Some(waiting) = &mut this.waiting {
                this.stream = Some(std::task::ready!(waiting.as_mut().poll(cx)));
                this.waiting = None;
            }
            let Some(mut stream) = this.stream.take() else { return Poll::Ready(None) };
            match stream.read(READ_SIZE) {
                Ok(data) if data.is_empty() => {
                    this.waiting = Some(Box::pin(async move {
                        stream.ready().await;
                        stream
                    }));
                }
                Ok(data) => {
                    this.stream = Some(stream);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Err(StreamError::Closed) => return Poll::Ready(None),
                Err(error) => {
                    return Poll::Ready(Some(Err(this.cause(&error))));
                }
            }
        }
    }
}
