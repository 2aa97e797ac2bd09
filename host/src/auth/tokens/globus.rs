//! Globus Auth: an introspection that tells with which identities a person has logged in, and groups from another server.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::{
    ask::{Ask, Away},
    claims::{self, text},
    introspect::is_active,
    jwt::Claims,
    rules::{Person, Rules},
    verdicts::Verdict,
};
use crate::{
    auth::AuthError,
    config::{ClientAccount, GlobusSection},
    store::now,
};

/// The service whose token is traded for the caller's, to look up groups.
const GROUPS_SERVER: &str = "groups.api.globus.org";
const DEPENDENT_TOKEN: &str = "urn:globus:auth:grant_type:dependent_token";
/// What names of programs end with, as no person's does.
const CLIENTS: &str = "@clients.auth.globus.org";

/// Globus Auth, and the gateway's account there.
pub(super) struct Globus {
    pub(super) section: GlobusSection,
    pub(super) account: ClientAccount,
    pub(super) rules: Rules,
    pub(super) skew: i64,
}

/// What an introspection says beside what others do.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    session_info: Option<Session>,
    identity_set_detail: Option<Vec<Login>>,
    policy_evaluations: Option<BTreeMap<String, Evaluation>>,
}

#[derive(Deserialize)]
struct Session {
    /// By the id of the identity.
    authentications: BTreeMap<String, Authentication>,
}

#[derive(Deserialize)]
struct Authentication {
    idp: String,
    auth_time: Option<f64>,
}

/// One of the identities that a person has linked with each other.
#[derive(Deserialize, Clone)]
struct Login {
    sub: String,
    username: Option<String>,
    name: Option<String>,
    identity_provider: Option<String>,
    identity_provider_display_name: Option<String>,
}

#[derive(Deserialize)]
struct Evaluation {
    evaluation: Option<Value>,
}

#[derive(Deserialize)]
struct Dependent {
    resource_server: String,
    access_token: String,
}

#[derive(Deserialize)]
struct Group {
    id: String,
    my_memberships: Option<Vec<Membership>>,
}

#[derive(Deserialize)]
struct Membership {
    status: Option<String>,
}

impl Globus {
    /// Asks who shows this token, and for their groups.
    pub(super) async fn look_up(&self, ask: &Ask, token: &str) -> Result<Verdict, Away> {
        let policies = self.section.policies.join(",");
        let mut form = vec![("token", token), ("include", "session_info,identity_set_detail")];
        if !policies.is_empty() {
            form.push(("authentication_policies", &policies));
        }
        let place = self.place("/v2/oauth2/token/introspect");
        let answer = ask.post(&place, &self.account, &form).await?.good()?;
        let claims: Claims = answer.json()?;
        let told: Told = match is_active(&claims) {
            Some(true) => answer.json()?,
            Some(false) => {
                return Ok(Err(AuthError::Token("Globus Auth does not know it any more, or never did")));
            }
            None => return Err(answer.away("and does not say whether the token is active")),
        };
        // Who may not pass needs no groups.
        let person = match self.person(&claims, &told) {
            Ok(person) => person,
            Err(error) => return Ok(Err(error)),
        };
        Ok(match self.groups(ask, token).await? {
            Ok(groups) => self.in_groups(Person { groups, ..person }),
            Err(error) => Err(error),
        })
    }

    fn place(&self, path: &str) -> String {
        format!("{}{path}", self.section.url.trim_end_matches('/'))
    }

    /// Everything but groups.
    fn person(&self, claims: &Claims, told: &Told) -> Result<Person, AuthError> {
        let until = claims::valid_until(claims, now(), self.skew)?;
        let until = until.ok_or(AuthError::Token("it does not say when it ends"))?;
        claims::check_scopes(claims, &self.section.required_scopes)?;
        let program = self.program(claims, until)?;
        if program.is_service {
            let why = "it is a program's own, and no service account is listed for that";
            return if self.rules.lists(&program) { Ok(program) } else { Err(AuthError::Token(why)) };
        }
        let login = self.login(told)?;
        self.check_policies(told)?;
        let username = checked_username(login.username.as_deref())?;
        let provider = (
            login.identity_provider.unwrap_or_default(),
            claims::name(login.identity_provider_display_name.as_deref().unwrap_or_default()),
        );
        Ok(Person {
            subject: claims::subject(Some(&login.sub))?,
            is_service: false,
            aliases: Vec::new(),
            full_name: claims::name(login.name.as_deref().unwrap_or(&username)),
            domain: claims::domain_of(&username),
            username,
            groups: Vec::new(),
            provider,
            expires_at: Some(until),
        })
    }

    /// The token as a program's own, which has a name that no person can have, or no subject beside the client.
    fn program(&self, claims: &Claims, until: i64) -> Result<Person, AuthError> {
        let client = text(claims, "client_id").unwrap_or_default();
        let username = text(claims, "username").unwrap_or_default();
        let is_service = username.ends_with(CLIENTS) || text(claims, "sub").is_none_or(|sub| sub == client);
        let domain = claims::domain_of(username);
        Ok(Person {
            subject: claims::subject(
                Some(client).filter(|client| !client.is_empty()).or(text(claims, "sub")),
            )?,
            is_service,
            aliases: vec![username.to_owned()],
            full_name: claims::name(text(claims, "name").unwrap_or(username)),
            username: claims::name(username),
            groups: Vec::new(),
            provider: (domain.clone().unwrap_or_default(), self.section.url.clone()),
            domain,
            expires_at: Some(until),
        })
    }

    /// The identity with which the person has logged in last, of those that may be used here. That another one is linked
    /// with it does not count.
    fn login(&self, told: &Told) -> Result<Login, AuthError> {
        let GlobusSection { allowed_domains, allowed_identity_providers: allowed, .. } = &self.section;
        let may = |login: &Login| {
            let domain = claims::domain_of(login.username.as_deref().unwrap_or_default());
            let is_of = |own: &String| domain.as_ref().is_some_and(|domain| own.eq_ignore_ascii_case(domain));
            let idp = login.identity_provider.as_ref().is_some_and(|idp| allowed.contains(idp));
            (allowed_domains.is_empty() || allowed_domains.iter().any(is_of)) && (allowed.is_empty() || idp)
        };
        let authentications = told.session_info.iter().flat_map(|session| &session.authentications);
        let logins = authentications.filter_map(|(id, authentication)| {
            let idp = Some(&authentication.idp);
            let known = told.identity_set_detail.iter().flatten();
            let login =
                known.into_iter().find(|one| one.sub == *id && one.identity_provider.as_ref() == idp)?;
            Some((authentication.auth_time.unwrap_or_default(), login))
        });
        let last = logins.filter(|(_, login)| may(login)).max_by(|(a, _), (b, _)| a.total_cmp(b));
        last.map(|(_, login)| login.clone()).ok_or(AuthError::Token(
            "its session has no login with an identity provider that may be used here: log out of Globus, and in again with \
             one that may",
        ))
    }

    fn check_policies(&self, told: &Told) -> Result<(), AuthError> {
        let wanted = &self.section.policies;
        if wanted.is_empty() {
            return Ok(());
        }
        let none = BTreeMap::new();
        let found = told.policy_evaluations.as_ref().unwrap_or(&none);
        let holds = |one: &Evaluation| one.evaluation == Some(Value::Bool(true));
        if found.len() == wanted.len() && found.values().all(holds) {
            return Ok(());
        }
        Err(AuthError::Token(
            "its session does not fulfil the authentication policies of this gateway: log out of Globus, and in again",
        ))
    }

    /// Ids of the groups that the caller is in, with a token that Globus Auth gives for theirs.
    async fn groups(&self, ask: &Ask, token: &str) -> Result<Result<Vec<String>, AuthError>, Away> {
        if !self.section.groups {
            return Ok(Ok(Vec::new()));
        }
        let form = [("grant_type", DEPENDENT_TOKEN), ("token", token)];
        let answer = ask.post(&self.place("/v2/oauth2/token"), &self.account, &form).await?;
        if matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN) {
            return Ok(Err(AuthError::Token(
                "it does not let this gateway look up your groups: log in again",
            )));
        }
        let answer = answer.good()?;
        let tokens: Vec<Dependent> = answer.json()?;
        let own = tokens.into_iter().find(|one| one.resource_server == GROUPS_SERVER);
        let Some(own) = own else {
            return Ok(Err(AuthError::Token(
                "it does not let this gateway look up your groups: log in again",
            )));
        };
        let place =
            format!("{}/v2/groups/my_groups?statuses=active", self.section.groups_url.trim_end_matches('/'));
        let groups: Vec<Group> = ask.get(&place, Some(&own.access_token)).await?.good()?.json()?;
        let is_active = |one: &Membership| one.status.as_deref() == Some("active");
        let is_in = |group: &Group| group.my_memberships.as_ref().is_none_or(|all| all.iter().any(is_active));
        Ok(claims::checked_groups(groups.into_iter().filter(is_in).map(|group| group.id).collect()))
    }

    /// Lets pass who is in the groups that everybody, or everybody of a domain, has to be in. Service accounts are listed
    /// one by one, and need none.
    fn in_groups(&self, person: Person) -> Verdict {
        let is_in = |wanted: &[String]| wanted.iter().any(|group| person.groups.contains(group));
        let all = &self.section.allowed_groups;
        let of_domain = person.domain.as_ref().and_then(|own| self.section.allowed_groups_of_domain.get(own));
        let passes = (all.is_empty() || is_in(all)) && of_domain.is_none_or(|wanted| is_in(wanted));
        if passes || person.is_service {
            return self.rules.caller(person);
        }
        Err(AuthError::Token("you are in none of the Globus groups that may use this gateway"))
    }
}

/// A name that may be shown on a page.
fn checked_username(name: Option<&str>) -> Result<String, AuthError> {
    let name = claims::name(name.unwrap_or_default());
    if name.is_empty() || name.contains(['<', '>']) {
        return Err(AuthError::Token(
            "the identity that you have logged in with has no name that can be used",
        ));
    }
    Ok(name)
}
