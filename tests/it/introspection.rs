//! Tokens that a server is asked about (RFC 7662): what it is asked, what its answers mean, and how often it is asked.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use airlock::{
    auth::{AuthError, Caller},
    config::{IntrospectionSection, ServiceAccountSection, Settings},
};
use airlock_tests::{
    Authority, Body, Gate, GatewayBuilder, RawUpstream, Seen, TestGateway, Upstream, bytes, error,
    eventually, json, refused_address, unix_now, until, within,
};
use http::{HeaderMap, Response, header};
use serde_json::{Value, json};

const WHOAMI: &str = "/resource_server/whoami";

fn section(url: &str) -> IntrospectionSection {
    IntrospectionSection {
        url: url.into(),
        issuer: None,
        client_id_env_name: "ASK_ID".into(),
        client_secret_env_name: "ASK_SECRET".into(),
        audience: Vec::new(),
        required_scopes: Vec::new(),
        groups_claim: "groups".into(),
        domain_claims: vec!["email".into()],
    }
}

fn asking(url: &str) -> GatewayBuilder {
    let section = section(url);
    TestGateway::builder()
        .settings(|settings| settings.auth.introspection = Some(section))
        .env("ASK_ID", "air lock")
        .env("ASK_SECRET", "s:cret")
}

/// What is said of `ann`; further fields win.
fn active(further: &Value) -> Value {
    let mut answer = json!({
        "active": true, "sub": "ann-7", "username": "ann", "exp": unix_now() + 600, "client_id": "app",
        "email": "ann@anl.gov", "email_verified": true, "groups": ["physics"], "scope": "openid",
    });
    answer.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    answer
}

fn token_of(seen: &Seen) -> String {
    let form = url::form_urlencoded::parse(&seen.body);
    form.into_iter().find(|(name, _)| name == "token").unwrap().1.into_owned()
}

/// A server that knows every token that begins with `good`.
async fn server() -> Upstream {
    Upstream::start(|seen| async move {
        let is_good = token_of(&seen).starts_with("good");
        json(200, &if is_good { active(&json!({})) } else { json!({ "active": false }) })
    })
    .await
}

async fn get(gateway: &TestGateway, token: &str) -> reqwest::Response {
    within(gateway.anonymous("GET", WHOAMI).bearer_auth(token).send()).await.unwrap()
}

async fn status(gateway: &TestGateway, token: &str) -> u16 {
    get(gateway, token).await.status().as_u16()
}

/// What the gateway's doorkeeper says, without HTTP.
async fn verdict(gateway: &TestGateway, token: &str) -> Result<Caller, AuthError> {
    let value = format!("Bearer {token}").parse().unwrap();
    gateway.gateway.callers().authenticate(&HeaderMap::from_iter([(header::AUTHORIZATION, value)])).await
}

#[tokio::test]
async fn a_token_is_asked_about_once() {
    let server = server().await;
    let gateway = asking(&server.url()).start().await;
    let found: Value = get(&gateway, "good").await.json().await.unwrap();
    let expected = json!({
        "id": "ann-7", "name": "ann", "username": "ann", "user_group_uuids": ["physics"],
        "idp_id": server.url(), "idp_name": "", "auth_service": "oauth2",
    });
    assert_eq!(found, expected);
    assert_eq!(verdict(&gateway, "good").await.unwrap().domain.as_deref(), Some("anl.gov"));
    let asked = server.only();
    assert_eq!((asked.method.as_str(), asked.uri.path()), ("POST", "/v1"));
    assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
    // base64 of air+lock:s%3Acret
    assert_eq!(asked.headers["authorization"], "Basic YWlyK2xvY2s6cyUzQWNyZXQ=");
    assert_eq!(&*asked.body, b"token=good&token_type_hint=access_token");

    for _ in 0..3 {
        error(get(&gateway, "bad").await, 401, "invalid_api_key").await;
    }
    assert_eq!(server.seen().len(), 2, "a refusal is known too");
}

#[tokio::test]
async fn what_is_known_is_asked_again_when_its_time_is_over() {
    let server = server().await;
    let forgetful = |settings: &mut Settings| {
        settings.auth.keep_seconds = 0;
        settings.auth.keep_refused_seconds = 0;
    };
    let gateway = asking(&server.url()).settings(forgetful).start().await;
    for token in ["good", "good", "bad", "bad"] {
        status(&gateway, token).await;
    }
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_hundred_at_once_ask_once() {
    let (server, gate) = Upstream::gated(|_| json(200, &active(&json!({})))).await;
    let gateway = Arc::new(asking(&server.url()).start().await);
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { status(&gateway, "good").await })
        })
        .collect();
    eventually(|| gateway.gateway.connections().get() == 100 && !server.seen().is_empty()).await;
    gate.open();
    for asked in asking {
        assert_eq!(within(asked).await.unwrap(), 200);
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn who_leaves_takes_the_answer_from_nobody() {
    let (server, gate) = Upstream::gated(|_| json(200, &active(&json!({})))).await;
    let gateway = asking(&server.url()).start().await;
    let leaving = tokio::spawn(gateway.anonymous("GET", WHOAMI).bearer_auth("good").send());
    eventually(|| server.seen().len() == 1).await;
    leaving.abort();
    gate.open();
    until(async || status(&gateway, "good").await == 200).await;
    assert_eq!(server.seen().len(), 1);
}

/// A server that says this of every token.
async fn saying(answer: impl Fn() -> Response<Body> + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |_| {
        let answer = answer();
        async move { answer }
    })
    .await
}

#[tokio::test]
async fn what_an_answer_must_say() {
    let now = unix_now();
    let cases = [
        ("all is well", json!({ "aud": ["x", "airlock"], "scope": "a b" }), 200),
        ("inactive", json!({ "active": false, "aud": "airlock", "scope": "a b" }), 401),
        ("over", json!({ "exp": now - 70, "aud": "airlock", "scope": "a b" }), 401),
        ("not yet", json!({ "nbf": now + 70, "aud": "airlock", "scope": "a b" }), 401),
        ("an end that is none", json!({ "exp": "never", "aud": "airlock", "scope": "a b" }), 401),
        ("for others", json!({ "aud": "elsewhere", "scope": "a b" }), 401),
        ("for nobody", json!({ "scope": "a b" }), 401),
        ("for less", json!({ "aud": "airlock", "scope": "a" }), 401),
        ("of another issuer", json!({ "aud": "airlock", "scope": "a b", "iss": "https://b.org" }), 401),
        ("about nobody", json!({ "aud": "airlock", "scope": "a b", "sub": "", "client_id": "" }), 401),
        ("a program", json!({ "aud": "airlock", "scope": "a b", "sub": "app" }), 401),
        ("active in words", json!({ "active": "true" }), 503),
        ("active as a number", json!({ "active": 1 }), 503),
        ("active as nothing", json!({ "active": null }), 503),
    ];
    let mut wrong = Vec::new();
    for (what, further, expected) in cases {
        let server = saying(move || json(200, &active(&further))).await;
        let strict = |settings: &mut Settings| {
            let section = settings.auth.introspection.as_mut().unwrap();
            section.issuer = Some("https://a.org".into());
            section.audience = vec!["airlock".into()];
            section.required_scopes = vec!["a".into(), "b".into()];
        };
        let gateway = asking(&server.url()).settings(strict).start().await;
        let found = status(&gateway, "token").await;
        if found != expected {
            wrong.push((what, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn a_server_that_cannot_say_is_no_reason_to_refuse() {
    let elsewhere = server().await;
    let place = elsewhere.url();
    let redirect = move || {
        let mut answer = bytes(307, "text/plain", "");
        answer.headers_mut().insert("location", place.parse().unwrap());
        answer
    };
    let cut = RawUpstream::start(|stream| async move { drop(stream) }).await;
    let huge = format!("{{\"active\":true,\"sub\":\"a\",\"padding\":\"{}\"}}", "x".repeat(2 << 20));
    let servers = [
        ("fails", saying(|| json(500, &json!({}))).await),
        ("fails and says yes", saying(|| json(500, &active(&json!({})))).await),
        ("refuses the gateway", saying(|| json(401, &json!({ "error": "invalid_client" }))).await),
        ("sends elsewhere", saying(redirect).await),
        ("is no JSON", saying(|| bytes(200, "text/html", "<html>")).await),
        ("is a list", saying(|| json(200, &json!([true]))).await),
        ("says nothing", saying(|| json(200, &json!({}))).await),
        ("says too much", saying(move || bytes(200, "application/json", huge.clone())).await),
    ];
    let mut places: Vec<(&str, String)> = servers.iter().map(|(what, one)| (*what, one.url())).collect();
    places.push(("breaks off", cut.url()));
    places.push(("is not there", format!("http://{}/", refused_address())));
    for (what, url) in places {
        let gateway = asking(&url).start().await;
        let response = get(&gateway, "token").await;
        assert!(response.headers().contains_key("retry-after"), "{what}");
        assert_eq!(response.status(), 503, "{what}");
        error(response, 503, "auth_unavailable").await;
    }
    assert!(elsewhere.seen().is_empty(), "a token was taken elsewhere");
}

#[tokio::test]
async fn known_tokens_go_on_while_the_server_is_away_or_slow() {
    let (is_away, gate) = (Arc::new(AtomicBool::new(false)), Gate::new());
    let (away, held) = (Arc::clone(&is_away), gate.clone());
    let server = Upstream::start(move |seen| {
        let (away, held) = (away.load(Ordering::Acquire), held.clone());
        async move {
            match &*token_of(&seen) {
                "slow" => held.pass().await,
                _ if away => return json(503, &json!({})),
                _ => {}
            }
            json(200, &active(&json!({})))
        }
    })
    .await;
    let gateway = asking(&server.url()).settings(|s| s.auth.timeout_seconds = 1).start().await;
    assert_eq!(status(&gateway, "one").await, 200);
    assert_eq!(status(&gateway, "slow").await, 503, "nobody waits for ever");
    is_away.store(true, Ordering::Release);
    assert_eq!(status(&gateway, "one").await, 200);
    assert_eq!(status(&gateway, "two").await, 503);
    is_away.store(false, Ordering::Release);
    assert_eq!(status(&gateway, "two").await, 200, "an outage is not kept");
}

#[tokio::test]
async fn a_known_token_ends_when_it_says() {
    let end = unix_now() + 2;
    let server = saying(move || json(200, &active(&json!({ "exp": end })))).await;
    let gateway = asking(&server.url()).settings(|s| s.auth.clock_skew_seconds = 0).start().await;
    assert_eq!(status(&gateway, "token").await, 200);
    until(async || status(&gateway, "token").await == 401).await;
}

#[tokio::test]
async fn a_flood_of_tokens_takes_few_connections_and_nobodys_place() {
    let (gate, most) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let held = gate.clone();
    let server = Upstream::start(move |seen| {
        let held = held.clone();
        async move {
            let token = token_of(&seen);
            if !token.starts_with("good") {
                held.pass().await;
            }
            json(
                200,
                &if token.starts_with("good") { active(&json!({})) } else { json!({ "active": false }) },
            )
        }
    })
    .await;
    let gateway = Arc::new(asking(&server.url()).settings(|s| s.auth.keep_tokens = 16).start().await);
    assert!(verdict(&gateway, "good").await.is_ok());
    let flood: Vec<_> = (0..1500)
        .map(|n| {
            let (gateway, most) = (Arc::clone(&gateway), Arc::clone(&most));
            tokio::spawn(async move {
                let refused = verdict(&gateway, &format!("random-{n}")).await.unwrap_err();
                most.fetch_add(usize::from(refused == AuthError::Unavailable), Ordering::AcqRel);
            })
        })
        .collect();
    eventually(|| most.load(Ordering::Acquire) == 1500 - 1024 && server.seen().len() == 1 + 64).await;
    assert!(server.open_connections() <= 65, "{}", server.open_connections());
    assert!(verdict(&gateway, "good").await.is_ok());
    gate.open();
    for one in flood {
        within(one).await.unwrap();
    }
    assert!(verdict(&gateway, "good").await.is_ok());
    let asked = server.seen().iter().filter(|seen| token_of(seen) == "good").count();
    assert_eq!(asked, 1, "no flood pushes out who is known");
}

#[tokio::test]
async fn keys_are_shown_to_nobody_else() {
    let server = server().await;
    let gateway = asking(&server.url()).start().await;
    error(get(&gateway, "sk-airlock-goodgoodgood").await, 401, "invalid_api_key").await;
    assert_eq!(gateway.request("GET", WHOAMI).send().await.unwrap().status(), 200);
    assert!(server.seen().is_empty());
    for odd in ["good\u{1}", &"g".repeat(20_000)] {
        let value = http::HeaderValue::from_bytes(format!("Bearer {odd}").as_bytes());
        let Ok(value) = value else { continue };
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        assert!(gateway.gateway.callers().authenticate(&headers).await.is_err());
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_program_has_an_account_or_none() {
    let account = ServiceAccountSection {
        id: "app".into(),
        issuer: None,
        name: "nightly".into(),
        tenant: "default".into(),
        role: "user".into(),
        scopes: vec!["inference".into()],
        groups: Vec::new(),
    };
    let server = saying(|| json(200, &active(&json!({ "sub": "app" })))).await;
    let gateway = asking(&server.url()).settings(|s| s.auth.service_accounts = vec![account]).start().await;
    let caller = verdict(&gateway, "token").await.unwrap();
    assert_eq!((&*caller.name, &*caller.user), ("nightly", &*format!("{}#app", server.url())));
}

#[tokio::test]
async fn a_server_is_asked_by_tls_with_the_operators_authorities() {
    let authority = Authority::new();
    let server =
        Upstream::start_tls(&authority, &["h2", "http/1.1"], |_| async { json(200, &active(&json!({}))) })
            .await;
    let url = format!("https://localhost:{}/introspect", server.address.port());
    let stranger = asking(&url).start().await;
    assert_eq!(status(&stranger, "token").await, 503);
    assert!(server.seen().is_empty());
    let ca = authority.ca_file().to_owned();
    let gateway = asking(&url).settings(|s| s.egress.ca_file = Some(ca)).start().await;
    assert_eq!(status(&gateway, "token").await, 200);
}

#[tokio::test]
async fn a_variable_that_is_not_set_is_told_at_start() {
    let section = section("https://a.org/introspect");
    let builder = TestGateway::builder().settings(|settings| settings.auth.introspection = Some(section));
    let error = builder.env("ASK_ID", "x").try_start().await.err().unwrap();
    assert!(error.contains("client_secret_env_name") && error.contains("ASK_SECRET"), "{error}");
}
