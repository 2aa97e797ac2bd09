//! Forms: read until the model is known, then handed on as they come.

mod part;
mod scanner;
#[cfg(test)]
mod tests;

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use airlock_sandbox::{Form, FormFault};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use mime::Mime;
use serde_json::json;
use tokio::time::Sleep;

use super::request::ParsedRequest;
use crate::{
    api::{
        error::{ApiError, ErrorKind},
        extract::{BODY_IDLE, announced, discard, too_large},
    },
    chunks::Chunks,
};
use scanner::{Model, Scanner};

/// Longest boundary (RFC 2046, 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// A form that is none, or not surely the same for every reader.
fn malformed(what: &str) -> FormFault {
    FormFault::Malformed { text: format!("The form cannot be read: {what}."), param: None }
}

/// The field `model` is wrong.
fn of_model(text: &str) -> FormFault {
    FormFault::Malformed { text: text.to_owned(), param: Some("model") }
}

/// How much of a form is taken, in bytes.
pub(super) struct Limits {
    /// All of it.
    pub(super) form: u64,
    /// What may come before the model, which is held in memory.
    pub(super) head: usize,
}

/// Reads a form until its model is known. What is wrong with the rest is found when that is sent.
pub(super) async fn read(headers: &HeaderMap, body: Body, limits: Limits) -> Result<ParsedRequest, ApiError> {
    let (content_type, boundary) = match boundary(headers) {
        Ok(found) => found,
        Err(error) => return refuse(body, error).await,
    };
    if announced(headers) > limits.form {
        return refuse(body, too_large(limits.form)).await;
    }
    let mut incoming = Incoming::new(body, &boundary, limits.form);
    match head(&mut incoming, limits.head).await {
        Ok((head, Model { name, place })) => {
            let form = Form::new(content_type, head.into_pieces(), place, Box::pin(incoming));
            let body = json!({ "model": name }).to_string().into();
            Ok(ParsedRequest {
                model: name,
                stream: false,
                show_usage: true,
                body,
                form: Some(form),
                answer_tokens: None,
                unknown: None,
                session: None,
            })
        }
        Err(fault) => refuse(incoming.body, fault.into()).await,
    }
}

async fn refuse<T>(body: Body, error: ApiError) -> Result<T, ApiError> {
    discard(body).await;
    Err(error)
}

async fn head(incoming: &mut Incoming, limit: usize) -> Result<(Chunks, Model), FormFault> {
    let mut head = Chunks::default();
    while let Some(frame) = incoming.frame().await {
        head.push(frame?.into_data().unwrap_or_default());
        let model = incoming.scanner.as_ref().and_then(Scanner::model);
        if let Some(model) = model.filter(|model| model.place.end <= limit) {
            return Ok((head, model.clone()));
        }
        if model.is_some() || head.len() > limit {
            return Err(of_model(&format!(
                "The field `model` does not stand in the form's first {limit} bytes. Send it before the file."
            )));
        }
    }
    Err(malformed("it ends before its last boundary"))
}

/// The value of `content-type` for the backend, and the boundary that the client's names. What else the client's says might
/// be read by the backend: a second boundary in another spelling, or how names are encoded.
fn boundary(headers: &HeaderMap) -> Result<(HeaderValue, String), ApiError> {
    let fail = |what: &str| {
        let help = "Send a form (`Content-Type: multipart/form-data; boundary=…`) with the fields `model` and a file.";
        ApiError::new(ErrorKind::InvalidForm, format!("{what} {help}"))
    };
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = values.next().filter(|_| values.next().is_none());
    let value = value.ok_or_else(|| fail("The request has no `Content-Type`, or several."))?;
    let kind = value.to_str().ok().and_then(|text| text.parse::<Mime>().ok());
    let kind = kind.filter(|kind| kind.essence_str() == mime::MULTIPART_FORM_DATA.essence_str());
    let kind = kind.ok_or_else(|| fail("The body of this operation is no form."))?;
    let mut named =
        kind.params().filter(|(name, _)| *name == mime::BOUNDARY).map(|(_, value)| value.as_str());
    match (named.next(), named.next()) {
        (Some(boundary), None) if is_boundary(boundary) => {
            let is_token = boundary.bytes().all(|b| b.is_ascii_alphanumeric() || b"'+_-.".contains(&b));
            let quote = if is_token { "" } else { "\"" };
            let sent =
                HeaderValue::try_from(format!("multipart/form-data; boundary={quote}{boundary}{quote}"));
            Ok((sent.map_err(|_| fail("The boundary is malformed."))?, boundary.to_owned()))
        }
        (None, _) => Err(fail("The `Content-Type` names no boundary.")),
        _ => Err(fail(
            "The `Content-Type` does not name one boundary of 1 to 70 letters, digits or `'()+_,-./=?`.",
        )),
    }
}

/// RFC 2046, 5.1.1, without the colon, which would make it a header's line.
fn is_boundary(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./=? ".contains(&byte);
    (1..=MAX_BOUNDARY).contains(&text.len()) && text.bytes().all(is_allowed) && !text.ends_with(' ')
}

/// A client's form as it comes: looked at, limited in size, and in how long the client may send nothing.
struct Incoming {
    body: Body,
    /// None after a fault: whoever reads on only throws it away.
    scanner: Option<Scanner>,
    limit: u64,
    left: u64,
    /// Armed while the client is waited for.
    idle: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    fn new(body: Body, boundary: &str, limit: u64) -> Self {
        Self { body, scanner: Some(Scanner::new(boundary)), limit, left: limit, idle: None }
    }

    /// What has come, or the end, where it may go on.
    fn check(&mut self, data: &[u8], is_last: bool) -> Result<(), FormFault> {
        let Some(scanner) = &mut self.scanner else { return Ok(()) };
        self.left = self.left.checked_sub(data.len() as u64).ok_or(FormFault::TooLarge(self.limit))?;
        scanner.push(data)?;
        if is_last { scanner.finish() } else { Ok(()) }
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = FormFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FormFault>>> {
        let this = self.get_mut();
        let Poll::Ready(next) = Pin::new(&mut this.body).poll_frame(cx) else {
            let idle = this.idle.get_or_insert_with(|| Box::pin(tokio::time::sleep(BODY_IDLE)));
            ready!(idle.as_mut().poll(cx));
            this.scanner = None;
            return Poll::Ready(Some(Err(FormFault::Unreadable("nothing more of it came for 30 seconds"))));
        };
        this.idle = None;
        let is_last = this.body.is_end_stream();
        let next = match next {
            None => this.check(&[], true).map(|()| None),
            Some(Err(_)) => Err(FormFault::Unreadable("the connection broke before the whole body had come")),
            Some(Ok(frame)) => {
                let data = frame.data_ref().map_or(&[][..], |data| data);
                this.check(data, is_last).map(|()| Some(frame))
            }
        };
        if next.is_err() {
            this.scanner = None;
        }
        Poll::Ready(next.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
