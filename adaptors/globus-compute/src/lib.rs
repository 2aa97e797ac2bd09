//! Runs tasks on Globus Compute endpoints, FIRST's way: a registered function on a compute node calls the model server
//! there and returns its answer. Also runs batches that way, and reports what a cluster's queue holds.

mod outcome;
mod pack;
mod pickle;
mod qstat;
mod service;
mod settings;
mod stream;

use airlock_adaptor::object::Object;
use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::{
    AdaptorError, BatchAdaptor, BatchInput, BatchProgress, BatchRequest, BatchState, ClusterAdaptor,
    ClusterInfo, EndpointAdaptor, EndpointInfo, Jobs, Reply, SubmittedBatch, Task, User, info, key_value,
    warn,
};

use outcome::Outcome;
use service::EndpointState;
use settings::EndpointSettings;
use stream::Stream;

/// How long a model that was asked for may take to come up before it is asked for again.
const COMING_UP_MS: u32 = 600_000;

struct GlobusCompute;

impl EndpointAdaptor for GlobusCompute {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        EndpointSettings::read(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let settings = EndpointSettings::read(&endpoint)?;
        check_ready(&endpoint, &settings)?;
        let mut params = params(&settings, &task)?;
        stream::remove_address(&mut params);
        let id = submit(&settings, &params)?;
        let Some(status) = settings.service.wait(&id, settings.task_timeout_ms()?)? else {
            let message = format!("the task {id} was not done in time; try again later");
            return Err(AdaptorError::new(504, "upstream_timeout", message));
        };
        done(&id, &status).map(|json| Reply::Body(json.into_bytes()))
    }

    fn submit_streaming_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let settings = EndpointSettings::read(&endpoint)?;
        check_ready(&endpoint, &settings)?;
        let inbox = stream::open()?;
        let mut params = params(&settings, &task)?;
        stream::set_address(&mut params, &inbox.address());
        let id = submit(&settings, &params)?;
        // Until something came, the client can still be told by a status what went wrong.
        let mut events = Stream::new(inbox, &settings, id, &task.operation)?;
        events.wait()?;
        Ok(Reply::events(events))
    }
}

/// What the function gets: the client's body, with where to send it.
fn params<'a>(settings: &EndpointSettings, task: &'a Task) -> Result<Object<'a>, AdaptorError> {
    if !task.operation.is_json() {
        let message = format!("this model's backend takes JSON alone, and not `{}`", task.operation.path());
        return Err(AdaptorError::bad_request("unsupported_operation", message));
    }
    let mut params = Object::parse(&task.body).map_err(|error| {
        AdaptorError::bad_request("invalid_json", format!("the body is not one JSON object: {error}"))
    })?;
    params.set("openai_endpoint", &json!(task.operation.path()).to_string());
    params.set("api_port", &settings.api_port.to_string());
    Ok(params)
}

/// Submits a call of the function: the task's id.
fn submit(settings: &EndpointSettings, params: &Object<'_>) -> Result<String, AdaptorError> {
    let argument = pack::arguments(Some(&format!("{{\"model_params\":{params}}}")));
    let id = settings.service.submit(&settings.endpoint_uuid, &settings.function_uuid, &argument)?;
    info!("task {id} was submitted to {}", settings.endpoint_uuid);
    Ok(id)
}

/// Refuses what would only wait: an endpoint that is not there, or one whose nodes somebody has asked for already.
fn check_ready(endpoint: &EndpointInfo, settings: &EndpointSettings) -> Result<(), AdaptorError> {
    let state = settings.service.endpoint(&settings.endpoint_uuid)?;
    let triggered = format!("globus/triggered/{}", endpoint.slug);
    if let Some(refusal) = refusal(&endpoint.model, &state, key_value::get(&triggered).is_some()) {
        return Err(refusal);
    }
    if state.managers() == Some(0) {
        let _ = key_value::set(&triggered, b"1", Some(COMING_UP_MS));
    }
    Ok(())
}

fn refusal(model: &str, state: &EndpointState, was_triggered: bool) -> Option<AdaptorError> {
    if !state.is_online() {
        let message =
            format!("the model `{model}` is offline: its compute endpoint is not connected; try again later");
        return Some(AdaptorError::unavailable("model_offline", message).retry_after(60_000));
    }
    (state.managers() == Some(0) && was_triggered).then(|| {
        let message = format!("the model `{model}` is starting on the cluster; try again in a few minutes");
        AdaptorError::unavailable("model_starting", message).retry_after(60_000)
    })
}

impl BatchAdaptor for GlobusCompute {
    fn has_batch_enabled(endpoint: &EndpointInfo) -> bool {
        EndpointSettings::read(endpoint).is_ok_and(|settings| settings.batch().is_some())
    }

    fn submit_batch(endpoint: EndpointInfo, request: BatchRequest) -> Result<SubmittedBatch, AdaptorError> {
        let settings = EndpointSettings::read(&endpoint)?;
        let (Some((compute, function)), BatchInput::Path(input)) = (settings.batch(), &request.input) else {
            let message = "batches here read a file on the cluster: give its path";
            return Err(AdaptorError::bad_request("batch_unavailable", message));
        };
        let state = settings.service.endpoint(compute)?;
        if let Some(refusal) = refusal(&endpoint.model, &state, false) {
            return Err(refusal);
        }
        let mut params = json!({ "input_file": input, "model": request.model });
        if let (Some(folder), Some(params)) = (&request.output_folder_path, params.as_object_mut()) {
            params.insert("output_folder_path".into(), json!(folder));
        }
        let user = request.user.as_ref().and_then(|user| user.name.as_deref()).unwrap_or_default();
        let argument = json!({ "model_params": params, "batch_id": request.id, "username": user });
        let id = settings.service.submit(compute, function, &pack::arguments(Some(&argument.to_string())))?;
        Ok(SubmittedBatch { handle: id.clone(), task_ids: vec![id], state: BatchState::Pending })
    }

    fn get_batch_status(endpoint: EndpointInfo, handle: String) -> Result<BatchProgress, AdaptorError> {
        let settings = EndpointSettings::read(&endpoint)?;
        let status = settings.service.look(&handle)?;
        let (state, message, results) = match outcome::of(&status)? {
            Outcome::Pending => (BatchState::Pending, None, None),
            Outcome::Done(json) => (BatchState::Completed, None, Some(json.into_bytes())),
            Outcome::Failed(error, said) => {
                warn!("batch {handle} failed: {said}");
                (BatchState::Failed, Some(error.message), None)
            }
        };
        Ok(BatchProgress { state, total: None, completed: None, failed: None, message, results })
    }

    fn get_batch_result(_: EndpointInfo, _: String) -> Result<Vec<u8>, AdaptorError> {
        Err(AdaptorError::new(410, "result_taken", "the service hands a result out once, with the status"))
    }

    fn cancel_batch(_: EndpointInfo, _: String) -> Result<(), AdaptorError> {
        Err(AdaptorError::new(501, "not_supported", "Globus Compute does not cancel tasks"))
    }
}

impl ClusterAdaptor for GlobusCompute {
    fn get_jobs(cluster: ClusterInfo, _: Option<User>) -> Result<Jobs, AdaptorError> {
        qstat::jobs(&cluster)
    }
}

/// The result of a task that has come to its end.
pub(crate) fn done(id: &str, status: &[u8]) -> Result<String, AdaptorError> {
    match outcome::of(status)? {
        Outcome::Done(json) => Ok(json),
        Outcome::Failed(error, said) => {
            warn!("task {id} failed: {said}");
            Err(error)
        }
        Outcome::Pending => Err(AdaptorError::bad_upstream("upstream_bad_response", "the task has no end")),
    }
}

/// What an object has under a key, `null` where it has nothing or is no object.
pub(crate) fn field<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

/// JSON text as a value, `null` where it is none.
pub(crate) fn parse(json: &str) -> Value {
    airlock_adaptor::serde_json::from_str(json).unwrap_or_default()
}

airlock_adaptor::export_endpoint!(GlobusCompute);
airlock_adaptor::export_batch!(GlobusCompute);
airlock_adaptor::export_cluster!(GlobusCompute);

#[cfg(test)]
mod tests {
    use airlock_adaptor::serde_json;

    use super::*;

    #[test]
    fn a_model_that_cannot_answer_is_told_apart() {
        let state = |text: &str| serde_json::from_str::<EndpointState>(text).unwrap();
        let (offline, cold) = (
            state("{\"status\":\"offline\"}"),
            state("{\"status\":\"online\",\"details\":{\"managers\":0}}"),
        );
        let code = |state, triggered| refusal("m", state, triggered).map(|error| (error.status, error.code));
        assert_eq!(code(&offline, false), Some((503, "model_offline".into())));
        assert_eq!(code(&cold, false), None, "the first request is what starts it");
        assert_eq!(code(&cold, true), Some((503, "model_starting".into())));
        assert_eq!(
            code(&state("{\"status\":\"online\"}"), true),
            None,
            "nobody says that there are no managers"
        );
    }
}
