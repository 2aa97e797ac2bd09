//! Credentials that are no bearer token: keys in a header of the backend's choice, and signatures. Whatever carries one is
//! the host's alone.

use airlock_tests::{
    AWS_KEYS, GatewayBuilder, Seen, TestGateway, Upstream, chat_body, completion, error, guest, json,
    verify_aws,
};
use http::HeaderName;
use serde_json::{Value, json};

const KEY: &str = "sk-vendor-0815";

/// A backend that repeats, in its answer's headers, the headers that it got.
async fn mirror() -> Upstream {
    Upstream::start(|seen| async move {
        let mut response = json(200, &completion());
        for (name, value) in
            seen.headers.iter().filter(|(name, _)| *name != "content-length" && *name != "host")
        {
            response.headers_mut().insert(name, value.clone());
        }
        response.headers_mut().insert("x-visible", "yes".parse().unwrap());
        response
    })
    .await
}

fn with_header(adaptor: impl AsRef<std::path::Path>, backend: &Upstream, header: &str) -> GatewayBuilder {
    let config = json!({ "api_url": backend.url(), "api_key_env_name": "KEY", "api_key_header": header });
    TestGateway::builder().endpoint("m", adaptor, config).env("KEY", KEY)
}

fn with_signature(adaptor: impl AsRef<std::path::Path>, backend: &Upstream) -> GatewayBuilder {
    let config = json!({
        "api_url": backend.url(), "aws_region": "us-east-1", "aws_service": "bedrock",
        "access_key_id_env_name": "AWS_ID", "secret_access_key_env_name": "AWS_SECRET",
        "session_token_env_name": "AWS_SESSION",
    });
    let (id, secret, session) = AWS_KEYS;
    TestGateway::builder()
        .endpoint("m", adaptor, config)
        .env("AWS_ID", id)
        .env("AWS_SECRET", secret)
        .env("AWS_SESSION", session)
}

#[tokio::test]
async fn a_key_goes_out_in_the_header_that_is_configured() {
    let backend = mirror().await;
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let gateway = with_header(adaptor, &backend, "X-Vendor-Key").start().await;
        assert_eq!(gateway.chat().send().await.unwrap().status(), 200);
    }
    let seen = backend.seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!(request.headers.get_all("x-vendor-key").iter().collect::<Vec<_>>(), [KEY]);
        assert!(!request.headers.contains_key("authorization"));
    }
    let gateway = with_header("direct-api", &backend, "Authorization").start().await;
    gateway.chat().send().await.unwrap();
    assert_eq!(backend.seen()[2].headers["authorization"], format!("Bearer {KEY}"));
}

/// An adaptor that tells all it sees, and a backend that repeats what it gets.
#[tokio::test]
async fn no_adaptor_and_no_client_sees_the_key() {
    let backend = mirror().await;
    let header = with_header(guest("tell"), &backend, "x-vendor-key").start().await;
    let signed = with_signature(guest("tell"), &backend).start().await;
    let (id, secret, session) = AWS_KEYS;
    for gateway in [header, signed] {
        let answer = gateway.chat().send().await.unwrap().text().await.unwrap();
        assert!(answer.contains("x-visible"), "{answer}");
        for hidden in [KEY, id, secret, session, "AWS4-HMAC-SHA256", "x-amz-date"] {
            assert!(!answer.contains(hidden), "{hidden}: {answer}");
        }
    }
    let forwarding = with_header("direct-api", &backend, "x-vendor-key").start().await;
    let response = forwarding.chat().send().await.unwrap();
    assert!(!format!("{:?}", response.headers()).contains(KEY));
}

/// What the guest got for a request with this header: over `upstream`, over wasi:http, and forwarded.
async fn refusals(gateway: &TestGateway, backend: &Upstream, header: &str) {
    let url = backend.url();
    let headers = json!([[header, "mine"]]);
    let plain = json!({ "method": "POST", "url": url, "headers": headers });
    let wasi = json!({ "method": "POST", "scheme": "http", "authority": backend.address.to_string(),
        "path": "/v1", "headers": headers });
    let mut body = chat_body(false);
    body["requests"] = json!([plain, wasi]);
    let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
    let outcomes = response.json::<Value>().await.unwrap()["outcomes"].clone();
    for outcome in outcomes.as_array().unwrap() {
        let refused = outcome.to_string();
        assert!(
            ["egress_denied", "part_refused", "HttpRequestDenied", "header_refused"]
                .iter()
                .any(|word| refused.contains(word)),
            "{header}: {refused}"
        );
    }
    body["forward"] = json!(true);
    error(gateway.post("/v1/chat/completions", &body).send().await.unwrap(), 502, "egress_denied").await;
}

/// Hostile: an adaptor that sets the header itself is refused, whatever the header is called, and nothing is sent.
#[tokio::test]
async fn the_header_of_a_credential_is_the_hosts() {
    let backend = mirror().await;
    for header in ["x-vendor-key", "x-api-key", "x-goog-api-key"] {
        let gateway = with_header(guest("requests"), &backend, header).start().await;
        refusals(&gateway, &backend, header).await;
        refusals(&gateway, &backend, &header.to_uppercase()).await;
    }
    let gateway = with_signature(guest("requests"), &backend).start().await;
    for header in ["authorization", "x-amz-date", "X-Amz-Security-Token", "x-amz-content-sha256"] {
        refusals(&gateway, &backend, header).await;
    }
    assert!(backend.seen().is_empty());
}

/// A backend that takes a request only where its signature fits.
async fn strict() -> Upstream {
    Upstream::start(|seen| async move {
        match verify_aws(&seen) {
            Ok(()) => json(200, &completion()),
            Err(why) => json(403, &json!({ "message": why })),
        }
    })
    .await
}

#[tokio::test]
async fn a_request_is_signed_over_what_goes_out() {
    let backend = strict().await;
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let gateway = with_signature(adaptor, &backend).start().await;
        let text = "à".repeat(100_000);
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": text }] });
        let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{adaptor}: {}", response.text().await.unwrap());
    }
    assert_eq!(backend.seen().len(), 2);
    let gateway = with_signature(guest("requests"), &backend).start().await;
    let at = |path: &str| format!("http://{}{path}", backend.address);
    let urls = [
        at("/model/a%3A0/converse"),
        at("/model/arn%3Aaws%3Ax%2Fy/converse?b=2&a=1&a=%20"),
        at("/model/a:0//x/../y/"),
        at("?q"),
    ];
    let requests =
        urls.map(|url| json!({ "method": "PUT", "url": url, "headers": [["x-b", "a   b"]], "body": "x" }));
    let mut body = chat_body(false);
    body["requests"] = json!(requests);
    let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
    let outcomes = response.json::<Value>().await.unwrap()["outcomes"].clone();
    assert_eq!(outcomes, json!(vec![json!({ "status": 200 }); 4]));
}

/// The verifier itself: what is changed on the way no longer fits.
#[tokio::test]
async fn a_request_that_is_changed_on_the_way_is_refused() {
    let backend = strict().await;
    let gateway = with_signature("direct-api", &backend).start().await;
    gateway.chat().send().await.unwrap();
    let sent = backend.only();
    assert_eq!(verify_aws(&sent), Ok(()));
    let changed = |change: fn(&mut Seen)| {
        let mut seen = sent.clone();
        change(&mut seen);
        verify_aws(&seen).expect_err("a signature that fits something else")
    };
    changed(|seen| seen.body = b"{}".as_slice().into());
    changed(|seen| seen.uri = "/v1/other".parse().unwrap());
    changed(|seen| seen.uri = "/v1/chat/completions?x=1".parse().unwrap());
    changed(|seen| seen.method = http::Method::PUT);
    for name in ["host", "content-type", "x-amz-date", "x-amz-security-token"] {
        let mut seen = sent.clone();
        seen.headers.insert(HeaderName::from_static(name), "20150830T123600Z".parse().unwrap());
        assert!(verify_aws(&seen).is_err(), "{name}");
    }
    // With another secret nothing fits, and that is the operator's business.
    let gateway = with_signature("direct-api", &backend).env("AWS_SECRET", "another").start().await;
    error(gateway.chat().send().await.unwrap(), 502, "upstream_auth_error").await;
}

#[tokio::test]
async fn mistakes_are_told_with_their_key() {
    let start = async |config: Value| {
        let mut builder = TestGateway::builder().endpoint("m", "direct-api", config);
        for name in ["KEY", "ID", "SECRET"] {
            builder = builder.env(name, "value");
        }
        builder.try_start().await.map(drop).unwrap_err()
    };
    let url = "http://127.0.0.1:1/v1";
    let key = json!({ "api_url": url, "api_key_env_name": "KEY", "api_key_header": "x-key" });
    let aws = json!({ "api_url": url, "aws_region": "us-east-1", "aws_service": "bedrock",
        "access_key_id_env_name": "ID", "secret_access_key_env_name": "SECRET" });
    let with = |config: &Value, key: &str, value: Value| {
        let mut config = config.clone();
        config[key] = value;
        config
    };
    let cases = [
        (
            with(&key, "api_key_header", json!("host")),
            "\"api_key_header\" names a header that cannot carry a key",
        ),
        (with(&key, "api_key_header", json!("Transfer-Encoding")), "cannot carry a key"),
        (with(&key, "api_key_header", json!("x key")), "\"api_key_header\" is not the name of a header"),
        (with(&key, "api_key_header", json!(7)), "\"api_key_header\" must be a string"),
        (
            with(&key, "extra_headers", json!({ "X-Key": "v" })),
            "extra_headers and api_key_header both name \"x-key\"",
        ),
        (with(&aws, "api_key_env_name", json!("KEY")), "two credentials are both named"),
        (with(&aws, "aws_region", json!("us-east-1.evil.org/")), "\"aws_region\" must be a name"),
        (with(&aws, "aws_region", json!("")), "\"aws_region\" must be a name"),
        (with(&aws, "aws_region", Value::Null), "a key that signs needs aws_region"),
        (with(&aws, "aws_service", Value::Null), "a key that signs needs aws_service"),
        (with(&aws, "secret_access_key_env_name", Value::Null), "needs secret_access_key_env_name"),
        (with(&aws, "access_key_id_env_name", json!("NONE")), "the environment variable NONE is not set"),
        (with(&aws, "session_token_env_name", json!("NONE")), "the environment variable NONE is not set"),
        (with(&aws, "session_token_env_name", json!("a b")), "\"session_token_env_name\" is not the name"),
    ];
    for (config, says) in cases {
        let mistakes = start(config).await;
        assert!(mistakes.contains(says) && mistakes.contains("endpoints.json:"), "{says}: {mistakes}");
    }
}
