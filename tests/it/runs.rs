//! `airlock adaptor run`: one task in the sandbox on this machine, and everything that the adaptor does.

use airlock_tests::{
    Desk, Finished, Upstream, adaptor, chunks, completion, example, guest, json as answer, refused_address,
    sse,
};
use serde_json::{Value, json};

const STREAM: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n";

/// A backend that answers whole, or with events where they are asked for.
async fn backend() -> Upstream {
    Upstream::start(|seen| async move {
        if seen.json()["stream"] == true { sse(chunks([STREAM])) } else { answer(200, &completion()) }
    })
    .await
}

fn desk(backend: &Upstream) -> Desk {
    Desk::new(&json!({ "api_url": backend.url() }))
}

fn says(done: &Finished, all: &[&str]) {
    for text in all {
        assert!(done.stderr.contains(text), "{text:?} is not in\n{}", done.stderr);
    }
}

#[tokio::test]
async fn every_kind_of_reply_is_given_as_a_client_gets_it_and_shown_with_all_that_led_to_it() {
    let backend = backend().await;
    let desk = desk(&backend);
    let url = format!("it sends POST {}/chat/completions", backend.url());
    let by_host = format!("the host sends POST {}/chat/completions", backend.url());
    for (component, stream, kind, sent) in [
        (adaptor("direct-api"), false, "reply: forward", by_host.as_str()),
        (adaptor("direct-api"), true, "reply: forward", &by_host),
        (guest("brittle"), false, "reply: relay", &url),
        (adaptor("direct-api-wasi"), true, "reply: relay", &url),
        (guest("echo"), false, "reply: body", "the instance is gone"),
        (guest("rewrite"), true, "reply: events", &url),
    ] {
        let more: &[&str] =
            if stream { &["--stream", "--message", "Hello"] } else { &["--message", "Hello"] };
        let done = desk.run(&component, more).await;
        let name = component.display();
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
        says(&done, &[kind, sent, "validate", "instance made in", "CPU", "memory", "wall time"]);
        match stream {
            true => assert!(done.stdout.ends_with("data: [DONE]\n\n\n"), "{name}: {}", done.stdout),
            false => assert!(serde_json::from_str::<Value>(&done.stdout).unwrap().is_object(), "{name}"),
        }
    }
    let streamed = desk.run(&guest("rewrite"), &["--stream"]).await;
    says(&streamed, &["event 1, ", "← 0: 200 after", "content-type: text/event-stream"]);
    assert!(streamed.stdout.contains("HI"), "{}", streamed.stdout);
    assert_eq!(backend.seen().last().unwrap().json()["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn a_credential_of_the_environment_is_added_and_shown_nowhere() {
    let backend = backend().await;
    let config = json!({ "api_url": backend.url(), "api_key_env_name": "BACKEND_KEY" });
    let desk = Desk::new(&config).env("BACKEND_KEY", "the-secret-of-this-test");
    for (component, form) in [
        ("direct-api", "table"),
        ("direct-api", "json"),
        ("direct-api-wasi", "table"),
        ("direct-api-wasi", "json"),
    ] {
        let done = desk.run(&adaptor(component), &["--output", form]).await;
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(!done.stderr.contains("the-secret") && !done.stdout.contains("the-secret"), "{done:?}");
        if form == "table" {
            says(&done, &["authorization: (added by the gateway)"]);
        }
    }
    let seen = backend.seen();
    assert!(
        seen.iter().all(|seen| seen.headers["authorization"] == "Bearer the-secret-of-this-test"),
        "{seen:?}"
    );
    let missing = Desk::new(&config).run(&adaptor("direct-api"), &[]).await;
    assert_eq!(missing.code, 1);
    says(&missing, &["config.json:1:", "the environment variable BACKEND_KEY is not set"]);
}

#[tokio::test]
async fn a_middleware_stands_in_front_of_the_direct_api_or_of_what_is_named() {
    let backend = backend().await;
    let desk = Desk::new(&json!({ "api_url": backend.url(), "system_prompt": "Be kind." }));
    let done = desk.run(&adaptor("system-prompt"), &["--message", "Hello"]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    says(&done, &["adaptor system-prompt", "adaptor direct-api", "the task's body is replaced", "Be kind."]);
    assert_eq!(backend.only().json()["messages"][0]["content"], "Be kind.");
    let echo = guest("echo");
    let done = desk.run(&adaptor("system-prompt"), &["--behind", echo.to_str().unwrap()]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    says(&done, &["adaptor echo", "reply: body"]);
    let wrong = desk.run(&guest("echo"), &["--behind", "direct-api"]).await;
    assert_eq!(wrong.code, 1);
    says(&wrong, &["it is no middleware", "put it last"]);
}

#[tokio::test]
async fn a_cluster_is_asked_for_its_jobs() {
    let desk = Desk::new(&json!({}));
    let done = desk.run(&adaptor("static-cluster"), &["--model", "m"]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    says(&done, &["get-jobs", "reply: jobs of the cluster"]);
    let jobs: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (&jobs["running"][0]["models"], &jobs["running"][0]["cluster"]),
        (&json!("m"), &json!("local"))
    );
    let trapped = desk.run(&guest("jobs-trap"), &["--cluster"]).await;
    assert_eq!(trapped.code, 1);
    says(&trapped, &["error: task: the adaptor trapped"]);
}

#[tokio::test]
async fn a_refused_host_is_named_with_what_would_grant_it() {
    let backend = backend().await;
    let origin = format!("http://{}", backend.address);
    let desk = Desk::new(&json!({}));
    let task = json!({ "requests": [{ "method": "POST", "url": format!("{origin}/"), "body": "{}" }] });
    desk.put("task.json", task.to_string());
    let refused = desk.run(&guest("requests"), &["--task", "task.json"]).await;
    assert_eq!(refused.code, 0, "the guest tells the refusal as an answer: {}", refused.stderr);
    let allowed = format!("\"allowed_hosts\": [\"{origin}\"]");
    says(&refused, &["is not among the endpoint's allowed hosts", &allowed, "ends in `_url`"]);
    assert!(backend.seen().is_empty());

    let granted = desk.run(&guest("requests"), &["--task", "task.json", "--allow", &origin]).await;
    assert_eq!(granted.code, 0, "{}", granted.stderr);
    assert!(granted.stdout.contains("200") && backend.seen().len() == 1, "{granted:?}");

    desk.put("config.json", json!({ "api_url": "https://user@host/" }).to_string());
    let wrong = desk.run(&guest("echo"), &[]).await;
    assert_eq!(wrong.code, 1);
    says(&wrong, &["config.json:1:", "holds a user name or password"]);
}

#[tokio::test]
async fn a_fault_says_which_and_why_and_what_to_do() {
    let hangs = Upstream::start(|_| std::future::pending()).await;
    let cases = [
        (
            "trap",
            json!({}),
            vec!["task: the adaptor trapped", "wasm backtrace", "(trap) return an `adaptor-error`"],
        ),
        ("trap", json!({ "panic": true }), vec!["the guest's secret last words", "the adaptor trapped"]),
        ("trap", json!({ "at": "validate" }), vec!["validate: the adaptor trapped"]),
        ("spin", json!({}), vec!["used up its CPU budget", "AIRLOCK_SANDBOX__CPU_MS"]),
        ("grow", json!({}), vec!["used up its memory budget", "AIRLOCK_SANDBOX__MEMORY_MIB"]),
        ("sleep", json!({}), vec!["did not reply in time", "AIRLOCK_SANDBOX__WALL_SECONDS"]),
        ("rewrite", json!({ "api_url": hangs.url() }), vec!["did not reply in time"]),
        (
            "bad-output",
            json!({ "kind": "not-json" }),
            vec!["its body is not one JSON object", "reply with one JSON"],
        ),
        (
            "brittle",
            json!({ "api_url": format!("http://{}", refused_address()) }),
            vec!["connection refused"],
        ),
    ];
    for (name, config, expected) in cases {
        let done = Desk::limited(&config, name).run(&guest(name), &[]).await;
        assert_eq!(done.code, 1, "{name} {config}: {}", done.stderr);
        says(&done, &expected);
    }
}

#[tokio::test]
async fn an_answer_of_the_backend_that_is_no_success_is_a_failure() {
    let backend = Upstream::start(|_| async { answer(503, &json!({ "error": "asleep" })) }).await;
    let done = desk(&backend).run(&adaptor("direct-api"), &[]).await;
    assert_eq!(done.code, 1);
    says(&done, &["error: the backend answered 503"]);
    assert!(done.stdout.contains("asleep"), "{}", done.stdout);
}

#[tokio::test]
async fn programs_get_the_same_as_one_document() {
    let backend = backend().await;
    let done = desk(&backend).run(&guest("rewrite"), &["--stream", "--output", "json"]).await;
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&report["success"], &report["outcome"]["reply"]), (&json!(true), &json!("events")));
    assert!(report["outcome"]["events"][0].as_str().unwrap().contains("HI"), "{report}");
    let did: Vec<&str> =
        report["steps"].as_array().unwrap().iter().map(|step| step["did"].as_str().unwrap()).collect();
    for step in ["call", "instance", "request", "head", "chunk", "reply", "event", "gone"] {
        assert!(did.contains(&step), "{step}: {did:?}");
    }
    assert!(report["used"]["cpu_us"].as_u64().unwrap() > 0, "{report}");
    assert!(report["used"]["peak_memory_bytes"].as_u64().unwrap() > 1 << 16, "{report}");
    assert_eq!(report["plan"]["limits"]["outbound_calls"], 16);
    let failed = desk(&backend).run(&guest("trap"), &["--output", "json"]).await;
    assert_eq!(failed.code, 1);
    let report: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!((&report["success"], &report["outcome"]["failure"]["kind"]), (&json!(false), &json!("trap")));
}

#[tokio::test]
async fn what_the_adaptor_keeps_logs_and_reports_is_shown() {
    let desk = Desk::new(
        &json!({ "script": [{ "op": "set", "key": "a", "value": "1" }, { "op": "get", "key": "a" }] }),
    );
    let kept = desk.run(&guest("kv"), &[]).await;
    says(&kept, &["key-value.set {\"key\":\"a\"", "key-value.get {\"key\":\"a\"} → \"1\""]);
    let logged = desk.run(&guest("logs"), &[]).await;
    says(&logged, &["log warn: a warn line", "log info: a line to standard error", r"control\r\ncharacters"]);
    assert!(!logged.stderr.contains('\u{1b}'), "a terminal would obey it");
    let reported = Desk::new(&json!({ "fail_at": 0 })).run(&guest("events"), &["--stream"]).await;
    assert_eq!(reported.code, 1);
    says(&reported, &["guest_failed", "what a client gets"]);
    let status = Upstream::json(json!("stopped")).await;
    let config = json!({ "api_url": status.url(), "status_url": status.url() });
    let stopped = Desk::new(&config).run(&example("custom-endpoint"), &[]).await;
    says(&stopped, &["503 model_not_running"]);
}

#[tokio::test]
async fn what_is_wrong_on_the_command_line_is_told() {
    let desk = Desk::new(&json!({}));
    desk.put("task.json", "[]");
    desk.put("module.wasm", b"\0asm\x01\0\0\0");
    let echo = guest("echo");
    let echo = echo.to_str().unwrap();
    for (arguments, says) in [
        (vec!["run", echo, "--task", "task.json"], "task.json: the task is not one JSON object"),
        (vec!["run", echo, "--task", "none.json"], "none.json: No such file"),
        (vec!["run", echo, "--config", "task.json"], "\"config\" must be an object"),
        (vec!["run", echo, "--operation", "chat"], "there is no operation \"chat\""),
        (vec!["run", echo, "--operation", "audio/transcriptions"], "takes a form"),
        (vec!["run", echo, "--operation", "embeddings", "--stream"], "has no streams"),
        (vec!["run", echo, "--allow", "ftp://host"], "--allow `ftp://host` is not"),
        (vec!["run", "module.wasm"], "module.wasm: this is a core WebAssembly module"),
        (vec!["run", "."], "adaptor.toml"),
        (vec!["record", echo], "--to <FILE>"),
    ] {
        let done = desk.adaptor(&arguments).await;
        assert_ne!(done.code, 0, "{arguments:?}");
        assert!(done.stderr.contains(says), "{arguments:?}: {}", done.stderr);
    }
}
