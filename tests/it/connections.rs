//! Connections to backends: reused, replaced, encrypted, shared.

use airlock_tests::{
    Authority, Gate, RawUpstream, TestGateway, Upstream, completion, error, eventually, guest, json, within,
};
use http::Version;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn a_connection_is_used_again_and_again() {
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite"), guest("body-upstream")] {
        let upstream = Upstream::json(completion()).await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        for _ in 0..20 {
            assert_eq!(gateway.chat().send().await.unwrap().status(), 200);
        }
        assert_eq!(upstream.seen().len(), 20);
        assert_eq!(upstream.accepted_connections(), 1, "{adaptor:?}");
    }
}

#[tokio::test]
async fn streams_give_their_connection_back_too() {
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite")] {
        let upstream = Upstream::start(|_| async {
            airlock_tests::sse(airlock_tests::chunks(["data: {}\n\n", "data: [DONE]\n\n"]))
        })
        .await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        for _ in 0..10 {
            let text = gateway.chat_stream().send().await.unwrap().text().await.unwrap();
            assert!(text.ends_with("data: [DONE]\n\n"));
        }
        assert_eq!(upstream.accepted_connections(), 1, "{adaptor:?}");
    }
}

/// A backend that answers one request on each connection, and then closes it without a word.
#[tokio::test]
async fn a_connection_that_closed_while_idle_is_replaced_unseen() {
    let (told, close) = tokio::sync::mpsc::unbounded_channel();
    let upstream = RawUpstream::start(move |mut stream| {
        let told = told.clone();
        async move {
            let mut request = [0; 8192];
            let _ = stream.read(&mut request).await;
            let body = completion().to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            drop(stream);
            told.send(()).unwrap();
        }
    })
    .await;
    let mut close = close;
    let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    for _ in 0..10 {
        let response = within(gateway.chat().send()).await.unwrap();
        assert_eq!(response.json::<Value>().await.unwrap(), completion());
        within(close.recv()).await.unwrap();
    }
}

fn tls_url(upstream: &Upstream) -> String {
    format!("https://localhost:{}/v1", upstream.address.port())
}

async fn trusting(authority: &Authority, adaptor: impl AsRef<std::path::Path>, url: &str) -> TestGateway {
    let file = authority.ca_file().to_path_buf();
    TestGateway::builder()
        .endpoint("m", adaptor, json!({ "api_url": url, "api_key_env_name": "KEY" }))
        .env("KEY", "sk-provider")
        .settings(|s| s.egress.ca_file = Some(file))
        .start()
        .await
}

#[tokio::test]
async fn https_speaks_the_protocol_that_the_backend_offers() {
    let authority = Authority::new();
    let cases: [(&[&str], Version); 4] = [
        (&["h2", "http/1.1"], Version::HTTP_2),
        (&["h2"], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ];
    for (protocols, version) in cases {
        for adaptor in ["direct-api", "direct-api-wasi"] {
            let upstream =
                Upstream::start_tls(&authority, protocols, |_| async { json(200, &completion()) }).await;
            let gateway = trusting(&authority, adaptor, &tls_url(&upstream)).await;
            for _ in 0..3 {
                let response = gateway.chat().send().await.unwrap();
                let status = response.status();
                assert_eq!(status, 200, "{protocols:?}: {}", response.text().await.unwrap());
            }
            assert_eq!(upstream.accepted_connections(), 1, "{adaptor} {protocols:?}");
            for seen in upstream.seen() {
                assert_eq!(seen.version, version, "{protocols:?}");
                assert_eq!(seen.headers["authorization"], "Bearer sk-provider");
                assert_eq!(seen.json()["model"], "m");
                assert!(seen.headers.contains_key("host") || seen.uri.authority().is_some());
            }
        }
    }
}

/// Requests that wait at the backend at the same time have connections of their own, over HTTP/2 too.
#[tokio::test]
async fn an_http2_connection_carries_one_request_at_a_time() {
    const MANY: usize = 16;
    let authority = Authority::new();
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start_tls(&authority, &["h2"], move |seen| {
        let held = held.clone();
        async move {
            if seen.json()["user"] == "waits" {
                held.pass().await;
            }
            json(200, &completion())
        }
    })
    .await;
    let gateway = trusting(&authority, "direct-api", &tls_url(&upstream)).await;
    assert_eq!(gateway.chat().send().await.unwrap().status(), 200);

    let mut body = airlock_tests::chat_body(false);
    body["user"] = json!("waits");
    let asking: Vec<_> =
        (0..MANY).map(|_| tokio::spawn(gateway.post("/v1/chat/completions", &body).send())).collect();
    eventually(|| upstream.seen().len() == MANY + 1).await;
    assert_eq!(upstream.accepted_connections(), MANY);
    gate.open();
    for one in asking {
        assert_eq!(within(one).await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(upstream.accepted_connections(), MANY);
}

#[tokio::test]
async fn a_client_that_goes_ends_its_http2_connection() {
    let authority = Authority::new();
    let ended = Gate::new();
    let telling = ended.clone();
    let upstream = Upstream::start_tls(&authority, &["h2"], move |seen| {
        let telling = telling.clone();
        async move {
            if seen.json()["stream"] == true {
                let (feed, stream) = airlock_tests::feed();
                feed.send("data: {}\n\n");
                tokio::spawn(async move {
                    feed.closed().await;
                    telling.open();
                });
                return airlock_tests::sse(stream);
            }
            json(200, &completion())
        }
    })
    .await;
    let gateway = trusting(&authority, "direct-api", &tls_url(&upstream)).await;
    let mut response = within(gateway.chat_stream().send()).await.unwrap();
    within(response.chunk()).await.unwrap().unwrap();
    drop(response);
    within(ended.pass()).await;
    assert_eq!(gateway.chat().send().await.unwrap().status(), 200);
    assert_eq!(upstream.accepted_connections(), 2);
    eventually(|| upstream.open_connections() == 1).await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let authority = Authority::new();
    let upstream = Upstream::start_tls(&authority, &["h2"], |_| async { json(200, &completion()) }).await;
    let stranger = Authority::new();
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let gateway = trusting(&stranger, adaptor, &tls_url(&upstream)).await;
        error(gateway.chat().send().await.unwrap(), 502, "upstream_unreachable").await;
    }
    // Vouched for, but for another name.
    let url = format!("https://127.0.0.1:{}/v1", upstream.address.port());
    let gateway = trusting(&authority, "direct-api", &url).await;
    error(gateway.chat().send().await.unwrap(), 502, "upstream_unreachable").await;
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_backend_that_speaks_no_tls_is_unreachable_by_https() {
    let upstream = Upstream::json(completion()).await;
    let gateway = TestGateway::with("direct-api", json!({ "api_url": tls_url(&upstream) })).await;
    error(gateway.chat().send().await.unwrap(), 502, "upstream_unreachable").await;
    assert!(upstream.seen().is_empty());
}
