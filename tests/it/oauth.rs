//! Credentials that the host fetches: an OAuth 2 client's tokens, which no adaptor sees.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use airlock_tests::{
    GatewayBuilder, TestGateway, Upstream, chat_body, completion, error, eventually, guest, json, within,
};
use serde_json::{Value, json};

const SECRET: &str = "client-secret-4711";

/// A token endpoint that gives out `token-1`, `token-2`, …, each for so many seconds.
async fn token_server(expires_in: u64) -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |_| {
        let token = format!("token-{}", count.fetch_add(1, Ordering::Relaxed) + 1);
        async move {
            let answer = json!({ "access_token": token, "expires_in": expires_in, "token_type": "Bearer",
                "scope": "s", "resource_server": "r", "other_tokens": [] });
            json(200, &answer)
        }
    })
    .await
}

/// A backend that takes any token but these.
async fn backend(refused: &'static [&'static str]) -> Upstream {
    Upstream::start(move |seen| async move {
        let token = seen.headers["authorization"].to_str().unwrap().to_owned();
        if refused.iter().any(|refused| token.ends_with(refused)) {
            return json(401, &json!({ "detail": "expired" }));
        }
        json(200, &completion())
    })
    .await
}

fn builder(adaptor: impl AsRef<std::path::Path>, backend: &str, token_url: &str) -> GatewayBuilder {
    let config = json!({
        "api_url": backend, "token_url": token_url, "token_scope": "https://scopes/all",
        "client_id_env_name": "CLIENT_ID", "client_secret_env_name": "CLIENT_SECRET",
    });
    TestGateway::builder()
        .endpoint("m", adaptor, config)
        .env("CLIENT_ID", "client-7")
        .env("CLIENT_SECRET", SECRET)
}

fn tokens(upstream: &Upstream) -> Vec<String> {
    let token = |seen: &airlock_tests::Seen| seen.headers["authorization"].to_str().unwrap().to_owned();
    upstream.seen().iter().map(token).collect()
}

async fn status(gateway: &TestGateway) -> u16 {
    gateway.chat().send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_until_it_expires() {
    let (auth, backend) = (token_server(3600).await, backend(&[]).await);
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let gateway = builder(adaptor, &backend.url(), &auth.url()).start().await;
        for _ in 0..3 {
            assert_eq!(status(&gateway).await, 200);
        }
    }
    let asked = auth.seen();
    assert_eq!(asked.len(), 2, "once for each gateway");
    // base64 of client-7:client-secret-4711
    assert_eq!(asked[0].headers["authorization"], "Basic Y2xpZW50LTc6Y2xpZW50LXNlY3JldC00NzEx");
    assert_eq!(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
    let form = String::from_utf8(asked[0].body.to_vec()).unwrap();
    assert_eq!(form, "grant_type=client_credentials&scope=https%3A%2F%2Fscopes%2Fall");
    assert_eq!(tokens(&backend)[..3], ["Bearer token-1"; 3]);
    assert_eq!(tokens(&backend)[3..], ["Bearer token-2"; 3]);
}

#[tokio::test]
async fn a_token_about_to_expire_is_fetched_again() {
    let (auth, backend) = (token_server(30).await, backend(&[]).await);
    let gateway = builder("direct-api", &backend.url(), &auth.url()).start().await;
    for _ in 0..3 {
        assert_eq!(status(&gateway).await, 200);
    }
    assert_eq!(tokens(&backend), ["Bearer token-1", "Bearer token-2", "Bearer token-3"]);
}

#[tokio::test]
async fn a_refused_token_is_fetched_once_more_and_no_oftener() {
    let (auth, one_bad) = (token_server(3600).await, backend(&["token-1"]).await);
    let gateway = builder("direct-api", &one_bad.url(), &auth.url()).start().await;
    assert_eq!(status(&gateway).await, 200);
    assert_eq!(tokens(&one_bad), ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(one_bad.seen()[0].body, one_bad.seen()[1].body, "with the same body");

    let (auth, all_bad) = (token_server(3600).await, backend(&["token-1", "token-2", "token-3"]).await);
    let gateway = builder("direct-api", &all_bad.url(), &auth.url()).start().await;
    error(gateway.chat().send().await.unwrap(), 502, "upstream_auth_error").await;
    assert_eq!(auth.seen().len(), 2);
}

#[tokio::test]
async fn many_who_need_a_token_fetch_it_once() {
    let token = json!({ "access_token": "t", "expires_in": 3600 });
    let (auth, gate) = Upstream::gated(move |_| json(200, &token)).await;
    let backend = backend(&[]).await;
    let gateway = Arc::new(builder("direct-api", &backend.url(), &auth.url()).start().await);
    let asking: Vec<_> = (0..20).map(|_| tokio::spawn(gateway.chat().send())).collect();
    eventually(|| gateway.gateway.requests().get() == 20).await;
    gate.open();
    for asked in asking {
        assert_eq!(within(asked).await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(auth.seen().len(), 1);
}

#[tokio::test]
async fn a_token_server_that_fails_is_the_operators_business() {
    let backend = backend(&[]).await;
    let cases = [
        json(401, &json!({ "error": "invalid_client", "hint": SECRET })),
        json(200, &json!({ "token": "x" })),
        json(200, &json!({ "access_token": "line\nbreak" })),
        airlock_tests::bytes(200, "application/json", vec![b' '; 100_000]),
    ];
    for answer in cases {
        let answer = std::sync::Mutex::new(Some(answer));
        let auth = Upstream::start(move |_| {
            let answer = answer.lock().unwrap().take();
            async move { answer.unwrap_or_else(|| json(500, &json!({}))) }
        })
        .await;
        let gateway = builder("direct-api", &backend.url(), &auth.url()).start().await;
        let message = error(gateway.chat().send().await.unwrap(), 502, "upstream_auth_error").await;
        assert!(!format!("{message:?}").contains(SECRET));
    }
    assert!(backend.seen().is_empty());
}

/// The canary: an adaptor that tells all it sees knows neither the client's secret nor a token, and cannot call the
/// token endpoint.
#[tokio::test]
async fn no_adaptor_sees_the_client_or_the_token() {
    let (auth, backend) = (token_server(3600).await, backend(&[]).await);
    let gateway = builder(guest("tell"), &backend.url(), &auth.url()).start().await;
    let answer = gateway.chat().send().await.unwrap().text().await.unwrap();
    for secret in [SECRET, "token-1", "client-7", "Y2xpZW50LTc6"] {
        assert!(!answer.contains(secret), "{secret}: {answer}");
    }
    let gateway = builder(guest("requests"), &backend.url(), &auth.url()).start().await;
    let before = auth.seen().len();
    let mut body = chat_body(false);
    body["requests"] = json!([{ "method": "POST", "url": auth.url(), "headers": [] }]);
    let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
    let outcome = response.json::<Value>().await.unwrap()["outcomes"][0].to_string();
    assert!(outcome.contains("egress_denied"), "{outcome}");
    assert_eq!(auth.seen().len(), before);
}

#[tokio::test]
async fn half_a_client_is_a_mistake_with_its_place() {
    let start = async |config: Value| {
        let builder =
            TestGateway::builder().endpoint("m", "direct-api", config).env("CLIENT_ID", "c").env("KEY", "k");
        builder.try_start().await.map(drop).unwrap_err()
    };
    let url = "http://127.0.0.1:1/v1";
    let whole = json!({ "api_url": url, "token_url": url, "client_id_env_name": "CLIENT_ID",
        "client_secret_env_name": "CLIENT_ID" });
    let with = |key: &str, value: Value| {
        let mut config = whole.clone();
        config[key] = value;
        config
    };
    let cases = [
        (json!({ "api_url": url, "client_id_env_name": "CLIENT_ID" }), "needs token_url"),
        (
            json!({ "api_url": url, "token_url": url, "client_id_env_name": "CLIENT_ID" }),
            "needs client_secret_env_name",
        ),
        (with("client_secret_env_name", json!("NONE")), "the environment variable NONE is not set"),
        (with("api_key_env_name", json!("KEY")), "both named"),
        (with("token_url", json!("ftp://x")), "token_url"),
    ];
    for (config, says) in cases {
        let mistakes = start(config).await;
        assert!(mistakes.contains(says) && mistakes.contains("endpoints.json:"), "{says}: {mistakes}");
    }
}
