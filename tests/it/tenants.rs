//! What one tenant's calls use up or leave behind is never another's.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use airlock_sandbox::{
    AddressPolicy, Answer, ConnectSettings, EgressError, Fault, Tenant, TenantLimits, UpstreamResponse,
};
use airlock_tests::{
    Authority, Gate, Lab, Names, RawUpstream, Upstream, adaptor, completion, eventually, guest, json, within,
};
use http_body_util::BodyExt as _;
use rustls::HandshakeKind;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn tenant(name: &str, limits: TenantLimits) -> Arc<Tenant> {
    Tenant::new(name, limits)
}

fn private() -> AddressPolicy {
    AddressPolicy::with_private(Vec::new())
}

fn response(answer: Result<Answer, Fault>) -> UpstreamResponse {
    match answer.map_err(|fault| fault.to_string()) {
        Ok(Answer::Upstream(response)) => response,
        Ok(_) => panic!("another kind of answer"),
        Err(fault) => panic!("{fault}"),
    }
}

async fn text(answer: Result<Answer, Fault>) -> String {
    let bytes = response(answer).body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A backend that binds a session to the connection: it tells each request which connection it came by.
async fn connection_bound() -> RawUpstream {
    let connections = Arc::new(AtomicUsize::new(0));
    RawUpstream::start(move |mut stream| {
        let number = connections.fetch_add(1, Ordering::Relaxed);
        async move {
            let mut request = vec![0; 16 << 10];
            while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                let body = format!("{{\"session\":{number}}}");
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_bound_session_is_never_shared_by_two_tenants() {
    let upstream = connection_bound().await;
    let lab = Lab::new();
    let config = json!({ "api_url": upstream.url() });
    for component in [adaptor("direct-api"), guest("rewrite"), adaptor("direct-api-wasi")] {
        let (a, b) = (tenant("a", TenantLimits::default()), tenant("b", TenantLimits::default()));
        let a = lab.endpoint(&component, config.clone(), &a, private()).await;
        let b = lab.endpoint(&component, config.clone(), &b, private()).await;
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            of_a.push(text(lab.chat(&a).await).await);
            of_b.push(text(lab.chat(&b).await).await);
        }
        // Each goes on with its own connection, so that sharing one would show.
        assert!(of_a.iter().all(|session| *session == of_a[0]), "{of_a:?}");
        assert!(of_b.iter().all(|session| *session == of_b[0]), "{of_b:?}");
        assert_ne!(of_a[0], of_b[0]);
    }
}

#[tokio::test]
async fn tls_sessions_are_resumed_by_their_own_tenant_only() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["http/1.1"]);
    let kinds: Arc<Mutex<Vec<HandshakeKind>>> = Arc::default();
    let seen = Arc::clone(&kinds);
    let upstream = RawUpstream::start(move |stream| {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            seen.lock().unwrap().push(stream.get_ref().1.handshake_kind().unwrap());
            let mut request = vec![0; 16 << 10];
            let _ = stream.read(&mut request).await;
            let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    let lab = Lab::with(ConnectSettings {
        ca_file: Some(authority.ca_file().to_owned()),
        resolver: Arc::new(Names::default().with("localhost", &[&["127.0.0.1"]])),
        ..ConnectSettings::default()
    });
    let config = json!({ "api_url": format!("https://localhost:{}/v1", upstream.address.port()) });
    let (a, b) = (tenant("a", TenantLimits::default()), tenant("b", TenantLimits::default()));
    let a = lab.endpoint(&adaptor("direct-api"), config.clone(), &a, private()).await;
    let b = lab.endpoint(&adaptor("direct-api"), config, &b, private()).await;
    for endpoint in [&a, &a, &b, &b] {
        assert_eq!(text(lab.chat(endpoint).await).await, "{}");
    }
    let (full, resumed) = (HandshakeKind::Full, HandshakeKind::Resumed);
    assert_eq!(*kinds.lock().unwrap(), [full, resumed, full, resumed]);
}

/// A backend that answers when the gate is open.
async fn gated(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |_| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            json(200, &completion())
        }
    })
    .await
}

#[tokio::test]
async fn a_tenant_that_has_all_its_calls_open_is_told_to_wait_and_others_are_not() {
    let gate = Gate::new();
    let upstream = gated(&gate).await;
    let lab = Arc::new(Lab::with(ConnectSettings { max_open: 3, ..ConnectSettings::default() }));
    let limits = TenantLimits { outbound_calls: 2, ..TenantLimits::default() };
    let config = json!({ "api_url": upstream.url() });
    let busy = lab.endpoint(&adaptor("direct-api"), config.clone(), &tenant("a", limits), private()).await;
    let other = tenant("b", TenantLimits::default());
    let other = lab.endpoint(&adaptor("direct-api"), config, &other, private()).await;
    let start = |endpoint: &Arc<airlock_sandbox::Endpoint>| {
        let (lab, endpoint) = (Arc::clone(&lab), Arc::clone(endpoint));
        tokio::spawn(async move { text(lab.chat(&endpoint).await).await })
    };
    let mut open = vec![start(&busy), start(&busy)];
    eventually(|| lab.connector.open_calls() == 2).await;
    let is_busy = |fault: &Fault| matches!(fault, Fault::Egress(EgressError::Busy(_)));
    let fault = lab.chat(&busy).await.map(drop).unwrap_err();
    assert!(is_busy(&fault), "{fault}");

    open.push(start(&other)); // the third and last of all
    eventually(|| lab.connector.open_calls() == 3).await;
    let fault = lab.chat(&other).await.map(drop).unwrap_err();
    assert!(is_busy(&fault), "{fault}");

    gate.open();
    for call in open {
        assert!(within(call).await.unwrap().contains("chat.completion"));
    }
    assert_eq!(lab.connector.open_calls(), 0);
    text(lab.chat(&busy).await).await;
}

#[tokio::test]
async fn a_call_stays_open_until_its_response_was_read_or_dropped() {
    let (upstream, feed) = Upstream::fed().await;
    let lab = Lab::new();
    let limits = TenantLimits { outbound_calls: 1, ..TenantLimits::default() };
    let config = json!({ "api_url": upstream.url() });
    let endpoint = lab.endpoint(&adaptor("direct-api"), config, &tenant("a", limits), private()).await;
    let open = response(lab.chat(&endpoint).await);
    feed.send("data: {}\n\n");
    assert_eq!(lab.connector.open_calls(), 1);
    drop(open);
    assert_eq!(lab.connector.open_calls(), 0);
    within(feed.closed()).await;
}

#[tokio::test]
async fn a_tenant_that_has_all_its_instances_is_told_to_wait_and_others_are_not() {
    let lab = Arc::new(Lab::new());
    let limits = TenantLimits { instances: 1, ..TenantLimits::default() };
    let a = lab.endpoint(&guest("sleep"), json!({}), &tenant("a", limits), private()).await;
    let b = tenant("b", TenantLimits::default());
    let b = lab.endpoint(&guest("echo"), json!({}), &b, private()).await;
    let sleeping = {
        let (lab, a) = (Arc::clone(&lab), Arc::clone(&a));
        tokio::spawn(async move { lab.chat(&a).await.map(drop) })
    };
    eventually(|| lab.sandbox.live_instances() == 1).await;
    let fault = within(lab.chat(&a)).await.map(drop).unwrap_err();
    assert!(matches!(fault, Fault::Overloaded { limit: 1, .. }), "{fault}");
    assert!(matches!(lab.chat(&b).await, Ok(Answer::Body(_))));
    sleeping.abort();
    eventually(|| lab.sandbox.live_instances() == 0).await;
}
