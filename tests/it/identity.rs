//! Tokens of issuers of JWTs: who counts as whom, who does not count at all, and what happens while an issuer is away.

use std::sync::Arc;

use airlock::config::{RightsSection, ServiceAccountSection, Settings};
use airlock_tests::{
    AUDIENCE, Body, FakeIssuer, GatewayBuilder, Seen, SigningKey, TestGateway, Upstream, bytes, completion,
    error, guest, json, log_has, logs, unix_now, unsigned, until, within,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use http::Response;
use serde_json::{Value, json};
use sha2::Sha256;

const WHOAMI: &str = "/resource_server/whoami";

fn trusting(issuers: &[&FakeIssuer]) -> GatewayBuilder {
    TestGateway::builder().settings(|settings| {
        settings.auth.oidc = issuers.iter().map(|issuer| issuer.section()).collect();
    })
}

/// One issuer with one key, and a gateway that trusts it.
async fn one(change: impl FnOnce(&mut Settings)) -> (SigningKey, FakeIssuer, TestGateway) {
    let key = SigningKey::new("k1");
    let issuer = FakeIssuer::start(&[&key]).await;
    let gateway = trusting(&[&issuer]).settings(change).start().await;
    (key, issuer, gateway)
}

async fn get(gateway: &TestGateway, path: &str, token: &str) -> reqwest::Response {
    within(gateway.anonymous("GET", path).bearer_auth(token).send()).await.unwrap()
}

async fn whoami(gateway: &TestGateway, token: &str) -> Value {
    let response = get(gateway, WHOAMI, token).await;
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    response.json().await.unwrap()
}

async fn status(gateway: &TestGateway, token: &str) -> u16 {
    get(gateway, WHOAMI, token).await.status().as_u16()
}

async fn models(gateway: &TestGateway, token: &str) -> Vec<String> {
    let list: Value = get(gateway, "/v1/models", token).await.json().await.unwrap();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_token_says_who_calls() {
    let (key, issuer, gateway) = one(|_| {}).await;
    let found = whoami(&gateway, &key.token(&issuer.claims(json!({})))).await;
    let expected = json!({
        "id": "ann-7", "name": "Ann Other", "username": "ann", "user_group_uuids": ["physics"],
        "idp_id": issuer.url(), "idp_name": "127.0.0.1", "auth_service": "oidc",
    });
    assert_eq!(found, expected);
    let nameless = json!({ "preferred_username": null, "email": null, "name": null, "groups": null });
    let found = whoami(&gateway, &key.token(&issuer.claims(nameless))).await;
    assert_eq!((&found["name"], &found["user_group_uuids"]), (&json!("ann-7"), &json!([])));
    let keys: Value = gateway.request("GET", WHOAMI).send().await.unwrap().json().await.unwrap();
    assert_eq!((&keys["auth_service"], &keys["idp_id"]), (&json!("airlock"), &json!("")));
}

#[tokio::test]
async fn groups_and_domains_open_what_they_are_for() {
    let key = SigningKey::new("k1");
    let issuer = FakeIssuer::start(&[&key]).await;
    let echo = || guest("echo");
    let builder = || {
        trusting(&[&issuer])
            .endpoint("all", echo(), json!({}))
            .endpoint("physics", echo(), json!({}))
            .fields(json!({ "allowed_globus_groups": ["physics"] }))
            .endpoint("anl", echo(), json!({}))
            .fields(json!({ "allowed_domains": ["ANL.gov"] }))
            .endpoint("both", echo(), json!({}))
            .fields(json!({ "allowed_groups": ["physics"], "allowed_domains": ["anl.gov"] }))
    };
    let gateway = builder().start().await;
    let person = |groups: Value, verified: bool| {
        key.token(&issuer.claims(json!({ "groups": groups, "email_verified": verified })))
    };
    for (token, expected) in [
        (person(json!(["physics"]), true), &["all", "anl", "both", "physics"][..]),
        (person(json!(["physics"]), false), &["all", "physics"]),
        (person(json!(["Physics"]), true), &["all", "anl"]),
        (gateway.key.clone(), &["all"]),
    ] {
        assert_eq!(models(&gateway, &token).await, expected);
        let ask = gateway.anonymous("POST", "/v1/chat/completions").bearer_auth(&token);
        let body = json!({ "model": "both", "messages": [{ "role": "user", "content": "hi" }] });
        let answer = within(ask.json(&body).send()).await.unwrap().status();
        assert_eq!(answer, if expected.contains(&"both") { 200 } else { 404 });
    }

    for field in ["allowed_globus_groups", "allowed_groups"] {
        let rules = json!({ field: ["physics"], "allowed_domains": ["anl.gov"] });
        let gateway = builder().cluster(rules).start().await;
        assert_eq!(models(&gateway, &person(json!(["physics"]), true)).await.len(), 4);
        assert!(models(&gateway, &person(json!(["other"]), true)).await.is_empty());
        assert!(models(&gateway, &person(json!(["physics"]), false)).await.is_empty());
        assert!(models(&gateway, &gateway.key).await.is_empty());
    }
}

#[tokio::test]
async fn what_does_not_count_is_refused() {
    let (key, issuer, gateway) = one(|_| {}).await;
    let thief = SigningKey::new("k1");
    let liar = FakeIssuer::start(&[&thief]).await;
    let (now, good) = (unix_now(), issuer.claims(json!({})));
    let with = |further: Value| key.token(&issuer.claims(further));
    let header = |further: Value| {
        let mut header = json!({ "alg": "ES256", "kid": "k1" });
        header.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        header
    };
    let hs256 = |secret: &[u8]| {
        let signed = unsigned(&header(json!({ "alg": "HS256" })), &good);
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    };
    let token = key.token(&good);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let jku = format!("{}/jwks", liar.url());
    let bad = [
        ("alg none", format!("{}.", unsigned(&header(json!({ "alg": "none" })), &good))),
        ("alg None", format!("{}.", unsigned(&header(json!({ "alg": "None" })), &good))),
        ("none with a signature", key.sign(&header(json!({ "alg": "none" })), &good)),
        ("HS256 with the public key", hs256(key.public().to_string().as_bytes())),
        ("HS256 with the point", hs256(key.point())),
        ("HS256 with nothing", hs256(b"")),
        ("RS256 with a key for ES256", key.sign(&header(json!({ "alg": "RS256" })), &good)),
        ("no signature", format!("{head}.")),
        ("half a signature", format!("{head}.{}", &signature[..40])),
        ("another audience", with(json!({ "aud": "elsewhere" }))),
        ("audiences of others", with(json!({ "aud": ["elsewhere", "airlock2"] }))),
        ("no audience", with(json!({ "aud": null }))),
        ("an issuer that nobody knows", with(json!({ "iss": liar.url() }))),
        ("no issuer", with(json!({ "iss": null }))),
        ("the issuer with a slash", with(json!({ "iss": format!("{}/", issuer.url()) }))),
        ("expired beyond the skew", with(json!({ "exp": now - 70 }))),
        ("no end", with(json!({ "exp": null }))),
        ("an end in words", with(json!({ "exp": (now + 600).to_string() }))),
        ("not yet", with(json!({ "nbf": now + 300 }))),
        ("a beginning in words", with(json!({ "nbf": "0" }))),
        ("made tomorrow", with(json!({ "iat": now + 86_400 }))),
        ("about nobody", with(json!({ "sub": "" }))),
        ("an id token", with(json!({ "typ": "ID" }))),
        ("bound to a key", with(json!({ "cnf": { "jkt": "x" } }))),
        ("a logout token", key.sign(&header(json!({ "typ": "logout+jwt" })), &good)),
        ("critical parameters", key.sign(&header(json!({ "crit": ["b64"], "b64": false })), &good)),
        ("another's key of this name", thief.token(&good)),
        ("another's key in the header", thief.sign(&header(json!({ "jwk": thief.public() })), &good)),
        ("another's keys by address", thief.sign(&header(json!({ "jku": jku, "x5u": jku })), &good)),
        ("a key that is not published", thief.sign(&header(json!({ "kid": "../k1" })), &good)),
        (
            "another's claims",
            format!("{}.{signature}", unsigned(&header(json!({})), &issuer.claims(json!({ "sub": "bob" })))),
        ),
        ("too long", with(json!({ "sub": "ann-7", "padding": "x".repeat(20_000) }))),
        ("four parts", format!("{token}.{signature}")),
        ("no JSON", "e30.e30.e30".to_owned()),
        ("nothing", "x".to_owned()),
    ];
    let mut accepted = Vec::new();
    for (what, token) in bad {
        let response = get(&gateway, WHOAMI, &token).await;
        if response.status() == 401 {
            error(response, 401, "invalid_api_key").await;
        } else {
            accepted.push((what, response.status()));
        }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
    assert!(liar.upstream.seen().is_empty(), "nobody asks where a token says");
    assert_eq!(status(&gateway, &token).await, 200);
}

#[tokio::test]
async fn clocks_may_differ_a_little() {
    let (key, issuer, gateway) = one(|_| {}).await;
    let now = unix_now();
    for good in [json!({ "exp": now - 30 }), json!({ "nbf": now + 30, "iat": now + 30 })] {
        assert_eq!(status(&gateway, &key.token(&issuer.claims(good))).await, 200);
    }
    let strict = trusting(&[&issuer]).settings(|s| s.auth.clock_skew_seconds = 0).start().await;
    assert_eq!(status(&strict, &key.token(&issuer.claims(json!({ "exp": now - 1 })))).await, 401);
}

#[tokio::test]
async fn a_known_token_ends_when_it_says() {
    let (key, issuer, gateway) = one(|settings| settings.auth.clock_skew_seconds = 0).await;
    let token = key.token(&issuer.claims(json!({ "exp": unix_now() + 2 })));
    assert_eq!(status(&gateway, &token).await, 200);
    until(async || status(&gateway, &token).await == 401).await;
}

#[tokio::test]
async fn keys_are_changed_while_it_runs() {
    let (old, issuer, gateway) = one(|settings| settings.auth.key_pause_seconds = 0).await;
    let token = |key: &SigningKey, sub: &str| key.token(&issuer.claims(json!({ "sub": sub })));
    assert_eq!(status(&gateway, &token(&old, "a")).await, 200);
    let new = SigningKey::new("k2");
    issuer.publish(&[&new]);
    assert_eq!(status(&gateway, &token(&new, "a")).await, 200);
    assert_eq!(status(&gateway, &token(&old, "b")).await, 401);
}

#[tokio::test]
async fn unknown_keys_are_looked_for_once_in_a_while() {
    let (key, issuer, gateway) = one(|settings| settings.auth.key_pause_seconds = 3600).await;
    assert_eq!(status(&gateway, &key.token(&issuer.claims(json!({})))).await, 200);
    let asked = issuer.fetches();
    for n in 0..50 {
        let stranger = SigningKey::new(&format!("stranger-{n}"));
        assert_eq!(status(&gateway, &stranger.token(&issuer.claims(json!({})))).await, 401);
    }
    assert_eq!(issuer.fetches(), asked);
}

#[tokio::test]
async fn many_first_tokens_fetch_the_keys_once() {
    let key = SigningKey::new("k1");
    let issuer = FakeIssuer::start(&[&key]).await;
    let gate = issuer.hold();
    let gateway = Arc::new(trusting(&[&issuer]).start().await);
    let asking: Vec<_> = (0..100)
        .map(|n| {
            let (gateway, token) =
                (Arc::clone(&gateway), key.token(&issuer.claims(json!({ "sub": format!("u{n}") }))));
            tokio::spawn(async move { status(&gateway, &token).await })
        })
        .collect();
    until(async || gateway.gateway.connections().get() == 100).await;
    gate.open();
    for asked in asking {
        assert_eq!(within(asked).await.unwrap(), 200);
    }
    assert_eq!(issuer.upstream.seen().len(), 2, "the description and the keys");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_no_reason_to_refuse() {
    let key = SigningKey::new("k1");
    let issuer = FakeIssuer::start(&[&key]).await;
    issuer.is_away(true);
    let gateway = trusting(&[&issuer]).settings(|s| s.auth.key_pause_seconds = 0).start().await;
    let token = |sub: &str| key.token(&issuer.claims(json!({ "sub": sub })));
    let response = get(&gateway, WHOAMI, &token("a")).await;
    assert!(response.headers().contains_key("retry-after"));
    error(response, 503, "auth_unavailable").await;
    assert_eq!(gateway.request("GET", WHOAMI).send().await.unwrap().status(), 200, "keys go on");

    issuer.is_away(false);
    until(async || status(&gateway, &token("a")).await == 200).await;
    issuer.is_away(true);
    assert_eq!(status(&gateway, &token("a")).await, 200, "a known token");
    assert_eq!(status(&gateway, &token("b")).await, 200, "a known key");
    let stranger = SigningKey::new("k2").token(&issuer.claims(json!({})));
    assert_eq!(status(&gateway, &stranger).await, 503, "nobody can say");
}

#[tokio::test]
async fn an_issuer_that_says_odd_things_is_not_believed() {
    let (key, evil) = (SigningKey::new("k1"), Upstream::json(json!({ "keys": [] })).await);
    let away = evil.url();
    let redirect = move |path: &'static str| {
        let away = away.clone();
        move |seen: &Seen| {
            (seen.uri.path() == path).then(|| {
                let mut answer = bytes(302, "text/plain", "");
                answer.headers_mut().insert("location", format!("{away}{path}").parse().unwrap());
                answer
            })
        }
    };
    let says = |path: &'static str, body: Value| {
        move |seen: &Seen| (seen.uri.path() == path).then(|| json(200, &body))
    };
    const OPENID: &str = "/.well-known/openid-configuration";
    let huge = Value::String("x".repeat(2 << 20));
    let public = key.public();
    let keys_with_500 =
        move |seen: &Seen| (seen.uri.path() == "/jwks").then(|| json(500, &json!({ "keys": [public] })));
    type Odd = Box<dyn Fn(&Seen) -> Option<Response<Body>> + Send>;
    let cases: Vec<(&str, Odd)> = vec![
        ("leads elsewhere", Box::new(redirect(OPENID))),
        ("leads to keys elsewhere", Box::new(redirect("/jwks"))),
        ("is another", Box::new(says(OPENID, json!({ "issuer": "https://a.org", "jwks_uri": evil.url() })))),
        ("describes nothing", Box::new(says(OPENID, json!([])))),
        ("has no keys", Box::new(says("/jwks", json!({ "keys": [] })))),
        (
            "has a secret for a key",
            Box::new(says("/jwks", json!({ "keys": [{ "kty": "oct", "k": "AAAA", "kid": "k1" }] }))),
        ),
        ("fails with keys", Box::new(keys_with_500)),
        ("has something else", Box::new(says("/jwks", json!("keys")))),
        ("has too much", Box::new(says("/jwks", json!({ "keys": [key.public()], "padding": huge })))),
    ];
    let mut wrong = Vec::new();
    for (what, case) in cases {
        let issuer = FakeIssuer::start(&[&key]).await;
        issuer.instead(case);
        let gateway = trusting(&[&issuer]).start().await;
        let found = status(&gateway, &key.token(&issuer.claims(json!({})))).await;
        if found != 503 {
            wrong.push((what, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(evil.seen().is_empty(), "{:?}", evil.seen());
}

#[tokio::test]
async fn each_issuer_vouches_for_its_own() {
    let (one, other) = (SigningKey::new("k1"), SigningKey::new("k1"));
    let (first, second) = (FakeIssuer::start(&[&one]).await, FakeIssuer::start(&[&other]).await);
    let gateway = trusting(&[&first, &second]).start().await;
    assert_eq!(whoami(&gateway, &one.token(&first.claims(json!({})))).await["idp_id"], first.url());
    assert_eq!(whoami(&gateway, &other.token(&second.claims(json!({})))).await["idp_id"], second.url());
    assert_eq!(status(&gateway, &one.token(&second.claims(json!({})))).await, 401);
    let callers = gateway.gateway.callers();
    let mut users = Vec::new();
    for token in [one.token(&first.claims(json!({}))), other.token(&second.claims(json!({})))] {
        let headers = http::HeaderMap::from_iter([(
            http::header::AUTHORIZATION,
            format!("Bearer {token}").parse().unwrap(),
        )]);
        users.push(callers.authenticate(&headers).await.unwrap().user.to_string());
    }
    assert_eq!(users, [format!("{}#ann-7", first.url()), format!("{}#ann-7", second.url())]);
}

#[tokio::test]
async fn roles_and_tenants_follow_from_groups() {
    let rights = |group: &str, tenant: &str, role: &str, scopes: &[&str]| RightsSection {
        group: Some(group.into()),
        tenant: tenant.into(),
        role: role.into(),
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        ..RightsSection::default()
    };
    let all = ["inference", "read", "write"];
    let (key, issuer, gateway) = one(|settings| {
        settings.auth.rights =
            vec![rights("ops", "default", "operator", &all), rights("lab", "lab", "developer", &["read"])];
    })
    .await;
    gateway.tenant("lab").await;
    let of = |group: &str| key.token(&issuer.claims(json!({ "groups": [group] })));
    let make = async |token: &str, name: &str| {
        let body = json!({ "name": name });
        let request = gateway.anonymous("POST", "/admin/v1/tenants").bearer_auth(token).json(&body);
        within(request.send()).await.unwrap()
    };
    assert_eq!(make(&of("ops"), "new").await.status(), 201);
    error(make(&of("physics"), "new2").await, 403, "forbidden").await;
    let read = async |token: &str, tenant: &str| {
        get(&gateway, &format!("/admin/v1/tenants/{tenant}/endpoints"), token).await.status().as_u16()
    };
    assert_eq!(read(&of("lab"), "lab").await, 200);
    assert_eq!(read(&of("lab"), "default").await, 404, "another's");
    assert_eq!(read(&of("physics"), "default").await, 403, "a user");
    error(get(&gateway, "/v1/models", &of("lab")).await, 403, "insufficient_scope").await;
}

#[tokio::test]
async fn programs_are_listed_or_refused() {
    let account = |id: &str| ServiceAccountSection {
        id: id.into(),
        issuer: None,
        name: "nightly".into(),
        tenant: "default".into(),
        role: "user".into(),
        scopes: vec!["inference".into()],
        groups: vec!["robots".into()],
    };
    let (key, issuer, gateway) =
        one(|settings| settings.auth.service_accounts = vec![account("bot-1")]).await;
    let program = |id: &str| {
        let nobody = json!({ "preferred_username": null, "email": null, "name": null, "groups": null });
        let mut claims = issuer.claims(nobody);
        claims["sub"] = json!(id);
        claims["client_id"] = json!(id);
        key.token(&claims)
    };
    let found = whoami(&gateway, &program("bot-1")).await;
    assert_eq!((&found["id"], &found["user_group_uuids"]), (&json!("bot-1"), &json!(["robots"])));
    let refused = error(get(&gateway, WHOAMI, &program("bot-2")).await, 401, "invalid_api_key").await;
    assert!(refused["message"].as_str().unwrap().contains("no service account"), "{refused}");
    // A person whose program is one of these is a person all the same.
    let person = key.token(&issuer.claims(json!({ "client_id": "bot-1" })));
    assert_eq!(whoami(&gateway, &person).await["user_group_uuids"], json!(["physics"]));
}

#[tokio::test]
async fn a_token_reaches_nobody_and_no_line_of_the_log() {
    logs();
    let (key, backend) = (SigningKey::new("k1"), Upstream::json(completion()).await);
    let issuer = FakeIssuer::start(&[&key]).await;
    let gateway =
        trusting(&[&issuer]).endpoint("m", "direct-api", json!({ "api_url": backend.url() })).start().await;
    let token = key.token(&issuer.claims(json!({ "sub": "quiet" })));
    let spoiled = format!("{}AAAA", &token[..token.len() - 4]);
    for token in [&token, &spoiled] {
        let body = airlock_tests::chat_body(false);
        let chat = gateway.anonymous("POST", "/v1/chat/completions").bearer_auth(token).json(&body);
        within(chat.send()).await.unwrap();
    }
    let seen = backend.only();
    assert!(!format!("{seen:?}").contains(&token[..20]), "{seen:?}");
    assert!(issuer.upstream.seen().iter().all(|seen| seen.headers.get("authorization").is_none()));
    for secret in [&token, &spoiled] {
        let signature = secret.rsplit('.').next().unwrap();
        assert!(!log_has(signature) && !log_has(&secret[..40]));
    }
    assert_eq!(gateway.ledger.nth(1).await.caller.as_deref(), Some("ann"));
    assert_eq!(gateway.ledger.nth(2).await.caller, None);
}

#[tokio::test]
async fn anthropics_clients_show_tokens_in_their_own_header() {
    let key = SigningKey::new("k1");
    let issuer = FakeIssuer::start(&[&key]).await;
    let gateway =
        trusting(&[&issuer]).operations(&["messages"]).endpoint("m", guest("echo"), json!({})).start().await;
    let body = json!({ "model": "m", "max_tokens": 1, "messages": [{ "role": "user", "content": "hi" }] });
    let ask = async |token: &str| {
        let request = gateway.anonymous("POST", "/v1/messages").header("x-api-key", token).json(&body);
        within(request.send()).await.unwrap().status().as_u16()
    };
    assert_ne!(ask(&key.token(&issuer.claims(json!({})))).await, 401);
    assert_eq!(ask(&key.token(&issuer.claims(json!({ "aud": "elsewhere" })))).await, 401);
}

#[tokio::test]
async fn settings_that_let_anybody_in_end_the_start() {
    let key = SigningKey::new("k1");
    let issuer = FakeIssuer::start(&[&key]).await;
    let rights = RightsSection { role: "root".into(), ..RightsSection::default() };
    let error =
        trusting(&[&issuer]).settings(|s| s.auth.rights = vec![rights]).try_start().await.err().unwrap();
    assert!(error.contains("\"root\" is no role") && error.contains("operator"), "{error}");
    assert_eq!(AUDIENCE, issuer.section().audience[0]);
}
