//! Answers that are no JSON: sound as it comes, transcripts as text and as events.

use std::sync::Mutex;

use airlock::ledger::Outcome;
use airlock_tests::{Body, Feed, TestGateway, Upstream, bytes, chunks, error, feed, json, sse, within};
use http::{HeaderValue, Response};
use serde_json::{Value, json};

const OPERATIONS: [&str; 4] = ["audio/speech", "audio/transcriptions", "audio/translations", "images/edits"];
const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n";

async fn before(upstream: &Upstream) -> TestGateway {
    TestGateway::builder()
        .operations(&OPERATIONS)
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .settings(|s| s.max_stream_bytes = 100_000)
        .start()
        .await
}

fn speech(gateway: &TestGateway, more: Value) -> reqwest::RequestBuilder {
    let mut body = json!({ "model": "m", "input": "Hello", "voice": "alloy" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gateway.post("/v1/audio/speech", &body)
}

async fn form(gateway: &TestGateway, operation: &str) -> reqwest::Response {
    let asked = gateway.request("POST", &format!("/v1/{operation}"));
    within(asked.header("content-type", "multipart/form-data; boundary=b").body(FORM).send()).await.unwrap()
}

/// A backend that answers one request with what the test feeds, as this kind.
async fn fed(kind: &'static str) -> (Upstream, Feed) {
    let (feed, stream) = feed();
    let stream = Mutex::new(Some(stream));
    let upstream = Upstream::start(move |_| {
        let mut response = sse(stream.lock().unwrap().take().expect("one request"));
        response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
        async move { response }
    })
    .await;
    (upstream, feed)
}

async fn answering(answer: impl Fn() -> Response<Body> + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |_| {
        let response = answer();
        async move { response }
    })
    .await
}

#[tokio::test]
async fn sound_is_handed_on_as_it_comes_and_as_what_it_is() {
    for kind in ["audio/mpeg", "audio/wav; codec=x", "application/octet-stream"] {
        let (upstream, feed) = fed(kind).await;
        let gateway = before(&upstream).await;
        let asking = tokio::spawn(speech(&gateway, json!({ "response_format": "mp3", "speed": 4 })).send());
        feed.send(&b"\xff\xfbfirst"[..]);
        let mut response = within(asking).await.unwrap().unwrap();
        assert_eq!(
            (&response.headers()["content-type"], &response.headers()["x-content-type-options"]),
            (&HeaderValue::from_static(kind), &HeaderValue::from_static("nosniff"))
        );
        // The rest is not there yet.
        assert_eq!(within(response.chunk()).await.unwrap().unwrap(), &b"\xff\xfbfirst"[..]);
        feed.send("last");
        drop(feed);
        assert_eq!(within(response.text()).await.unwrap(), "last");
        let record = gateway.ledger.one().await;
        assert_eq!((record.outcome, record.stream), (Outcome::Completed, false));
        assert_eq!(upstream.only().json()["voice"], "alloy");
    }
}

/// There is no place for an error in sound: the client has to see that its end is missing.
#[tokio::test]
async fn sound_that_breaks_off_or_is_too_much_has_no_end() {
    let broken = airlock_tests::RawUpstream::start(|mut stream| async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100\r\n\r\nhalf";
        stream.write_all(head.as_bytes()).await.unwrap();
    })
    .await;
    let endless = answering(|| bytes(200, "audio/mpeg", vec![0; 200_000])).await;
    for (url, code) in [(broken.url(), "upstream_disconnected"), (endless.url(), "response_too_large")] {
        let gateway = TestGateway::builder()
            .operations(&OPERATIONS)
            .endpoint("m", "direct-api", json!({ "api_url": url }))
            .settings(|s| s.max_stream_bytes = 100_000)
            .start()
            .await;
        let asked = within(speech(&gateway, json!({})).send()).await;
        // It may break off before the head is out.
        if let Ok(response) = asked {
            assert!(within(response.bytes()).await.is_err());
        }
        let record = gateway.ledger.one().await;
        assert_eq!((record.outcome, record.error.as_deref()), (Outcome::Failed, Some(code)));
    }
}

#[tokio::test]
async fn a_client_that_goes_while_it_listens_closes_the_backends_connection() {
    let (upstream, feed) = fed("audio/mpeg").await;
    let gateway = before(&upstream).await;
    feed.send("first");
    let mut response = within(speech(&gateway, json!({})).send()).await.unwrap();
    within(response.chunk()).await.unwrap().unwrap();
    drop(response);
    within(feed.closed()).await;
    assert_eq!(gateway.ledger.one().await.outcome, Outcome::ClientGone);
}

#[tokio::test]
async fn what_is_no_sound_is_not_handed_on_as_some() {
    // Browsers take the last of several, and what ends in `+xml` for a document.
    let kinds = ["text/html", "application/json", "text/plain", "image/svg+xml", "text/event-stream"];
    for kind in kinds.into_iter().chain(["audio/mpeg, text/html", "audio/x+xml"]) {
        let upstream = answering(move || bytes(200, kind, "{}")).await;
        let gateway = before(&upstream).await;
        error(within(speech(&gateway, json!({})).send()).await.unwrap(), 502, "upstream_bad_response").await;
    }
    // Who wants events does not get sound.
    let upstream = answering(|| bytes(200, "audio/mpeg", "x")).await;
    let gateway = before(&upstream).await;
    let asked = speech(&gateway, json!({ "stream_format": "sse" }));
    error(within(asked.send()).await.unwrap(), 502, "upstream_bad_response").await;
}

#[tokio::test]
async fn what_is_to_be_spoken_is_checked() {
    let upstream = answering(|| bytes(200, "audio/mpeg", "x")).await;
    let gateway = before(&upstream).await;
    for (more, code, param) in [
        (json!({ "input": null }), "missing_required_parameter", "input"),
        (json!({ "voice": null }), "missing_required_parameter", "voice"),
        (json!({ "voice": {} }), "missing_required_parameter", "voice.id"),
        (json!({ "voice": 1 }), "invalid_value", "voice"),
        (json!({ "input": "" }), "invalid_value", "input"),
        (json!({ "speed": 0.1 }), "invalid_value", "speed"),
        (json!({ "stream_format": "mp3" }), "invalid_value", "stream_format"),
    ] {
        let told = error(within(speech(&gateway, more).send()).await.unwrap(), 400, code).await;
        assert_eq!(told["param"], param);
    }
    let own = json!({ "voice": { "id": "voice_1" }, "instructions": "Slowly", "stream_format": "audio", "lang": "en" });
    assert_eq!(within(speech(&gateway, own).send()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn spoken_events_are_relayed_to_their_end() {
    let delta = "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AA==\"}\n\n";
    let done = "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7}}\n\n";
    for (events, is_whole) in [(vec![delta, done], true), (vec![delta], false)] {
        let said = events.clone();
        let upstream = answering(move || sse(chunks(said.clone()))).await;
        let gateway = before(&upstream).await;
        let asked = speech(&gateway, json!({ "stream_format": "sse" }));
        let text = within(asked.send()).await.unwrap().text().await.unwrap();
        let record = gateway.ledger.one().await;
        assert!(record.stream && text.starts_with(&events.concat()), "{text}");
        if is_whole {
            assert_eq!((text, record.usage.unwrap().total_tokens), (events.concat(), 7));
        } else {
            assert!(
                text.contains("event: error\ndata: {\"") && text.contains("upstream_bad_response"),
                "{text}"
            );
            assert_eq!(record.outcome, Outcome::Failed);
        }
    }
}

#[tokio::test]
async fn transcripts_come_in_the_form_that_the_backend_gives_them() {
    for kind in ["text/plain; charset=utf-8", "text/vtt", "text/srt", "application/x-subrip"] {
        let upstream = answering(move || bytes(200, kind, "1\n00:00 --> 00:01\nHello")).await;
        let gateway = before(&upstream).await;
        for operation in ["audio/transcriptions", "audio/translations"] {
            let response = form(&gateway, operation).await;
            assert_eq!(response.headers()["content-type"], kind);
            assert_eq!(response.headers()["content-length"], "23");
            assert_eq!(within(response.text()).await.unwrap(), "1\n00:00 --> 00:01\nHello");
        }
    }
    for (usage, total) in [
        (json!({ "type": "tokens", "input_tokens": 3, "output_tokens": 4, "total_tokens": 7 }), 7),
        (json!({ "type": "duration", "seconds": 3 }), 0),
    ] {
        let upstream = Upstream::json(json!({ "text": "Hello", "usage": usage })).await;
        let gateway = before(&upstream).await;
        let response = form(&gateway, "audio/transcriptions").await;
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.json::<Value>().await.unwrap()["text"], "Hello");
        assert_eq!(gateway.ledger.one().await.usage.map_or(0, |usage| usage.total_tokens), total);
    }
}

#[tokio::test]
async fn what_is_no_transcript_is_not_handed_on() {
    for (operation, kind, body) in [
        ("audio/transcriptions", "text/html", "<p>Hello"),
        ("audio/transcriptions", "text/plain; x=y, text/html", "<p>Hello"),
        ("audio/transcriptions", "application/json", "\"Hello\""),
        ("audio/transcriptions", "application/json", "{\"text\":"),
        ("images/edits", "text/plain", "Hello"),
    ] {
        let upstream = answering(move || bytes(200, kind, body)).await;
        let gateway = before(&upstream).await;
        error(form(&gateway, operation).await, 502, "upstream_bad_response").await;
    }
}

#[tokio::test]
async fn an_error_among_events_that_answer_a_form_is_told_as_one() {
    for said in [
        "data: {\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}\n\n",
        "event: error\ndata: {\"message\":\"m\"}\n\n",
    ] {
        let upstream = answering(move || sse(chunks(vec![said, "data: [DONE]\n\n"]))).await;
        let gateway = before(&upstream).await;
        let text = within(form(&gateway, "audio/transcriptions").await.text()).await.unwrap();
        assert!(text.contains("\"error\":{") && !text.contains("[DONE]"), "{text}");
        assert_eq!(gateway.ledger.one().await.outcome, Outcome::Failed, "{said}");
    }
}

/// The gateway does not know what a form asks for: the backend's answer says it.
#[tokio::test]
async fn events_that_answer_a_form_are_relayed_to_their_end_and_counted() {
    let delta = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"transcript.text.done [DONE]\"}\n\n";
    let done = "data: {\"type\":\"transcript.text.done\",\"text\":\"x\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7}}\n\n";
    let chunk =
        "data: {\"object\":\"transcription.chunk\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let counted = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n";
    let end = "data: [DONE]\n\n";
    let partial = "event: image_edit.partial_image\ndata: {\"type\":\"image_edit.partial_image\"}\n\n";
    let edited = "event: image_edit.completed\ndata: {\"type\":\"image_edit.completed\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}\n\n";
    for (operation, events, is_whole) in [
        ("audio/transcriptions", vec![delta, done], true),
        ("audio/transcriptions", vec![delta, done, end], true),
        ("audio/translations", vec![chunk, counted, end], true),
        ("audio/transcriptions", vec![delta], false),
        ("audio/translations", vec![chunk, counted], false),
        ("images/edits", vec![partial, edited], true),
        ("images/edits", vec![partial], false),
        ("images/edits", vec![partial, end], false),
    ] {
        let said = events.clone();
        let upstream = answering(move || sse(chunks(said.clone()))).await;
        let gateway = before(&upstream).await;
        let response = form(&gateway, operation).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let text = within(response.text()).await.unwrap();
        let record = gateway.ledger.one().await;
        assert!(record.stream && text.starts_with(&events.concat()), "{text}");
        if is_whole {
            assert_eq!((&text, record.outcome), (&events.concat(), Outcome::Completed));
            assert_eq!(record.usage.unwrap().total_tokens, 7, "{text}");
        } else {
            let (_, told) = text.rsplit_once("event: error\ndata: ").unwrap();
            let told: Value = serde_json::from_str(told.trim()).unwrap();
            assert_eq!(
                (&told["type"], &told["error"]["code"]),
                (&json!("error"), &json!("upstream_bad_response"))
            );
            assert_eq!(
                (record.outcome, record.error.as_deref()),
                (Outcome::Failed, Some("upstream_bad_response"))
            );
        }
    }
    // Where there are none.
    let upstream = answering(move || sse(chunks([end]))).await;
    let gateway = TestGateway::builder()
        .operations(&["images/variations"])
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .start()
        .await;
    error(form(&gateway, "images/variations").await, 502, "upstream_bad_response").await;
}

#[tokio::test]
async fn a_backends_refusal_is_told_as_everywhere() {
    let said = json!({ "error": { "message": "no such voice", "code": "bad_voice", "type": "invalid_request_error" } });
    let upstream = answering(move || json(400, &said)).await;
    let gateway = before(&upstream).await;
    error(within(speech(&gateway, json!({})).send()).await.unwrap(), 400, "bad_voice").await;
    error(form(&gateway, "audio/transcriptions").await, 400, "bad_voice").await;
}
