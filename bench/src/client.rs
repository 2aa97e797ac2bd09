//! Clients of the gateway: one that keeps its connection, and one that is about to leave.

use crate::error::{Context, Fallible};
use crate::load;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

const PATH: &str = "/v1/chat/completions";
/// Longer than anything that these tools wait for.
const LIMIT: Duration = Duration::from_secs(60);

/// The metrics that follow what exists, and are zero where nobody uses the gateway but for the connection that asks.
const FOLLOWED: [&str; 5] = [
    "airlock_connections_open",
    "airlock_instances",
    "airlock_outbound_open",
    "airlock_requests_open",
    "airlock_slow_calls",
];

/// The gateway's gauges, by name.
pub type Gauges = BTreeMap<String, u64>;

/// A chat request, ready to be sent any number of times.
#[derive(Clone)]
pub struct Chat {
    authorization: String,
    body: Bytes,
}

impl Chat {
    /// One to `model`, with `key`.
    pub fn new(key: &str, model: &str, streamed: bool) -> Self {
        Self { authorization: format!("Bearer {key}"), body: load::body(model, streamed).into() }
    }
}

/// A complete answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// What it came to: its status, and the code of the error that it is or that its stream ends in.
    pub fn outcome(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let last_event = || text.lines().rev().find_map(|line| line.strip_prefix("data:"));
        let error = |json: &str| serde_json::from_str::<Value>(json).ok()?.get("error").cloned();
        let error = error(&text).or_else(|| error(last_event()?));
        let status = self.status.as_u16();
        match error.as_ref().and_then(|error| error.get("code")?.as_str()) {
            Some(code) => format!("{status} {code}"),
            None => status.to_string(),
        }
    }
}

/// A connection that is kept from request to request. Dropping it closes it.
pub struct Client {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Fallible<Self> {
        let socket = socket(address).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        Ok(Self { address, sender, driver: tokio::spawn(connection).abort_handle() })
    }

    /// Asks for a chat completion and reads the answer to its end.
    pub async fn chat(&mut self, chat: &Chat) -> Fallible<Answer> {
        let request = Request::post(PATH)
            .header("host", self.address.to_string())
            .header("content-type", "application/json")
            .header("authorization", &chat.authorization)
            .body(Full::from(chat.body.clone()))?;
        self.send(request).await
    }

    /// Reads a path that needs no key.
    pub async fn get(&mut self, path: &str) -> Fallible<Answer> {
        let request = Request::get(path).header("host", self.address.to_string()).body(Full::default())?;
        self.send(request).await
    }

    /// Reads the gauges.
    pub async fn gauges(&mut self) -> Fallible<Gauges> {
        let answer = self.get("/metrics").await?;
        if answer.status != StatusCode::OK {
            return Err(format!("/metrics answers {}: does this gateway have it?", answer.outcome()).into());
        }
        Ok(parse_gauges(std::str::from_utf8(&answer.body)?))
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Fallible<Answer> {
        let exchange = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            Ok(Answer { status, body: response.into_body().collect().await?.to_bytes() })
        };
        let done: Result<Answer, hyper::Error> = tokio::time::timeout(LIMIT, exchange)
            .await
            .map_err(|_| format!("no answer in {} s", LIMIT.as_secs()))?;
        done.context(|| "the answer broke off".into())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A client that has sent its request and waits. Dropping it is leaving.
pub struct Visitor(TcpStream);

impl Visitor {
    /// Connects and sends all of `chat`.
    pub async fn send(address: SocketAddr, chat: &Chat) -> Fallible<Self> {
        let mut socket = socket(address).await?;
        let (authorization, length) = (&chat.authorization, chat.body.len());
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             authorization: {authorization}\r\ncontent-length: {length}\r\n\r\n"
        );
        socket.write_all(&[head.as_bytes(), &chat.body].concat()).await?;
        Ok(Self(socket))
    }

    /// Waits until the first event of a stream has come.
    pub async fn first_event(&mut self) -> Fallible<()> {
        let mut read = Vec::new();
        while memmem::find(&read, b"\ndata:").is_none() {
            let received = tokio::time::timeout(LIMIT, self.0.read_buf(&mut read)).await??;
            let text = String::from_utf8_lossy(&read);
            let status = text.lines().next().unwrap_or_default();
            if received == 0 || (text.len() > status.len() && !status.starts_with("HTTP/1.1 200")) {
                return Err(format!("no event came: {status}").into());
            }
        }
        Ok(())
    }
}

async fn socket(address: SocketAddr) -> Fallible<TcpStream> {
    let socket = TcpStream::connect(address).await.context(|| format!("cannot connect to {address}"))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn parse_gauges(text: &str) -> Gauges {
    let gauge = |line: &str| {
        let (name, value) = line.split_once(' ').filter(|(name, _)| FOLLOWED.contains(name))?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(gauge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_read_past_their_comments() {
        let gauges =
            parse_gauges("# HELP airlock_instances b\nairlock_instances 3\nairlock_instances_limit 9\n");
        assert_eq!(gauges, Gauges::from([("airlock_instances".into(), 3)]));
    }

    #[test]
    fn an_outcome_names_the_error_wherever_it_stands() {
        let outcome = |status: StatusCode, body: &'static str| Answer { status, body: body.into() }.outcome();
        assert_eq!(outcome(StatusCode::OK, r#"{"choices":[]}"#), "200");
        assert_eq!(outcome(StatusCode::OK, "data: {\"a\":1}\n\ndata: [DONE]\n\n"), "200");
        assert_eq!(outcome(StatusCode::BAD_GATEWAY, r#"{"error":{"code":"x"}}"#), "502 x");
        let streamed = "data: {}\n\ndata: {\"error\":{\"code\":\"y\"}}\n\n";
        assert_eq!(outcome(StatusCode::OK, streamed), "200 y");
        assert_eq!(outcome(StatusCode::NOT_FOUND, "<html>"), "404");
    }
}
