//! What an adaptor may reach, read from the config of its endpoint or cluster.

use std::sync::Arc;

use airlock_sandbox::{Credential, Grant, OAuthClient, Origin};
use serde_json::{Map, Value};

use super::BuildInput;
use crate::fixtures::{ConfigPlaces, Mistake};

/// The keys of an OAuth 2 client: it needs all of the first three.
const TOKEN_URL: &str = "token_url";
const CLIENT_ID: &str = "client_id_env_name";
const CLIENT_SECRET: &str = "client_secret_env_name";
const TOKEN_SCOPE: &str = "token_scope";
const API_KEY: &str = "api_key_env_name";

/// The origins that `config` names, and the credential: a key, or an OAuth 2 client that gets tokens. It is bound to
/// the origin of `api_url`, or else of `status_url`. `who` is the endpoint's slug or the cluster's name.
pub(super) fn of_config(
    config: &Map<String, Value>,
    places: &ConfigPlaces,
    who: &str,
    input: &BuildInput<'_>,
) -> Result<Grant, Mistake> {
    let reader = Reader { config, places, who, input };
    let credential = match (reader.api_key()?, reader.client()?) {
        (Some(_), Some(_)) => {
            return Err(reader.mistake(
                API_KEY,
                "a key and an OAuth 2 client are both named".into(),
                format!("leave out {API_KEY}, or {CLIENT_ID} and {CLIENT_SECRET}"),
            ));
        }
        (key, client) => key.or(client),
    };
    let (tenant, policy) = (Arc::clone(&input.tenant), input.policy.clone());
    Ok(Grant::new(tenant, policy, origins(config), credential.into_iter().collect()))
}

struct Reader<'a> {
    config: &'a Map<String, Value>,
    places: &'a ConfigPlaces,
    who: &'a str,
    input: &'a BuildInput<'a>,
}

impl Reader<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key).and_then(Value::as_str)
    }

    fn mistake(&self, key: &str, message: String, remedy: String) -> Mistake {
        Mistake::new(self.places.of(key).clone(), format!("{}: {message}", self.who), remedy)
    }

    /// The value of the variable that `key` names.
    fn secret(&self, key: &str) -> Result<Option<&str>, Mistake> {
        let Some(variable) = self.text(key) else { return Ok(None) };
        let value = self.input.env.get(variable).map(str::trim);
        value.map(Some).ok_or_else(|| {
            let message = format!("the environment variable {variable} is not set");
            self.mistake(key, message, format!("set it where airlock is started: export {variable}=…"))
        })
    }

    /// What credentials are bound to.
    fn bound_to(&self) -> Option<Origin> {
        Origin::parse(self.text("api_url").or_else(|| self.text("status_url"))?).ok()
    }

    fn api_key(&self) -> Result<Option<Credential>, Mistake> {
        let Some(secret) = self.secret(API_KEY)? else { return Ok(None) };
        let credential = self.bound_to().and_then(|origin| Credential::bearer(origin, secret));
        credential.map(Some).ok_or_else(|| {
            let variable = self.text(API_KEY).unwrap_or_default();
            self.mistake(
                API_KEY,
                format!("the key in {variable} cannot be used"),
                "name the api_url that the key is bound to, and check that the key holds no line break"
                    .into(),
            )
        })
    }

    fn client(&self) -> Result<Option<Credential>, Mistake> {
        let needed = [TOKEN_URL, CLIENT_ID, CLIENT_SECRET];
        let Some(named) = needed.into_iter().find(|key| self.text(key).is_some()) else { return Ok(None) };
        if let Some(missing) = needed.into_iter().find(|key| self.text(key).is_none()) {
            let message = format!("an OAuth 2 client needs {missing}");
            return Err(self.mistake(
                named,
                message,
                format!("add it: {} belong together", needed.join(", ")),
            ));
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
}

/// An endpoint's grant: the origins of its `…_url` settings, and `allowed_hosts`. Tokens are the host's business. The
/// fixtures room has checked that they are well-formed.
fn origins(config: &Map<String, Value>) -> Vec<Origin> {
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
