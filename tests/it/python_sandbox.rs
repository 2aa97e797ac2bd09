//! Adaptors in Python that fail, take too much, or ask for what the sandbox has not; and what Python can rely on there.

use airlock_tests::{TestGateway, error, events, log_has, log_of, logs, python_guest, stream_error, within};
use serde_json::{Value, json};

/// A gateway whose model `m` does this.
async fn trial(what: &str) -> Option<TestGateway> {
    Some(TestGateway::with(python_guest("trials")?, json!({ "do": what })).await)
}

/// What the trial gives.
async fn content(gateway: &TestGateway) -> Value {
    let response = within(gateway.chat().send()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.json::<Value>().await.unwrap()["content"].take()
}

#[tokio::test]
async fn an_exception_is_502_for_the_client_and_a_traceback_in_the_log() {
    logs();
    for (what, name) in [("fail", "KeyError"), ("leave", "SystemExit"), ("recurse", "RecursionError")] {
        let Some(gateway) = trial(what).await else { return };
        let id = format!("python-{what}");
        let response = within(gateway.chat().header("x-request-id", &id).send()).await.unwrap();
        let told = error(response, 502, "adaptor_failed").await;
        assert!(!told.to_string().contains("secret"), "{told}");
        let lines: Vec<String> = log_of(&id).iter().map(|line| line.message().to_owned()).collect();
        assert!(lines.contains(&format!("the adaptor raised {name}")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("trials.py")), "{lines:?}");
        gateway.idle().await;
    }
    assert!(log_has("KeyError: 'a secret of the adaptor'"));
}

#[tokio::test]
async fn an_exception_within_a_stream_ends_it_with_an_error_event() {
    let Some(gateway) = trial("fail").await else { return };
    let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
    assert_eq!(events(&text)[0], r#"{"n":0}"#);
    assert!(!stream_error(&text, "adaptor_failed").to_string().contains("secret"));
    gateway.idle().await;
}

#[tokio::test]
async fn a_module_that_is_imported_late_is_an_error_and_no_dead_instance() {
    logs();
    let Some(gateway) = trial("late").await else { return };
    let response = within(gateway.chat().header("x-request-id", "python-late").send()).await.unwrap();
    error(response, 502, "adaptor_failed").await;
    let lines = log_of("python-late");
    assert!(lines.iter().any(|line| line.message().contains("ModuleNotFoundError")), "{lines:?}");
    gateway.idle().await;
}

#[tokio::test]
async fn a_python_that_spins_or_hogs_is_stopped() {
    for (what, status, code) in [("spin", 504, "adaptor_cpu_limit"), ("hog", 502, "adaptor_memory_limit")] {
        let Some(gateway) = trial(what).await else { return };
        error(within(gateway.chat().send()).await.unwrap(), status, code).await;
        gateway.idle().await;
    }
    let Some(gateway) = trial("spin").await else { return };
    let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
    stream_error(&text, "adaptor_cpu_limit");
    gateway.idle().await;
}

#[tokio::test]
async fn two_requests_do_not_see_each_others_globals() {
    let Some(gateway) = trial("remember").await else { return };
    for user in ["one", "two"] {
        let mut body = airlock_tests::chat_body(false);
        body["user"] = json!(user);
        let response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
        assert_eq!(response.json::<Value>().await.unwrap()["content"], json!([user]));
    }
}

#[tokio::test]
async fn clocks_and_chance_work_and_differ_from_request_to_request() {
    let Some(gateway) = trial("chance").await else { return };
    let (one, two) = (content(&gateway).await, content(&gateway).await);
    for at in 0..5 {
        assert_ne!(one[at], two[at], "{one} {two}");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - two[0].as_f64().unwrap()).abs() < 60.0, "{two}");
}

#[tokio::test]
async fn asyncio_sleeps_gathers_and_times_out() {
    let Some(gateway) = trial("wait").await else { return };
    assert_eq!(content(&gateway).await, json!([1, 2, "late", true]));
}

#[tokio::test]
async fn there_are_no_files_no_sockets_no_environment_and_no_way_past_the_grant() {
    let Some(gateway) = trial("doors").await else { return };
    let told = content(&gateway).await;
    let told: Vec<&str> = told.as_array().unwrap().iter().map(|each| each.as_str().unwrap()).collect();
    assert_eq!(told[2..], ["{}", "AdaptorError"], "{told:?}");
    for door in &told[..2] {
        assert!(door.ends_with("Error"), "{told:?}");
    }
}

#[tokio::test]
async fn the_cache_outlives_the_instance_and_refuses_what_is_too_large() {
    let Some(gateway) = trial("keep").await else { return };
    assert_eq!(content(&gateway).await, json!([null, false]));
    assert_eq!(content(&gateway).await, json!([{ "times": 1 }, false]));
}

#[tokio::test]
async fn an_adaptor_is_told_of_its_task() {
    let Some(gateway) = trial("told").await else { return };
    let response = within(gateway.chat().header("x-request-id", "python-told").send()).await.unwrap();
    let told = response.json::<Value>().await.unwrap()["content"].take();
    for (at, what) in ["python-told", "chat/completions", "m"].into_iter().enumerate() {
        assert_eq!(told[at], what, "{told}");
    }
}
