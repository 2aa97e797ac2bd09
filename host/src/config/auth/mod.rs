//! `[auth]`: who gives out the tokens that may call beside API keys, and what those who show them may do.

mod check;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// `[auth]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSection {
    /// How far clocks may differ, in seconds.
    pub clock_skew_seconds: u64,
    /// How long a token that was found good counts without another look, in seconds; never past its own end.
    pub keep_seconds: u64,
    /// The same for one that was refused.
    pub keep_refused_seconds: u64,
    /// How many tokens of either kind are kept.
    pub keep_tokens: usize,
    /// Longest time of one look-up, in seconds.
    pub timeout_seconds: u64,
    /// Shortest time between two looks at an issuer's keys because of a key that is not known, in seconds.
    pub key_pause_seconds: u64,
    /// Issuers of JWTs.
    pub oidc: Vec<OidcSection>,
    /// A server that is asked about every other token.
    pub introspection: Option<IntrospectionSection>,
    /// Globus Auth, in the place of `introspection`.
    pub globus: Option<GlobusSection>,
    /// Programs that may call though no person is behind them.
    pub service_accounts: Vec<ServiceAccountSection>,
    /// What people may do; the first that fits counts.
    pub rights: Vec<RightsSection>,
}

/// `[[auth.oidc]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSection {
    /// Its address, exactly as tokens have it in `iss`.
    pub issuer: String,
    /// What tokens for this gateway have in `aud`: one of these.
    pub audience: Vec<String>,
    /// Words that a token's `scope` must all have.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// Where groups stand.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// Where an address stands whose domain counts; the first that is there.
    #[serde(default = "email")]
    pub domain_claims: Vec<String>,
}

/// `[auth.introspection]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionSection {
    /// Where tokens are asked about (RFC 7662).
    pub url: String,
    /// What users' ids begin with, and `iss` of answers that have one. Unset: the address.
    pub issuer: Option<String>,
    /// The variable with the gateway's own id at that server.
    pub client_id_env_name: String,
    /// The variable with its secret.
    pub client_secret_env_name: String,
    /// What tokens for this gateway have in `aud`: one of these. Empty: the server refuses those for others.
    #[serde(default)]
    pub audience: Vec<String>,
    /// Words that a token's `scope` must all have.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// Where groups stand.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// Where an address stands whose domain counts; the first that is there.
    #[serde(default = "email")]
    pub domain_claims: Vec<String>,
}

/// `[auth.globus]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobusSection {
    /// Globus Auth.
    #[serde(default = "globus_auth")]
    pub url: String,
    /// Globus Groups.
    #[serde(default = "globus_groups")]
    pub groups_url: String,
    /// The variable with the gateway's own id at Globus Auth.
    pub client_id_env_name: String,
    /// The variable with its secret.
    pub client_secret_env_name: String,
    /// Whether the groups of a caller are looked up.
    #[serde(default = "yes")]
    pub groups: bool,
    /// Words that a token's `scope` must all have.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// Domains of identities with which a person must have logged in. Empty: any.
    #[serde(default)]
    pub allowed_domains: Vec<String>,
    /// Ids of identity providers with which a person must have logged in. Empty: any.
    #[serde(default)]
    pub allowed_identity_providers: Vec<String>,
    /// Groups of which a person must be in one. Empty: none is needed.
    #[serde(default)]
    pub allowed_groups: Vec<String>,
    /// The same for people of one domain.
    #[serde(default)]
    pub allowed_groups_of_domain: BTreeMap<String, Vec<String>>,
    /// Ids of authentication policies that a session must all fulfil.
    #[serde(default)]
    pub policies: Vec<String>,
}

/// `[[auth.service_accounts]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccountSection {
    /// Its subject, or the id of the client that it is.
    pub id: String,
    /// Whose it is: an issuer, where several are known.
    pub issuer: Option<String>,
    /// What it is called.
    pub name: String,
    /// Whose caller it is.
    #[serde(default = "tenant")]
    pub tenant: String,
    /// What it is.
    #[serde(default = "user")]
    pub role: String,
    /// What it may do.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// Groups that it belongs to.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// `[[auth.rights]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightsSection {
    /// For people of this issuer. Unset: of any.
    pub issuer: Option<String>,
    /// For people in this group. Unset: for all.
    pub group: Option<String>,
    /// Whose callers they are.
    #[serde(default = "tenant")]
    pub tenant: String,
    /// What they are.
    #[serde(default = "user")]
    pub role: String,
    /// What they may do.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
}

fn groups() -> String {
    "groups".into()
}
fn email() -> Vec<String> {
    vec!["email".into()]
}
fn globus_auth() -> String {
    "https://auth.globus.org".into()
}
fn globus_groups() -> String {
    "https://groups.api.globus.org".into()
}
fn yes() -> bool {
    true
}
fn tenant() -> String {
    "default".into()
}
fn user() -> String {
    "user".into()
}
fn scopes() -> Vec<String> {
    vec!["inference".into(), "read".into()]
}

impl Default for AuthSection {
    fn default() -> Self {
        Self {
            clock_skew_seconds: 60,
            keep_seconds: 60,
            keep_refused_seconds: 5,
            keep_tokens: 10_000,
            timeout_seconds: 10,
            key_pause_seconds: 5,
            oidc: Vec::new(),
            introspection: None,
            globus: None,
            service_accounts: Vec::new(),
            rights: Vec::new(),
        }
    }
}

impl Default for RightsSection {
    fn default() -> Self {
        Self { issuer: None, group: None, tenant: tenant(), role: user(), scopes: scopes() }
    }
}

/// The gateway's own account at a server that it asks about tokens.
#[derive(Clone)]
pub struct ClientAccount {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl fmt::Debug for ClientAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientAccount({})", self.id)
    }
}

impl IntrospectionSection {
    /// What its users' ids begin with.
    pub fn label(&self) -> &str {
        self.issuer.as_deref().unwrap_or(&self.url)
    }
}
