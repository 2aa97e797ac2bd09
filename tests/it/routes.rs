//! Which paths there are, which models they show, and what is refused.

use airlock_tests::{TestGateway, Upstream, error, guest};
use serde_json::{Value, json};

/// Two models, one with slashes in its name.
async fn gateway() -> TestGateway {
    TestGateway::builder()
        .endpoint("m", guest("echo"), json!({}))
        .endpoint("org/model-7B/v1", guest("echo"), json!({}))
        .federated("fed", &["m"])
        .start()
        .await
}

const FAMILIES: [&str; 4] = ["/v1", "/c/api/v1", "/resource_server/v1", "/resource_server/c/api/v1"];

fn body_of(operation: &str, model: &str) -> Value {
    match operation {
        "chat/completions" => json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] }),
        "completions" => json!({ "model": model, "prompt": "hi" }),
        _ => json!({ "model": model, "input": "hi" }),
    }
}

#[tokio::test]
async fn every_operation_is_served_under_every_path() {
    let gateway = gateway().await;
    for family in FAMILIES {
        for operation in ["chat/completions", "completions", "embeddings"] {
            for model in ["m", "org/model-7B/v1"] {
                let path = format!("{family}/{operation}");
                let response = gateway.post(&path, &body_of(operation, model)).send().await.unwrap();
                assert_eq!(response.status(), 200, "{path}");
                let answer: Value = response.json().await.unwrap();
                assert_eq!((&answer["operation"], &answer["model"]), (&json!(operation), &json!(model)));
                assert_eq!(answer["body"], body_of(operation, model));
            }
        }
    }
}

#[tokio::test]
async fn operations_reach_the_backend_under_their_own_paths() {
    let upstream = Upstream::json(json!({ "object": "x" })).await;
    let whole = format!("{}/chat/completions", upstream.url());
    let gateway = TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .endpoint("whole", "direct-api", json!({ "api_url": whole }))
        .start()
        .await;
    for model in ["m", "whole"] {
        for operation in ["chat/completions", "completions", "embeddings"] {
            let response = gateway.post(&format!("/v1/{operation}"), &body_of(operation, model)).send().await;
            assert_eq!(response.unwrap().status(), 200);
        }
    }
    let paths: Vec<String> = upstream.seen().iter().map(|s| s.uri.path().to_owned()).collect();
    let once = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"];
    assert_eq!(paths, [once, once].concat());
}

#[tokio::test]
async fn models_are_listed_and_found_whatever_their_names() {
    let gateway = gateway().await;
    for family in FAMILIES {
        let list: Value =
            gateway.request("GET", &format!("{family}/models")).send().await.unwrap().json().await.unwrap();
        assert_eq!(list["object"], "list");
        let ids: Vec<&str> =
            list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
        let scoped = family.contains("/c/");
        let expected: &[&str] =
            if scoped { &["m", "org/model-7B/v1"] } else { &["fed", "m", "org/model-7B/v1"] };
        assert_eq!(ids, expected, "{family}");
        for id in ["m", "org/model-7B/v1", "org%2Fmodel-7B%2Fv1", "org%2fmodel-7B/v1"] {
            let response = gateway.request("GET", &format!("{family}/models/{id}")).send().await.unwrap();
            assert_eq!(response.status(), 200, "{family} {id}");
            let model: Value = response.json().await.unwrap();
            assert_eq!(model["id"], id.replace("%2F", "/").replace("%2f", "/"));
            assert_eq!(model["object"], "model");
            assert!(model["created"].is_u64() && model["owned_by"].is_string());
        }
        let missing = gateway.request("GET", &format!("{family}/models/org/model")).send().await.unwrap();
        let told = error(missing, 404, "model_not_found").await;
        assert_eq!(told["param"], "model");
    }
}

#[tokio::test]
async fn names_that_do_not_exist_are_told_apart() {
    let gateway = TestGateway::builder()
        .endpoint("m", guest("echo"), json!({}))
        .operations(&["chat/completions"])
        .start()
        .await;
    let chat = |path: &str, model: &str| gateway.post(path, &body_of("chat/completions", model)).send();
    let told = error(chat("/v1/chat/completions", "gpt-9").await.unwrap(), 404, "model_not_found").await;
    assert_eq!((&told["param"], &told["type"]), (&json!("model"), &json!("invalid_request_error")));
    assert!(told["message"].as_str().unwrap().contains("`gpt-9`"), "{told}");
    error(chat("/c/api/v1/chat/completions", "gpt-9").await.unwrap(), 404, "model_not_found").await;
    error(chat("/d/api/v1/chat/completions", "m").await.unwrap(), 404, "cluster_not_found").await;
    error(chat("/c/vllm/v1/chat/completions", "m").await.unwrap(), 400, "unsupported_framework").await;
    error(gateway.request("GET", "/d/api/v1/models").send().await.unwrap(), 404, "cluster_not_found").await;
    for (operation, model) in [("completions", "m"), ("embeddings", "m")] {
        let response =
            gateway.post(&format!("/v1/{operation}"), &body_of(operation, model)).send().await.unwrap();
        let told = error(response, 400, "unsupported_endpoint").await;
        assert!(told["message"].as_str().unwrap().contains("chat/completions"), "{told}");
    }
    assert_eq!(chat("/v1/chat/completions", "m").await.unwrap().status(), 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_errors_of_the_same_shape() {
    let gateway = gateway().await;
    let cases = [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/responses/", 404, "not_found"),
        ("GET", "/c/v1/models", 404, "not_found"),
        ("POST", "/v1/chat/completions/", 404, "not_found"),
        ("GET", "//v1//models", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/m", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("PUT", "/resource_server/c/api/v1/embeddings", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/chat/completions", 405, "method_not_allowed"),
    ];
    for (method, path, status, code) in cases {
        let response = gateway.request(method, path).send().await.unwrap();
        let allow = response.headers().get("allow").cloned();
        error(response, status, code).await;
        assert_eq!(allow.is_some(), status == 405, "{method} {path}");
    }
}

#[tokio::test]
async fn a_models_name_that_is_not_utf8_is_refused_in_the_same_shape() {
    let gateway = gateway().await;
    let response = gateway.request("GET", "/v1/models/%FF").send().await.unwrap();
    error(response, 404, "not_found").await;
}

#[tokio::test]
async fn a_cluster_that_is_not_utf8_is_not_taken_for_no_cluster() {
    let gateway = gateway().await;
    for path in ["/%FF/api/v1", "/c/%FF/v1", "/resource_server/%FF/api/v1"] {
        let chat = body_of("chat/completions", "m");
        let response = gateway.post(&format!("{path}/chat/completions"), &chat).send().await.unwrap();
        assert!(matches!(response.status().as_u16(), 400 | 404), "{path}: {}", response.status());
    }
}

#[tokio::test]
async fn health_and_readiness_need_no_key() {
    let gateway = gateway().await;
    let health = gateway.anonymous("GET", "/health").send().await.unwrap();
    assert_eq!(health.status(), 200);
    assert!(health.headers().contains_key("x-request-id"));
    assert_eq!(health.json::<Value>().await.unwrap(), json!({ "status": "ok" }));
    let ready: Value = gateway.anonymous("GET", "/ready").send().await.unwrap().json().await.unwrap();
    assert_eq!(ready, json!({ "status": "ready", "clusters": 1, "endpoints": 2 }));
    let head = gateway.request("HEAD", "/v1/models").send().await.unwrap();
    assert_eq!(head.status(), 200);
}

#[tokio::test]
async fn what_a_caller_may_not_use_does_not_exist_for_it() {
    let build = || TestGateway::builder().endpoint("open", guest("echo"), json!({}));
    let hidden = [
        build().endpoint("m", guest("echo"), json!({})).fields(json!({ "allowed_groups": ["g"] })),
        build().endpoint("m", guest("echo"), json!({})).fields(json!({ "allowed_globus_groups": ["g"] })),
        build().endpoint("m", guest("echo"), json!({})).fields(json!({ "allowed_domains": ["anl.gov"] })),
    ];
    for builder in hidden {
        let gateway = builder.federated("fed", &["m"]).start().await;
        let list: Value = gateway.request("GET", "/v1/models").send().await.unwrap().json().await.unwrap();
        assert_eq!(list["data"].as_array().unwrap().len(), 1, "{list}");
        assert_eq!(list["data"][0]["id"], "open");
        for model in ["m", "fed"] {
            for family in ["/v1", "/c/api/v1"] {
                let path = format!("{family}/chat/completions");
                let response = gateway.post(&path, &body_of("chat/completions", model)).send().await.unwrap();
                error(response, 404, "model_not_found").await;
                let one = gateway.request("GET", &format!("{family}/models/{model}")).send().await.unwrap();
                error(one, 404, "model_not_found").await;
            }
        }
    }
    // The cluster's rule holds for all of its endpoints.
    let gateway = build().cluster(json!({ "allowed_groups": ["g"] })).start().await;
    let response =
        gateway.post("/v1/chat/completions", &body_of("chat/completions", "open")).send().await.unwrap();
    error(response, 404, "model_not_found").await;
    let list: Value = gateway.request("GET", "/v1/models").send().await.unwrap().json().await.unwrap();
    assert_eq!(list["data"], json!([]));
}
