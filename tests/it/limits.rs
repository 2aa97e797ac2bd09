//! Limits of keys, users, tenants and endpoints: exact under concurrency, on every route, and given back.

use airlock::{admission::Snapshot, config::Limits};
use airlock_sandbox::{Operation, Takes};
use airlock_tests::{
    FORM_END, FORM_FILE, FORM_MODEL, FORMS, Gate, GatewayBuilder, TestGateway, Upstream, chat_body,
    completion, error, eventually, guest, json as answer, least_body, within,
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use reqwest::Response;
use serde_json::{Value, json};

const EVERYBODY: usize = 100;
const LIMIT: u64 = 10;

/// A gateway with several workers, before a backend that answers when it is told to.
pub(crate) async fn gated() -> (GatewayBuilder, Upstream, Gate) {
    let (backend, gate) = Upstream::gated(|_| answer(200, &completion())).await;
    let builder = TestGateway::builder().endpoint("m", "direct-api", json!({ "api_url": backend.url() }));
    (builder.settings(|s| (s.workers, s.sandbox.slots) = (4, 128)), backend, gate)
}

/// A gateway before a backend that answers at once.
pub(crate) async fn open() -> (GatewayBuilder, Upstream) {
    let (builder, backend, gate) = gated().await;
    gate.open();
    (builder, backend)
}

/// The chat whose tokens are known: 10 for its answer, and a quarter of its bytes.
pub(crate) fn chat() -> Value {
    let mut body = chat_body(false);
    body["max_tokens"] = json!(10);
    body
}

pub(crate) fn snapshot(gateway: &TestGateway) -> Snapshot {
    gateway.gateway.admission().snapshot()
}

/// What is reserved for such a chat.
async fn reserved() -> u64 {
    let (builder, _backend) = open().await;
    let gateway = builder.settings(|s| s.limits.key.tokens_per_minute = 1_000_000).start().await;
    let response = within(gateway.post("/v1/chat/completions", &chat()).send()).await.unwrap();
    1_000_000 - number(&response, "x-ratelimit-remaining-tokens")
}

pub(crate) fn number(response: &Response, header: &str) -> u64 {
    let value =
        response.headers().get(header).unwrap_or_else(|| panic!("{header}: {:?}", response.headers()));
    value.to_str().unwrap().parse().unwrap()
}

pub(crate) async fn refused(response: Response, says: &str) {
    let wait = number(&response, "retry-after");
    assert!((1..=120).contains(&wait), "{wait}");
    assert!(number(&response, "retry-after-ms") <= wait * 1000);
    assert_eq!(response.headers()["x-should-retry"], "true");
    let told = error(response, 429, "rate_limit_exceeded").await;
    assert_eq!(told["type"], "rate_limit_error");
    let message = told["message"].as_str().unwrap();
    assert!(message.contains(says) && message.contains("Try again in"), "{message}");
}

/// A hundred at once, of which ten get through, and not before the others were refused.
async fn exactly_ten(builder: GatewayBuilder, backend: &Upstream, gate: &Gate, says: &str) {
    let gateway = builder.start().await;
    let ask = |_| tokio::spawn(gateway.post("/v1/chat/completions", &chat()).send());
    let mut asked: FuturesUnordered<_> = (0..EVERYBODY).map(ask).collect();
    for _ in 0..EVERYBODY - 10 {
        refused(within(asked.next()).await.unwrap().unwrap().unwrap(), says).await;
    }
    eventually(|| backend.seen().len() == 10).await;
    gate.open();
    while let Some(response) = within(asked.next()).await {
        assert_eq!(response.unwrap().unwrap().status(), 200, "{says}");
    }
    assert_eq!(backend.seen().len(), 10, "{says}");
    eventually(|| snapshot(&gateway).open == 0).await;
}

#[tokio::test]
async fn of_a_hundred_at_once_ten_pass_an_endpoints_limit() {
    let tokens = reserved().await * LIMIT;
    for (fields, says) in [
        (json!({ "rpm_model": LIMIT }), "requests per minute"),
        (json!({ "rpm_user": LIMIT }), "requests per minute"),
        (json!({ "tpm_model": tokens }), "tokens per minute"),
        (json!({ "tpm_user": tokens }), "tokens per minute"),
        (json!({ "max_concurrent": LIMIT }), "requests at a time"),
    ] {
        let (builder, backend, gate) = gated().await;
        exactly_ten(builder.fields(fields), &backend, &gate, says).await;
    }
}

#[tokio::test]
async fn of_a_hundred_at_once_ten_pass_a_callers_limit() {
    let tokens = reserved().await * LIMIT;
    type Set = fn(&mut Limits, u64);
    let limits: [(Set, u64, &str); 4] = [
        (|l, n| l.requests_per_minute = n, LIMIT, "requests per minute"),
        (|l, n| l.tokens_per_minute = n, tokens, "tokens per minute"),
        (|l, n| l.tokens_per_day = n, tokens, "tokens per day"),
        (|l, n| l.concurrent_requests = n, LIMIT, "requests at a time"),
    ];
    for (at, (set, limit, says)) in limits.into_iter().cycle().take(12).enumerate() {
        let (builder, backend, gate) = gated().await;
        let builder = builder.settings(|s| {
            let [key, user, tenant] = [&mut s.limits.key, &mut s.limits.user, &mut s.limits.tenant];
            set([key, user, tenant][at / 4], limit);
        });
        exactly_ten(builder, &backend, &gate, says).await;
    }
}

#[tokio::test]
async fn no_second_holds_more_than_it_may() {
    let (builder, backend) = open().await;
    let gateway = builder.settings(|s| s.limits.user.requests_per_second = LIMIT).start().await;
    let started = std::time::Instant::now();
    let asked: FuturesUnordered<_> = (0..EVERYBODY).map(|_| gateway.chat().send()).collect();
    let passed = asked.filter(|response| {
        let is_good = response.as_ref().unwrap().status() == 200;
        async move { is_good }
    });
    let passed = within(passed.count()).await;
    let most = (started.elapsed().as_secs() as usize + 1) * 10;
    assert!((10..=most).contains(&passed), "{passed} of {most}");
    assert_eq!(backend.seen().len(), passed);
    airlock_tests::until(async || within(gateway.chat().send()).await.unwrap().status() == 200).await;
}

/// Every route that leads to a model, and those that may ask a backend.
#[tokio::test]
async fn they_hold_on_every_route() {
    let all = Operation::ALL.map(Operation::path);
    let backend = Upstream::json(completion()).await;
    let gateway = TestGateway::builder()
        .operations(&all)
        .endpoint("m", "direct-api", json!({ "api_url": backend.url() }))
        .endpoint("batches", guest("batch"), json!({ "api_url": backend.url(), "batch": true }))
        .settings(|s| s.limits.key.requests_per_minute = 1)
        .start()
        .await;
    assert_eq!(within(gateway.chat().send()).await.unwrap().status(), 200);
    let mut walked = 0;
    for root in ["", "/resource_server"] {
        for scope in ["", "/c/api"] {
            for operation in Operation::ALL {
                let path = format!("{root}{scope}/v1/{}", operation.path());
                for stream in [false, true] {
                    let mut body = least_body(operation);
                    if stream && operation.events().is_some() && operation != Operation::Speech {
                        body["stream"] = json!(true);
                    }
                    let request = match operation.takes() {
                        Takes::Json => gateway.post(&path, &body),
                        Takes::Form => gateway.post_form(&path, [FORM_MODEL, FORM_FILE, FORM_END].concat()),
                    };
                    let response = within(request.send()).await.unwrap();
                    assert_eq!(response.status(), 429, "{path}");
                    assert!(number(&response, "retry-after") <= 120, "{path}");
                    assert!(response.text().await.unwrap().contains("rate_limit_exceeded"), "{path}");
                    walked += 1;
                }
            }
        }
    }
    assert_eq!(walked, 8 * Operation::ALL.len());
    let order = json!({ "model": "batches", "input_file": "/f" });
    refused(
        within(gateway.post("/resource_server/c/api/v1/batches", &order).send()).await.unwrap(),
        "requests per minute",
    )
    .await;
    let jobs = within(gateway.request("GET", "/resource_server/c/jobs").send()).await.unwrap();
    refused(jobs, "this API key").await;
    assert_eq!(backend.seen().len(), 1);
    assert!(FORMS.iter().all(|form| Operation::ALL.contains(form)));
}

#[tokio::test]
async fn an_endpoint_that_has_enough_passes_a_request_to_the_next() {
    let (first, first_gate) = Upstream::gated(|_| answer(200, &completion())).await;
    let (second, second_gate) = Upstream::gated(|_| answer(200, &completion())).await;
    let gateway = TestGateway::builder()
        .endpoint("one", "direct-api", json!({ "api_url": first.url() }))
        .fields(json!({ "max_concurrent": 1 }))
        .endpoint("two", "direct-api", json!({ "api_url": second.url() }))
        .fields(json!({ "max_concurrent": 1 }))
        .federated("m", &["one", "two"])
        .settings(|s| s.limits.key.requests_per_minute = 3)
        .start()
        .await;
    let held = [tokio::spawn(gateway.chat().send()), tokio::spawn(gateway.chat().send())];
    eventually(|| first.seen().len() == 1 && second.seen().len() == 1).await;
    // Who is refused by all takes nothing of the key's.
    for _ in 0..3 {
        refused(within(gateway.chat().send()).await.unwrap(), "for all who use it").await;
    }
    first_gate.open();
    second_gate.open();
    for held in held {
        assert_eq!(within(held).await.unwrap().unwrap().status(), 200);
    }
    eventually(|| snapshot(&gateway).open == 0).await;
    assert_eq!(within(gateway.chat().send()).await.unwrap().status(), 200);
    refused(within(gateway.chat().send()).await.unwrap(), "this API key").await;
}

/// An endpoint that cannot be reached keeps nothing of a request that another one answers.
#[tokio::test]
async fn where_the_next_endpoint_answers_the_first_one_keeps_nothing() {
    let (builder, backend) = open().await;
    let dead = format!("http://{}/v1", airlock_tests::refused_address());
    let gateway = builder
        .endpoint("dead", "direct-api", json!({ "api_url": dead }))
        .fields(json!({ "max_concurrent": 1, "tpm_model": 600 }))
        .federated("both", &["dead", "m"])
        .start()
        .await;
    let mut body = chat();
    body["model"] = json!("both");
    for _ in 0..8 {
        let response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
        assert_eq!(response.status(), 200);
        // The one that answers has no limit, and what the other one has says nothing of this answer.
        assert!(!response.headers().contains_key("x-ratelimit-limit-tokens"));
    }
    assert_eq!(backend.seen().len(), 8);
    eventually(|| snapshot(&gateway).open == 0).await;
}

#[tokio::test]
async fn answers_tell_how_much_is_left_in_openais_words_and_anthropics() {
    let backend = Upstream::start(|_| async {
        let mut response = answer(200, &completion());
        response.headers_mut().insert("x-ratelimit-limit-tokens", "5".parse().unwrap());
        response
    })
    .await;
    let gateway = TestGateway::builder()
        .operations(&["chat/completions", "messages"])
        .endpoint("m", "direct-api", json!({ "api_url": backend.url() }))
        .fields(json!({ "tpm_model": 100_000, "tpm_user": 60_000 }))
        .settings(|s| {
            s.limits.key.requests_per_minute = 7;
            s.limits.tenant.requests_per_second = 100;
        })
        .start()
        .await;
    let first = within(gateway.post("/v1/chat/completions", &chat()).send()).await.unwrap();
    assert_eq!(
        (number(&first, "x-ratelimit-limit-requests"), number(&first, "x-ratelimit-remaining-requests")),
        (7, 6)
    );
    assert_eq!(number(&first, "x-ratelimit-limit-tokens"), 60_000, "the tightest, and not the backend's");
    let reset = first.headers()["x-ratelimit-reset-requests"].to_str().unwrap().to_owned();
    assert!(reset == "1m0s" || reset.starts_with("1m0.") || reset.ends_with('s'), "{reset}");
    let cost = 60_000 - number(&first, "x-ratelimit-remaining-tokens");
    first.bytes().await.unwrap();
    eventually(|| snapshot(&gateway).meters > 0).await;
    // What the first one really used is 7.
    airlock_tests::until(async || {
        let next = within(gateway.post("/v1/chat/completions", &chat()).send()).await.unwrap();
        let used = 60_000 - number(&next, "x-ratelimit-remaining-tokens");
        used < 3 * cost && (used - cost).is_multiple_of(7)
    })
    .await;
    let other = within(gateway.post("/v1/messages", &least_body(Operation::Messages)).send()).await.unwrap();
    assert_eq!(number(&other, "anthropic-ratelimit-requests-limit"), 7);
    assert!(number(&other, "anthropic-ratelimit-tokens-remaining") < 60_000);
    let reset = other.headers()["anthropic-ratelimit-requests-reset"].to_str().unwrap();
    assert!(reset.ends_with('Z') && reset.len() == 20, "{reset}");
    assert!(!other.headers().contains_key("x-ratelimit-limit-requests"));
}

#[tokio::test]
async fn an_endpoint_that_says_nothing_has_firsts_limits() {
    let backend = Upstream::json(completion()).await;
    let gateway = TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": backend.url() }))
        .fields(json!({ "tpm_model": null, "tpm_user": null }))
        .start()
        .await;
    let response = within(gateway.chat().send()).await.unwrap();
    assert_eq!(number(&response, "x-ratelimit-limit-tokens"), 60_000);
    assert!(!response.headers().contains_key("x-ratelimit-limit-requests"));
}

/// What is larger than a whole limit gets in when nobody else is there, and what it used counts.
/// What is known of an answer's tokens counts, within reason; else what was reserved, unless there was no answer.
/// It counts as one request, and as none where it was not begun.
/// However requests end, nothing of what they held is left.
/// Keys of one user share what the user has, keys of others do not.
#[tokio::test]
async fn refusals_are_counted_by_their_limit() {
    let (builder, _backend) = open().await;
    let gateway = builder.fields(json!({ "rpm_model": 1 })).start().await;
    assert_eq!(within(gateway.chat().send()).await.unwrap().status(), 200);
    for _ in 0..3 {
        refused(within(gateway.chat().send()).await.unwrap(), "requests per minute").await;
    }
    let refused: u64 = snapshot(&gateway).refused.iter().map(|(_, count)| count).sum();
    assert_eq!(refused, 3);
    assert!(snapshot(&gateway).refused.contains(&("requests_per_minute", 3)));
}
