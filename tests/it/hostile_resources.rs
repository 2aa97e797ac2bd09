//! Guests that take memory, time and handles where nobody looks: while they are instantiated, and within the host.

use std::time::{Duration, Instant};

use airlock_tests::{GatewayBuilder, TestGateway, error, guest, within};
use serde_json::{Value, json};

/// A small budget of everything.
fn small(builder: GatewayBuilder) -> GatewayBuilder {
    builder.beside_a_good_one().settings(|s| {
        s.sandbox.cpu_ms = 300;
        s.sandbox.memory_mib = 16;
        s.sandbox.wall_seconds = 5;
    })
}

/// A gateway whose endpoint `m` does at its start what the endpoint of this name tells it to.
async fn starting() -> TestGateway {
    let mut builder = small(TestGateway::builder()).endpoint("m", guest("start"), json!({}));
    for value in ["spin", "grow", "trap", "nothing"] {
        let script = json!({ "script": [{ "op": "set", "key": "start", "value": value }] });
        builder = builder.endpoint(value, guest("kv"), script);
    }
    builder.start().await
}

#[tokio::test]
async fn what_a_component_does_at_its_start_is_under_the_calls_limits() {
    let gateway = starting().await;
    assert_eq!(gateway.answer("m").await["choices"][0]["message"]["content"], "started");
    let cases = [
        ("spin", 504, "adaptor_cpu_limit"),
        ("grow", 502, "adaptor_memory_limit"),
        ("trap", 502, "adaptor_trap"),
    ];
    for (value, status, code) in cases {
        assert_eq!(gateway.answer(value).await["results"], json!([true]));
        for request in [gateway.chat(), gateway.chat_stream()] {
            let told = error(within(request.send()).await.unwrap(), status, code).await.to_string();
            assert!(!told.contains("wasm") && !told.contains("_initialize"), "{told}");
        }
        gateway.is_well().await;
    }
    gateway.answer("nothing").await;
    assert_eq!(gateway.answer("m").await["choices"][0]["message"]["content"], "started");
}

#[tokio::test]
async fn a_component_that_spins_at_its_start_starves_nobody() {
    let gateway = starting().await;
    gateway.answer("spin").await;
    let spinning = tokio::spawn(gateway.chat().send());
    airlock_tests::eventually(|| gateway.live_instances() == 1).await;
    let (mut answers, mut slowest) = (0, Duration::ZERO);
    while !spinning.is_finished() {
        let start = Instant::now();
        assert_eq!(within(gateway.request("GET", "/health").send()).await.unwrap().status(), 200);
        slowest = slowest.max(start.elapsed());
        answers += 1;
    }
    assert!(answers > 3 && slowest < Duration::from_secs(1), "{answers} answers, slowest {slowest:?}");
    error(spinning.await.unwrap().unwrap(), 504, "adaptor_cpu_limit").await;
    gateway.is_well().await;
}

/// What is made, how many of it are allowed, and how many are not. A pollable is two: itself, and its clock.
const HANDLES: [(&str, usize, usize); 4] = [
    ("events", 9_000, 11_000),
    ("pollables", 500, 550),
    ("fields", 1_000, 1_100),
    ("requests", 1_000, 1_100),
];

#[tokio::test]
async fn a_guest_that_gives_no_handle_back_is_stopped() {
    let mut builder = TestGateway::builder().beside_a_good_one();
    for (of, few, many) in HANDLES {
        for (name, config) in [
            ("few", json!({ "of": of, "count": few })),
            ("many", json!({ "of": of, "count": many })),
            ("endless", json!({ "of": of })),
        ] {
            builder = builder.endpoint(&format!("{name}-{of}"), guest("handles"), config);
        }
    }
    let gateway = builder.start().await;
    for (of, few, _) in HANDLES {
        assert_eq!(gateway.answer(&format!("few-{of}")).await, json!({ "made": few }), "{of}");
        for name in ["many", "endless"] {
            let response = within(gateway.ask(&format!("{name}-{of}")).send()).await.unwrap();
            error(response, 502, "adaptor_trap").await;
        }
        gateway.is_well().await;
    }
}

/// The host's own memory, at its highest point: a guest's limit, and what a gateway needs for a request.
#[tokio::test]
async fn the_hosts_memory_grows_by_no_more_than_a_guests_limit() {
    const MIB: usize = 1 << 20;
    let mut builder = TestGateway::builder().beside_a_good_one().endpoint("grow", guest("grow"), json!({}));
    for (of, ..) in HANDLES {
        builder = builder.endpoint(of, guest("handles"), json!({ "of": of }));
    }
    let gateway = builder.start_process(&[("AIRLOCK_SANDBOX__MEMORY_MIB", "64")]).await;
    gateway.answer("good").await;
    let ((status, body), grown) = gateway.growth(gateway.answer("grow")).await;
    assert_eq!((status, code(&body)), (502, "adaptor_memory_limit"), "{body}");
    eprintln!("memory of a guest that takes 64 MiB: {} KiB", grown >> 10);
    assert!((40 * MIB..64 * MIB + 8 * MIB).contains(&grown), "{grown}");
    let again = async {
        for _ in 0..10 {
            gateway.answer("grow").await;
        }
    };
    let ((), grown) = gateway.growth(again).await;
    assert!(grown < 64 * MIB + 8 * MIB, "{grown}: each call leaves something");
    for (of, ..) in HANDLES {
        let ((status, body), grown) = gateway.growth(gateway.answer(of)).await;
        assert_eq!((status, code(&body)), (502, "adaptor_trap"), "{of}: {body}");
        eprintln!("memory of endless {of}: {} KiB", grown >> 10);
        // Some 6 MiB at most; the system gives two at a time.
        assert!(grown < 12 * MIB, "{of}: {grown}");
    }
    assert_eq!(gateway.answer("good").await.0, 200);
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}
