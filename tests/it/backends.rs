//! Backends that are not OpenAI's shape, each behind its own adaptor, through the whole gateway: what its golden cases
//! say holds here too, its key is where it belongs, and a stream that breaks is no answer.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use airlock_tests::{
    AWS_KEYS, GatewayBuilder, RawUpstream, Seen, TestGateway, Upstream, bytes, chat_body, chunks, error,
    events, feed, json, log_of, logs, sse, stream_error, verify_aws, within,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::tidy::root;

const SECRET: &str = "sk-vendor-4711";

/// A backend as these tests need it.
struct Kind {
    adaptor: &'static str,
    /// The header that carries the key; none where requests are signed.
    header: Option<&'static str>,
    /// The type of its streams.
    stream_type: &'static str,
    golden_cases: usize,
}

const SSE: &str = "text/event-stream";
const FRAMES: &str = "application/vnd.amazon.eventstream";

const KINDS: [Kind; 3] = [
    Kind { adaptor: "anthropic", header: Some("x-api-key"), stream_type: SSE, golden_cases: 37 },
    Kind { adaptor: "gemini", header: Some("x-goog-api-key"), stream_type: SSE, golden_cases: 44 },
    Kind { adaptor: "bedrock", header: None, stream_type: FRAMES, golden_cases: 44 },
];

impl Kind {
    fn builder(&self, api_url: &str) -> GatewayBuilder {
        let config = match self.header {
            Some(_) => json!({ "api_url": api_url, "api_key_env_name": "VENDOR_KEY" }),
            None => json!({
                "api_url": api_url, "aws_region": "us-east-1", "access_key_id_env_name": "AWS_ID",
                "secret_access_key_env_name": "VENDOR_KEY", "session_token_env_name": "AWS_SESSION",
            }),
        };
        TestGateway::builder()
            .endpoint("backend-model", self.adaptor, config)
            .env("VENDOR_KEY", if self.header.is_some() { SECRET } else { AWS_KEYS.1 })
            .env("AWS_ID", AWS_KEYS.0)
            .env("AWS_SESSION", AWS_KEYS.2)
    }

    /// The golden cases, by name, that need no configuration of their own.
    fn golden(&self) -> Vec<(String, Value)> {
        let folder = root().join("adaptors").join(self.adaptor).join("golden");
        let read =
            |path: &Path| serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut cases: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path)))
            .filter(|(_, case)| case.get("config").is_none())
            .collect();
        cases.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(cases.len(), self.golden_cases, "{}", self.adaptor);
        cases
    }

    fn case(&self, name: &str) -> Value {
        self.golden().into_iter().find(|(found, _)| found == name).expect(name).1
    }

    /// What the backend answers in a case.
    fn answer(&self, case: &Value) -> http::Response<airlock_tests::Body> {
        let status = case["backend_status"].as_u64().unwrap_or(200) as u16;
        let mut response = match stream_bytes(case) {
            Some(stream) if status == 200 => bytes(200, self.stream_type, stream),
            _ => json(status, &case["backend_answer"]),
        };
        for (name, value) in case["backend_headers"].as_object().into_iter().flatten() {
            let name = http::HeaderName::try_from(name.as_str()).unwrap();
            response.headers_mut().insert(name, value.as_str().unwrap().parse().unwrap());
        }
        response
    }
}

/// A case's stream, as it goes over the wire.
fn stream_bytes(case: &Value) -> Option<Vec<u8>> {
    if let Some(text) = case["backend_bytes"].as_str() {
        return Some(hex::decode(text).unwrap());
    }
    let event = |event: &Value| match event["event"].as_str() {
        Some(name) => format!("event: {name}\ndata: {}\n\n", event["data"]),
        None => format!("data: {}\n\n", event["data"]),
    };
    Some(case["backend_events"].as_array()?.iter().map(event).collect::<String>().into_bytes())
}

/// A backend that answers as the case says that was put here last.
async fn playing(kind: &'static Kind) -> (Upstream, Arc<Mutex<Value>>) {
    let current = Arc::new(Mutex::new(Value::Null));
    let case = Arc::clone(&current);
    let upstream = Upstream::start(move |_| {
        let response = kind.answer(&case.lock().unwrap());
        async move { response }
    })
    .await;
    (upstream, current)
}

fn request(case: &Value) -> Value {
    let mut request = case["request"].clone();
    request["model"] = json!("backend-model");
    request
}

/// Without what differs from one answer to the next; ids that the adaptor makes for calls are cut to their number.
fn timeless(mut answer: Value) -> Value {
    for choice in answer["choices"].as_array_mut().unwrap() {
        for speaker in ["message", "delta"] {
            for call in choice
                .pointer_mut(&format!("/{speaker}/tool_calls"))
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                let number = call["id"].as_str().and_then(|id| id.strip_prefix("call_")?.rsplit_once('_'));
                if let Some((_, number)) = number {
                    call["id"] = json!(number);
                }
            }
        }
    }
    for key in ["id", "created", "model"] {
        assert!(!answer[key].is_null(), "{key}: {answer}");
        answer.as_object_mut().unwrap().remove(key);
    }
    answer
}

#[tokio::test]
async fn golden_cases_hold_through_the_gateway() {
    for kind in &KINDS {
        let (upstream, current) = playing(kind).await;
        let gateway = kind.builder(&upstream.url()).start().await;
        for (name, case) in kind.golden() {
            let name = format!("{}/{name}", kind.adaptor);
            *current.lock().unwrap() = case.clone();
            let before = upstream.seen().len();
            let sent = gateway.post("/v1/chat/completions", &request(&case)).send().await.unwrap();
            check(&name, &case, sent).await;
            let seen = upstream.seen().split_off(before);
            match case.get("backend_request") {
                Some(expected) => check_seen(kind, &name, expected, &case, &seen),
                None => assert!(seen.is_empty(), "{name}: {seen:?}"),
            }
        }
        gateway.idle().await;
    }
}

fn check_seen(kind: &Kind, name: &str, expected: &Value, case: &Value, seen: &[Seen]) {
    assert_eq!(seen.len(), 1, "{name}");
    assert_eq!(seen[0].json(), *expected, "{name}");
    assert_eq!(seen[0].uri.to_string(), format!("/v1/{}", case["path"].as_str().unwrap()), "{name}");
    match kind.header {
        Some(header) => assert_eq!(seen[0].headers[header], SECRET, "{name}"),
        None => assert_eq!(verify_aws(&seen[0]), Ok(()), "{name}"),
    }
    assert_eq!(seen[0].headers["content-type"], "application/json", "{name}");
    let others = format!("{:?}", seen[0].headers);
    assert!(!others.contains("Bearer"), "{name}: the caller's own key went out: {others}");
}

async fn check(name: &str, case: &Value, response: reqwest::Response) {
    let failed = case.get("error");
    if let Some(chunks) = case["events"].as_array() {
        assert_eq!(response.status(), 200, "{name}");
        let text = within(response.text()).await.unwrap();
        if let Some(failed) = failed {
            stream_error(&text, failed["code"].as_str().unwrap());
        } else {
            assert_eq!(events(&text).last(), Some(&"[DONE]"), "{name}");
        }
        let got = events(&text).into_iter().take(chunks.len());
        let got: Vec<Value> = got.map(|event| timeless(serde_json::from_str(event).unwrap())).collect();
        let expected: Vec<Value> = chunks.iter().cloned().map(timeless).collect();
        assert_eq!(got, expected, "{name}");
    } else if let Some(failed) = failed {
        let status = failed["status"].as_u64().unwrap() as u16;
        let wait = response.headers().get("retry-after").cloned();
        let told = error(response, status, failed["code"].as_str().unwrap()).await;
        assert_eq!(told["message"], failed["message"], "{name}");
        if let Some(milliseconds) = failed["retry_after_ms"].as_u64() {
            assert_eq!(wait.unwrap(), (milliseconds / 1000).to_string(), "{name}");
        }
    } else {
        assert_eq!(response.status(), 200, "{name}");
        let answer = timeless(response.json().await.unwrap());
        assert_eq!(answer, timeless(case["answer"].clone()), "{name}");
    }
}

#[tokio::test]
async fn tokens_are_counted_whole_and_streamed() {
    for kind in &KINDS {
        let (upstream, current) = playing(kind).await;
        let gateway = kind.builder(&upstream.url()).start().await;
        for (n, name) in ["multi-turn", "stream-text"].into_iter().enumerate() {
            let case = kind.case(name);
            *current.lock().unwrap() = case.clone();
            let response = gateway.post("/v1/chat/completions", &request(&case)).send().await.unwrap();
            let text = within(response.text()).await.unwrap();
            let expected = match case["events"].as_array() {
                Some(events) => &events.last().unwrap()["usage"],
                None => &case["answer"]["usage"],
            };
            let record = gateway.ledger.nth(n + 1).await;
            let counted = record.usage.unwrap_or_else(|| panic!("{name}: {text}"));
            assert_eq!(json!(counted.prompt_tokens), expected["prompt_tokens"], "{name}");
            assert_eq!(json!(counted.completion_tokens), expected["completion_tokens"], "{name}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_backends_stream_along() {
    for kind in &KINDS {
        let (feed, stream) = feed();
        let stream = Mutex::new(Some(stream));
        let upstream = Upstream::start(move |_| {
            let mut response = sse(stream.lock().unwrap().take().unwrap());
            response.headers_mut().insert("content-type", kind.stream_type.parse().unwrap());
            async move { response }
        })
        .await;
        let gateway = kind.builder(&upstream.url()).start().await;
        let case = kind.case("stream-text");
        let whole = stream_bytes(&case).unwrap();
        feed.send(whole[..whole.len() - 10].to_vec());
        let mut body = chat_body(true);
        body["model"] = json!("backend-model");
        let mut response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
        let first = within(response.chunk()).await.unwrap().unwrap();
        assert!(first.starts_with(b"data: {"), "{}: {first:?}", kind.adaptor);
        drop(response);
        within(feed.closed()).await;
        gateway.idle().await;
    }
}

/// The backend's connection breaks in the middle of its stream, at every kind of place.
#[tokio::test]
async fn a_stream_that_breaks_ends_in_an_error() {
    for kind in &KINDS {
        let whole = stream_bytes(&kind.case("stream-text")).unwrap();
        for part in [0, 1, whole.len() / 3, whole.len() / 2] {
            let (head, piece) = (kind.stream_type, whole[..part].to_vec());
            let upstream = RawUpstream::start(move |mut stream| {
                let piece = piece.clone();
                async move {
                    let mut request = vec![0; 64 << 10];
                    let _ = stream.read(&mut request).await;
                    let head =
                        format!("HTTP/1.1 200 OK\r\ncontent-type: {head}\r\ncontent-length: 100000\r\n\r\n");
                    stream.write_all(&[head.as_bytes(), &piece].concat()).await.unwrap();
                }
            })
            .await;
            let gateway = kind.builder(&upstream.url()).start().await;
            let mut body = chat_body(true);
            body["model"] = json!("backend-model");
            let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
            assert_eq!(response.status(), 200);
            let text = within(response.text()).await.unwrap();
            stream_error(&text, "upstream_disconnected");
            gateway.idle().await;
        }
    }
}

/// The gateway's own credential is refused: the client learns no more than that, and the log has the rest.
#[tokio::test]
async fn a_refused_key_is_the_operators_business() {
    logs();
    for kind in &KINDS {
        let answer =
            json!({ "error": { "message": "key of project 123 is disabled" }, "message": "project 123" });
        let upstream = Upstream::start(move |_| {
            let response = json(403, &answer);
            async move { response }
        })
        .await;
        let gateway = kind.builder(&upstream.url()).start().await;
        let body = json!({ "model": "backend-model", "messages": [{ "role": "user", "content": "hi" }] });
        let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let told = error(response, 502, "upstream_auth_error").await.to_string();
        assert!(!told.contains("123") && !told.contains(SECRET), "{told}");
        let log = format!("{:?}", log_of(&id));
        assert!(log.contains("123") && !log.contains(SECRET), "{log}");
    }
}

/// Other operations have no counterpart.
#[tokio::test]
async fn other_operations_are_refused() {
    for kind in &KINDS {
        let upstream = Upstream::start(|_| async { sse(chunks::<Vec<u8>>([])) }).await;
        let gateway = kind.builder(&upstream.url()).start().await;
        let body = json!({ "model": "backend-model", "input": "hi" });
        let response = gateway.post("/v1/embeddings", &body).send().await.unwrap();
        error(response, 400, "unsupported_operation").await;
        assert!(upstream.seen().is_empty());
    }
}
