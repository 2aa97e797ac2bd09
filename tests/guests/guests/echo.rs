//! Replies with everything it was given: the task's fields, and `endpoint` with the parsed config. The
//! body looks like a chat completion (`object`, `usage`), so that the gateway counts 8 tokens. A
//! streaming task gets the same body.

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::{endpoint_json, task_json, usage};

struct Echo;

impl EndpointAdaptor for Echo {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let mut reply = task_json(&task);
        if let Value::Object(fields) = &mut reply {
            fields.insert("endpoint".to_owned(), endpoint_json(&endpoint));
            fields.insert("object".to_owned(), json!("chat.completion"));
            fields.insert("usage".to_owned(), usage());
        }
        Reply::json(&reply)
    }
}

airlock_adaptor::export_endpoint!(Echo);
