//! The direct API's configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Edit;
use super::url::is_plain_path;
use crate::object::Object;
use crate::{AdaptorError, Operation, config};

/// How long the head of a response is waited for where the configuration does not say.
pub const DEFAULT_TIMEOUT_SECONDS: f64 = 120.0;

/// The keys that the direct API reads. Others are left to whoever extends it.
#[derive(Deserialize)]
pub(super) struct Settings<'a> {
    pub(super) api_url: Option<String>,
    api_request_timeout: Option<f64>,
    /// The host adds the key; read here only so that a wrong type is found.
    #[serde(rename = "api_key_env_name")]
    _api_key_env_name: Option<String>,
    pub(super) extra_headers: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    extra_body: Option<&'a RawValue>,
    speaks: Option<Vec<String>>,
    /// Fields of requests that a translation drops rather than refuses.
    #[serde(default)]
    pub(super) ignored_fields: Vec<String>,
}

impl Settings<'_> {
    /// `api_request_timeout` in milliseconds.
    pub(super) fn timeout_ms(&self) -> Result<u32, AdaptorError> {
        config::timeout_ms("api_request_timeout", self.api_request_timeout, DEFAULT_TIMEOUT_SECONDS)
    }

    /// The operations that the backend speaks; none for all.
    pub(super) fn spoken(&self) -> Result<Option<Vec<Operation>>, AdaptorError> {
        let Some(paths) = &self.speaks else { return Ok(None) };
        if paths.is_empty() || !paths.iter().all(|path| is_plain_path(path)) {
            let why = "must list operations as in `chat/completions`, at least one; leave it out for all";
            return Err(AdaptorError::invalid_config("speaks", why));
        }
        Ok(Some(paths.iter().map(|path| Operation::from_path(path)).collect()))
    }

    /// `extra_body` as changes of the body; a null stands for removal.
    pub(super) fn edits(&self) -> Result<Vec<Edit>, AdaptorError> {
        let Some(raw) = self.extra_body else { return Ok(Vec::new()) };
        let object = Object::parse(raw.get().as_bytes()).map_err(|_| {
            AdaptorError::invalid_config("extra_body", "must be an object of fields to add to the body")
        })?;
        let edit = |(key, json): (&str, &str)| Edit {
            key: key.to_owned(),
            json: (json != "null").then(|| json.to_owned()),
        };
        Ok(object.entries().map(edit).collect())
    }
}
