//! Exchanges that a witness sees: each step is noted, and where a recording is played nothing leaves the process.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::{Egress, EgressError, Grant, OutboundRequest, OutgoingBody, UpstreamBody, UpstreamResponse};
use crate::witness::{
    Asked, Data, Diverged, Found, Frame as Recorded, Source, Step, Witness, body_difference,
};

impl Egress {
    /// The same way for one run that somebody watches, or plays again.
    #[must_use]
    pub fn witnessed(&self, witness: Witness) -> Self {
        let errand = super::Errand { witness: Some(witness), ..super::Errand::default() };
        Self(Arc::clone(&self.0), Arc::new(errand))
    }

    pub(crate) fn witness(&self) -> Option<&Witness> {
        self.1.witness.as_ref()
    }

    /// [`Egress::send`], before a witness.
    pub(super) async fn watched(
        &self,
        witness: &Witness,
        grant: &Arc<Grant>,
        request: OutboundRequest,
    ) -> Result<UpstreamResponse, EgressError> {
        let (number, asked) = (witness.next_request(), asked(&request));
        witness.saw(&Step::Request {
            request: number,
            method: asked.method.clone(),
            url: asked.url.clone(),
            headers: asked.headers.clone(),
            body: asked.body.clone(),
            credential: grant.credential_headers(&request.method, &request.uri),
        });
        let request = noting(request, witness, number);
        let answer = match witness.source() {
            None => self.sent(grant, request).await.map(|response| Answer { response, recorded: None }),
            Some(source) => recorded(source, asked, request).await,
        };
        match answer {
            Ok(Answer { response: UpstreamResponse { status, headers, body }, recorded }) => {
                let listed = list(&headers);
                witness.saw(&Step::Head { request: number, status: status.as_u16(), headers: listed });
                let from = recorded.map_or_else(|| From::Backend(Box::new(body)), From::Recording);
                let body = UpstreamBody::adopted(Watched { from, witness: witness.clone(), request: number });
                Ok(UpstreamResponse { status, headers, body })
            }
            Err(error) => {
                witness.saw(&Step::Failed { request: number, error: error.clone() });
                Err(error)
            }
        }
    }
}

/// A response; where it was recorded, the number that it had then.
struct Answer {
    response: UpstreamResponse,
    recorded: Option<u32>,
}

fn asked(request: &OutboundRequest) -> Asked {
    let body = match &request.body {
        OutgoingBody::Full(body) => {
            let whole = body.clone().collect().now_or_never().and_then(Result::ok);
            Some(whole.map(|whole| whole.to_bytes().into()).unwrap_or_default())
        }
        OutgoingBody::Guest { .. } | OutgoingBody::Form(_) | OutgoingBody::Counted(..) => None,
    };
    Asked {
        method: request.method.to_string(),
        url: request.uri.to_string(),
        headers: list(&request.headers),
        body,
    }
}

fn list(headers: &HeaderMap) -> Vec<(String, Data)> {
    let copied = |value: &http::HeaderValue| Data(Bytes::copy_from_slice(value.as_bytes()));
    headers.iter().map(|(name, value)| (name.to_string(), copied(value))).collect()
}

/// The same request; what the adaptor writes of its body is noted as it goes.
fn noting(request: OutboundRequest, witness: &Witness, number: u32) -> OutboundRequest {
    let body = match request.body {
        OutgoingBody::Guest { body, left } => {
            let (witness, noted) = (witness.clone(), witness.clone());
            let body = body.map_frame(move |frame| {
                if let Some(data) = frame.data_ref() {
                    witness.saw(&Step::Sent { request: number, data: data.clone().into() });
                }
                frame
            });
            let body = Ended { body, end: Some((noted, number)) }.boxed_unsync();
            OutgoingBody::Guest { body, left }
        }
        body => body,
    };
    OutboundRequest { body, ..request }
}

/// Says when a body is complete.
struct Ended<B> {
    body: B,
    end: Option<(Witness, u32)>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Ended<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if (frame.is_none() || self.body.is_end_stream())
            && let Some((witness, request)) = self.end.take()
        {
            witness.saw(&Step::SentAll { request });
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.end.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The answer that the recording has for this request.
async fn recorded(source: &Source, asked: Asked, request: OutboundRequest) -> Result<Answer, EgressError> {
    // The guest may look at it as a failure; whoever replays looks at the divergence.
    let other = |diverged: Diverged| EgressError::Denied(diverged.to_string());
    let Found { request: number, sent, head } = source.exchange(&asked).map_err(other)?;
    if let Some(sent) = sent {
        let whole = request.body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
        if whole != sent {
            let how = format!("{} {}: {}", asked.method, asked.url, body_difference(&sent, &whole));
            return Err(other(source.diverged(how)));
        }
    }
    let Some(head) = head else {
        source.stall();
        return std::future::pending().await;
    };
    let (status, headers) = head?;
    let body = UpstreamBody::adopted(http_body_util::Empty::new().map_err(|never| match never {}));
    Ok(Answer { response: UpstreamResponse { status, headers, body }, recorded: Some(number) })
}

/// Where a body comes from.
enum From {
    Backend(Box<UpstreamBody>),
    Recording(u32),
    Nowhere,
}

/// A response's body that is seen as it comes.
struct Watched {
    from: From,
    witness: Witness,
    request: u32,
}

impl Watched {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Recorded> {
        match &mut self.from {
            From::Nowhere => Poll::Ready(Recorded::End),
            From::Backend(body) => loop {
                match ready!(Pin::new(&mut **body).poll_frame(cx)) {
                    None => return Poll::Ready(Recorded::End),
                    Some(Err(error)) => return Poll::Ready(Recorded::Broke(error)),
                    // Trailers say nothing here.
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Recorded::Chunk(data));
                        }
                    }
                }
            },
            From::Recording(number) => {
                let Some(source) = self.witness.source() else { return Poll::Ready(Recorded::End) };
                match source.frame(*number) {
                    Some(frame) => Poll::Ready(frame),
                    None => {
                        source.stall();
                        Poll::Pending
                    }
                }
            }
        }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let this = self.get_mut();
        let request = this.request;
        if matches!(this.from, From::Nowhere) {
            return Poll::Ready(None);
        }
        let (step, next) = match ready!(this.poll_next(cx)) {
            Recorded::Chunk(data) => {
                (Step::Chunk { request, data: data.clone().into() }, Some(Ok(Frame::data(data))))
            }
            Recorded::End => (Step::End { request }, None),
            Recorded::Broke(error) => (Step::Broke { request, error: error.clone() }, Some(Err(error))),
        };
        if !matches!(step, Step::Chunk { .. }) {
            this.from = From::Nowhere;
        }
        this.witness.saw(&step);
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.from, From::Nowhere)
    }
}
