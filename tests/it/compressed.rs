//! Backends that compress what nobody asked them to compress.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use airlock_sandbox::{
    AddressPolicy, ConnectSettings, Connector, Egress, EgressError, EgressLimits, Grant, Origin,
    OutboundRequest, Tenant, TenantLimits, UpstreamResponse,
};
use airlock_tests::{
    CODINGS, Feed, RawUpstream, TestGateway, Upstream, bytes, chunks, coded, completion, error, events, feed,
    guest, packed, sse, stream_error, within,
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const ONE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"ONE\"}}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn paths() -> [PathBuf; 3] {
    ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite")]
}

/// One stream of a backend, fed by the test.
async fn fed(coding: &'static str) -> (Upstream, Feed) {
    let (feed, stream) = feed();
    let stream = Mutex::new(Some(stream));
    let upstream = Upstream::start(move |_| {
        let stream = stream.lock().unwrap().take().expect("one request");
        async move { coded(sse(stream), coding) }
    })
    .await;
    (upstream, feed)
}

/// The backend says its second event only after the client has its first.
#[tokio::test]
async fn an_event_reaches_the_client_when_it_is_flushed() {
    for coding in CODINGS {
        for adaptor in paths() {
            let (upstream, feed) = fed(coding).await;
            let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
            let mut response = within(gateway.chat_stream().send()).await.unwrap();
            assert!(!response.headers().contains_key("content-encoding"));
            let [one, again, rest] = packed(coding, &[ONE, ONE, &[USAGE, DONE].concat()]).try_into().unwrap();
            for piece in [one, again] {
                feed.send(piece);
                assert_eq!(within(response.chunk()).await.unwrap().unwrap(), ONE, "{coding} {adaptor:?}");
            }
            feed.send(rest);
            drop(feed);
            assert_eq!(within(response.text()).await.unwrap(), DONE);
            assert_eq!(gateway.ledger.one().await.usage.unwrap().total_tokens, 7);
            assert!(!upstream.only().headers.contains_key("accept-encoding"));
        }
    }
}

#[tokio::test]
async fn named_events_reach_the_client_when_they_are_flushed() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    for coding in CODINGS {
        let (upstream, feed) = fed(coding).await;
        let gateway = TestGateway::builder()
            .operations(&["messages"])
            .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
            .start()
            .await;
        let mut body = airlock_tests::chat_body(true);
        body["max_tokens"] = json!(5);
        let mut response = within(gateway.post("/v1/messages", &body).send()).await.unwrap();
        for (event, piece) in [start, stop].into_iter().zip(packed(coding, &[start, stop])) {
            feed.send(piece);
            assert_eq!(within(response.chunk()).await.unwrap().unwrap(), event, "{coding}");
        }
        drop(feed);
        assert_eq!(within(response.text()).await.unwrap(), "");
    }
}

#[tokio::test]
async fn a_whole_answer_is_what_was_packed_and_its_connection_serves_again() {
    for coding in CODINGS {
        let packed = packed(coding, &[completion().to_string()]).remove(0);
        let upstream = Upstream::start(move |_| {
            // In two pieces, so that its end is none that a length tells.
            let (first, second) = packed.split_at(packed.len() / 2);
            let pieces = chunks([first.to_vec(), second.to_vec()]);
            let mut answer = coded(sse(pieces), coding);
            answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
            async move { answer }
        })
        .await;
        for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("body-upstream")] {
            let before = upstream.accepted_connections();
            let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
            for _ in 0..2 {
                let answer = within(gateway.chat().send()).await.unwrap();
                assert_eq!(answer.json::<Value>().await.unwrap(), completion(), "{coding} {adaptor:?}");
            }
            assert_eq!(gateway.ledger.one().await.usage.unwrap().total_tokens, 7);
            assert_eq!(upstream.accepted_connections() - before, 1, "{coding} {adaptor:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_packed_as_it_says_is_an_error() {
    for coding in CODINGS {
        let whole = packed(coding, &[completion().to_string()]).remove(0);
        let cut = whole.slice(..whole.len() - 6);
        let garbage = Bytes::from_static(b"{\"choices\": []}");
        let behind = Bytes::from([&whole[..], b"and more"].concat());
        for body in [cut, garbage, behind] {
            let shown = body.clone();
            let upstream = Upstream::start(move |_| {
                let answer = coded(bytes(200, "application/json", body.clone()), coding);
                async move { answer }
            })
            .await;
            for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("body-upstream")] {
                let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
                let told = error(gateway.chat().send().await.unwrap(), 502, "upstream_bad_response").await;
                let message = told["message"].as_str().unwrap();
                assert!(message.contains("cannot be decoded"), "{coding} {adaptor:?} {shown:?}: {message}");
            }
        }
    }
}

/// What came before a stream broke is the client's, and then it is told.
#[tokio::test]
async fn a_packed_stream_that_breaks_ends_in_an_error_behind_its_events() {
    for coding in CODINGS {
        for adaptor in paths() {
            let (upstream, feed) = fed(coding).await;
            let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
            feed.send(packed(coding, &[ONE, DONE]).remove(0));
            drop(feed);
            let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
            assert!(text.starts_with(ONE), "{coding} {adaptor:?}: {text}");
            stream_error(&text, "upstream_bad_response");
        }
    }
}

/// The same where the connection breaks right behind a packed event.
#[tokio::test]
async fn what_a_broken_connection_brought_is_handed_on_before_the_error() {
    for coding in CODINGS {
        let piece = packed(coding, &[ONE, DONE]).remove(0);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: {coding}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
            piece.len()
        );
        let answer = [head.as_bytes(), &piece, b"\r\n"].concat();
        let upstream = RawUpstream::start(move |mut stream| {
            let answer = answer.clone();
            async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                stream.write_all(&answer).await.unwrap();
            }
        })
        .await;
        for adaptor in paths() {
            let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
            let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
            assert!(text.starts_with(ONE), "{coding} {adaptor:?}: {text}");
            stream_error(&text, "upstream_disconnected");
        }
    }
}

/// Much that packs well: 64 MiB of spaces within one JSON object, and as one event.
#[tokio::test]
async fn what_comes_out_counts_and_not_what_it_was_packed_into() {
    let spaces = " ".repeat(64 << 20);
    for coding in CODINGS {
        let pieces = [String::from("{"), spaces.clone(), String::from("}")];
        let bomb = Bytes::from(packed(coding, &pieces).concat());
        assert!(bomb.len() < 1 << 20, "{coding}: {}", bomb.len());
        let upstream = Upstream::start(move |seen| {
            let kind = if seen.json()["stream"] == true { "text/event-stream" } else { "application/json" };
            let answer = coded(bytes(200, kind, bomb.clone()), coding);
            async move { answer }
        })
        .await;
        let gateway = TestGateway::builder()
            .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
            .settings(|s| {
                s.max_answer_bytes = 1 << 20;
                s.max_stream_bytes = 1 << 20;
            })
            .start()
            .await;
        error(within(gateway.chat().send()).await.unwrap(), 502, "response_too_large").await;
        let text = within(within(gateway.chat_stream().send()).await.unwrap().text()).await.unwrap();
        stream_error(&text, "response_too_large");
        assert_eq!(events(&text).len(), 1);
    }
}

/// A way out of the test's own, with a limit of 1 MiB for bodies.
struct Way {
    egress: Egress,
    grant: Arc<Grant>,
    url: String,
}

impl Way {
    fn to(upstream: &Upstream) -> Self {
        let connector = Connector::new(&ConnectSettings::default()).unwrap();
        let limits = EgressLimits { max_response_bytes: 1 << 20, ..EgressLimits::default() };
        let tenant = Tenant::new("t", TenantLimits::default());
        let policy = AddressPolicy::with_private(Vec::new());
        let origin = Origin::parse(&upstream.url()).unwrap();
        let grant = Arc::new(Grant::new(tenant, policy, vec![origin], Vec::new()));
        Self { egress: Egress::new(connector, limits), grant, url: upstream.url() }
    }

    fn request(&self, method: Method) -> OutboundRequest {
        OutboundRequest {
            method,
            uri: self.url.parse().unwrap(),
            headers: HeaderMap::new(),
            body: OutboundRequest::full(Bytes::new()),
            timeout: None,
        }
    }

    async fn send(&self, method: Method) -> UpstreamResponse {
        within(self.egress.send(&self.grant, self.request(method))).await.unwrap()
    }
}

/// Whoever reads, an adaptor too, gets no more than the limit.
#[tokio::test]
async fn the_way_out_limits_what_comes_out() {
    for coding in CODINGS {
        let bomb = Bytes::from(packed(coding, &[vec![0; 8 << 20]]).concat());
        let upstream = Upstream::start(move |_| {
            let answer = coded(bytes(200, "application/json", bomb.clone()), coding);
            async move { answer }
        })
        .await;
        let mut body = Way::to(&upstream).send(Method::GET).await.body;
        let mut got = 0;
        let end = loop {
            match within(body.frame()).await.expect("an error at the end") {
                Ok(frame) => got += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert!(matches!(end, EgressError::TooLarge(_)), "{coding}: {end}");
        assert!(got <= 1 << 20, "{coding}: {got}");
    }
}

/// A window of 128 MiB would be held for as long as the answer takes.
#[tokio::test]
async fn a_window_of_zstd_above_8_mib_is_refused() {
    for (window, is_good) in [(23, true), (27, false)] {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window).unwrap();
        encoder.include_contentsize(false).unwrap();
        // What is larger than the window keeps it from being made smaller.
        std::io::Write::write_all(&mut encoder, completion().to_string().as_bytes()).unwrap();
        std::io::Write::flush(&mut encoder).unwrap();
        let packed = Bytes::from(encoder.finish().unwrap());
        let upstream = Upstream::start(move |_| {
            let answer = coded(bytes(200, "application/json", packed.clone()), "zstd");
            async move { answer }
        })
        .await;
        let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
        let answer = within(gateway.chat().send()).await.unwrap();
        if is_good {
            assert_eq!(answer.json::<Value>().await.unwrap(), completion());
        } else {
            error(answer, 502, "upstream_bad_response").await;
        }
    }
}

#[tokio::test]
async fn heads_without_a_body_stay_as_they_are_and_the_hosts_own_requests_get_what_came() {
    let packed = packed("gzip", &["text"]).remove(0);
    let sent = packed.clone();
    let upstream = Upstream::start(move |seen| {
        let status = if seen.method == Method::DELETE { 204 } else { 200 };
        let body = if seen.method == Method::GET { sent.clone() } else { Bytes::new() };
        let answer = coded(bytes(status, "text/plain", body), "X-GZip");
        async move { answer }
    })
    .await;
    let way = Way::to(&upstream);
    for method in [Method::HEAD, Method::DELETE] {
        let response = way.send(method.clone()).await;
        assert_eq!(response.headers["content-encoding"], "X-GZip", "{method}");
        assert_eq!(within(response.body.collect()).await.unwrap().to_bytes(), "", "{method}");
    }
    let response = way.send(Method::GET).await;
    assert!(!response.headers.contains_key("content-encoding"));
    assert!(!response.headers.contains_key("content-length"), "it was that of the packed text");
    assert_eq!(within(response.body.collect()).await.unwrap().to_bytes(), "text");

    let response = within(way.egress.fetch(&way.grant, way.request(Method::GET))).await.unwrap();
    assert_eq!(response.headers["content-encoding"], "X-GZip");
    assert_eq!(within(response.body.collect()).await.unwrap().to_bytes(), packed);
}
