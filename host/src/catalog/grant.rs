//! What an adaptor may reach, read from the config of its endpoint or cluster.

use std::{collections::BTreeMap, sync::Arc};

use airlock_sandbox::{AddressPolicy, AwsKeys, Credential, Grant, OAuthClient, Origin, Tenant};
use http::{HeaderName, header};
use serde_json::{Map, Value};

use super::TenantSecret;
use crate::{
    config::Env,
    fixtures::{ConfigPlaces, Mistake},
};

/// The keys of an OAuth 2 client: it needs all of the first three.
const TOKEN_URL: &str = "token_url";
const CLIENT_ID: &str = "client_id_env_name";
const CLIENT_SECRET: &str = "client_secret_env_name";
const TOKEN_SCOPE: &str = "token_scope";
/// A key, and the header that carries it.
const API_KEY: &str = "api_key_env_name";
const API_KEY_HEADER: &str = "api_key_header";
/// The keys of signatures: all but the session's token are needed.
const AWS_REGION: &str = "aws_region";
const AWS_SERVICE: &str = "aws_service";
const ACCESS_KEY_ID: &str = "access_key_id_env_name";
const SECRET_ACCESS_KEY: &str = "secret_access_key_env_name";
const SESSION_TOKEN: &str = "session_token_env_name";

/// Whose grant it is, and where the secrets are that a config names.
#[derive(Clone, Copy)]
pub struct Holder<'a> {
    /// Whose it is.
    pub tenant: &'a Arc<Tenant>,
    /// Where its calls may go.
    pub policy: &'a AddressPolicy,
    /// Where `…_env_name` is looked up.
    pub env: &'a Env,
    /// Where `…_secret` is.
    pub secrets: &'a BTreeMap<String, TenantSecret>,
}

/// The origins that `config` names, and the credential: a key, an OAuth 2 client that gets tokens, or a key that signs. It
/// is bound to the origin of `api_url`, or else of `status_url`. `who` is the endpoint's slug or the cluster's name.
pub fn of_config(
    config: &Map<String, Value>,
    places: &ConfigPlaces,
    who: &str,
    holder: Holder<'_>,
) -> Result<Grant, Mistake> {
    let reader = Reader { config, places, who, holder };
    let credential = reader.credential()?;
    let (tenant, policy) = (Arc::clone(holder.tenant), holder.policy.clone());
    Ok(Grant::new(tenant, policy, origins(config), credential.into_iter().collect()))
}

/// The key that names a secret of the tenant's, in the place of one that names a variable.
fn stored(key: &str) -> String {
    format!("{}_secret", key.strip_suffix("_env_name").unwrap_or(key))
}

struct Reader<'a> {
    config: &'a Map<String, Value>,
    places: &'a ConfigPlaces,
    who: &'a str,
    holder: Holder<'a>,
}

impl Reader<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key).and_then(Value::as_str)
    }

    fn mistake(&self, key: &str, message: String, remedy: String) -> Mistake {
        Mistake::new(self.places.of(key).clone(), format!("{}: {message}", self.who), remedy)
    }

    /// Whether a secret is named: by a variable of the environment, or as one that the tenant has stored.
    fn names(&self, key: &str) -> bool {
        self.text(key).is_some() || self.text(&stored(key)).is_some()
    }

    /// The secret that `key` names.
    fn secret(&self, key: &str) -> Result<Option<&str>, Mistake> {
        let Some(variable) = self.text(key) else { return self.stored_secret(&stored(key)) };
        let value = self.holder.env.get(variable).map(str::trim);
        value.map(Some).ok_or_else(|| {
            let message = format!("the environment variable {variable} is not set");
            self.mistake(key, message, format!("set it where airlock is started: export {variable}=…"))
        })
    }

    /// The tenant's own, which goes to its own origin and nowhere else.
    fn stored_secret(&self, key: &str) -> Result<Option<&str>, Mistake> {
        let Some(name) = self.text(key) else { return Ok(None) };
        let Some(secret) = self.holder.secrets.get(name) else {
            let remedy = format!("store it first: airlock secret set {name}");
            return Err(self.mistake(key, format!("there is no secret {name:?}"), remedy));
        };
        let fits = Origin::parse(&secret.origin).ok().is_some_and(|own| Some(own) == self.bound_to());
        if !fits {
            let message = format!("the secret {name:?} is for {}, and api_url is elsewhere", secret.origin);
            return Err(self.mistake(
                key,
                message,
                "correct api_url, or store the secret for its origin".into(),
            ));
        }
        match &secret.value {
            Ok(value) => Ok(Some(value)),
            Err(why) => Err(self.mistake(key, why.clone(), "store the secret again".into())),
        }
    }

    /// What credentials are bound to.
    fn bound_to(&self) -> Option<Origin> {
        Origin::parse(self.text("api_url").or_else(|| self.text("status_url"))?).ok()
    }

    /// The one credential that is named.
    fn credential(&self) -> Result<Option<Credential>, Mistake> {
        let found = [(API_KEY, self.api_key()?), (CLIENT_ID, self.client()?), (ACCESS_KEY_ID, self.aws()?)];
        let mut found = found.into_iter().filter_map(|(key, credential)| Some((key, credential?)));
        let first = found.next();
        if let (Some((one, _)), Some((other, _))) = (&first, found.next()) {
            let message =
                "two credentials are both named: a key, an OAuth 2 client or a key that signs will do";
            return Err(self.mistake(
                one,
                message.into(),
                format!("leave out {one}, or {other} and its companions"),
            ));
        }
        Ok(first.map(|(_, credential)| credential))
    }

    fn api_key(&self) -> Result<Option<Credential>, Mistake> {
        let Some(secret) = self.secret(API_KEY)? else { return Ok(None) };
        let header = self.key_header()?;
        let credential = self.bound_to().and_then(|origin| match header {
            header::AUTHORIZATION => Credential::bearer(origin, secret),
            header => Credential::header(origin, header, secret),
        });
        credential.map(Some).ok_or_else(|| self.unusable(API_KEY))
    }

    /// The header that carries the key. It is the host's alone, so that `extra_headers` cannot have it.
    fn key_header(&self) -> Result<HeaderName, Mistake> {
        let stored = self.text(&stored(API_KEY)).and_then(|name| self.holder.secrets.get(name));
        let named = stored.map(|secret| secret.header.as_str()).or_else(|| self.text(API_KEY_HEADER));
        let Some(name) = named else { return Ok(header::AUTHORIZATION) };
        let extra = self.config.get("extra_headers").and_then(Value::as_object);
        if extra.is_some_and(|extra| extra.keys().any(|other| other.eq_ignore_ascii_case(name))) {
            let message = format!("extra_headers and {API_KEY_HEADER} both name {name:?}");
            return Err(self.mistake(API_KEY_HEADER, message, "leave it out of extra_headers".into()));
        }
        HeaderName::try_from(name).map_err(|_| {
            self.mistake(
                API_KEY_HEADER,
                format!("{name:?} is not the name of a header"),
                "correct the name".into(),
            )
        })
    }

    fn unusable(&self, key: &str) -> Mistake {
        let variable = self.text(key).unwrap_or_default();
        self.mistake(
            key,
            format!("the key in {variable} cannot be used"),
            "name the api_url that the key is bound to, and check that the key holds no line break".into(),
        )
    }

    /// Whether a credential of several parts is there: all of `needed` where one of `keys` is.
    fn is_whole(&self, what: &str, keys: &[&str], needed: &[&str]) -> Result<bool, Mistake> {
        let Some(named) = keys.iter().find(|key| self.names(key)) else { return Ok(false) };
        match needed.iter().find(|key| !self.names(key)) {
            None => Ok(true),
            Some(missing) => Err(self.mistake(
                named,
                format!("{what} needs {missing}"),
                format!("add it: {} belong together", needed.join(", ")),
            )),
        }
    }

    fn client(&self) -> Result<Option<Credential>, Mistake> {
        let needed = [TOKEN_URL, CLIENT_ID, CLIENT_SECRET];
        if !self.is_whole("an OAuth 2 client", &needed, &needed)? {
            return Ok(None);
        }
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let client = OAuthClient {
            token_url: text(self.text(TOKEN_URL)),
            id: text(self.secret(CLIENT_ID)?),
            secret: text(self.secret(CLIENT_SECRET)?),
            scope: self.text(TOKEN_SCOPE).map(str::to_owned),
        };
        let Some(origin) = self.bound_to() else {
            let remedy = "name the api_url that the tokens are for".to_owned();
            return Err(self.mistake(TOKEN_URL, "the tokens are bound to nothing".into(), remedy));
        };
        let credential = Credential::client_credentials(origin, &client).map_err(|error| {
            let remedy = "check the URL, and that id and secret hold no line break".to_owned();
            self.mistake(TOKEN_URL, error.to_string(), remedy)
        })?;
        Ok(Some(credential))
    }

    fn aws(&self) -> Result<Option<Credential>, Mistake> {
        let needed = [AWS_REGION, AWS_SERVICE, ACCESS_KEY_ID, SECRET_ACCESS_KEY];
        let secrets = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN];
        if !self.is_whole("a key that signs", &secrets, &needed)? {
            return Ok(None);
        }
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let keys = AwsKeys {
            region: text(self.text(AWS_REGION)),
            service: text(self.text(AWS_SERVICE)),
            access_key_id: text(self.secret(ACCESS_KEY_ID)?),
            secret_access_key: text(self.secret(SECRET_ACCESS_KEY)?),
            session_token: self.secret(SESSION_TOKEN)?.map(str::to_owned),
        };
        let credential = self.bound_to().and_then(|origin| Credential::aws(origin, keys));
        credential.map(Some).ok_or_else(|| self.unusable(ACCESS_KEY_ID))
    }
}

/// An endpoint's grant: the origins of its `…_url` settings, and `allowed_hosts`. Tokens are the host's business. The
/// fixtures room has checked that they are well-formed.
pub fn origins(config: &Map<String, Value>) -> Vec<Origin> {
    let urls = config
        .iter()
        .filter(|(key, _)| key.ends_with("_url") && *key != TOKEN_URL)
        .filter_map(|(_, value)| value.as_str().map(str::to_owned));
    let hosts = config
        .get("allowed_hosts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|h| if h.contains("://") { h.to_owned() } else { format!("https://{h}") });
    urls.chain(hosts).filter_map(|url| Origin::parse(&url).ok()).collect()
}
