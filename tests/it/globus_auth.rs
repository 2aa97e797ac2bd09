//! Globus Auth: logins of a session, policies, groups from another server, and programs.

use std::sync::{Arc, Mutex};

use airlock::config::{GlobusSection, ServiceAccountSection, Settings};
use airlock_tests::{
    Body, GatewayBuilder, Seen, TestGateway, Upstream, error, guest, json, unix_now, within,
};
use http::Response;
use serde_json::{Value, json};

const WHOAMI: &str = "/resource_server/whoami";
const ANN: &str = "ae341a98-0000-4000-8000-000000000001";
const ANN_AT_HOME: &str = "ae341a98-0000-4000-8000-000000000002";
const LAB: &str = "927d7238-0000-4000-8000-00000000000a";
const HOME: &str = "927d7238-0000-4000-8000-00000000000b";
const TEAM: &str = "6a0f3cde-0000-4000-8000-000000000001";
const POLICY: &str = "2fe3c0de-0000-4000-8000-000000000001";

/// Globus Auth and Globus Groups at one address.
struct Front {
    upstream: Upstream,
    says: Arc<Mutex<Says>>,
}

struct Says {
    introspection: Value,
    tokens: Said,
    groups: Said,
}

/// A status and a body.
type Said = (u16, Value);

impl Says {
    fn answer(&self, seen: &Seen) -> Response<Body> {
        match seen.uri.path() {
            "/v2/oauth2/token/introspect" => json(200, &self.introspection),
            "/v2/oauth2/token" => json(self.tokens.0, &self.tokens.1),
            "/v2/groups/my_groups" if seen.headers["authorization"] == "Bearer for-groups" => {
                json(self.groups.0, &self.groups.1)
            }
            _ => json(404, &json!({})),
        }
    }
}

/// Ann, who has logged in with the laboratory's identity, and is in one group.
fn ann() -> Value {
    let identity = |sub: &str, idp: &str, username: &str, of: &str| {
        json!({
            "sub": sub, "username": username, "name": "Ann Other", "email": username,
            "identity_provider": idp, "identity_provider_display_name": of,
        })
    };
    json!({
        "active": true, "sub": ANN_AT_HOME, "username": "ann@home.org", "client_id": "app", "exp": unix_now() + 600,
        "iss": "https://auth.globus.org", "scope": "https://auth.globus.org/scopes/x/action_all",
        "session_info": {
            "session_id": "s",
            "authentications": { ANN: { "idp": LAB, "auth_time": 1_700_000_000, "acr": null } },
        },
        "identity_set_detail": [
            identity(ANN_AT_HOME, HOME, "ann@home.org", "Home"), identity(ANN, LAB, "ann@anl.gov", "Argonne"),
        ],
        "policy_evaluations": { POLICY: { "evaluation": true } },
    })
}

async fn front() -> Front {
    let groups = json!([
        { "id": TEAM, "name": "team", "my_memberships": [{ "status": "active" }] },
        { "id": "invited", "my_memberships": [{ "status": "invited" }] },
    ]);
    let tokens = json!([
        { "resource_server": "transfer.api.globus.org", "access_token": "x" },
        { "resource_server": "groups.api.globus.org", "access_token": "for-groups" },
    ]);
    let says = Says { introspection: ann(), tokens: (200, tokens), groups: (200, groups) };
    let says = Arc::new(Mutex::new(says));
    let shared = Arc::clone(&says);
    let upstream = Upstream::start(move |seen| {
        let answer = shared.lock().unwrap().answer(&seen);
        async move { answer }
    })
    .await;
    Front { upstream, says }
}

impl Front {
    fn gateway(&self, change: impl FnOnce(&mut GlobusSection)) -> GatewayBuilder {
        let url = format!("http://{}", self.upstream.address);
        let mut section = GlobusSection {
            url: url.clone(),
            groups_url: url,
            client_id_env_name: "GLOBUS_APPLICATION_ID".into(),
            client_secret_env_name: "GLOBUS_APPLICATION_SECRET".into(),
            groups: true,
            required_scopes: Vec::new(),
            allowed_domains: vec!["anl.gov".into()],
            allowed_identity_providers: Vec::new(),
            allowed_groups: Vec::new(),
            allowed_groups_of_domain: [].into(),
            policies: vec![POLICY.into()],
        };
        change(&mut section);
        TestGateway::builder()
            .settings(|settings| settings.auth.globus = Some(section))
            .env("GLOBUS_APPLICATION_ID", "gateway-id")
            .env("GLOBUS_APPLICATION_SECRET", "gateway-secret")
    }

    fn form(&self, n: usize) -> String {
        String::from_utf8(self.upstream.seen()[n].body.to_vec()).unwrap()
    }
}

async fn get(gateway: &TestGateway) -> reqwest::Response {
    within(gateway.anonymous("GET", WHOAMI).bearer_auth("token").send()).await.unwrap()
}

#[tokio::test]
async fn a_session_says_who_calls_and_groups_are_looked_up() {
    let front = front().await;
    let gateway = front
        .gateway(|_| {})
        .endpoint("m", guest("echo"), json!({}))
        .fields(json!({ "allowed_globus_groups": [TEAM], "allowed_domains": ["anl.gov"] }))
        .endpoint("n", guest("echo"), json!({}))
        .fields(json!({ "allowed_globus_groups": ["invited"] }))
        .start()
        .await;
    let found: Value = get(&gateway).await.json().await.unwrap();
    let expected = json!({
        "id": ANN, "name": "Ann Other", "username": "ann@anl.gov", "user_group_uuids": [TEAM],
        "idp_id": LAB, "idp_name": "Argonne", "auth_service": "globus",
    });
    assert_eq!(found, expected);
    let list = gateway.anonymous("GET", "/v1/models").bearer_auth("token").send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let names: Vec<&Value> = list["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(names, ["m"]);

    let seen = front.upstream.seen();
    let paths: Vec<&str> = seen.iter().map(|seen| seen.uri.path()).collect();
    assert_eq!(paths, ["/v2/oauth2/token/introspect", "/v2/oauth2/token", "/v2/groups/my_groups"]);
    assert_eq!(
        front.form(0),
        format!("token=token&include=session_info%2Cidentity_set_detail&authentication_policies={POLICY}")
    );
    assert_eq!(front.form(1), "grant_type=urn%3Aglobus%3Aauth%3Agrant_type%3Adependent_token&token=token");
    // base64 of gateway-id:gateway-secret
    assert_eq!(seen[0].headers["authorization"], "Basic Z2F0ZXdheS1pZDpnYXRld2F5LXNlY3JldA==");
    assert_eq!(seen[1].headers["authorization"], seen[0].headers["authorization"]);
}

#[tokio::test]
async fn who_may_not_pass_is_refused() {
    type Change = fn(&mut Says);
    let cases: [(&str, Change, u16); 22] = [
        ("nobody known", |s| s.introspection = json!({ "active": false }), 401),
        ("active in words", |s| s.introspection["active"] = json!("true"), 503),
        ("over", |s| s.introspection["exp"] = json!(unix_now() - 70), 401),
        ("no end", |s| s.introspection["exp"] = Value::Null, 401),
        ("a scope too few", |s| s.introspection["scope"] = json!("openid"), 401),
        ("no session", |s| s.introspection["session_info"] = Value::Null, 401),
        ("no login", |s| s.introspection["session_info"]["authentications"] = json!({}), 401),
        (
            "a login with another identity, to which this one is linked",
            |s| {
                s.introspection["session_info"]["authentications"] =
                    json!({ ANN_AT_HOME: { "idp": HOME, "auth_time": 1 } });
            },
            401,
        ),
        (
            "a login with another identity of the same provider",
            |s| {
                s.introspection["session_info"]["authentications"] =
                    json!({ "other": { "idp": LAB, "auth_time": 1 } });
            },
            401,
        ),
        (
            "a login with an identity of another provider",
            |s| s.introspection["session_info"]["authentications"][ANN]["idp"] = json!(HOME),
            401,
        ),
        ("no identities", |s| s.introspection["identity_set_detail"] = Value::Null, 401),
        (
            "a policy that fails",
            |s| s.introspection["policy_evaluations"][POLICY]["evaluation"] = json!(false),
            401,
        ),
        (
            "a policy in words",
            |s| s.introspection["policy_evaluations"][POLICY]["evaluation"] = json!("true"),
            401,
        ),
        ("no policies", |s| s.introspection["policy_evaluations"] = Value::Null, 401),
        ("one policy too few", |s| s.introspection["policy_evaluations"] = json!({}), 401),
        (
            "a name for a page",
            |s| s.introspection["identity_set_detail"][1]["username"] = json!("<b>@anl.gov"),
            401,
        ),
        ("groups that nobody may see", |s| s.tokens = (403, json!({ "error": "invalid_grant" })), 401),
        ("no token for groups", |s| s.tokens.1 = json!([]), 401),
        ("tokens that are none", |s| s.tokens.1 = json!({}), 503),
        ("an end of the tokens' server", |s| s.tokens.0 = 502, 503),
        ("an end of the groups' server", |s| s.groups.0 = 500, 503),
        ("not in the group", |s| s.groups.1 = json!([{ "id": "other" }]), 401),
    ];
    let mut wrong = Vec::new();
    for (what, change, expected) in cases {
        let front = front().await;
        change(&mut front.says.lock().unwrap());
        let gateway = front
            .gateway(|section| {
                section.required_scopes = vec!["https://auth.globus.org/scopes/x/action_all".into()];
                section.allowed_groups = vec![TEAM.into()];
            })
            .start()
            .await;
        let found = get(&gateway).await.status().as_u16();
        if found != expected {
            wrong.push((what, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn who_may_not_pass_is_not_asked_for_groups() {
    let front = front().await;
    let gateway = front.gateway(|section| section.allowed_domains = vec!["cern.ch".into()]).start().await;
    let refused = error(get(&gateway).await, 401, "invalid_api_key").await;
    assert!(refused["message"].as_str().unwrap().contains("log out of Globus"), "{refused}");
    assert_eq!(front.upstream.seen().len(), 1);
}

#[tokio::test]
async fn providers_domains_and_groups_are_the_operators_to_choose() {
    type Change = fn(&mut GlobusSection);
    let cases: [(&str, Change, u16); 7] = [
        ("any domain", |s| s.allowed_domains.clear(), 200),
        ("the provider", |s| s.allowed_identity_providers = vec![LAB.into()], 200),
        ("another provider", |s| s.allowed_identity_providers = vec![HOME.into()], 401),
        ("a group", |s| s.allowed_groups = vec!["x".into(), TEAM.into()], 200),
        ("another group", |s| s.allowed_groups = vec!["invited".into()], 401),
        (
            "a group of the domain",
            |s| s.allowed_groups_of_domain = [("anl.gov".into(), vec!["x".into()])].into(),
            401,
        ),
        (
            "a group of another",
            |s| s.allowed_groups_of_domain = [("x.org".into(), vec!["x".into()])].into(),
            200,
        ),
    ];
    for (what, change, expected) in cases {
        let front = front().await;
        let gateway = front.gateway(change).start().await;
        assert_eq!(get(&gateway).await.status(), expected, "{what}");
    }
    let front = front().await;
    let gateway = front.gateway(|section| section.groups = false).start().await;
    assert_eq!(get(&gateway).await.status(), 200);
    assert_eq!(front.upstream.seen().len(), 1, "nobody's groups are looked up");
}

#[tokio::test]
async fn a_program_calls_where_it_is_listed() {
    let program = json!({
        "active": true, "sub": "c1", "client_id": "c1", "username": "c1@clients.auth.globus.org", "name": "Nightly",
        "iss": "https://auth.globus.org", "exp": unix_now() + 600, "session_info": { "authentications": {} },
    });
    let account = |id: &str| ServiceAccountSection {
        id: id.into(),
        issuer: None,
        name: "nightly".into(),
        tenant: "default".into(),
        role: "user".into(),
        scopes: vec!["inference".into()],
        groups: Vec::new(),
    };
    for (listed, expected) in [("c1", 200), ("c1@clients.auth.globus.org", 200), ("c2", 401)] {
        let front = front().await;
        front.says.lock().unwrap().introspection = program.clone();
        let list = |settings: &mut Settings| settings.auth.service_accounts = vec![account(listed)];
        let needs_group = |section: &mut GlobusSection| section.allowed_groups = vec!["x".into()];
        let gateway = front.gateway(needs_group).settings(list).start().await;
        let response = get(&gateway).await;
        assert_eq!(response.status(), expected, "{listed}");
        if expected == 200 {
            let found: Value = response.json().await.unwrap();
            assert_eq!((&found["id"], &found["name"]), (&json!("c1"), &json!("Nightly")));
            assert_eq!(found["idp_id"], "clients.auth.globus.org");
        }
    }
}
