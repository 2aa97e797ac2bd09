//! A real OpenID provider: its discovery, its keys of every kind, its tokens and its introspection.

use airlock::config::{IntrospectionSection, ServiceAccountSection};
use airlock_tests::{OidcProvider, TestGateway, error, eventually, within};
use serde_json::{Value, json};

const ANN: [(&str, &str); 2] = [("grant_type", "test"), ("user", "ann")];
const PROGRAM: [(&str, &str); 1] = [("grant_type", "client_credentials")];

async fn whoami(gateway: &TestGateway, token: &str) -> reqwest::Response {
    within(gateway.anonymous("GET", "/resource_server/whoami").bearer_auth(token).send()).await.unwrap()
}

#[tokio::test]
async fn people_and_programs_call_with_its_tokens() {
    let Some(provider) = OidcProvider::start() else { return };
    let account = ServiceAccountSection {
        id: "app".into(),
        issuer: None,
        name: "nightly".into(),
        tenant: "default".into(),
        role: "user".into(),
        scopes: vec!["inference".into()],
        groups: Vec::new(),
    };
    let trusting =
        || TestGateway::builder().settings(|settings| settings.auth.oidc = vec![provider.section()]);
    let gateway =
        trusting().settings(|settings| settings.auth.service_accounts = vec![account]).start().await;
    let found: Value = whoami(&gateway, &provider.token(&ANN).await).await.json().await.unwrap();
    let expected = json!({
        "id": "ann", "name": "Ann Other", "username": "ann", "user_group_uuids": ["physics"],
        "idp_id": provider.url, "idp_name": "127.0.0.1", "auth_service": "oidc",
    });
    assert_eq!(found, expected);
    let program = provider.token(&PROGRAM).await;
    assert_eq!(whoami(&gateway, &program).await.status(), 200);
    error(whoami(&trusting().start().await, &program).await, 401, "invalid_api_key").await;
}

#[tokio::test]
async fn it_changes_its_keys_while_the_gateway_runs() {
    let Some(provider) = OidcProvider::start() else { return };
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.auth.oidc = vec![provider.section()];
            settings.auth.key_pause_seconds = 0;
        })
        .start()
        .await;
    let first = provider.token(&ANN).await;
    assert_eq!(whoami(&gateway, &first).await.status(), 200);
    let mut known = vec![first];
    for algorithm in ["PS256", "ES256", "EdDSA", "ES384", "RS512"] {
        let late = provider.token(&ANN).await;
        provider.rotate(algorithm).await;
        let token = provider.token(&ANN).await;
        assert_eq!(whoami(&gateway, &token).await.status(), 200, "{algorithm}");
        assert_eq!(whoami(&gateway, &late).await.status(), 401, "a key that was taken back: {algorithm}");
        known.push(token);
    }
    drop(provider);
    for token in known {
        assert_eq!(whoami(&gateway, &token).await.status(), 200, "known tokens go on without it");
    }
}

#[tokio::test]
async fn it_is_asked_about_tokens_that_say_nothing() {
    let Some(provider) = OidcProvider::start() else { return };
    let section = IntrospectionSection {
        url: format!("{}/token/introspection", provider.url),
        issuer: Some(provider.url.clone()),
        client_id_env_name: "ASK_ID".into(),
        client_secret_env_name: "ASK_SECRET".into(),
        audience: Vec::new(),
        required_scopes: vec!["infer".into()],
        groups_claim: "groups".into(),
        domain_claims: Vec::new(),
    };
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.auth.introspection = Some(section);
            settings.auth.keep_seconds = 0;
        })
        .env("ASK_ID", "app")
        .env("ASK_SECRET", "app-secret")
        .start()
        .await;
    let token = provider.token(&[&ANN[..], &[("opaque", "yes")]].concat()).await;
    assert!(!token.contains('.'), "{token}");
    let found: Value = whoami(&gateway, &token).await.json().await.unwrap();
    assert_eq!((&found["id"], &found["auth_service"]), (&json!("ann"), &json!("oauth2")));
    provider.post("/token/revocation", &[("token", &token)]).await;
    error(whoami(&gateway, &token).await, 401, "invalid_api_key").await;
    assert_eq!(whoami(&gateway, "nonsense").await.status(), 401);
    drop(provider);
    error(whoami(&gateway, "other-nonsense").await, 503, "auth_unavailable").await;
    eventually(|| gateway.gateway.open_calls() == 0).await;
}
