//! Which live entry gets a task, and what happens when it cannot take it.

use std::hash::{BuildHasher, RandomState};

use airlock_adaptor::direct_api::DirectApi;
use airlock_adaptor::{AdaptorError, EndpointInfo, Operation, Reply, Task, UpstreamRequest, upstream, warn};

use crate::manifest::{Entry, SUCCESS_MS};

/// How many places one task is sent to at most. A call may send 16 requests, by default.
const MAX_TRIES: usize = 8;

/// Where the endpoint's model is live, in an order that is new for each task; an error where it is not.
/// `api_url` stands in for URLs that the manifest does not give, and is the last resort.
pub(crate) fn urls<'a>(
    endpoint: &EndpointInfo,
    entries: &'a [Entry],
    api_url: Option<&'a str>,
) -> Result<Vec<&'a str>, AdaptorError> {
    let own = || entries.iter().filter(|entry| entry.serves(&endpoint.model));
    if !own().any(Entry::is_live) {
        return Err(not_running(endpoint, own().map(|entry| entry.status.as_str()).next()));
    }
    let live = own().filter(|entry| entry.is_live());
    let urls = live.filter_map(|entry| entry.url.as_deref().or(api_url)).collect();
    let urls = ordered(urls, api_url, &RandomState::new());
    if urls.is_empty() {
        let message = format!(
            "the model `{}` is live, but neither the status manifest nor the endpoint's config says where: \
             its operator has to set `api_url`",
            endpoint.model
        );
        return Err(AdaptorError::new(500, "model_url_unknown", message));
    }
    Ok(urls)
}

fn not_running(endpoint: &EndpointInfo, status: Option<&str>) -> AdaptorError {
    let EndpointInfo { model, cluster, .. } = endpoint;
    let message = match status {
        Some(status) => format!("the model `{model}` is not running on {cluster}: its status is {status:?}"),
        None => format!("the model `{model}` is not running on {cluster}: its status list does not name it"),
    };
    let message = format!("{message}; try again later, or use a model that is running");
    AdaptorError::unavailable("model_not_running", message).retry_after(SUCCESS_MS)
}

/// The URLs without repetition, in the order of their hashes: with random keys a random one.
fn ordered<'a>(mut urls: Vec<&'a str>, api_url: Option<&'a str>, random: &impl BuildHasher) -> Vec<&'a str> {
    urls.sort_by_cached_key(|url| (random.hash_one(url), *url));
    urls.dedup();
    let last_resort = api_url.filter(|api_url| !urls.contains(api_url));
    urls.truncate(MAX_TRIES - usize::from(last_resort.is_some()));
    urls.extend(last_resort);
    urls
}

/// Sends the task to the first of these places that takes it.
pub(crate) fn send(endpoint: &EndpointInfo, task: &Task, urls: &[&str]) -> Result<Reply, AdaptorError> {
    let mut failure = None;
    let mut left = urls.len();
    for url in urls {
        left -= 1;
        let api = match DirectApi::with_url(endpoint, url) {
            Ok(api) => api,
            Err(error) => {
                warn!("the manifest's URL {url:?} is skipped: {}", error.message);
                continue;
            }
        };
        let request = request(api, task)?;
        if left == 0 && failure.is_none() {
            // Nothing to fall back on: the gateway sends it, and no sandbox waits for the answer.
            return Ok(Reply::Forward(request));
        }
        match attempt(&request) {
            Attempt::Answer(reply) => return reply,
            Attempt::Skip(why) => warn!("{url} is skipped: {why}"),
            Attempt::Failure(why, reply) => {
                warn!("{url} failed: {why}");
                failure = Some(reply);
            }
        }
    }
    let unusable =
        || AdaptorError::bad_upstream("model_url_unknown", "no URL of the status manifest is usable");
    failure.unwrap_or_else(|| Err(unusable()))
}

/// The direct API's request; what FIRST's clients send for other backends is taken out.
fn request(mut api: DirectApi<'_>, task: &Task) -> Result<UpstreamRequest, AdaptorError> {
    if task.operation.takes_form() {
        return api.request(task);
    }
    api.remove_field("api_port");
    if task.operation != Operation::Embeddings {
        api.set_field("stream", task.stream)?;
    }
    api.request(task)
}

/// What came of one place.
enum Attempt {
    /// This is the answer, good or bad.
    Answer(Result<Reply, AdaptorError>),
    /// The task may not go there, so that nothing was learned.
    Skip(String),
    /// It did not serve the task; another place may.
    Failure(String, Result<Reply, AdaptorError>),
}

fn attempt(request: &UpstreamRequest) -> Attempt {
    match upstream::send(request) {
        Ok(response) => match response.status() {
            status @ 502..=504 => {
                Attempt::Failure(format!("it answered {status}"), Ok(Reply::Relay(response)))
            }
            _ => Attempt::Answer(Ok(Reply::Relay(response))),
        },
        Err(error) => match error.code.as_str() {
            // A form that one place has begun to read is gone; that place's failure is the answer.
            "egress_denied" | "form_already_sent" => Attempt::Skip(error.message),
            "upstream_unreachable" | "upstream_disconnected" => {
                Attempt::Failure(error.message.clone(), Err(error))
            }
            _ => Attempt::Answer(Err(error)),
        },
    }
}

#[cfg(test)]
mod tests;
