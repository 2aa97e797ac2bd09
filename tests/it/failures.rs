//! Backends that refuse, fail, or answer something else than was asked.

use std::sync::{Arc, Mutex};

use airlock_tests::{
    RawUpstream, TestGateway, Upstream, bytes, chunks, completion, error, guest, json, refused_address, sse,
};
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

type Answer = fn() -> Response<airlock_tests::Body>;

/// A gateway whose backend answers whatever is asked for next.
struct Asker {
    answer: Arc<Mutex<Answer>>,
    gateway: TestGateway,
    _upstream: Upstream,
}

impl Asker {
    async fn new(adaptor: &str) -> Self {
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(|| json(200, &completion())));
        let next = Arc::clone(&answer);
        let upstream = Upstream::start(move |_| {
            let response = next.lock().unwrap()();
            async move { response }
        })
        .await;
        let gateway = TestGateway::with(adaptor, json!({ "api_url": upstream.url() })).await;
        Self { answer, gateway, _upstream: upstream }
    }

    /// What the client gets of a backend's answer, whole or as a stream.
    async fn ask(&self, answer: Answer, stream: bool) -> reqwest::Response {
        *self.answer.lock().unwrap() = answer;
        let request = if stream { self.gateway.chat_stream() } else { self.gateway.chat() };
        let response = request.send().await.unwrap();
        self.gateway.idle().await;
        response
    }
}

fn with(
    mut response: Response<airlock_tests::Body>,
    name: &'static str,
    value: &str,
) -> Response<airlock_tests::Body> {
    response.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    response
}

/// Each as JSON was asked for, and as a stream was.
#[tokio::test]
async fn errors_of_backends_keep_what_helps_the_client() {
    let openai: Answer = || {
        json(
            400,
            &json!({ "error": { "message": "too long", "type": "invalid_request_error",
                "param": "messages", "code": "context_length_exceeded" } }),
        )
    };
    let cases: [(Answer, u16, &str, &str); 7] = [
        (openai, 400, "context_length_exceeded", "too long"),
        (|| json(404, &json!({ "detail": "no such model" })), 404, "upstream_error", "no such model"),
        (|| json(422, &json!({ "message": "odd" })), 422, "upstream_error", "odd"),
        (|| bytes(500, "text/html", "<html><b>oops</b>\n</html>"), 500, "upstream_error", "oops"),
        (|| bytes(503, "text/plain", ""), 503, "upstream_error", "503"),
        (
            || with(bytes(302, "text/plain", ""), "location", "http://127.0.0.1:1/"),
            502,
            "upstream_bad_response",
            "302",
        ),
        (|| json(529, &json!({ "error": { "message": "busy", "code": 529 } })), 529, "529", "busy"),
    ];
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let asker = Asker::new(adaptor).await;
        for (answer, status, code, says) in cases {
            for stream in [false, true] {
                let told = error(asker.ask(answer, stream).await, status, code).await;
                assert!(told["message"].as_str().unwrap().contains(says), "{told}");
                if code == "context_length_exceeded" {
                    assert_eq!(
                        (&told["type"], &told["param"]),
                        (&json!("invalid_request_error"), &json!("messages"))
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_backends_refusal_of_our_key_is_not_the_callers_and_tells_nothing() {
    let cases: [Answer; 2] = [
        || {
            json(
                401,
                &json!({ "error": { "message": "Incorrect API key sk-internal", "code": "invalid_api_key" } }),
            )
        },
        || bytes(403, "text/plain", "sk-internal may not"),
    ];
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let asker = Asker::new(adaptor).await;
        for answer in cases {
            for stream in [false, true] {
                let response = asker.ask(answer, stream).await;
                assert!(!response.headers().contains_key("www-authenticate"));
                let told = error(response, 502, "upstream_auth_error").await.to_string();
                assert!(!told.contains("internal"), "{told}");
            }
        }
        let record = asker.gateway.ledger.one().await;
        assert!(record.detail.unwrap().contains("401"), "the operator is told");
    }
}

#[tokio::test]
async fn a_429_keeps_its_wait_up_to_two_minutes() {
    let cases: [(Answer, &str); 4] = [
        (|| with(json(429, &json!({})), "retry-after", "7"), "7"),
        (|| with(json(429, &json!({})), "retry-after", "3600"), "120"),
        (|| with(json(429, &json!({})), "retry-after-ms", "1500"), "2"),
        (|| json(429, &json!({})), "1"),
    ];
    let asker = Asker::new("direct-api").await;
    for (answer, wait) in cases {
        for stream in [false, true] {
            let response = asker.ask(answer, stream).await;
            assert_eq!(response.headers()["retry-after"], wait);
            error(response, 429, "upstream_error").await;
        }
    }
}

#[tokio::test]
async fn answers_that_are_not_usable_are_bad_gateways() {
    let unknown: Answer = || with(bytes(200, "application/json", "\u{1f}"), "content-encoding", "snappy");
    let several: Answer = || with(bytes(200, "application/json", "\u{1f}"), "content-encoding", "gzip, br");
    let gzip: Answer = || with(bytes(200, "application/json", "\u{1f}"), "content-encoding", "gzip");
    let cases: [(Answer, bool, &str); 12] = [
        (|| bytes(200, "application/json", "{\"a\": "), false, "JSON"),
        (|| bytes(200, "application/json", "not json"), false, "JSON"),
        (|| bytes(200, "application/json", "[1]"), false, "JSON object"),
        (|| bytes(200, "application/json", ""), false, "JSON object"),
        (|| bytes(200, "text/html", "<html>"), false, "JSON object"),
        (|| bytes(204, "application/json", ""), false, "JSON object"),
        (|| sse(chunks(["data: [DONE]\n\n"])), false, "a stream, though none"),
        (|| json(200, &completion()), true, "one body, though a stream"),
        (unknown, false, "\"snappy\""),
        (unknown, true, "\"snappy\""),
        (several, false, "\"gzip, br\""),
        (gzip, false, "cannot be decoded"),
    ];
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let asker = Asker::new(adaptor).await;
        for (answer, stream, says) in cases {
            let told = error(asker.ask(answer, stream).await, 502, "upstream_bad_response").await;
            assert!(told["message"].as_str().unwrap().contains(says), "{told}");
        }
    }
}

#[tokio::test]
async fn a_truncated_answer_is_an_error_and_not_half_an_answer() {
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("body-upstream")] {
        let upstream = RawUpstream::start(|mut stream| async move {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let text = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"id\":\"x\"}";
            stream.write_all(text.as_bytes()).await.unwrap();
        })
        .await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        error(gateway.chat().send().await.unwrap(), 502, "upstream_disconnected").await;
        gateway.idle().await;
    }
}

#[tokio::test]
async fn a_backend_that_speaks_no_http_is_an_error() {
    for (says, adaptor) in [("", "direct-api"), ("SSH-2.0-x\r\n", "direct-api"), ("", "direct-api-wasi")] {
        let upstream = RawUpstream::start(move |mut stream| async move {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(says.as_bytes()).await;
        })
        .await;
        let gateway = TestGateway::with(adaptor, json!({ "api_url": upstream.url() })).await;
        error(gateway.chat().send().await.unwrap(), 502, "upstream_disconnected").await;
    }
}

#[tokio::test]
async fn a_backend_that_refuses_connections_is_unreachable() {
    let url = format!("http://{}/v1", refused_address());
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite"), guest("body-upstream")] {
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": url })).await;
        for request in [gateway.chat(), gateway.chat_stream()] {
            error(request.send().await.unwrap(), 502, "upstream_unreachable").await;
        }
        gateway.idle().await;
    }
    let gateway =
        TestGateway::with("direct-api", json!({ "api_url": "http://no-such-host.invalid/v1" })).await;
    error(gateway.chat().send().await.unwrap(), 502, "upstream_unreachable").await;
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused() {
    let large: fn(usize) -> Value = |n| json!({ "x": "y".repeat(n) });
    for (bytes, fits) in [(1000, true), (3000, false)] {
        for adaptor in ["direct-api", "direct-api-wasi"] {
            let upstream = Upstream::json(large(bytes)).await;
            let gateway = TestGateway::builder()
                .endpoint("m", adaptor, json!({ "api_url": upstream.url() }))
                .settings(|s| s.max_answer_bytes = 2048)
                .start()
                .await;
            let response = gateway.chat().send().await.unwrap();
            if fits {
                assert_eq!(response.json::<Value>().await.unwrap(), large(bytes));
            } else {
                let told = error(response, 502, "response_too_large").await;
                assert!(told["message"].as_str().unwrap().contains("2048"), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn only_a_backends_word_on_its_limits_is_relayed_of_its_headers() {
    let answer: Answer = || {
        let response = with(json(200, &completion()), "x-ratelimit-remaining-tokens", "99");
        let response = with(response, "set-cookie", "a=b");
        let response = with(response, "server", "secret-host");
        with(response, "openai-processing-ms", "3600000")
    };
    let asker = Asker::new("direct-api").await;
    let response = asker.ask(answer, false).await;
    let headers = response.headers();
    assert_eq!(headers["x-ratelimit-remaining-tokens"], "99");
    assert_ne!(headers["openai-processing-ms"], "3600000", "that of the gateway takes its place");
    assert!(!headers.contains_key("set-cookie") && !headers.contains_key("server"), "{headers:?}");
}
