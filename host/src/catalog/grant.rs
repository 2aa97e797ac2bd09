//! What an adaptor may reach, read from the config of its endpoint or cluster.

use std::sync::Arc;

use airlock_sandbox::{Credential, Grant, Origin};
use serde_json::{Map, Value};

use super::BuildInput;
use crate::fixtures::{ConfigPlaces, Mistake};

/// The origins that `config` names, and the key that `api_key_env_name` names, bound to the origin of
/// `api_url`, or else of `status_url`. `who` is the endpoint's slug or the cluster's name.
pub(super) fn of_config(
    config: &Map<String, Value>,
    places: &ConfigPlaces,
    who: &str,
    input: &BuildInput<'_>,
) -> Result<Grant, Mistake> {
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    let mut credentials = Vec::new();
    if let Some(variable) = text("api_key_env_name") {
        let mistake = |message: String, remedy: String| {
            Mistake::new(places.of("api_key_env_name").clone(), message, remedy)
        };
        let secret = input.env.get(variable).ok_or_else(|| {
            mistake(
                format!("{who}: the environment variable {variable} is not set"),
                format!("set it where airlock is started: export {variable}=…"),
            )
        })?;
        let bound_to = text("api_url").or_else(|| text("status_url"));
        let credential = bound_to
            .and_then(|url| Origin::parse(url).ok())
            .and_then(|origin| Credential::bearer(origin, secret.trim()))
            .ok_or_else(|| {
                mistake(
                    format!("{who}: the key in {variable} cannot be used"),
                    "name the api_url that the key is bound to, and check that the key holds no line break"
                        .into(),
                )
            })?;
        credentials.push(credential);
    }
    Ok(Grant::new(Arc::clone(&input.tenant), input.policy.clone(), origins(config), credentials))
}

/// An endpoint's grant: the origins of its `…_url` settings, and `allowed_hosts`. The fixtures room has
/// checked that they are well-formed.
fn origins(config: &Map<String, Value>) -> Vec<Origin> {
    let urls = config
        .iter()
        .filter(|(key, _)| key.ends_with("_url"))
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
