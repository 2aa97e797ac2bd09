//! `airlock adaptor record` and `replay`: a run can be played again, with nothing around it.

use airlock_tests::{
    Desk, Finished, Upstream, adaptor, chunks, completion, example, guest, json as answer, refused_address,
    sse,
};
use serde_json::{Value, json};

const STREAM: [&str; 2] =
    ["data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n", "\ndata: [DONE]\n\n"];

async fn backend() -> Upstream {
    Upstream::start(|seen| async move {
        if seen.body.is_empty() {
            return answer(200, &json!("running"));
        }
        if seen.json()["stream"] == true { sse(chunks(STREAM)) } else { answer(200, &completion()) }
    })
    .await
}

fn says(done: &Finished, all: &[&str]) {
    for text in all {
        assert!(done.stderr.contains(text), "{text:?} is not in\n{}", done.stderr);
    }
}

/// Plays what was recorded twice: it is the same each time, and the same as it was.
async fn plays_the_same(desk: &Desk, recorded: &Finished) {
    for _ in 0..2 {
        let played = desk.replay(&[]).await;
        assert_eq!(played.code, 0, "{}\nrecorded:\n{}", played.stderr, recorded.stderr);
        assert_eq!(played.stdout, recorded.stdout);
        says(&played, &["the same as it was recorded"]);
    }
}

#[tokio::test]
async fn every_kind_of_run_plays_the_same_with_its_backend_gone_and_no_connection_made() {
    let backend = backend().await;
    let config = json!({
        "api_url": backend.url(), "status_url": format!("http://{}/", backend.address), "system_prompt": "Be kind.",
        "count": 3, "calls": 10, "gather_ms": 1,
        "script": [{ "op": "set", "key": "a", "value": "1" }, { "op": "get", "key": "a" }, { "op": "delete", "key": "a" }],
    });
    let desk = Desk::new(&config);
    let cases: [(_, &[&str]); 14] = [
        (adaptor("direct-api"), &[]),
        (adaptor("direct-api"), &["--stream"]),
        (adaptor("direct-api-wasi"), &[]),
        (adaptor("direct-api-wasi"), &["--stream"]),
        (adaptor("system-prompt"), &["--stream"]),
        (adaptor("static-cluster"), &[]),
        (example("custom-endpoint"), &[]),
        (guest("brittle"), &[]),
        (guest("rewrite"), &["--stream"]),
        (guest("events"), &["--stream"]),
        (guest("kv"), &[]),
        (guest("fan-out"), &[]),
        (guest("logs"), &[]),
        (guest("start"), &[]),
    ];
    let mut kept = Vec::new();
    for (component, more) in cases {
        let recorded = desk.record(&component, more).await;
        assert_eq!(recorded.code, 0, "{}: {}", component.display(), recorded.stderr);
        kept.push((desk.text("run.json"), recorded));
    }
    let connections = backend.accepted_connections();
    assert!(connections > 0);
    for (recording, recorded) in &kept {
        desk.put("run.json", recording);
        plays_the_same(&desk, recorded).await;
    }
    assert_eq!(backend.accepted_connections(), connections, "a replay has opened a connection");
    drop(backend);
    for (recording, recorded) in kept.iter().take(4) {
        desk.put("run.json", recording);
        plays_the_same(&desk, recorded).await;
    }
}

#[tokio::test]
async fn clocks_and_chance_are_those_of_the_recording() {
    let desk = Desk::new(&json!({ "count": 20, "ms": 1500 }));
    for name in ["clock", "chance", "sleep"] {
        let first = desk.run(&guest(name), &[]).await;
        let recorded = desk.record(&guest(name), &[]).await;
        assert_eq!((first.code, recorded.code), (0, 0), "{}", recorded.stderr);
        if name != "sleep" {
            assert_ne!(first.stdout, recorded.stdout, "{name} gives the same without a replay");
        }
        plays_the_same(&desk, &recorded).await;
    }
}

#[tokio::test]
async fn instances_that_meet_are_told_what_they_were_told() {
    let lookup = Upstream::json(json!({ "items": { "x": "found" } })).await;
    let desk = Desk::new(&json!({ "api_url": lookup.url(), "gather_ms": 5 }));
    desk.put("task.json", json!({ "item": "x" }).to_string());
    let recorded = desk.record(&guest("meet"), &["--task", "task.json"]).await;
    assert_eq!(recorded.code, 0, "{}", recorded.stderr);
    says(&recorded, &["coalescing.next", "coalescing.settle"]);
    drop(lookup);
    plays_the_same(&desk, &recorded).await;
}

#[tokio::test]
async fn a_failing_run_fails_the_same_way_again() {
    let hangs = Upstream::start(|_| std::future::pending()).await;
    let refused = format!("http://{}", refused_address());
    for (name, config, kind) in [
        ("trap", json!({}), "trap"),
        ("spin", json!({}), "cpu-limit"),
        ("grow", json!({}), "memory-limit"),
        ("sleep", json!({}), "timeout"),
        ("rewrite", json!({ "api_url": hangs.url() }), "timeout"),
        ("brittle", json!({ "api_url": refused }), "reported"),
        ("bad-output", json!({ "kind": "not-json" }), "bad-output"),
    ] {
        let desk = Desk::limited(&config, name);
        let recorded = desk.record(&guest(name), &[]).await;
        assert_eq!(recorded.code, 1, "{name}: {}", recorded.stderr);
        let recording: Value = serde_json::from_str(&desk.text("run.json")).unwrap();
        assert_eq!(recording["outcome"]["failure"]["kind"], kind, "{name}");
        plays_the_same(&desk, &recorded).await;
    }
}

#[tokio::test]
async fn a_component_that_asks_or_answers_otherwise_is_found_out() {
    let backend = backend().await;
    let desk =
        Desk::new(&json!({ "api_url": backend.url(), "status_url": format!("http://{}/", backend.address) }));
    desk.record(&adaptor("direct-api"), &[]).await;
    let other = |component: std::path::PathBuf| component.to_str().unwrap().to_owned();
    for (component, says_it) in [
        (guest("echo"), "reply: recorded \"forward\", now \"body\""),
        (guest("brittle"), "reply: recorded \"forward\", now \"relay\""),
        (example("custom-endpoint"), "1st request: recorded POST"),
        (guest("chance"), "1st draw of Seed random bytes: none is recorded"),
        (guest("trap"), "failure: recorded none, now trap in task"),
    ] {
        let played = desk.replay(&["--component", &other(component)]).await;
        assert_eq!(played.code, 1, "{says_it}: {}", played.stderr);
        says(&played, &["not the same as it was recorded", says_it]);
    }
    let told = desk.replay(&["--component", &other(example("custom-endpoint")), "--output", "json"]).await;
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert!(told["same"] == false && told["divergence"].as_str().unwrap().contains("1st request"), "{told}");
    let same = desk.replay(&["--component", &other(adaptor("direct-api"))]).await;
    assert_eq!(same.code, 0, "{}", same.stderr);
    // What is meant is taken over, and is what counts from then on. What asks for something else cannot be.
    let refused = desk.replay(&["--component", &other(guest("chance")), "--update"]).await;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let updated = desk.replay(&["--component", &other(guest("echo")), "--update"]).await;
    assert_eq!(updated.code, 0, "{}", updated.stderr);
    assert_eq!(desk.replay(&["--component", &other(guest("echo"))]).await.code, 0);
    assert_eq!(desk.replay(&["--component", &other(adaptor("direct-api"))]).await.code, 1);
}

#[tokio::test]
async fn a_recording_holds_no_credential_and_says_what_it_holds() {
    let backend = backend().await;
    let config = json!({ "api_url": backend.url(), "api_key_env_name": "BACKEND_KEY" });
    let desk = Desk::new(&config).env("BACKEND_KEY", "the-secret-of-this-test");
    for component in [adaptor("direct-api"), adaptor("direct-api-wasi"), guest("rewrite")] {
        let recorded = desk.record(&component, &["--stream", "--message", "the question"]).await;
        assert_eq!(recorded.code, 0, "{}", recorded.stderr);
        says(&recorded, &["run.json written", "holds no credentials", "what was asked"]);
        let text = desk.text("run.json");
        assert!(
            text.contains("the question") && text.contains("\"credential\":[\"authorization\"]"),
            "{text}"
        );
        assert!(!text.contains("the-secret"), "{text}");
    }
    assert!(
        backend.seen().iter().all(|seen| seen.headers["authorization"] == "Bearer the-secret-of-this-test")
    );
    // It is played without the variable, too.
    let other = Desk::new(&json!({}));
    other.put("run.json", desk.text("run.json"));
    assert_eq!(other.replay(&[]).await.code, 0);
}

#[tokio::test]
async fn a_recording_without_its_component_is_played_with_one_that_is_named() {
    let desk = Desk::new(&json!({}));
    let echo = guest("echo");
    let echo = echo.to_str().unwrap();
    let recorded = desk.adaptor(&["record", echo, "--to", "run.json"]).await;
    assert_eq!(recorded.code, 0, "{}", recorded.stderr);
    let missing = desk.replay(&[]).await;
    assert_eq!(missing.code, 1);
    says(&missing, &["does not hold the component echo", "--component"]);
    assert_eq!(desk.replay(&["--component", echo]).await.code, 0);
}

#[tokio::test]
async fn a_recording_that_was_cut_off_or_changed_is_told_from_a_good_one() {
    let backend = backend().await;
    let desk = Desk::new(&json!({ "api_url": backend.url() }));
    desk.record(&guest("rewrite"), &["--stream"]).await;
    let good = desk.text("run.json");
    assert_eq!(desk.replay(&[]).await.code, 0);
    let half = good.len() / 2;
    let component = good.find("\"base64\":\"AGFzbQ").unwrap() + "\"base64\":\"AGFzbQ0AAQ".len();
    let mut other = good.clone();
    other.replace_range(component..component + 2, "//");
    for (text, says_it) in [
        (good[..half].to_owned(), "run.json: the recording is damaged or cut off"),
        (
            good.replacen("\"airlock_recording\": 1", "\"airlock_recording\": 7", 1),
            "version 7, and this airlock reads",
        ),
        ("{}".into(), "run.json: it is no recording"),
        (String::new(), "run.json: it is no recording"),
        (other, "the component rewrite in the recording"),
        (good.replace("\\\"HI\\\"", "\\\"HO\\\""), "event 1: its body differs"),
        (good.replace("\\\"hi\\\"", "\\\"ho\\\""), "not the same as it was recorded"),
        (good.replace("\"status\":200", "\"status\":99"), "99 is no HTTP status"),
        (good.replacen("\"did\":\"chunk\"", "\"did\":\"log\"", 1), "damaged or cut off"),
        (good.replace("/v1/chat", "/v2/chat"), "1st request: recorded POST"),
    ] {
        desk.put("run.json", text);
        let done = desk.replay(&[]).await;
        assert_eq!(done.code, 1, "{says_it}: {}", done.stderr);
        says(&done, &[says_it]);
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    }
}
