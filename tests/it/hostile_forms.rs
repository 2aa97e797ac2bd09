//! Forms that are none, that are too large, or that a backend might read otherwise than the gateway.

use airlock_tests::{
    AWS_KEYS, FORM_END as END, FORM_FILE as FILE, FORM_MODEL as MODEL, FORM_TYPE as TYPE, FORMS, Tap,
    TestGateway, Upstream, error, fed_form, form_model, json, within,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

const PATH: &str = "/v1/audio/transcriptions";

/// With one endpoint `m` that goes there.
async fn before(url: &str) -> TestGateway {
    TestGateway::form_builder().endpoint("m", "direct-api", json!({ "api_url": url })).start().await
}

#[tokio::test]
async fn what_is_no_form_is_refused_with_a_sentence_that_helps() {
    let upstream = Upstream::json(json!({})).await;
    let gateway = before(&upstream.url()).await;
    let named = |name: &str| MODEL.replace("\"model\"", name);
    for (kind, form, param, said) in [
        (TYPE, format!("{FILE}{END}"), Some("model"), "Add it"),
        (TYPE, format!("{MODEL}{MODEL}{END}"), Some("model"), "twice"),
        (TYPE, MODEL.to_owned(), None, "ends before its last boundary"),
        (TYPE, FILE.to_owned(), None, "ends before its last boundary"),
        (TYPE, String::new(), None, "ends before its last boundary"),
        (TYPE, format!("{FILE}--b0und"), None, "ends before its last boundary"),
        (TYPE, "model=m".into(), None, "does not begin with the boundary"),
        (TYPE, named("\"model\"; filename=\"m\""), Some("model"), "is a file"),
        (TYPE, named("\"x\"; name=\"model\""), None, "two ways"),
        (TYPE, named(&format!("\"{}\"", "x".repeat(9000))), None, "longer than 8192 bytes"),
        (
            TYPE,
            MODEL.replace("\r\nm\r\n", &format!("\r\n{}\r\n", "m".repeat(2000))),
            Some("model"),
            "longer than 1024",
        ),
        (TYPE, format!("{}{END}", form_model("")), Some("model"), "is empty"),
        (TYPE, format!("{MODEL}{END}").replace("m\r\n--", "m\n--"), None, "within a part"),
        ("multipart/form-data", format!("{MODEL}{END}"), None, "names no boundary"),
        ("multipart/mixed; boundary=b0und", format!("{MODEL}{END}"), None, "multipart/form-data"),
        ("multipart/form-data; boundary=b0und; boundary=other", format!("{MODEL}{END}"), None, "boundary"),
        ("application/x-www-form-urlencoded", "model=m".into(), None, "is no form"),
        ("application/json", json!({ "model": "m" }).to_string(), None, "is no form"),
    ] {
        for operation in FORMS {
            let path = format!("/v1/{}", operation.path());
            let asked = gateway.request("POST", &path).header("content-type", kind).body(form.clone());
            let told = error(within(asked.send()).await.unwrap(), 400, "invalid_form").await;
            assert_eq!(told["param"].as_str(), param, "{form:.200}: {told}");
            assert!(told["message"].as_str().unwrap().contains(said), "{form:.200}: {told}");
        }
    }
    let mut latin = format!("{MODEL}{END}").into_bytes();
    let at = latin.windows(3).position(|bytes| bytes == b"\nm\r").unwrap();
    latin[at + 1] = 0xff;
    let told = error(within(gateway.post_form(PATH, latin).send()).await.unwrap(), 400, "invalid_form").await;
    assert!(told["message"].as_str().unwrap().contains("UTF-8"), "{told}");
    let anonymous =
        gateway.anonymous("POST", PATH).header("content-type", TYPE).body(format!("{MODEL}{END}"));
    error(within(anonymous.send()).await.unwrap(), 401, "invalid_api_key").await;
    // A form where JSON is wanted.
    let asked = gateway.post_form("/v1/chat/completions", format!("{MODEL}{END}"));
    error(within(asked.send()).await.unwrap(), 400, "invalid_json").await;
    let complete: Vec<_> =
        upstream.seen().into_iter().filter(|seen| seen.body.ends_with(END.as_bytes())).collect();
    assert!(complete.is_empty(), "{complete:?}");
}

#[tokio::test]
async fn models_and_operations_that_are_not_there_are_refused_as_everywhere() {
    let upstream = Upstream::json(json!({})).await;
    let gateway = TestGateway::builder()
        .operations(&["audio/translations"])
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .start()
        .await;
    let gone = form_model("gone");
    let large = format!("{}{}{END}", FILE, "x".repeat(1 << 20));
    for (form, status, code) in [
        (format!("{MODEL}{large}"), 400, "unsupported_endpoint"),
        (format!("{gone}{large}"), 404, "model_not_found"),
    ] {
        error(within(gateway.post_form(PATH, form).send()).await.unwrap(), status, code).await;
    }
    assert_eq!(upstream.seen().len(), 0);
}

/// A backend that takes the last of two would answer for a model that the caller was not checked for.
#[tokio::test]
async fn a_second_model_behind_the_file_never_reaches_the_backend() {
    let mut tap = Tap::new().await;
    let gateway = before(&tap.upstream.url()).await;
    let (feed, body) = fed_form();
    let asking = tokio::spawn(gateway.post_form(PATH, body).send());
    feed.send(format!("{MODEL}{FILE}"));
    tap.reads("sound").await;
    feed.send(form_model("secret-model"));
    feed.send(END);
    drop(feed);
    let told = error(within(asking).await.unwrap().unwrap(), 400, "invalid_form").await;
    assert!(told["message"].as_str().unwrap().contains("twice"), "{told}");
    tap.closes().await;
    assert!(!tap.seen.contains("secret-model") && !tap.seen.contains("0\r\n\r\n"), "{}", tap.seen);
}

#[tokio::test]
async fn forms_are_as_large_as_they_may_be_and_their_beginning_as_large_as_a_body() {
    let upstream = Upstream::json(json!({})).await;
    let gateway = TestGateway::form_builder()
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .settings(|s| (s.max_body_bytes, s.max_form_bytes) = (2000, 5000))
        .start()
        .await;
    let file = |size: usize| FILE.replace("sound", &"x".repeat(size));
    // Behind the model more is taken than a body may have.
    let asked = gateway.post_form(PATH, format!("{MODEL}{}{END}", file(4000)));
    assert_eq!(within(asked.send()).await.unwrap().status(), 200);
    // Before it, it is not.
    let told = gateway.post_form(PATH, format!("{}{MODEL}{END}", file(4000))).send();
    let told = error(within(told).await.unwrap(), 400, "invalid_form").await;
    assert!(told["message"].as_str().unwrap().contains("before the file"), "{told}");
    for is_announced in [true, false] {
        let form = format!("{MODEL}{}{END}", file(5000));
        let body = if is_announced {
            form.into()
        } else {
            let pieces: Vec<Bytes> = form.as_bytes().chunks(500).map(Bytes::copy_from_slice).collect();
            reqwest::Body::wrap_stream(futures_util::stream::iter(pieces).map(Ok::<_, std::io::Error>))
        };
        error(within(gateway.post_form(PATH, body).send()).await.unwrap(), 413, "request_too_large").await;
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_backend_that_wants_signed_requests_takes_no_form() {
    let upstream = Upstream::json(json!({})).await;
    let config = json!({
        "api_url": upstream.url(), "aws_region": "us-east-1", "aws_service": "bedrock",
        "access_key_id_env_name": "AWS_ID", "secret_access_key_env_name": "AWS_SECRET",
    });
    let (id, secret, _) = AWS_KEYS;
    let gateway = TestGateway::form_builder()
        .endpoint("m", "direct-api", config)
        .env("AWS_ID", id)
        .env("AWS_SECRET", secret)
        .start()
        .await;
    let asked = gateway.post_form(PATH, format!("{MODEL}{FILE}{END}")).send();
    let told = error(within(asked).await.unwrap(), 400, "unsupported_endpoint").await;
    assert!(told["message"].as_str().unwrap().contains("signed"), "{told}");
    assert_eq!(upstream.seen().len(), 0);
}

/// A cache that takes the task's body for the whole question would answer all forms alike.
#[tokio::test]
async fn middlewares_hand_forms_through_and_keep_no_answers_to_them() {
    let upstream =
        Upstream::start(|seen| async move { json(200, &json!({ "length": seen.body.len() })) }).await;
    let chain = json!(["response-cache", "direct-api"]);
    let gateway = TestGateway::form_builder()
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .fields(json!({ "endpoint_adapter": chain }))
        .start()
        .await;
    for form in [format!("{MODEL}{END}"), format!("{MODEL}{FILE}{END}")] {
        let response = within(gateway.post_form(PATH, form.clone()).send()).await.unwrap();
        assert_eq!(response.json::<Value>().await.unwrap(), json!({ "length": form.len() }));
    }
}

/// A second boundary in another spelling, or an encoding of names, would be another form for the backend.
#[tokio::test]
async fn a_backend_gets_the_boundary_that_was_looked_at_and_nothing_beside_it() {
    let upstream = Upstream::json(json!({ "text": "x" })).await;
    let config = json!({ "api_url": upstream.url() });
    let gateway = TestGateway::form_builder().endpoint("m", "direct-api", config).start().await;
    for more in ["; charset=utf-7", "; boundary*=utf-8''other", "; xboundary=other"] {
        let form = format!("{MODEL}{FILE}{END}");
        let kind = format!("{TYPE}{more}");
        let asked = gateway.request("POST", PATH).header("content-type", kind).body(form);
        assert_eq!(within(asked.send()).await.unwrap().status(), 200, "{more}");
        assert_eq!(upstream.seen().last().unwrap().headers["content-type"], TYPE, "{more}");
    }
}

#[tokio::test]
async fn a_form_where_json_is_wanted_is_told_so() {
    let upstream = Upstream::json(json!({})).await;
    let gateway = before(&upstream.url()).await;
    let form = gateway.request("POST", "/v1/chat/completions").header("content-type", TYPE);
    let told = error(form.body(format!("{MODEL}{END}")).send().await.unwrap(), 400, "invalid_json").await;
    assert!(told.to_string().contains("`chat/completions` takes JSON"), "{told}");
    assert!(upstream.seen().is_empty());
}
