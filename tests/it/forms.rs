//! Forms: passed through as they come, once.

use std::time::Duration;

use airlock_tests::{
    FORM_END as END, FORM_FILE as FILE, FORM_MODEL as MODEL, FORM_TYPE as TYPE, FORMS, Tap, TestGateway,
    Upstream, error, eventually, fed_form, form_model, guest, json, refused_address, within,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

const ROOTS: [&str; 4] = ["/v1", "/c/api/v1", "/resource_server/v1", "/resource_server/c/api/v1"];
const PATH: &str = "/v1/audio/transcriptions";

/// With one endpoint `m` that goes there.
async fn before(url: &str) -> TestGateway {
    TestGateway::form_builder().endpoint("m", "direct-api", json!({ "api_url": url })).start().await
}

#[tokio::test]
async fn a_form_reaches_the_backend_byte_for_byte_on_every_root() {
    let answer = json!({ "text": "hi", "usage": { "type": "tokens", "input_tokens": 3, "output_tokens": 4, "total_tokens": 7 } });
    let upstream = Upstream::json(answer.clone()).await;
    let gateway = before(&upstream.url()).await;
    let mut count = 0;
    for operation in FORMS {
        for root in ROOTS {
            // A file may come first: the official Node client sends fields in the order of its caller.
            let form = if count % 2 == 0 {
                format!("{FILE}{MODEL}{FILE}{END}")
            } else {
                format!("{MODEL}{FILE}{END}")
            };
            let asked = gateway.post_form(&format!("{root}/{}", operation.path()), form.clone()).send();
            let response = within(asked).await.unwrap();
            assert_eq!(
                (response.status().as_u16(), &response.headers()["content-type"]),
                (200, &"application/json".parse().unwrap())
            );
            assert_eq!(response.json::<Value>().await.unwrap(), answer);
            let seen = &upstream.seen()[count];
            assert_eq!(seen.uri.path(), format!("/v1/{}", operation.path()));
            assert_eq!(
                (seen.body.as_ref(), seen.headers["content-type"].to_str().unwrap()),
                (form.as_bytes(), TYPE)
            );
            assert_eq!(seen.headers["content-length"], form.len().to_string());
            count += 1;
            let record = gateway.ledger.nth(count).await;
            assert_eq!(
                (record.model.as_deref(), record.operation, record.stream),
                (Some("m"), operation, false)
            );
            assert_eq!(record.usage.unwrap().total_tokens, 7);
        }
    }
}

#[tokio::test]
async fn the_backend_is_asked_for_its_own_name_of_the_model() {
    let upstream = Upstream::json(json!({})).await;
    let gateway = TestGateway::form_builder()
        .endpoint("org/backends-name", "direct-api", json!({ "api_url": upstream.url() }))
        .federated("m", &["org/backends-name"])
        .start()
        .await;
    let response = within(gateway.post_form(PATH, format!("{FILE}{MODEL}{FILE}{END}")).send()).await.unwrap();
    assert_eq!(response.status(), 200);
    let renamed = form_model("org/backends-name");
    assert_eq!(upstream.only().body, format!("{FILE}{renamed}{FILE}{END}"));
    assert_eq!(gateway.ledger.one().await.model.as_deref(), Some("m"));
}

#[tokio::test]
async fn the_backend_reads_the_beginning_before_the_client_has_sent_the_end() {
    for model in ["m", "wasi", "sent"] {
        let mut tap = Tap::new().await;
        let config = json!({ "api_url": tap.upstream.url(), "times": 1 });
        let gateway = TestGateway::form_builder()
            .endpoint("m", "direct-api", config.clone())
            .endpoint("wasi", "direct-api-wasi", config.clone())
            .endpoint("sent", guest("resend"), config)
            .start()
            .await;
        let (feed, body) = fed_form();
        let asking = tokio::spawn(gateway.post_form(PATH, body).send());
        feed.send(FILE);
        feed.send(form_model(model));
        feed.send("--b0und\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nbeginning");
        tap.reads("beginning").await;
        assert!(tap.seen.contains("transfer-encoding: chunked"), "{}", tap.seen);
        feed.send("end\r\n--b0und--\r\n");
        tap.reads("--b0und--").await;
        drop(feed);
        tap.reads("0\r\n\r\n").await;
        tap.say("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(within(asking).await.unwrap().unwrap().status(), 200, "{model}");
    }
}

/// Half of it with the client's length, half without.
#[tokio::test]
async fn a_form_of_fifty_megabytes_is_not_held() {
    const SIZE: usize = 50 << 20;
    let upstream =
        Upstream::start(|seen| async move { json(200, &json!({ "text": seen.body.len() })) }).await;
    let gateway = TestGateway::form_builder()
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .start_process(&[])
        .await;
    let ask = || async {
        let piece = Bytes::from(vec![b'x'; 256 << 10]);
        let file = FILE.strip_suffix("sound\r\n").unwrap();
        let pieces =
            [MODEL.into(), file.into()].into_iter().chain(std::iter::repeat_n(piece, SIZE / (256 << 10)));
        let pieces: Vec<Bytes> = pieces.chain([Bytes::from("\r\n--b0und--\r\n")]).collect();
        let stream = futures_util::stream::iter(pieces).map(Ok::<_, std::io::Error>);
        let body = reqwest::Body::wrap_stream(stream);
        let response =
            within(gateway.post(PATH).header("content-type", TYPE).body(body).send()).await.unwrap();
        let text = response.text().await.unwrap();
        assert!(text.starts_with("{\"text\":524"), "{text}");
    };
    ask().await; // what it needs once
    let ((), grown) = gateway.growth(ask()).await;
    eprintln!("a form of 50 MiB: {} KiB more", grown >> 10);
    assert!(grown < 16 << 20, "{grown}");
}

/// It refuses what it has read a part of; the client goes on sending.
#[tokio::test]
async fn a_backend_that_answers_before_the_end_is_heard() {
    let mut tap = Tap::new().await;
    let gateway = before(&tap.upstream.url()).await;
    let (feed, body) = fed_form();
    let asking = tokio::spawn(gateway.post_form(PATH, body).send());
    feed.send(format!("{MODEL}{FILE}"));
    tap.reads("sound").await;
    let text = "{\"error\":{\"message\":\"at most 25 MB\",\"code\":\"too_large\"}}";
    tap.say("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 56\r\n\r\n");
    assert_eq!(text.len(), 56);
    tap.say(text);
    tap.closes().await;
    feed.send("--b0und\r\nContent-Disposition: form-data; name=\"late\"\r\n\r\n");
    feed.send(vec![b'x'; 1 << 20]);
    drop(feed);
    let told = error(within(asking).await.unwrap().unwrap(), 413, "too_large").await;
    assert_eq!(told["message"], "at most 25 MB");
    assert!(!tap.seen.contains("late"), "{}", tap.seen);
}

#[tokio::test]
async fn a_client_that_goes_while_it_sends_closes_the_backends_connection() {
    for model in ["m", "sent"] {
        let mut tap = Tap::new().await;
        let config = json!({ "api_url": tap.upstream.url() });
        let gateway = TestGateway::form_builder()
            .endpoint("m", "direct-api", config.clone())
            .endpoint("sent", guest("resend"), config)
            .start()
            .await;
        let (feed, body) = fed_form();
        let asking = tokio::spawn(gateway.post_form(PATH, body).send());
        feed.send(form_model(model));
        feed.send(FILE);
        tap.reads("sound").await;
        asking.abort();
        tap.closes().await;
        assert!(!tap.seen.contains("0\r\n\r\n"), "{}", tap.seen);
        let record = gateway.ledger.one().await;
        // An adaptor that sends it itself may make an answer of that.
        assert!(model == "sent" || matches!(record.status, 400 | 499), "{record:?}");
        eventually(|| gateway.gateway.open_calls() == 0).await;
        gateway.idle().await;
    }
}

#[tokio::test]
async fn an_adaptor_sees_the_model_alone_and_sends_the_form_once() {
    let upstream = Upstream::json(json!({})).await;
    let config = json!({ "api_url": upstream.url() });
    let gateway = TestGateway::form_builder()
        .endpoint("m", guest("resend"), config.clone())
        .endpoint("again", guest("resend"), json!({ "api_url": upstream.url(), "forward": true }))
        .endpoint("own", guest("resend"), json!({ "api_url": upstream.url(), "body": "{\"own\":1}" }))
        .start()
        .await;
    let ask = |model: &str| {
        let form = format!("{}{FILE}{END}", form_model(model));
        within(gateway.post_form(PATH, form).send())
    };
    let told: Value = ask("m").await.unwrap().json().await.unwrap();
    assert_eq!(told["task"]["body"], json!({ "model": "m" }));
    assert_eq!(
        (&told["outcomes"][0], &told["outcomes"][1]["code"]),
        (&json!(200), &json!("form_already_sent"))
    );
    let told = error(ask("again").await.unwrap(), 502, "adaptor_bad_output").await;
    assert!(told["message"].as_str().unwrap().contains("a second time"), "{told}");
    assert_eq!(upstream.seen().len(), 2);
    let told: Value = ask("own").await.unwrap().json().await.unwrap();
    assert_eq!(told["outcomes"], json!([200, 200]));
    let own = upstream.seen().pop().unwrap();
    assert_eq!(
        (own.json(), &own.headers["content-type"]),
        (json!({ "own": 1 }), &"application/json".parse().unwrap())
    );
}

#[tokio::test]
async fn the_next_candidate_is_asked_where_nothing_of_the_form_was_taken_and_else_not() {
    let good = Upstream::json(json!({})).await;
    let busy =
        Upstream::start(|_| async { json(503, &json!({ "error": { "message": "busy", "code": "busy" } })) })
            .await;
    let url = format!("http://{}/v1", refused_address());
    for (first, status, seen) in [(url, 200, 2), (busy.url(), 503, 1)] {
        let gateway = TestGateway::form_builder()
            .endpoint("one", "direct-api", json!({ "api_url": first }))
            .endpoint("two", "direct-api", json!({ "api_url": good.url() }))
            .federated("m", &["one", "two"])
            .start()
            .await;
        let before = good.seen().len();
        for _ in 0..2 {
            let form = format!("{MODEL}{FILE}{END}");
            let got = within(gateway.post_form(PATH, form).send()).await.unwrap().status().as_u16();
            assert!(got == status || got == 200, "{got}");
        }
        assert_eq!(good.seen().len() - before, seen);
    }
    assert_eq!(busy.seen().len(), 1);
}

/// A form cannot be repeated on another connection, as other requests are.
#[tokio::test]
async fn forms_go_by_fresh_connections() {
    let upstream = Upstream::json(json!({})).await;
    let gateway = before(&upstream.url()).await;
    for count in 1..=3 {
        let response = within(gateway.post_form(PATH, format!("{MODEL}{END}")).send()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(upstream.accepted_connections(), count);
    }
}

/// The wait for an answer begins when the form has been sent.
#[tokio::test]
async fn a_client_that_sends_slowly_is_not_the_backends_delay() {
    let mut tap = Tap::new().await;
    let config = json!({ "api_url": tap.upstream.url(), "api_request_timeout": 0.5 });
    let gateway = TestGateway::form_builder().endpoint("m", "direct-api", config).start().await;
    let (feed, body) = fed_form();
    let asking = tokio::spawn(gateway.post_form(PATH, body).send());
    feed.send(format!("{MODEL}{}", FILE.strip_suffix("\r\n").unwrap()));
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..10 {
        ticks.tick().await;
        feed.send("more");
    }
    feed.send(format!("\r\n{END}"));
    drop(feed);
    tap.reads("--b0und--").await;
    error(within(asking).await.unwrap().unwrap(), 504, "upstream_timeout").await;
}

/// It cannot be sent again with a new token, as other requests are; the next one gets it.
#[tokio::test]
async fn a_token_that_a_backend_refuses_with_a_form_is_not_used_again() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let tokens = Upstream::start(move |_| {
        let token = format!("token-{}", count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        async move { json(200, &json!({ "access_token": token, "expires_in": 3600 })) }
    })
    .await;
    let upstream = Upstream::start(|seen| async move {
        let is_old = seen.headers["authorization"] == "Bearer token-0";
        json(if is_old { 401 } else { 200 }, &json!({}))
    })
    .await;
    let config = json!({
        "api_url": upstream.url(), "token_url": tokens.url(),
        "client_id_env_name": "CLIENT_ID", "client_secret_env_name": "CLIENT_SECRET",
    });
    let gateway = TestGateway::form_builder()
        .endpoint("m", "direct-api", config)
        .env("CLIENT_ID", "id")
        .env("CLIENT_SECRET", "secret")
        .start()
        .await;
    let ask = || within(gateway.post_form(PATH, format!("{MODEL}{FILE}{END}")).send());
    error(ask().await.unwrap(), 502, "upstream_auth_error").await;
    assert_eq!(ask().await.unwrap().status(), 200);
}
