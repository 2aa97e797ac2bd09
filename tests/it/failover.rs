//! Endpoints that fail: another one is asked, they rest, they come back, and no shortage is made worse.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use airlock_tests::{
    Body, TestGateway, Upstream, completion, error, eventually, guest, json, stream_error, until, within,
};
use http::Response;
use serde_json::json;

use super::routing::{chat, moody, ok, over};

/// Every failure that comes before the client has a byte, and that another endpoint may not have.
#[tokio::test]
async fn another_one_is_asked_where_one_fails() {
    type Answer = fn() -> Response<Body>;
    let broken: [Answer; 8] = [
        || json(500, &json!({})),
        || json(504, &json!({})),
        || json(529, &json!({})),
        || json(401, &json!({})),
        || json(403, &json!({})),
        || json(200, &json!({ "error": { "message": "overloaded", "code": 503 } })),
        || airlock_tests::bytes(200, "application/json", "{\"choices\": ["),
        || airlock_tests::bytes(200, "text/html", "<html>"),
    ];
    for (at, answer) in broken.into_iter().enumerate() {
        let bad = Upstream::start(move |_| async move { answer() }).await;
        let good = Upstream::json(completion()).await;
        let gateway = over(&[&bad, &good]).start().await;
        for _ in 0..2 {
            ok(chat(&gateway)).await;
        }
        assert_eq!((bad.seen().len(), good.seen().len()), (1, 2), "{at}");
    }
}

/// A backend that takes the request and closes the connection, or says nothing at all.
#[tokio::test]
async fn another_one_is_asked_where_one_breaks_off_or_is_silent() {
    for is_silent in [false, true] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.readable().await.unwrap();
                kept.extend(is_silent.then_some(stream));
            }
        });
        let good = Upstream::json(completion()).await;
        let gateway = TestGateway::builder()
            .endpoint("one", "direct-api", json!({ "api_url": url }))
            .endpoint("two", "direct-api", json!({ "api_url": good.url() }))
            .federated("big", &["one", "two"])
            .settings(|s| s.egress.head_seconds = 1)
            .start()
            .await;
        for _ in 0..2 {
            ok(chat(&gateway)).await;
        }
        assert_eq!(good.seen().len(), 2, "silent: {is_silent}");
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_rests_and_one_request_finds_out_whether_it_is_back() {
    let (moody, status) = moody(500).await;
    let good = Upstream::json(completion()).await;
    let gateway = over(&[&moody, &good]).settings(|s| s.routing.rest_seconds = 1).start().await;
    for _ in 0..20 {
        ok(chat(&gateway)).await;
        if moody.seen().len() == 3 {
            break;
        }
    }
    assert_eq!(moody.seen().len(), 3, "three failures in a row");
    let before = good.seen().len();
    for _ in 0..4 {
        ok(chat(&gateway)).await;
    }
    assert_eq!((moody.seen().len(), good.seen().len()), (3, before + 4), "it rests");
    let operator = gateway.person("default", airlock::auth::Role::Operator).await;
    let route = operator.read("/tenants/default/routes/big").await;
    assert!(route["endpoints"][0]["rests_seconds"].as_f64().is_some(), "{route}");
    assert_eq!(
        (&route["endpoints"][1]["rests_seconds"], &route["endpoints"][1]["weight"]),
        (&json!(null), &json!(1))
    );
    // One request of a client finds out that it is not back yet, and is answered all the same.
    until(async || {
        ok(chat(&gateway)).await;
        moody.seen().len() == 4
    })
    .await;
    ok(chat(&gateway)).await;
    assert_eq!(moody.seen().len(), 4, "it rests again");
    status.store(200, Ordering::Release);
    until(async || {
        ok(chat(&gateway)).await;
        moody.seen().len() == 5
    })
    .await;
    let before = moody.seen().len() + good.seen().len();
    for _ in 0..4 {
        ok(chat(&gateway)).await;
    }
    assert_eq!(moody.seen().len(), 7, "it has its share again, of {before} and 4");
}

/// Better one that failed lately than none.
#[tokio::test]
async fn where_all_rest_they_are_asked_all_the_same() {
    let (one, status) = moody(500).await;
    let (two, other) = moody(500).await;
    let gateway = over(&[&one, &two]).settings(|s| s.routing.rest_seconds = 60).start().await;
    for _ in 0..6 {
        error(chat(&gateway).send().await.unwrap(), 500, "c").await;
    }
    status.store(200, Ordering::Release);
    other.store(200, Ordering::Release);
    ok(chat(&gateway)).await;
}

#[tokio::test]
async fn an_endpoint_that_says_how_long_rests_for_so_long_and_no_longer_than_settings_let_it() {
    let busy = Upstream::start(|_| async {
        let mut response = json(429, &json!({ "error": { "message": "m", "code": "c" } }));
        response.headers_mut().insert("retry-after", "3000".parse().unwrap());
        response
    })
    .await;
    let good = Upstream::json(completion()).await;
    let gateway = over(&[&busy, &good])
        .settings(|s| {
            s.routing.rest_seconds = 1;
            s.routing.longest_rest_seconds = 1;
        })
        .start()
        .await;
    ok(chat(&gateway)).await;
    for _ in 0..4 {
        ok(chat(&gateway)).await;
    }
    assert_eq!(busy.seen().len(), 1, "it was asked once, and said when to come again");
    until(async || {
        ok(chat(&gateway)).await;
        busy.seen().len() > 1
    })
    .await;
}

/// A brown-out is not made worse: what may be asked again elsewhere is a part of what is asked.
#[tokio::test]
async fn retries_have_a_budget() {
    let (one, _) = moody(500).await;
    let (two, _) = moody(500).await;
    let gateway = over(&[&one, &two])
        .settings(|s| {
            s.routing.failures = 1_000_000;
            s.routing.retry_burst = 3;
            s.routing.retry_ratio = 0.0;
        })
        .start()
        .await;
    for _ in 0..20 {
        error(chat(&gateway).send().await.unwrap(), 500, "c").await;
    }
    assert_eq!(one.seen().len() + two.seen().len(), 20 + 6, "three from each endpoint's budget");
}

/// One of four backends dies in the middle of requests and comes back: no client notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_killed_and_restored_under_load_costs_no_client_an_error() {
    let mut backends = Vec::new();
    for _ in 0..4 {
        backends.push(Instance::start(None).await);
    }
    let names = ["m0", "m1", "m2", "m3"];
    let builder = backends.iter().zip(names).fold(TestGateway::builder(), |builder, (backend, name)| {
        builder.endpoint(name, "direct-api", json!({ "api_url": backend.url() }))
    });
    let gateway = builder.federated("big", &names).settings(|s| s.routing.rest_seconds = 1).start().await;
    let gateway = Arc::new(gateway);
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (gateway, is_over) = (Arc::clone(&gateway), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut done = 0;
                while !is_over.load(Ordering::Acquire) {
                    ok(chat(&gateway)).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    eventually(|| backends.iter().all(|backend| backend.served() > 50)).await;
    let address = backends[0].address;
    backends[0].kill().await;
    let others = backends[1].served();
    eventually(|| backends[1].served() > others + 100).await;
    backends[0] = Instance::start(Some(address)).await;
    eventually(|| backends[0].served() > 50).await;
    is_over.store(true, Ordering::Release);
    let mut done = 0;
    for client in clients {
        done += within(client).await.expect("no client has got an error");
    }
    assert!(done > 400, "{done}");
}

/// A backend that can be killed with all its connections, and started again on the same port.
struct Instance {
    address: std::net::SocketAddr,
    served: Arc<AtomicUsize>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Instance {
    async fn start(address: Option<std::net::SocketAddr>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let served = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&served);
        let app = axum::Router::new().fallback(move || {
            count.fetch_add(1, Ordering::AcqRel);
            async {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                axum::Json(completion())
            }
        });
        let (tell, told) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(address.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap())).unwrap();
            let listener = socket.listen(64).unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        Self { address: told.await.unwrap(), served, runtime: Some(runtime) }
    }

    fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::Acquire)
    }

    /// Ends it with all that it has open.
    async fn kill(&mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(std::time::Duration::from_secs(5)))
            .await
            .unwrap();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An adaptor's fault is told as before where there is nobody else to ask.
#[tokio::test]
async fn a_single_endpoint_is_asked_however_often_it_fails() {
    let (moody, status) = moody(500).await;
    let gateway = over(&[&moody]).start().await;
    for _ in 0..6 {
        error(chat(&gateway).send().await.unwrap(), 500, "c").await;
    }
    assert_eq!(moody.seen().len(), 6);
    status.store(200, Ordering::Release);
    ok(chat(&gateway)).await;

    let trapping = TestGateway::with(guest("trap"), json!({})).await;
    for _ in 0..4 {
        error(trapping.chat().send().await.unwrap(), 502, "adaptor_trap").await;
    }
}

/// Its head was good, and its end was not.
#[tokio::test]
async fn an_endpoint_whose_streams_break_off_rests_too() {
    let breaking =
        Upstream::start(|_| async { airlock_tests::sse(airlock_tests::chunks(["data: {}\n\n"])) }).await;
    let good =
        Upstream::start(|_| async { airlock_tests::sse(airlock_tests::chunks(["data: [DONE]\n\n"])) }).await;
    let gateway = over(&[&breaking, &good]).settings(|s| s.routing.rest_seconds = 60).start().await;
    let body = json!({ "model": "big", "stream": true, "messages": [{ "role": "user", "content": "hi" }] });
    for done in 1..=20 {
        let text = gateway.post("/v1/chat/completions", &body).send().await.unwrap().text().await.unwrap();
        if !text.contains("[DONE]") {
            stream_error(&text, "upstream_bad_response");
        }
        gateway.ledger.nth(done).await;
    }
    assert_eq!((breaking.seen().len(), good.seen().len()), (3, 17));
}

/// A backend that tells of an error is there, and one client's errors are no reason to rest.
#[tokio::test]
async fn errors_that_are_told_in_streams_make_nobody_rest() {
    let telling = Upstream::start(|_| async {
        let error = r#"data: {"error":{"message":"no","code":400}}"#;
        airlock_tests::sse(airlock_tests::chunks([format!("data: {{}}\n\n{error}\n\n")]))
    })
    .await;
    let good =
        Upstream::start(|_| async { airlock_tests::sse(airlock_tests::chunks(["data: [DONE]\n\n"])) }).await;
    let gateway = over(&[&telling, &good]).settings(|s| s.routing.rest_seconds = 60).start().await;
    let body = json!({ "model": "big", "stream": true, "messages": [{ "role": "user", "content": "hi" }] });
    for done in 1..=12 {
        gateway.post("/v1/chat/completions", &body).send().await.unwrap().text().await.unwrap();
        gateway.ledger.nth(done).await;
    }
    assert_eq!((telling.seen().len(), good.seen().len()), (6, 6));
}

/// What was learned of an endpoint belongs to it as long as it is the same, wherever it stands.
#[tokio::test]
async fn a_rest_outlives_a_file_that_is_read_again() {
    let (failing, _) = moody(500).await;
    let good = Upstream::json(completion()).await;
    let gateway = over(&[&failing, &good]).settings(|s| s.routing.rest_seconds = 60).start().await;
    for done in 1..=8 {
        ok(chat(&gateway)).await;
        gateway.ledger.nth(done).await;
    }
    assert_eq!(failing.seen().len(), 3);
    let settings = (*gateway.gateway.settings()).clone();
    let file = settings.fixtures.join("endpoints.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("\n\n\n{text}")).unwrap();
    gateway.gateway.reload(settings.clone()).await.unwrap();
    for _ in 0..4 {
        ok(chat(&gateway)).await;
    }
    assert_eq!(failing.seen().len(), 3, "it rests as before");
    std::fs::write(&file, text.replace("/v1", "/v1/")).unwrap();
    gateway.gateway.reload(settings).await.unwrap();
    for _ in 0..4 {
        ok(chat(&gateway)).await;
    }
    assert!(failing.seen().len() > 3, "another address may be a better one");
}

/// What one request asks for may be too much; that says nothing about others.
#[tokio::test]
async fn an_answer_beyond_the_gateways_bounds_makes_nobody_rest() {
    let talking = Upstream::start(|_| async {
        let event = format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(600));
        airlock_tests::sse(airlock_tests::chunks([event.clone(), event.clone(), event]))
    })
    .await;
    let good =
        Upstream::start(|_| async { airlock_tests::sse(airlock_tests::chunks(["data: [DONE]\n\n"])) }).await;
    let builder = over(&[&talking, &good]).settings(|s| {
        s.routing.rest_seconds = 60;
        s.max_stream_bytes = 1024;
    });
    let gateway = builder.start().await;
    let body = json!({ "model": "big", "stream": true, "messages": [{ "role": "user", "content": "hi" }] });
    for done in 1..=12 {
        let text = gateway.post("/v1/chat/completions", &body).send().await.unwrap().text().await.unwrap();
        assert!(text.contains("[DONE]") || text.contains("response_too_large"), "{text}");
        gateway.ledger.nth(done).await;
    }
    assert_eq!((talking.seen().len(), good.seen().len()), (6, 6));
}
