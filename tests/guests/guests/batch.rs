//! Runs batches on a server that speaks JSON, at `api_url` of its configuration:
//!
//! - `POST /batches` with `{"id","model","input","output","user"}` → `{"handle","tasks":[…],"state"}`
//! - `GET /batches/HANDLE` → `{"state","message"?,"results"?}`
//! - `GET /batches/HANDLE/result` → the result
//!
//! Batches are on where the configuration has `"batch": true`.

use airlock_adaptor::serde_json::{self, Value, json};
use airlock_adaptor::{
    AdaptorError, BatchAdaptor, BatchInput, BatchProgress, BatchRequest, BatchState, EndpointAdaptor,
    EndpointInfo, Reply, SubmittedBatch, Task, UpstreamRequest, upstream,
};
use airlock_guests::settings;

struct Jobs;

impl EndpointAdaptor for Jobs {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(_: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        Reply::json(&json!({}))
    }
}

impl BatchAdaptor for Jobs {
    fn has_batch_enabled(endpoint: &EndpointInfo) -> bool {
        settings(endpoint)["batch"] == true
    }

    fn submit_batch(endpoint: EndpointInfo, request: BatchRequest) -> Result<SubmittedBatch, AdaptorError> {
        let BatchInput::Path(input) = request.input else {
            return Err(AdaptorError::bad_request("no_content", "a path is needed"));
        };
        let body = json!({ "id": request.id, "model": request.model, "input": input,
            "output": request.output_folder_path, "user": request.user.and_then(|user| user.name) });
        let said = parse(&call(&endpoint, "POST", "/batches", Some(&body))?)?;
        let tasks = said["tasks"].as_array().into_iter().flatten();
        Ok(SubmittedBatch {
            handle: said["handle"].as_str().unwrap_or_default().into(),
            task_ids: tasks.filter_map(Value::as_str).map(str::to_owned).collect(),
            state: state(&said),
        })
    }

    fn get_batch_status(endpoint: EndpointInfo, handle: String) -> Result<BatchProgress, AdaptorError> {
        let said = parse(&call(&endpoint, "GET", &format!("/batches/{handle}"), None)?)?;
        Ok(BatchProgress {
            state: state(&said),
            total: None,
            completed: None,
            failed: None,
            message: said["message"].as_str().map(str::to_owned),
            results: said["results"].as_str().map(|results| results.as_bytes().to_vec()),
        })
    }

    fn get_batch_result(endpoint: EndpointInfo, handle: String) -> Result<Vec<u8>, AdaptorError> {
        call(&endpoint, "GET", &format!("/batches/{handle}/result"), None)
    }

    fn cancel_batch(endpoint: EndpointInfo, handle: String) -> Result<(), AdaptorError> {
        call(&endpoint, "DELETE", &format!("/batches/{handle}"), None).map(drop)
    }
}

fn state(said: &Value) -> BatchState {
    match said["state"].as_str() {
        Some("running") => BatchState::Running,
        Some("completed") => BatchState::Completed,
        Some("failed") => BatchState::Failed,
        Some("cancelled") => BatchState::Cancelled,
        _ => BatchState::Pending,
    }
}

fn call(
    endpoint: &EndpointInfo,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Vec<u8>, AdaptorError> {
    let base = settings(endpoint)["api_url"].as_str().unwrap_or_default().to_owned();
    let response = upstream::send(&UpstreamRequest {
        method: method.into(),
        url: format!("{base}{path}"),
        headers: vec![("content-type".into(), "application/json".into())],
        body: Some(body.map(Value::to_string).unwrap_or_default().into_bytes()),
        timeout_ms: None,
    })?;
    if !upstream::is_success(&response) {
        return Err(upstream::into_error(response));
    }
    upstream::read_all(&response, 1 << 20)
}

fn parse(bytes: &[u8]) -> Result<Value, AdaptorError> {
    serde_json::from_slice(bytes).map_err(|e| AdaptorError::bad_upstream("bad_json", e.to_string()))
}

airlock_adaptor::export_endpoint!(Jobs);
airlock_adaptor::export_batch!(Jobs);
