//! What adaptors can reach and what they can learn: the snoop guest tries, and reports.

use airlock_tests::{Body, TestGateway, Upstream, completion, error, guest, json, log_of, logs};
use http::{HeaderValue, Response};
use serde_json::{Value, json};

const SECRET: &str = "sk-provider-0123456789";

/// A backend that sets a cookie.
async fn backend() -> Upstream {
    Upstream::start(|_| async {
        let mut response: Response<Body> = json(200, &completion());
        for (name, value) in [("set-cookie", "session=abc"), ("www-authenticate", "x"), ("x-visible", "1")] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    })
    .await
}

/// A gateway whose endpoint `m` snoops, with a provider's key.
async fn snooping(mut config: Value, upstream: &Upstream) -> TestGateway {
    config["api_url"] = json!(upstream.url());
    config["api_key_env_name"] = json!("PROVIDER_KEY");
    TestGateway::builder()
        .endpoint("m", guest("snoop"), config)
        .env("PROVIDER_KEY", SECRET)
        .env("OTHER_SECRET", "sk-other")
        .start()
        .await
}

#[tokio::test]
async fn the_credential_reaches_the_backend_and_nobody_else() {
    logs();
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite"), guest("body-upstream")] {
        let upstream = backend().await;
        let gateway = TestGateway::builder()
            .endpoint("m", &adaptor, json!({ "api_url": upstream.url(), "api_key_env_name": "PROVIDER_KEY" }))
            .env("PROVIDER_KEY", &format!(" {SECRET}\n"))
            .start()
            .await;
        let id = format!("credential-{}", adaptor.file_stem().unwrap().display());
        let request = gateway
            .chat()
            .header("x-request-id", &id)
            .header("x-api-key", "sk-clients-own")
            .header("cookie", "clients=own")
            .header("x-forwarded-for", "203.0.113.1")
            .header("openai-organization", "clients-own");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let shown = format!("{:?}{}", response.headers().clone(), response.text().await.unwrap());
        assert!(!shown.contains(SECRET), "{shown}");

        let seen = upstream.only();
        assert_eq!(seen.headers.get_all("authorization").iter().count(), 1);
        assert_eq!(seen.headers["authorization"], format!("Bearer {SECRET}"), "{adaptor:?}");
        assert_eq!(seen.headers["host"], upstream.address.to_string());
        let all = format!("{:?}", seen.headers);
        assert!(!all.contains(&gateway.key), "{all}");
        assert!(!all.contains("clients") && !all.contains("203.0.113.1"), "{all}");
        let log = format!("{:?}", log_of(&id));
        assert!(!log.contains(SECRET) && !log.contains(&gateway.key), "{log}");
    }
}

#[tokio::test]
async fn without_a_credential_nothing_is_sent_as_one() {
    let upstream = backend().await;
    let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    gateway.chat().send().await.unwrap();
    assert!(!upstream.only().headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_guest_sees_no_secret_wherever_it_looks() {
    let upstream = backend().await;
    let gateway = snooping(json!({}), &upstream).await;
    let response = gateway.chat().header("cookie", "clients=own").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    for secret in [SECRET, "sk-other", &gateway.key, "session=abc", "clients=own", "www-authenticate"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["env"], &report["args"]), (&json!([]), &json!([])));
    assert!(report["response_headers"].to_string().contains("x-visible"), "{report}");
    assert_eq!(report["endpoint"]["config"]["api_key_env_name"], "PROVIDER_KEY");

    // All its requests that were sent carried the key, which it never saw, and nothing of its own.
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    for request in &seen {
        assert_eq!(request.headers["authorization"], format!("Bearer {SECRET}"));
        assert!(!format!("{:?}", request.headers).contains("snooped"));
    }
}

#[tokio::test]
async fn a_guest_cannot_set_the_hosts_headers() {
    let upstream = backend().await;
    let gateway = snooping(json!({}), &upstream).await;
    let report: Value = gateway.chat().send().await.unwrap().json().await.unwrap();
    for way in ["upstream", "wasi_http"] {
        for header in ["authorization", "x-api-key", "cookie", "host"] {
            assert_eq!(report[way][header]["code"], "egress_denied", "{way} {header}: {report}");
        }
    }
    assert_eq!(upstream.seen().len(), 1, "only the plain request was sent");
}

/// The other address, in many spellings: none is reached by any of the three ways out.
#[tokio::test]
async fn only_granted_origins_are_reached() {
    let (upstream, other) = (backend().await, backend().await);
    let (port, own) = (other.address.port(), upstream.address);
    let refused = [
        format!("http://127.0.0.1:{port}/v1"),
        format!("http://user:pass@127.0.0.1:{port}/v1"),
        format!("http://{own}@127.0.0.1:{port}/v1"),
        format!("http://user:pass@{own}/v1"),
        format!("http://2130706433:{}/v1", own.port()),
        format!("http://[::ffff:127.0.0.1]:{}/v1", own.port()),
        format!("http://localhost:{}/v1", own.port()),
        format!("https://{own}/v1"),
        format!("http://{own}.evil.example/v1"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];
    let mut builder = TestGateway::builder();
    for (i, url) in refused.iter().enumerate() {
        let config = |forward| json!({ "api_url": upstream.url(), "elsewhere": url, "forward": forward });
        builder = builder.endpoint(&format!("calls{i}"), guest("snoop"), config(false)).endpoint(
            &format!("forwards{i}"),
            guest("snoop"),
            config(true),
        );
    }
    let gateway = builder.start().await;
    for (i, url) in refused.iter().enumerate() {
        let report: Value = chat(&gateway, &format!("calls{i}")).await.json().await.unwrap();
        assert_eq!(report["upstream"]["elsewhere"]["code"], "egress_denied", "{url}: {report}");
        let code = report["wasi_http"]["elsewhere"]["code"].as_str().unwrap_or("it was sent");
        assert!(matches!(code, "egress_denied" | "adaptor_bad_output"), "{url}: {code}");
        error(chat(&gateway, &format!("forwards{i}")).await, 502, "egress_denied").await;
    }
    assert_eq!(upstream.seen().len(), refused.len(), "the plain requests, and no others");
    assert_eq!(other.accepted_connections(), 0);
}

async fn chat(gateway: &TestGateway, model: &str) -> reqwest::Response {
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
    gateway.post("/v1/chat/completions", &body).send().await.unwrap()
}

#[tokio::test]
async fn allowed_hosts_widen_the_grant_without_the_credential() {
    let (upstream, other) = (backend().await, backend().await);
    let config = json!({
        "elsewhere": format!("http://{}/hook", other.address),
        "allowed_hosts": [format!("http://{}", other.address)],
    });
    let gateway = snooping(config.clone(), &upstream).await;
    let report: Value = gateway.chat().send().await.unwrap().json().await.unwrap();
    assert_eq!(report["upstream"]["elsewhere"], json!({ "status": 200 }));
    assert_eq!(report["wasi_http"]["elsewhere"], json!({ "status": 200 }));

    let mut config = config;
    config["forward"] = json!(true);
    let gateway = snooping(config, &upstream).await;
    assert_eq!(gateway.chat().send().await.unwrap().status(), 200);

    let seen = other.seen();
    assert_eq!(seen.len(), 3);
    for request in seen {
        assert_eq!(request.uri.path(), "/hook");
        assert!(!request.headers.contains_key("authorization"), "{:?}", request.headers);
    }
}

#[tokio::test]
async fn a_call_has_a_budget_of_outbound_calls() {
    let upstream = backend().await;
    let gateway = TestGateway::builder()
        .endpoint("m", guest("snoop"), json!({ "api_url": upstream.url() }))
        .settings(|s| s.sandbox.outbound_calls = 3)
        .start()
        .await;
    let report: Value = gateway.chat().send().await.unwrap().json().await.unwrap();
    assert_eq!(report["upstream"]["host"]["code"], "outbound_call_limit", "{report}");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = backend().await;
    let location = format!("http://{}/elsewhere", other.address);
    let upstream = Upstream::start(move |_| {
        let mut response = json(307, &json!({}));
        response.headers_mut().insert("location", HeaderValue::from_str(&location).unwrap());
        async move { response }
    })
    .await;
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let config =
            json!({ "api_url": upstream.url(), "allowed_hosts": [format!("http://{}", other.address)] });
        let gateway = TestGateway::with(adaptor, config).await;
        let response = gateway.chat().send().await.unwrap();
        assert!(!response.headers().contains_key("location"));
        error(response, 502, "upstream_bad_response").await;
    }
    assert_eq!(other.accepted_connections(), 0);
}
