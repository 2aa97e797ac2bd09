//! The bundled middlewares, each through the real gateway in front of an adaptor.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use airlock_tests::{
    FORM_END, FORM_FILE, FORM_MODEL, TestGateway, Upstream, bytes, chat_body, completion, error,
    json as answer, within,
};
use serde_json::{Value, json};

use crate::chains::chain;

async fn guarded(names: &[&str], config: Value) -> TestGateway {
    let parts: Vec<_> = names.iter().map(Into::into).collect();
    chain(&parts, config).start().await
}

async fn refused(names: &[&str], config: Value) -> String {
    let parts: Vec<_> = names.iter().map(Into::into).collect();
    chain(&parts, config).try_start().await.map(drop).unwrap_err()
}

/// A backend whose `/status` gives what it is told to, and which counts how often it is asked.
struct Guarded {
    backend: Upstream,
    page: Arc<Mutex<(u16, String)>>,
}

impl Guarded {
    async fn new() -> Self {
        let page = Arc::new(Mutex::new((200, String::new())));
        let shown = Arc::clone(&page);
        let backend = Upstream::start(move |request| {
            let (status, text) = shown.lock().unwrap().clone();
            async move {
                match request.uri.path() {
                    "/status" => bytes(status, "application/json", text),
                    _ => answer(200, &completion()),
                }
            }
        })
        .await;
        Self { backend, page }
    }

    fn shows(&self, status: u16, text: &str) {
        *self.page.lock().unwrap() = (status, text.to_owned());
    }

    fn config(&self, seconds: u32) -> Value {
        let status = format!("http://{}/status", self.backend.address);
        json!({ "api_url": self.backend.url(), "status_url": status, "status_seconds": seconds })
    }

    fn asked(&self, path: &str) -> usize {
        self.backend.seen().iter().filter(|request| request.uri.path() == path).count()
    }
}

#[tokio::test]
async fn the_status_guard_keeps_tasks_from_a_model_that_does_not_run() {
    let guarded_backend = Guarded::new().await;
    let gateway = guarded(&["status-guard", "direct-api"], guarded_backend.config(0)).await;
    let cases = [
        (
            200,
            r#"{"k":{"model":"m","status":"Stopped"}}"#,
            "model_not_running",
            "m does not run: its status is \"Stopped\"",
        ),
        (200, r#"{"k":{"model":"n","status":"Live"}}"#, "model_not_running", "does not list it"),
        (200, "<html>", "model_not_running", "not JSON"),
        (500, r#"{"status":"ok"}"#, "model_status_unknown", "answered 500"),
    ];
    for (status, page, code, says) in cases {
        guarded_backend.shows(status, page);
        for request in [gateway.chat(), gateway.chat_stream()] {
            let response = within(request.send()).await.unwrap();
            assert_eq!(response.headers()["retry-after"], "10");
            let told = error(response, 503, code).await;
            assert!(told["message"].as_str().unwrap().contains(says), "{told}");
        }
    }
    assert_eq!(guarded_backend.asked("/v1/chat/completions"), 0);
    for page in [r#"{"k":{"model":"m","status":"Live"}}"#, r#"{"status":"ok"}"#, ""] {
        guarded_backend.shows(200, page);
        let before = guarded_backend.asked("/status");
        assert_eq!(within(gateway.chat().send()).await.unwrap().status(), 200, "{page}");
        assert_eq!(guarded_backend.asked("/status"), before + 1);
    }
    assert_eq!(guarded_backend.asked("/v1/chat/completions"), 3);
}

#[tokio::test]
async fn a_good_status_counts_for_a_while_and_a_bad_one_is_asked_for_again() {
    let guarded_backend = Guarded::new().await;
    let gateway = guarded(&["status-guard", "direct-api"], guarded_backend.config(3600)).await;
    guarded_backend.shows(200, r#"{"status":"down"}"#);
    for _ in 0..2 {
        error(within(gateway.chat().send()).await.unwrap(), 503, "model_not_running").await;
    }
    assert_eq!(guarded_backend.asked("/status"), 2);
    guarded_backend.shows(200, r#"{"status":"live"}"#);
    for _ in 0..3 {
        assert_eq!(within(gateway.chat().send()).await.unwrap().status(), 200);
    }
    assert_eq!(guarded_backend.asked("/status"), 3);
}

#[tokio::test]
async fn a_status_page_that_cannot_be_reached_is_no_good_status() {
    let (page, backend) = (airlock_tests::refused_address(), Upstream::json(completion()).await);
    let config = json!({ "api_url": backend.url(), "status_url": format!("http://{page}/status") });
    let gateway = guarded(&["status-guard", "direct-api"], config).await;
    let told = error(within(gateway.chat().send()).await.unwrap(), 503, "model_status_unknown").await;
    assert!(told["message"].as_str().unwrap().contains("cannot be found out"), "{told}");
    assert!(backend.seen().is_empty());
    let text = refused(&["status-guard", "direct-api"], json!({ "api_url": backend.url() })).await;
    assert!(text.contains("config key `status_url`: is missing"), "{text}");
}

/// One that does not run makes a federated model go on to the next.
#[tokio::test]
async fn a_federated_model_passes_over_an_endpoint_that_does_not_run() {
    let (down, up) = (Guarded::new().await, Guarded::new().await);
    down.shows(200, r#"{"status":"down"}"#);
    let list = json!({ "endpoint_adapter": ["status-guard", "direct-api"] });
    let gateway = TestGateway::builder()
        .endpoint("a", "direct-api", down.config(0))
        .fields(list.clone())
        .endpoint("b", "direct-api", up.config(0))
        .fields(list)
        .federated("m", &["a", "b"])
        .start()
        .await;
    for _ in 0..4 {
        assert_eq!(within(gateway.chat().send()).await.unwrap().status(), 200);
    }
    assert_eq!((down.asked("/v1/chat/completions"), up.asked("/v1/chat/completions")), (0, 4));
}

/// No adaptor sees what is in a form.
#[tokio::test]
async fn the_prompt_policy_lets_no_form_through() {
    let upstream = Upstream::json(json!({ "text": "x" })).await;
    let config = json!({ "api_url": upstream.url(), "prompt_block": ["code"] });
    let parts = ["prompt-policy", "direct-api"].map(Into::into);
    let gateway = chain(&parts, config).operations(&["audio/transcriptions"]).start().await;
    let form = format!("{FORM_MODEL}{FORM_FILE}{FORM_END}");
    let asked = gateway.post_form("/v1/audio/transcriptions", form).send().await.unwrap();
    error(asked, 400, "prompt_unchecked").await;
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn the_prompt_policy_blocks_and_takes_out() {
    let upstream = Upstream::json(completion()).await;
    let config = json!({
        "api_url": upstream.url(), "prompt_block": ["(?i)launch code"], "prompt_redact": ["[0-9]{4}-[0-9]{4}"],
    });
    let gateway = guarded(&["prompt-policy", "direct-api"], config).await;
    let chat = |text: &str| {
        let mut body = chat_body(false);
        body["messages"][0]["content"] = json!(text);
        gateway.post("/v1/chat/completions", &body)
    };
    let told = error(chat("the Launch Code, please").send().await.unwrap(), 400, "prompt_blocked").await;
    assert!(!told.to_string().to_lowercase().contains("launch"), "{told}");
    assert!(upstream.seen().is_empty());

    assert_eq!(chat("card 1234-5678, thanks").send().await.unwrap().status(), 200);
    let seen = upstream.only();
    assert_eq!(seen.json()["messages"][0]["content"], "card [redacted], thanks");
    assert!(!String::from_utf8_lossy(&seen.body).contains("1234-5678"));
    let embedding = json!({ "model": "m", "input": ["fine", "1234-5678"] });
    gateway.post("/v1/embeddings", &embedding).send().await.unwrap();
    assert_eq!(upstream.seen()[1].json()["input"], json!(["fine", "[redacted]"]));

    let text = refused(
        &["prompt-policy", "direct-api"],
        json!({ "api_url": upstream.url(), "prompt_block": ["("] }),
    )
    .await;
    assert!(text.contains("config key `prompt_block`: \"(\" is no regular expression"), "{text}");
}

#[tokio::test]
async fn the_system_prompt_comes_first() {
    let upstream = Upstream::json(completion()).await;
    let config = json!({ "api_url": upstream.url(), "system_prompt": "Be brief." });
    let gateway = guarded(&["system-prompt", "direct-api"], config.clone()).await;
    let mut body = chat_body(false);
    body["messages"] =
        json!([{ "role": "system", "content": "Be long." }, { "role": "user", "content": "hi" }]);
    let own = json!({ "role": "system", "content": "Be brief." });
    gateway.post("/v1/chat/completions", &body).send().await.unwrap();
    let messages = upstream.only().json()["messages"].clone();
    assert_eq!(messages, json!([own, body["messages"][0], body["messages"][1]]));
    let completion = json!({ "model": "m", "prompt": "hi" });
    gateway.post("/v1/completions", &completion).send().await.unwrap();
    assert_eq!(upstream.seen()[1].json(), completion);

    let mut replacing = config;
    replacing["system_prompt_replaces"] = json!(true);
    let gateway = guarded(&["system-prompt", "direct-api"], replacing).await;
    gateway.post("/v1/chat/completions", &body).send().await.unwrap();
    assert_eq!(upstream.seen()[2].json()["messages"], json!([own, body["messages"][1]]));
    let text = refused(&["system-prompt", "direct-api"], json!({ "api_url": upstream.url() })).await;
    assert!(text.contains("config key `system_prompt`: is missing"), "{text}");
}

/// A backend that numbers its answers.
async fn numbering(status: u16) -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |request| {
        let nth = count.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            if request.json()["stream"] == true {
                let text = format!("data: {{\"nth\":{nth}}}\n\ndata: [DONE]\n\n");
                return airlock_tests::sse(airlock_tests::chunks([text]));
            }
            let mut body = completion();
            body["nth"] = json!(nth);
            if status != 200 {
                body = json!({ "error": { "message": nth.to_string(), "type": "x", "code": "x" } });
            }
            answer(status, &body)
        }
    })
    .await
}

#[tokio::test]
async fn the_response_cache_answers_what_was_answered_before() {
    let upstream = numbering(200).await;
    let config = json!({ "api_url": upstream.url(), "cache_seconds": 3600 });
    let list = json!({ "endpoint_adapter": ["response-cache", "direct-api"] });
    let gateway = TestGateway::builder()
        .endpoint("m", "direct-api", config.clone())
        .fields(list.clone())
        .endpoint("n", "direct-api", config)
        .fields(list)
        .start()
        .await;
    let ask = async |model: &str, text: &str| -> Value {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": text }] });
        let response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    };
    assert_eq!(ask("m", "a").await["nth"], 1);
    let again = ask("m", "a").await;
    assert_eq!((&again["nth"], &again["usage"]), (&json!(1), &completion()["usage"]));
    assert_eq!(ask("m", "b").await["nth"], 2, "another body");
    assert_eq!(ask("n", "a").await["nth"], 3, "another endpoint");
    assert_eq!(ask("n", "a").await["nth"], 3);
    assert_eq!(upstream.seen().len(), 3);
    // Counted as it was answered.
    assert_eq!(gateway.ledger.nth(2).await.usage.unwrap().total_tokens, 7);
}

/// The same body at two endpoints of one model name: an answer never crosses from one to the other.
#[tokio::test]
async fn endpoints_of_one_model_do_not_share_answers() {
    let (one, two) = (numbering(200).await, Upstream::json(json!({ "object": "two", "choices": [] })).await);
    let list = json!({ "endpoint_adapter": ["response-cache", "direct-api"] });
    let endpoint = |framework: &str, upstream: &Upstream| {
        json!({ "model": "resource_server_async.endpoint", "fields": {
            "cluster": "c", "framework": framework, "model": "m",
            "endpoint_adapter": list["endpoint_adapter"], "config": { "api_url": upstream.url() },
        } })
    };
    let file = json!([endpoint("api", &one), endpoint("other", &two)]).to_string();
    let gateway = TestGateway::builder()
        .cluster(json!({ "frameworks": ["api", "other"] }))
        .file("endpoints.json", file)
        .start()
        .await;
    for _ in 0..2 {
        for (framework, key, expected) in [("api", "nth", json!(1)), ("other", "object", json!("two"))] {
            let path = format!("/c/{framework}/v1/chat/completions");
            let response = within(gateway.post(&path, &chat_body(false)).send()).await.unwrap();
            assert_eq!(response.json::<Value>().await.unwrap()[key], expected, "{framework}");
        }
    }
    assert_eq!((one.seen().len(), two.seen().len()), (1, 1));
}

#[tokio::test]
async fn errors_streams_and_long_answers_are_not_kept() {
    let broken = numbering(500).await;
    let gateway = guarded(&["response-cache", "direct-api"], json!({ "api_url": broken.url() })).await;
    for _ in 0..2 {
        assert_eq!(within(gateway.chat().send()).await.unwrap().status(), 500);
    }
    assert_eq!(broken.seen().len(), 2);

    let upstream = numbering(200).await;
    let gateway = guarded(&["response-cache", "direct-api"], json!({ "api_url": upstream.url() })).await;
    for nth in 1..=2 {
        let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
        assert!(text.contains(&format!("\"nth\":{nth}")), "{text}");
    }

    let mut body = completion();
    body["long"] = json!("x".repeat(70_000));
    let long = Upstream::json(body.clone()).await;
    let gateway = guarded(&["response-cache", "direct-api"], json!({ "api_url": long.url() })).await;
    for _ in 0..2 {
        let answer: Value = within(gateway.chat().send()).await.unwrap().json().await.unwrap();
        assert_eq!(answer, body);
    }
    assert_eq!(long.seen().len(), 2);
    let text =
        refused(&["response-cache", "direct-api"], json!({ "api_url": long.url(), "cache_seconds": 0 }))
            .await;
    assert!(text.contains("config key `cache_seconds`: must be 1 to 86400"), "{text}");
}
