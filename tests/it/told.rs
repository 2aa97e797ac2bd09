//! Backends that say 200 and then tell of an error.

use airlock::ledger::Outcome;
use airlock_tests::{
    TestGateway, Upstream, chunks, completion, error, events, guest, json, sse, stream_error, within,
};
use serde_json::{Value, json};

const ONE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"ONE\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// What backends say in the place of an event, and what of it the client is told: message, type and code.
const TOLD: [(&str, [&str; 3]); 8] = [
    (
        "data: {\"error\":{\"message\":\"too long\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}}\n\n",
        ["too long", "BadRequestError", "400"],
    ),
    (
        "data: {\"object\":\"error\",\"message\":\"too long\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}\n\n",
        ["too long", "BadRequestError", "400"],
    ),
    (
        "data: {\"id\":\"x\",\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}],\"error\":{\"message\":\"gone\",\"code\":\"server_error\"}}\n\n",
        ["gone", "upstream_error", "server_error"],
    ),
    ("data: {\"error\" : \"out of memory\"}\n\n", ["out of memory", "upstream_error", "upstream_error"]),
    (
        "event: error\r\ndata: {\"message\":\"overloaded\"}\r\n\r\n",
        ["overloaded", "upstream_error", "upstream_error"],
    ),
    (
        "event:error\ndata: out of memory\n\n",
        ["the backend told of an error: out of memory", "upstream_error", "upstream_error"],
    ),
    ("data: {\"error\":{\"message\":\"m\",\"code\":\"999\"}}\n\n", ["m", "upstream_error", "999"]),
    (
        "data: {\"error\":{\"nothing\":\"more\"}}\n\n",
        [
            "the backend told of an error: {\"error\":{\"nothing\":\"more\"}}",
            "upstream_error",
            "upstream_error",
        ],
    ),
];

/// However it is cut, and whether or not `[DONE]` follows.
#[tokio::test]
async fn an_error_within_a_stream_is_told_in_the_form_that_clients_raise_on() {
    for (event, [message, kind, code]) in TOLD {
        for end in ["", DONE] {
            let whole = [ONE, event, end].concat();
            let (a, b) = whole.split_at(ONE.len() + 15);
            for pieces in [vec![whole.clone()], vec![a.to_owned(), b.to_owned()]] {
                let upstream = Upstream::start(move |_| {
                    let answer = sse(chunks(pieces.clone()));
                    async move { answer }
                })
                .await;
                let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
                let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
                assert!(text.starts_with(ONE) && events(&text).len() == 2, "{text}");
                let told = stream_error(&text, code);
                assert_eq!((&told["message"], &told["type"]), (&json!(message), &json!(kind)), "{event}");
                let record = gateway.ledger.one().await;
                assert_eq!((record.outcome, record.status), (Outcome::Failed, 200), "{event}");
                assert_eq!(record.error.as_deref(), Some("upstream_error"));
                assert!(record.detail.unwrap().contains(message), "{event}");
            }
        }
    }
}

#[tokio::test]
async fn an_error_that_an_adaptor_hands_on_is_one_too() {
    for adaptor in ["direct-api-wasi".into(), guest("rewrite")] {
        for (event, [_, _, code]) in TOLD.into_iter().filter(|(event, _)| !event.starts_with("event")) {
            let upstream = Upstream::start(move |_| async move { sse(chunks([ONE, event, DONE])) }).await;
            let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
            let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
            assert!(text.starts_with(ONE) && events(&text).len() == 2, "{text}");
            stream_error(&text, code);
            let record = gateway.ledger.one().await;
            assert_eq!((record.outcome, record.error.as_deref()), (Outcome::Failed, Some("upstream_error")));
            gateway.idle().await;
        }
    }
}

/// A provider's refusal of the gateway's key is the operator's business within a stream too.
#[tokio::test]
async fn a_providers_refusal_within_a_stream_is_not_shown() {
    let refusal = "data: {\"error\":{\"message\":\"Incorrect API key sk-internal\",\"code\":401}}\n\n";
    let upstream = Upstream::start(move |_| async move { sse(chunks([refusal])) }).await;
    let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
    stream_error(&text, "upstream_auth_error");
    assert!(!text.contains("internal"), "{text}");
}

/// What merely looks like an error passes, byte for byte.
#[tokio::test]
async fn what_is_no_error_passes() {
    let fine = [
        "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\"\"}}],\"error\":null}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"error\"}}],\"error\" : null}\n\n",
        "data: {\"choices\":[{\"logprobs\":{\"content\":[{\"token\":\"error\"}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"error\":{\"message\":\"m\"}}}]}\n\n",
        "data: {\"choices\":[],\"error\":{}}\n\ndata: {\"error\":\"\"}\n\ndata: {\"error\":false}\n\n",
        "event: errors\ndata: {}\n\nevent: message\ndata: {\"x\":\"event: error\"}\n\n",
        ": event: error\n\nevent: error\n\ndata: not \"error\" JSON\n\n",
        "data: [DONE]\n\ndata: {\"error\":{\"message\":\"late\"}}\n\n",
    ];
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let upstream = Upstream::start(move |_| async move { sse(chunks(fine)) }).await;
        let gateway = TestGateway::with(adaptor, json!({ "api_url": upstream.url() })).await;
        let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
        assert_eq!(text, fine.concat(), "{adaptor}");
        assert_eq!(gateway.ledger.one().await.outcome, Outcome::Completed);
    }
}

#[tokio::test]
async fn a_whole_answer_that_is_an_error_gets_its_status() {
    let said = |code: Value| json!({ "message": "no such model", "type": "NotFoundError", "code": code });
    let old = |code: Value| {
        let mut error = said(code);
        error["object"] = json!("error");
        error
    };
    for (answer, status, code) in [
        (json!({ "error": said(json!(404)) }), 404, "404"),
        (json!({ "error": said(json!("429")) }), 429, "429"),
        (old(json!(404)), 404, "404"),
        (json!({ "error": said(json!("gone")) }), 502, "gone"),
        (json!({ "error": said(json!(200)) }), 502, "200"),
        (json!({ "error": said(json!(null)), "choices": null }), 502, "upstream_error"),
        (json!({ "error": "no such model", "object": "chat.completion" }), 502, "upstream_error"),
    ] {
        let shown = answer.to_string();
        let upstream = Upstream::json(answer).await;
        for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("body-upstream")] {
            let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
            let told = error(within(gateway.chat().send()).await.unwrap(), status, code).await;
            assert_eq!(told["message"], "no such model", "{shown}");
            let record = gateway.ledger.one().await;
            assert_eq!((record.outcome, record.status), (Outcome::Failed, status), "{shown}");
        }
    }
}

/// Some answers have a member `error` that says nothing, or that their clients know.
#[tokio::test]
async fn whole_answers_with_a_word_about_errors_pass() {
    let with = |key: &str, value: Value| {
        let mut answer = completion();
        answer[key] = value;
        answer
    };
    let choices = json!([{ "message": { "content": "an \"error\"" } }]);
    let mut failed = with("choices", choices.clone());
    failed["error"] = json!({ "message": "m" });
    for (operation, answer) in [
        ("chat/completions", with("error", json!(null))),
        ("chat/completions", with("error", json!({}))),
        ("chat/completions", failed),
        ("chat/completions", with("choices", choices)),
        (
            "responses",
            json!({ "object": "response", "status": "failed", "error": { "code": "server_error", "message": "m" } }),
        ),
    ] {
        let expected = answer.clone();
        let upstream = Upstream::start(move |_| {
            let answer = json(200, &answer);
            async move { answer }
        })
        .await;
        let gateway = TestGateway::builder()
            .operations(&["chat/completions", "responses"])
            .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
            .start()
            .await;
        let mut body = airlock_tests::chat_body(false);
        body["input"] = json!("hi");
        let got = within(gateway.post(&format!("/v1/{operation}"), &body).send()).await.unwrap();
        assert_eq!(got.status(), 200, "{expected}");
        assert_eq!(got.json::<Value>().await.unwrap(), expected);
    }
}
