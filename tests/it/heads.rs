//! The heads of answers: how long it took, who answered, whether to try again, and which pages may read it.

use std::time::Duration;

use airlock::auth::Role;
use airlock_tests::{
    TestGateway, Upstream, chat_body, completion, guest, json as answer, tenant_cluster, tenant_endpoint,
    within,
};
use http::{HeaderMap, Response};
use serde_json::json;

fn number(headers: &HeaderMap, name: &str) -> f64 {
    let value = headers.get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}"));
    value.to_str().unwrap().parse().unwrap()
}

const WAIT: Duration = Duration::from_millis(300);

/// A backend that thinks before it answers.
async fn slow() -> Upstream {
    Upstream::start(|_| async {
        tokio::time::sleep(WAIT).await;
        answer(200, &completion())
    })
    .await
}

#[tokio::test]
async fn an_answer_says_who_gave_it_and_what_the_gateway_took() {
    let backend = slow().await;
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let gateway = TestGateway::with(adaptor, json!({ "api_url": backend.url() })).await;
        let response = gateway.chat().send().await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["x-airlock-endpoint"], "c-api-m");
        let (all, own) = (number(headers, "openai-processing-ms"), number(headers, "x-airlock-overhead-ms"));
        let wait = WAIT.as_secs_f64() * 1e3;
        assert!(all >= wait.floor() && own <= all - wait + 2.0, "{adaptor}: {own} of {all} ms");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_gave_names_nobody() {
    let gateway = TestGateway::with(guest("echo"), json!({})).await;
    let mut body = chat_body(false);
    body["model"] = json!("none");
    let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
    assert!(!response.headers().contains_key("x-airlock-endpoint"));
    for path in ["/health", "/v1/models", "/v1/nothing"] {
        let response = gateway.request("GET", path).send().await.unwrap();
        number(response.headers(), "openai-processing-ms");
        assert!(!response.headers().contains_key("x-airlock-overhead-ms"), "{path}");
    }
}

/// A slug tells cluster and framework; a tenant that only shares a model has not told them.
#[tokio::test]
async fn the_endpoint_of_another_tenant_is_not_named() {
    let backend = Upstream::json(completion()).await;
    let gateway = TestGateway::builder().start().await;
    for tenant in ["a", "b"] {
        gateway.tenant(tenant).await;
    }
    let owner = gateway.person("a", Role::Developer).await;
    let friend = gateway.person("b", Role::User).await;
    owner.put("/tenants/a/clusters/c", &tenant_cluster("c")).await;
    let mut spec = tenant_endpoint("c", "m", "direct-api", json!({ "api_url": backend.url() }));
    spec["shared_with"] = json!(["b"]);
    assert_eq!(owner.post("/tenants/a/endpoints", &spec).await.status(), 201);
    let (own, shared) =
        (within(owner.chat("m").send()).await.unwrap(), within(friend.chat("m").send()).await.unwrap());
    assert_eq!(
        (own.status(), &own.headers()["x-airlock-endpoint"]),
        (shared.status(), &"c-api-m".parse().unwrap())
    );
    assert!(!shared.headers().contains_key("x-airlock-endpoint"));
}

/// What the official client reads before it looks at the status.
#[tokio::test]
async fn whether_to_try_again_is_said() {
    let refuse = |status: u16, code: &'static str, after: Option<&'static str>| {
        move |_| async move {
            let mut response: Response<_> =
                answer(status, &json!({ "error": { "message": "m", "code": code } }));
            if let Some(after) = after {
                response.headers_mut().insert("retry-after", after.parse().unwrap());
            }
            response
        }
    };
    for (status, code, after, should, seconds) in [
        (429, "rate_limit_exceeded", Some("7"), Some("true"), Some(7.0)),
        (429, "rate_limit_exceeded", Some("0"), Some("true"), Some(1.0)),
        (429, "insufficient_quota", None, Some("false"), Some(1.0)),
        (503, "overloaded", Some("3600"), Some("true"), Some(120.0)),
        (401, "invalid_api_key", None, Some("false"), None),
        (500, "server_error", None, None, None),
        (400, "context_length_exceeded", None, None, None),
    ] {
        let backend = Upstream::start(refuse(status, code, after)).await;
        let gateway = TestGateway::with("direct-api", json!({ "api_url": backend.url() })).await;
        let response = gateway.chat().send().await.unwrap();
        let headers = response.headers();
        let said = headers.get("x-should-retry").map(|v| v.to_str().unwrap());
        assert_eq!(said, should, "{status} {code}");
        assert_eq!(headers.get("retry-after").map(|_| number(headers, "retry-after")), seconds, "{code}");
        let precise = headers.get("retry-after-ms").map(|_| number(headers, "retry-after-ms") / 1000.0);
        assert_eq!(precise.map(f64::ceil), seconds, "{code}");
    }
}

const PAGE: &str = "https://app.example.org";

async fn with_pages(origins: &[&str]) -> TestGateway {
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    TestGateway::builder()
        .endpoint("m", guest("echo"), json!({}))
        .settings(|s| s.cors.allow_origins = origins)
        .start()
        .await
}

async fn preflight(gateway: &TestGateway, path: &str, origin: &str) -> reqwest::Response {
    let asked = gateway.anonymous("OPTIONS", path).header("origin", origin);
    let asked = asked
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,x-stainless-lang");
    within(asked.send()).await.unwrap()
}

fn cors_headers(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn no_page_may_call_where_nothing_is_set() {
    let gateway = with_pages(&[]).await;
    let response = preflight(&gateway, "/v1/chat/completions", PAGE).await;
    assert_eq!((response.status().as_u16(), cors_headers(response.headers())), (405, vec![]));
    let response = gateway.chat().header("origin", PAGE).send().await.unwrap();
    assert_eq!((response.status().as_u16(), cors_headers(response.headers())), (200, vec![]));
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_ask_without_a_key_whether_it_may_call() {
    for (allowed, origin) in [(PAGE, PAGE), ("*", "*")] {
        let gateway = with_pages(&[allowed]).await;
        let response = preflight(&gateway, "/v1/chat/completions", PAGE).await;
        let headers = response.headers();
        assert_eq!(
            (response.status().as_u16(), &headers["access-control-allow-origin"]),
            (200, &origin.parse().unwrap())
        );
        assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("POST"));
        assert!(headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
        assert!(
            headers.contains_key("x-request-id") && !headers.contains_key("access-control-allow-credentials")
        );
        let sent =
            [gateway.chat(), gateway.anonymous("GET", "/v1/models"), gateway.request("GET", "/v1/nothing")];
        for request in sent {
            let response = request.header("origin", PAGE).send().await.unwrap();
            assert_eq!(response.headers()["access-control-allow-origin"], origin);
            let exposed = response.headers()["access-control-expose-headers"].to_str().unwrap();
            for name in ["x-request-id", "retry-after-ms", "x-airlock-endpoint", "openai-processing-ms"] {
                assert!(exposed.split(',').any(|e| e == name), "{name}: {exposed}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_told_nothing() {
    let gateway = with_pages(&[PAGE, "http://localhost:3000"]).await;
    for origin in
        ["https://example.org", "http://app.example.org", "https://app.example.org.evil.org", "null"]
    {
        let response = preflight(&gateway, "/v1/chat/completions", origin).await;
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{origin}");
        let response = gateway.chat().header("origin", origin).send().await.unwrap();
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{origin}");
    }
    let response = preflight(&gateway, "/v1/chat/completions", "http://localhost:3000").await;
    assert_eq!(response.headers()["access-control-allow-origin"], "http://localhost:3000");
}

#[tokio::test]
async fn no_page_may_call_the_admin_api() {
    let gateway = with_pages(&["*"]).await;
    let operator = gateway.person("default", Role::Operator).await;
    for path in ["/admin/v1/tenants", "/admin/v1/tenants/default/keys", "/admin/nothing"] {
        let response = preflight(&gateway, path, PAGE).await;
        assert_eq!(cors_headers(response.headers()), Vec::<&str>::new(), "{path}");
        assert_ne!(response.status(), 200, "{path}");
        let asked = gateway.anonymous("GET", path).bearer_auth(&operator.key).header("origin", PAGE);
        let response = within(asked.send()).await.unwrap();
        assert_eq!(cors_headers(response.headers()), Vec::<&str>::new(), "{path}");
    }
}
