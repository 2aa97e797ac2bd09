//! Which addresses calls go to, whatever name led there: one look-up, every address checked, connected to what
//! was checked.

use std::sync::Arc;

use airlock_sandbox::{AddressPolicy, ConnectSettings, EgressError, Endpoint, Fault, Tenant, TenantLimits};
use airlock_tests::{Lab, Names, TestGateway, Upstream, adaptor, completion, error, guest};
use serde_json::json;

fn tenant(name: &str) -> Arc<Tenant> {
    Tenant::new(name, TenantLimits::default())
}

fn public() -> AddressPolicy {
    AddressPolicy::public(Vec::new())
}

fn loopback_allowed() -> AddressPolicy {
    AddressPolicy::public(vec!["127.0.0.0/8".parse().unwrap()])
}

fn lab(names: &Names) -> Lab {
    Lab::with(ConnectSettings { resolver: Arc::new(names.clone()), ..ConnectSettings::default() })
}

/// Every way out: forward, `upstream.send`, wasi:http.
async fn ways_out(lab: &Lab, url: &str, policy: &AddressPolicy) -> Vec<Arc<Endpoint>> {
    let mut endpoints = Vec::new();
    for component in [adaptor("direct-api"), guest("rewrite"), adaptor("direct-api-wasi")] {
        let config = json!({ "api_url": url });
        endpoints.push(lab.endpoint(&component, config, &tenant("t"), policy.clone()).await);
    }
    endpoints
}

/// Denied, by whatever way the guest was told so.
fn is_denied(fault: &Fault) -> bool {
    match fault {
        Fault::Egress(EgressError::Denied(_)) => true,
        Fault::Reported(error) => error.code == "egress_denied",
        _ => false,
    }
}

async fn assert_denied(lab: &Lab, url: &str, policy: &AddressPolicy) {
    for endpoint in ways_out(lab, url, policy).await {
        let fault = lab.chat(&endpoint).await.map(drop).unwrap_err();
        assert!(is_denied(&fault), "{url}: {fault}");
    }
}

#[tokio::test]
async fn names_that_lead_to_forbidden_addresses_are_refused_and_nobody_is_contacted() {
    let canary = Upstream::json(completion()).await;
    let port = canary.address.port();
    let forbidden = [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "192.168.1.1",
        "172.20.0.1",
        "100.64.0.1",
        "169.254.1.1",
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "224.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ];
    let mut names = Names::default();
    for (at, address) in forbidden.iter().enumerate() {
        names = names.with(&format!("n{at}.test"), &[&[address]]);
    }
    let lab = lab(&names);
    for at in 0..forbidden.len() {
        assert_denied(&lab, &format!("http://n{at}.test:{port}/v1"), &public()).await;
    }
    assert_eq!(canary.accepted_connections(), 0);
}

#[tokio::test]
async fn a_name_with_a_forbidden_address_among_good_ones_is_refused_as_a_whole() {
    let canary = Upstream::json(completion()).await;
    let url = format!("http://mixed.test:{}/v1", canary.address.port());
    let names = Names::default().with("mixed.test", &[&["1.1.1.1", "127.0.0.1"]]);
    assert_denied(&lab(&names), &url, &public()).await;
    assert_eq!(canary.accepted_connections(), 0);
}

/// The name is public when it is first asked and loopback ever after: one look-up serves check and connection.
#[tokio::test]
async fn a_name_that_changes_between_check_and_use_gains_nothing() {
    let canary = Upstream::json(completion()).await;
    let url = format!("http://rebind.test:{}/v1", canary.address.port());
    // Allowed is another loopback address, where nobody listens.
    let names = Names::default().with("rebind.test", &[&["127.9.9.9"], &["127.0.0.1"]]);
    let policy = AddressPolicy::public(vec!["127.9.9.9/32".parse().unwrap()]);
    let lab = lab(&names);
    let endpoint =
        lab.endpoint(&adaptor("direct-api"), json!({ "api_url": url }), &tenant("t"), policy).await;
    let fault = lab.chat(&endpoint).await.map(drop).unwrap_err();
    assert!(matches!(fault, Fault::Egress(EgressError::Unreachable(_))), "{fault}");
    assert_eq!(names.asked("rebind.test"), 1);
    let fault = lab.chat(&endpoint).await.map(drop).unwrap_err();
    assert!(is_denied(&fault), "{fault}");
    assert_eq!(canary.accepted_connections(), 0);
}

/// So that the tests above can fail: the same way leads to the backend where the operator allows it.
#[tokio::test]
async fn an_allowed_network_is_reached_under_the_name_that_was_asked_for() {
    let upstream = Upstream::json(completion()).await;
    let url = format!("http://good.test:{}/v1", upstream.address.port());
    let names = Names::default().with("good.test", &[&["127.0.0.1"]]);
    let lab = lab(&names);
    for endpoint in ways_out(&lab, &url, &loopback_allowed()).await {
        lab.chat(&endpoint).await.map(drop).unwrap();
    }
    for seen in upstream.seen() {
        assert_eq!(seen.headers["host"], format!("good.test:{}", upstream.address.port()));
    }
    assert_eq!(upstream.seen().len(), 3);
}

/// Spellings of 127.0.0.1, in the configuration itself.
#[tokio::test]
async fn literal_addresses_are_checked_in_every_spelling() {
    let canary = Upstream::json(completion()).await;
    let port = canary.address.port();
    let lab = lab(&Names::default());
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
    ] {
        let config = json!({ "api_url": format!("http://{host}:{port}/v1") });
        let endpoint = lab.endpoint(&adaptor("direct-api"), config, &tenant("t"), public()).await;
        let fault = lab.chat(&endpoint).await.map(drop).unwrap_err();
        assert!(is_denied(&fault), "{host}: {fault}");
    }
    assert_eq!(canary.accepted_connections(), 0);
}

#[tokio::test]
async fn operators_may_name_private_addresses_until_they_say_otherwise() {
    let upstream = Upstream::json(completion()).await;
    let config = json!({ "api_url": upstream.url() });
    let gateway = TestGateway::with("direct-api", config.clone()).await;
    assert_eq!(gateway.chat().send().await.unwrap().status(), 200);

    let strict = TestGateway::builder()
        .endpoint("m", "direct-api", config.clone())
        .settings(|s| s.egress.private_addresses = false)
        .start()
        .await;
    let told = error(strict.chat().send().await.unwrap(), 502, "egress_denied").await;
    assert!(told["message"].as_str().unwrap().contains("not public"), "{told}");

    let by_network = TestGateway::builder()
        .endpoint("m", "direct-api", config)
        .settings(|s| {
            s.egress.private_addresses = false;
            s.egress.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .start()
        .await;
    assert_eq!(by_network.chat().send().await.unwrap().status(), 200);
    assert_eq!(upstream.accepted_connections(), 2);
}

#[tokio::test]
async fn not_even_operators_reach_metadata_services() {
    // In every form: behind a translator that the operator has opened, an IPv4 address is written within an IPv6 one.
    for host in ["169.254.169.254", "[64:ff9b::a9fe:a9fe]"] {
        let networks = ["169.254.0.0/16", "64:ff9b::/96", "::ffff:0:0/96"];
        let gateway = TestGateway::builder()
            .endpoint("m", "direct-api", json!({ "api_url": format!("http://{host}/latest") }))
            .settings(|s| s.egress.allow_networks = networks.map(|n| n.parse().unwrap()).into())
            .start()
            .await;
        let told = error(gateway.chat().send().await.unwrap(), 502, "egress_denied").await;
        assert!(told["message"].as_str().unwrap().contains("metadata"), "{host}: {told}");
    }
}
