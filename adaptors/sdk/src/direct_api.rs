//! The direct API: sends a task to an OpenAI-compatible backend. The component `direct-api` is this
//! and nothing else; other adaptors extend it.
//!
//! ```
//! # use airlock_adaptor::{AdaptorError, Reply, direct_api::DirectApi, serde_json::json};
//! # use airlock_adaptor::testing::{chat, endpoint};
//! # let (endpoint, task) = (endpoint(json!({ "api_url": "https://one.example/v1" })), chat());
//! let mut api = DirectApi::new(&endpoint)?;     // the configuration, checked
//! api.set_api_url("https://other.example/v1")?; // change where it goes
//! api.set_field("temperature", 0)?;             // change what is sent
//! let reply = api.run(task)?;                   // the rest as always
//! # let Reply::Forward(request) = reply else { panic!("{reply:?}") };
//! # assert_eq!(request.url, "https://other.example/v1/chat/completions");
//! # Ok::<(), AdaptorError>(())
//! ```

mod headers;
mod run;
mod settings;
mod url;

use serde::Serialize;

pub use crate::config::MAX_TIMEOUT_SECONDS;
use crate::object::Object;
use crate::{AdaptorError, EndpointInfo, Operation, Task, UpstreamRequest};
pub use settings::DEFAULT_TIMEOUT_SECONDS;
use settings::Settings;
pub use url::ApiUrl;

/// The direct API of one endpoint.
#[derive(Debug)]
pub struct DirectApi<'a> {
    model: &'a str,
    url: ApiUrl,
    headers: Vec<(String, String)>,
    timeout_ms: u32,
    edits: Vec<Edit>,
    /// What the backend speaks; none for all.
    spoken: Option<Vec<Operation>>,
    ignored_fields: Vec<String>,
}

/// A change of the body: a key, and its new value as JSON text, or none to remove it.
#[derive(Debug)]
struct Edit {
    key: String,
    json: Option<String>,
}

impl<'a> DirectApi<'a> {
    /// Reads and checks the endpoint's configuration. This is also all that `validate` needs.
    pub fn new(endpoint: &'a EndpointInfo) -> Result<Self, AdaptorError> {
        let mut settings: Settings<'a> = crate::config(endpoint)?;
        let api_url = settings.api_url.take();
        let api_url = api_url.ok_or_else(|| AdaptorError::invalid_config("api_url", "is missing"))?;
        Self::build(endpoint, settings, &api_url)
    }

    /// The same for an endpoint whose URL comes from elsewhere: `api_url` may be missing, and is not used.
    pub fn with_url(endpoint: &'a EndpointInfo, url: &str) -> Result<Self, AdaptorError> {
        Self::build(endpoint, crate::config(endpoint)?, url)
    }

    fn build(endpoint: &'a EndpointInfo, settings: Settings<'a>, url: &str) -> Result<Self, AdaptorError> {
        Ok(Self {
            model: &endpoint.model,
            url: ApiUrl::parse("api_url", url)?,
            timeout_ms: settings.timeout_ms()?,
            edits: settings.edits()?,
            spoken: settings.spoken()?,
            ignored_fields: settings.ignored_fields,
            headers: headers::checked(settings.extra_headers.unwrap_or_default())?,
        })
    }

    /// Sends to another URL: a base, or the full URL of an operation. Its origin must be in the
    /// endpoint's grant.
    pub fn set_api_url(&mut self, url: &str) -> Result<(), AdaptorError> {
        self.url = ApiUrl::parse("api_url", url)?;
        Ok(())
    }

    /// Sends one more header, in place of one of that name.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), AdaptorError> {
        headers::check(name, value)?;
        headers::put(&mut self.headers, name, value);
        Ok(())
    }

    /// Sends one more header, unless the configuration has one of that name.
    pub(crate) fn default_header(&mut self, name: &str, value: &str) {
        if !self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Sets a top-level field of the body, after the configuration's `extra_body`.
    pub fn set_field(&mut self, key: &str, value: impl Serialize) -> Result<(), AdaptorError> {
        let json = serde_json::to_string(&value).map_err(|error| {
            AdaptorError::new(500, "adaptor_bad_output", format!("field `{key}` is not JSON: {error}"))
        })?;
        self.edits.push(Edit { key: key.to_owned(), json: Some(json) });
        Ok(())
    }

    /// Removes a top-level field of the body.
    pub fn remove_field(&mut self, key: &str) {
        self.edits.push(Edit { key: key.to_owned(), json: None });
    }

    /// The request that runs a task. Its body is none where nothing changes, so that the host sends
    /// the client's own bytes: to send a changed body, use [`set_field`](Self::set_field) or
    /// [`request_with_body`](Self::request_with_body), not a changed `task.body`.
    pub fn request(&self, task: &Task) -> Result<UpstreamRequest, AdaptorError> {
        if task.operation.takes_form() {
            return self.request_with_form(task);
        }
        let body = if self.edits.is_empty() && task.model == self.model {
            None
        } else {
            Some(self.edited(&task.model, &task.body)?)
        };
        self.request_for(task, body)
    }

    /// The request that sends on the client's form. The host puts the backend's name of the model into it.
    fn request_with_form(&self, task: &Task) -> Result<UpstreamRequest, AdaptorError> {
        if let Some(edit) = self.edits.first() {
            let message = format!(
                "this model's endpoint sets fields of the body (`{}`, by `extra_body`), which cannot be put into a form",
                edit.key.escape_debug()
            );
            return Err(AdaptorError::bad_request("unsupported_operation", message));
        }
        self.request_for(task, None)
    }

    /// The request that runs a task with another body, to which the changes above apply too.
    pub fn request_with_body(&self, task: &Task, body: Vec<u8>) -> Result<UpstreamRequest, AdaptorError> {
        let unchanged = self.edits.is_empty() && task.model == self.model;
        let body = if unchanged { body } else { self.edited(&task.model, &body)? };
        self.request_for(task, Some(body))
    }

    /// The request that sends a body of another API to `path` below the base; the path may have a query. The changes
    /// above apply, and the model's name is left to the caller.
    pub(crate) fn post(&self, path: &str, body: Vec<u8>) -> Result<UpstreamRequest, AdaptorError> {
        let body = if self.edits.is_empty() { body } else { self.with_edits(Object::parse(&body))? };
        Ok(UpstreamRequest {
            method: "POST".to_owned(),
            url: self.url.for_path(path),
            headers: self.headers.clone(),
            body: Some(body),
            timeout_ms: Some(self.timeout_ms),
        })
    }

    fn request_for(&self, task: &Task, body: Option<Vec<u8>>) -> Result<UpstreamRequest, AdaptorError> {
        self.check_spoken(&task.operation)?;
        Ok(UpstreamRequest {
            method: "POST".to_owned(),
            url: self.url.for_operation(task.operation.path())?,
            headers: self.headers.clone(),
            body,
            timeout_ms: Some(self.timeout_ms),
        })
    }

    /// The body with the backend's model name and all changes, in the order they were asked for.
    fn edited(&self, asked_model: &str, body: &[u8]) -> Result<Vec<u8>, AdaptorError> {
        self.with_edits(Object::parse(body).map(|mut object| {
            if asked_model != self.model {
                object.set("model", &serde_json::Value::from(self.model).to_string());
            }
            object
        }))
    }

    fn with_edits(&self, object: Result<Object<'_>, serde_json::Error>) -> Result<Vec<u8>, AdaptorError> {
        let mut object = object.map_err(|error| {
            AdaptorError::bad_request("invalid_json", format!("the body is not a JSON object: {error}"))
        })?;
        for edit in &self.edits {
            match &edit.json {
                Some(json) => object.set(&edit.key, json),
                None => object.remove(&edit.key),
            }
        }
        Ok(object.to_vec())
    }
}

#[cfg(test)]
mod tests;
