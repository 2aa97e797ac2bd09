//! One request per rung before it is loaded: is the answer the right one, to the last event?

use crate::error::{Context, Fallible};
use crate::load::Aim;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A first request may have to wait for a guest to be compiled.
const LIMIT: Duration = Duration::from_secs(60);

/// Sends what the load will send and checks the answer: a completion, or a stream of `events` events.
pub async fn check(aim: &Aim, events: Option<usize>) -> Fallible<()> {
    let request = Request::post(&aim.url)
        .header("content-type", "application/json")
        .header("authorization", &aim.authorization)
        .body(Full::from(aim.body.clone()));
    let (status, body) = within_limit(fetch(request?)).await?;
    let text = String::from_utf8_lossy(&body);
    let fault = match (status, events) {
        (StatusCode::OK, Some(count)) => stream_fault(&text, count),
        (StatusCode::OK, None) => completion_fault(&text),
        _ => Some("is not 200".to_owned()),
    };
    match fault {
        Some(fault) => Err(format!("the answer ({status}) {fault}: {}", start_of(&text)).into()),
        None => Ok(()),
    }
}

/// How many completions the mock has answered.
pub async fn answered(mock: SocketAddr) -> Fallible<u64> {
    let request = Request::get(format!("http://{mock}/answered")).body(Full::default())?;
    let (_, body) = within_limit(fetch(request)).await?;
    Ok(std::str::from_utf8(&body)?.parse()?)
}

async fn within_limit<T>(work: impl Future<Output = Fallible<T>>) -> Fallible<T> {
    let done = tokio::time::timeout(LIMIT, work).await;
    done.map_err(|_| format!("no answer in {} s", LIMIT.as_secs()))?
}

async fn fetch(mut request: Request<Full<Bytes>>) -> Fallible<(StatusCode, Bytes)> {
    let authority = request.uri().authority().ok_or("the address has no host")?.to_string();
    let path = request.uri().path().to_owned();
    request.headers_mut().insert("host", authority.parse()?);
    *request.uri_mut() = path.parse::<Uri>()?;
    let socket = TcpStream::connect(&authority).await.context(|| format!("cannot connect to {authority}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await;
    Ok((status, body.context(|| "the answer broke off".into())?.to_bytes()))
}

fn completion_fault(text: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return Some(format!("is not JSON ({error})")),
    };
    let missing = |field: &&str| value.get(field).is_none();
    let field = ["choices", "usage"].into_iter().find(missing)?;
    Some(format!("has no `{field}`"))
}

/// What is wrong with a stream of `expected` events, if anything.
pub fn stream_fault(text: &str, expected: usize) -> Option<String> {
    let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data:")).collect();
    let Some((last, chunks)) = events.split_last() else {
        return Some("has no events".to_owned());
    };
    if events.len() != expected {
        return Some(format!("has {} events where {expected} were sent", events.len()));
    }
    if last.trim() != "[DONE]" {
        return Some("does not end in [DONE]".to_owned());
    }
    let parsed = |chunk: &&str| serde_json::from_str::<Value>(chunk).is_ok();
    let bad = chunks.iter().find(|chunk| !parsed(chunk))?;
    Some(format!("has an event that is not JSON ({bad})"))
}

fn start_of(text: &str) -> String {
    text.chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_must_be_whole() {
        assert_eq!(stream_fault("data: {}\n\ndata: [DONE]\n\n", 2), None);
        assert!(stream_fault("data: {}\n\ndata: [DONE]\n\n", 3).is_some());
        assert!(stream_fault("data: {}\n\ndata: {}\n\n", 2).is_some());
        assert!(stream_fault("data: {\n\ndata: [DONE]\n\n", 2).is_some());
        assert!(stream_fault("", 2).is_some());
    }

    #[test]
    fn a_completion_has_choices_and_usage() {
        assert_eq!(completion_fault(r#"{"choices":[],"usage":{}}"#), None);
        assert!(completion_fault(r#"{"choices":[]}"#).is_some());
        assert!(completion_fault("hello").is_some());
    }
}
