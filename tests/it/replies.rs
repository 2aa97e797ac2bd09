//! The four kinds of reply, each through a real gateway and a real component, and what is left of the sandbox
//! when the backend is asked and when the client gets its first byte.

use std::sync::{Arc, OnceLock};

use airlock::gateway::Gateway;
use airlock_tests::{Gate, TestGateway, Upstream, completion, events, feed, guest, json, sse, within};
use serde_json::{Value, json};

/// What an upstream's closure sees of the gateway that asks it.
#[derive(Clone, Default)]
struct Watch(Arc<OnceLock<Arc<Gateway>>>);

impl Watch {
    fn on(&self, gateway: &TestGateway) {
        assert!(self.0.set(Arc::clone(&gateway.gateway)).is_ok());
    }

    fn live(&self) -> usize {
        self.0.get().expect("the gateway has started").sandbox().live_instances()
    }
}

/// A gateway with this adaptor, and a backend whose answers carry how many instances it saw alive.
async fn watched(adaptor: impl AsRef<std::path::Path>) -> (Upstream, TestGateway) {
    let watch = Watch::default();
    let seen = watch.clone();
    let upstream = Upstream::start(move |request| {
        let live = seen.live();
        async move {
            if request.json()["stream"] == true {
                let event = json!({ "choices": [{ "delta": { "content": "x" } }], "live": live });
                let text = format!("data: {event}\n\ndata: [DONE]\n\n");
                return sse(airlock_tests::chunks([text]));
            }
            let mut body = completion();
            body["live"] = json!(live);
            json(200, &body)
        }
    })
    .await;
    let gateway = TestGateway::with(adaptor, json!({ "api_url": upstream.url() })).await;
    watch.on(&gateway);
    (upstream, gateway)
}

#[tokio::test]
async fn forward_asks_the_backend_after_the_instance_is_gone() {
    let (upstream, gateway) = watched("direct-api").await;
    let response = gateway.chat().send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().contains_key("x-request-id"));
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["live"], 0);
    assert_eq!(answer["usage"], completion()["usage"]);
    assert_eq!(upstream.only().uri.path(), "/v1/chat/completions");

    let text = gateway.chat_stream().send().await.unwrap().text().await.unwrap();
    assert!(text.contains("\"live\":0"), "{text}");

    let record = gateway.ledger.nth(1).await;
    assert_eq!(record.usage.unwrap().total_tokens, 7);
    assert_eq!((record.status, record.model.as_deref()), (200, Some("m")));
    assert_eq!(record.endpoint.as_deref(), Some("c-api-m"));
    assert_eq!(record.caller.as_deref(), Some("test"));
    assert!(!record.stream && gateway.ledger.nth(2).await.stream);
}

/// The counterpart, so that the zero above means something: these adaptors do wait inside.
#[tokio::test]
async fn adaptors_that_call_out_themselves_are_alive_while_they_wait() {
    for adaptor in ["direct-api-wasi".into(), guest("rewrite"), guest("body-upstream")] {
        let (_upstream, gateway) = watched(&adaptor).await;
        let answer: Value = gateway.chat().send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["live"], 1, "{adaptor:?}");
        assert_eq!(gateway.ledger.one().await.usage.unwrap().total_tokens, 7, "{adaptor:?}");
        gateway.idle().await;
    }
}

/// The backend has sent the head and waits: the instance goes before any byte of the body comes.
#[tokio::test]
async fn a_relayed_stream_holds_no_instance() {
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let (_upstream, feed, gateway) = fed(adaptor).await;
        let mut response = within(gateway.chat_stream().send()).await.unwrap();
        gateway.idle().await;
        feed.send("data: {\"a\":1}\n\n");
        assert_eq!(within(response.chunk()).await.unwrap().unwrap(), "data: {\"a\":1}\n\n");
        assert_eq!(gateway.live_instances(), 0, "{adaptor}");
        feed.send("data: [DONE]\n\n");
        drop(feed);
        assert_eq!(within(response.text()).await.unwrap(), "data: [DONE]\n\n");
    }
}

async fn fed(adaptor: impl AsRef<std::path::Path>) -> (Upstream, airlock_tests::Feed, TestGateway) {
    let (upstream, feed) = Upstream::fed().await;
    let gateway = TestGateway::with(adaptor, json!({ "api_url": upstream.url() })).await;
    (upstream, feed, gateway)
}

/// The same for an answer in one piece, whose body the gateway waits for.
#[tokio::test]
async fn a_relayed_answer_holds_no_instance_while_its_body_comes() {
    for adaptor in ["direct-api-wasi".into(), guest("rewrite")] {
        let (asked, gate) = (Gate::new(), Gate::new());
        let (arrived, held) = (asked.clone(), gate.clone());
        let upstream = Upstream::start(move |_| {
            let (arrived, held) = (arrived.clone(), held.clone());
            async move {
                let (feed, stream) = feed();
                tokio::spawn(async move {
                    held.pass().await;
                    feed.send(completion().to_string());
                });
                let mut response = sse(stream);
                response.headers_mut().insert("content-type", "application/json".parse().unwrap());
                arrived.open();
                response
            }
        })
        .await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        let asking = tokio::spawn(gateway.chat().send());
        within(asked.pass()).await;
        gateway.idle().await;
        assert!(!asking.is_finished());
        gate.open();
        let response = within(asking).await.unwrap().unwrap();
        assert_eq!(response.json::<Value>().await.unwrap(), completion(), "{adaptor:?}");
    }
}

#[tokio::test]
async fn a_body_is_the_answer_and_its_instance_is_gone() {
    let gateway = TestGateway::with(guest("echo"), json!({ "x": 1 })).await;
    let response = gateway.chat().header("x-request-id", "echo-1").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(gateway.live_instances(), 0);
    assert_eq!(answer["id"], "echo-1");
    assert_eq!(answer["operation"], "chat/completions");
    assert_eq!((&answer["model"], &answer["stream"]), (&json!("m"), &json!(false)));
    assert_eq!(answer["user"]["name"], "test");
    assert_eq!(answer["user"]["groups"], json!([]));
    assert_eq!(answer["body"], airlock_tests::chat_body(false));
    let endpoint =
        json!({ "slug": "c-api-m", "cluster": "c", "framework": "api", "model": "m", "config": { "x": 1 } });
    assert_eq!(answer["endpoint"], endpoint);
    assert_eq!(gateway.ledger.one().await.usage.unwrap().total_tokens, 8);
}

#[tokio::test]
async fn a_stream_that_is_answered_with_a_body_is_the_adaptors_mistake() {
    let gateway = TestGateway::with(guest("echo"), json!({})).await;
    airlock_tests::error(gateway.chat_stream().send().await.unwrap(), 502, "adaptor_bad_output").await;
}

#[tokio::test]
async fn events_are_made_by_the_guest_and_framed_by_the_host() {
    let gateway = TestGateway::with(guest("events"), json!({ "count": 3 })).await;
    let response = gateway.chat_stream().send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let text = response.text().await.unwrap();
    let payloads = events(&text);
    assert_eq!(payloads.len(), 4, "{text}");
    let content =
        |i: usize| serde_json::from_str::<Value>(payloads[i]).unwrap()["choices"][0]["delta"].clone();
    assert_eq!(content(0), json!({ "role": "assistant", "content": "tok0 " }));
    assert_eq!(content(2), json!({ "content": "tok2 " }));
    assert_eq!(payloads[3], "[DONE]");
    assert_eq!(text.matches("\n\n").count(), 4);
    gateway.idle().await;

    let whole: Value = gateway.chat().send().await.unwrap().json().await.unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], "tok0 tok1 tok2 ");
}

#[tokio::test]
async fn a_guest_that_makes_events_lives_as_long_as_they_do() {
    let (_upstream, feed, gateway) = fed(guest("rewrite")).await;
    let mut response = within(gateway.chat_stream().send()).await.unwrap();
    feed.send("data: {\"choices\":[{\"delta\":{\"content\":\"abc\"}}]}\n\n");
    let first = within(response.chunk()).await.unwrap().unwrap();
    assert_eq!(first, "data: {\"choices\":[{\"delta\":{\"content\":\"ABC\"}}]}\n\n");
    assert_eq!(gateway.live_instances(), 1);
    feed.send("data: [DONE]\n\n");
    assert_eq!(within(response.text()).await.unwrap(), "data: [DONE]\n\n");
    gateway.idle().await;
}

#[tokio::test]
async fn every_request_gets_a_fresh_instance() {
    let gateway = TestGateway::with(guest("counter"), json!({})).await;
    for _ in 0..5 {
        let answer: Value = gateway.chat().send().await.unwrap().json().await.unwrap();
        assert_eq!(answer, json!({ "count": 1 }));
        let text = gateway.chat_stream().send().await.unwrap().text().await.unwrap();
        assert_eq!(events(&text), [r#"{"count":2}"#, r#"{"count":3}"#, r#"{"count":4}"#, "[DONE]"]);
    }
}
