//! Guests that hand the host much at once, or little without end: in calls, in log lines, in output.

use airlock_tests::{
    GatewayBuilder, TestGateway, Upstream, completion, error, events, guest, log_of, logs, stream_error,
    within,
};
use serde_json::{Value, json};
use tracing::Level;

const MIB: usize = 1 << 20;

/// What one call carries: kind, pieces, bytes of each.
type Payload = (&'static str, usize, usize);

/// Each payload as an endpoint of its own, `m0` and so on.
fn with(mut builder: GatewayBuilder, url: &str, payloads: &[Payload], stream: bool) -> GatewayBuilder {
    for (at, (kind, count, bytes)) in payloads.iter().enumerate() {
        let config =
            json!({ "api_url": url, "kind": kind, "count": count, "bytes": bytes, "stream": stream });
        builder = builder.endpoint(&format!("m{at}"), guest("payload"), config);
    }
    builder
}

/// One buffer of the guest's, named 40 000 times: 4 GB for a host that copies first and counts afterwards.
const ALIASED: Payload = ("headers", 40_000, 100 << 10);

/// More than a call may carry, which is 2 MiB with the settings below.
const TOO_MUCH: [Payload; 9] = [
    ALIASED,
    ("forward", 40_000, 100 << 10),
    ("fields", 40_000, 100 << 10),
    ("body", 1, 3 * MIB),
    ("log", 1, 3 * MIB),
    ("key", 1, 3 * MIB),
    ("value", 1, 3 * MIB),
    ("poll", 1_000_000, 1),
    ("random", 1, MIB),
];

#[tokio::test]
async fn a_call_that_carries_too_much_is_a_crash_of_the_guest() {
    let upstream = Upstream::json(completion()).await;
    let gateway = with(TestGateway::builder().beside_a_good_one(), &upstream.url(), &TOO_MUCH, false)
        .settings(|s| (s.max_body_bytes, s.max_answer_bytes) = (MIB, MIB))
        .start()
        .await;
    for (at, payload) in TOO_MUCH.iter().enumerate() {
        let response = within(gateway.ask(&format!("m{at}")).send()).await.unwrap();
        eprintln!("{payload:?}: {}", response.status());
        error(response, 502, "adaptor_trap").await;
        gateway.is_well().await;
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_call_that_carries_too_much_costs_the_host_no_memory() {
    let upstream = Upstream::json(completion()).await;
    let gateway = with(TestGateway::builder().beside_a_good_one(), &upstream.url(), &TOO_MUCH, false)
        .start_process(&[("AIRLOCK_MAX_BODY_BYTES", "1048576"), ("AIRLOCK_MAX_ANSWER_BYTES", "1048576")])
        .await;
    gateway.answer("good").await;
    for (at, payload) in TOO_MUCH.iter().enumerate() {
        let model = format!("m{at}");
        let ((status, body), grown) = gateway.growth(gateway.answer(&model)).await;
        eprintln!("{payload:?}: {} KiB", grown >> 10);
        assert_eq!((status, &body["error"]["code"]), (502, &json!("adaptor_trap")), "{payload:?}: {body}");
        assert!(grown < 24 * MIB, "{payload:?}: {grown}");
    }
    assert_eq!(gateway.answer("good").await.0, 200);
}

#[tokio::test]
async fn what_fits_is_carried() {
    let upstream = Upstream::json(completion()).await;
    let cases: [(Payload, Value); 9] = [
        (("headers", 20, 100), json!({ "status": 200 })),
        (("names", 20, 100), json!({ "status": 200 })),
        (("fields", 20, 100), json!(20)),
        (("append", 20, 100), json!(20)),
        (("body", 1, MIB), json!({ "status": 200 })),
        (("log", 1, MIB), json!(null)),
        (("value", 1, MIB), json!("Err(StoreError::TooLarge)")),
        (("poll", 1_000, 1), json!(1_000)),
        (("random", 1, 64 << 10), json!(64 << 10)),
    ];
    let payloads: Vec<Payload> = cases.iter().map(|(payload, _)| *payload).collect();
    let gateway = with(TestGateway::builder(), &upstream.url(), &payloads, false).start().await;
    for (at, (payload, outcome)) in cases.iter().enumerate() {
        assert_eq!(gateway.answer(&format!("m{at}")).await["outcome"], *outcome, "{payload:?}");
    }
    assert_eq!(upstream.seen().len(), 3);
}

/// More headers than a header map holds (32 768), and more bytes of them than wasi:http takes (64 KiB): each way
/// out refuses them in its own words, and none of them makes the host fail.
#[tokio::test]
async fn too_many_headers_are_refused_by_every_way_out() {
    let upstream = Upstream::json(completion()).await;
    let payloads = [
        ("headers", 40_000, 1),
        ("names", 25_000, 1),
        ("names", 40_000, 1),
        ("headers", 70, 1_000),
        ("forward", 40_000, 1),
        ("forward", 70, 1_000),
        ("fields", 40_000, 1),
        ("append", 40_000, 1),
    ];
    let builder = TestGateway::builder().beside_a_good_one();
    let gateway = with(builder, &upstream.url(), &payloads, false).start().await;
    let mut wrong = Vec::new();
    for (at, (kind, count, bytes)) in payloads.iter().enumerate() {
        let response = within(gateway.ask(&format!("m{at}")).send()).await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        let is_refused = match *kind {
            "headers" | "names" => body["outcome"]["code"] == "egress_denied",
            "forward" => (status, &body["error"]["code"]) == (502, &json!("egress_denied")),
            _ => (status, &body["error"]["code"]) == (502, &json!("adaptor_trap")),
        };
        if !is_refused {
            wrong.push(format!("{count} {kind} of {bytes} bytes: {status} {body}"));
        }
        gateway.is_well().await;
    }
    assert!(wrong.is_empty() && upstream.seen().is_empty(), "{wrong:#?}");
}

/// The same within a stream, where the head of the answer is out already.
#[tokio::test]
async fn too_many_headers_within_a_stream_do_not_break_it_off() {
    let upstream = Upstream::json(completion()).await;
    let payloads = [("headers", 40_000, 1), ALIASED];
    let builder = TestGateway::builder().beside_a_good_one();
    let gateway = with(builder, &upstream.url(), &payloads, true).start().await;
    let mut body = airlock_tests::chat_with("m1");
    body["stream"] = json!(true);
    let response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
    stream_error(&response.text().await.unwrap(), "adaptor_trap");
    gateway.is_well().await;

    body["model"] = json!("m0");
    let response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
    let text = response.text().await.expect("a whole stream");
    assert!(events(&text)[0].contains("egress_denied"), "{text}");
    gateway.is_well().await;
}

/// Where it writes, how often, how many bytes.
const FLOODS: [(&str, usize, usize); 6] = [
    ("stdout", 32 << 10, 4 << 10),
    ("stderr", 32 << 10, 4 << 10),
    ("log", 256 << 10, 4 << 10),
    ("stdout", 200_000, 0),
    ("stderr", 200_000, 0),
    ("log", 1_000_000, 0),
];

#[tokio::test]
async fn gigabytes_of_output_and_a_million_empty_writes_cost_no_memory() {
    let mut builder = TestGateway::builder().beside_a_good_one();
    for (at, (to, writes, bytes)) in FLOODS.iter().enumerate() {
        let config = json!({ "to": to, "writes": writes, "bytes": bytes });
        builder = builder.endpoint(&format!("m{at}"), guest("flood"), config);
    }
    let gateway = builder.start_process(&[("AIRLOCK_SANDBOX__CPU_MS", "60000")]).await;
    gateway.answer("good").await;
    for (at, flood) in FLOODS.iter().enumerate() {
        let (model, start) = (format!("m{at}"), std::time::Instant::now());
        let ((status, body), grown) = gateway.growth(gateway.answer(&model)).await;
        eprintln!("{flood:?}: {} KiB, {:?}", grown >> 10, start.elapsed());
        assert_eq!(status, 200, "{flood:?}: {body}");
        assert!(grown < 4 * MIB, "{flood:?}: {grown}");
    }
    assert_eq!(gateway.answer("good").await.0, 200);
}

/// Messages of the log, without the one that counts what was dropped.
async fn flooded(id: &str, config: Value) -> (Vec<String>, String) {
    logs();
    let gateway = TestGateway::with(guest("flood"), config).await;
    let response = within(gateway.chat().header("x-request-id", id).send()).await.unwrap();
    assert_eq!(response.status(), 200);
    gateway.idle().await;
    let mut own: Vec<_> = log_of(id).into_iter().filter(|line| line.target == "adaptor").collect();
    let last = own.pop().expect("a line");
    assert_eq!(last.level, Level::WARN, "{last:?}");
    (own.iter().map(|line| line.message().to_owned()).collect(), last.message().to_owned())
}

#[tokio::test]
async fn output_past_the_budget_is_counted_and_not_kept() {
    for to in ["stdout", "stderr", "log"] {
        let config = json!({ "to": to, "writes": 2_000, "bytes": 4 << 10 });
        let (kept, dropped) = flooded(&format!("flood-{to}"), config).await;
        let bytes = kept.iter().map(String::len).sum::<usize>();
        assert!((60 << 10..=64 << 10).contains(&bytes), "{to}: {bytes}");
        assert_eq!(dropped, format!("{} bytes of log were dropped", (2_000 << 12) - bytes), "{to}");
    }
}

/// A line costs the operator more than its bytes: a name, a time, an id.
#[tokio::test]
async fn a_flood_of_short_lines_is_no_flood_of_the_log() {
    for to in ["stdout", "log"] {
        let config = json!({ "to": to, "writes": 100_000, "bytes": 2, "lines": to == "stdout" });
        let (kept, _) = flooded(&format!("lines-{to}"), config).await;
        assert!(kept.len() < 2_048, "{to}: {} lines", kept.len());
    }
}
