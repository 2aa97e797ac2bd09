//! Writes the body of a wasi:http request to `config.api_url`: `config.count` pieces (for ever) of `config.bytes`
//! (64 KiB), which may be 0, then the text `config.last`. Then it ends the body and replies `{"status":n}`, or
//! `{"error":…}`.

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::wasi::http::types::OutgoingBody;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::wasi::{post, wait, write};
use airlock_guests::{number, settings, text};

struct Upload;

impl EndpointAdaptor for Upload {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        Reply::json(&upload(&settings(&endpoint)))
    }
}

fn upload(config: &Value) -> Value {
    let (body, pending) = post(text(config, "api_url"));
    let stream = body.write().expect("its stream");
    let piece = vec![b'x'; number(config, "bytes", 64 << 10)];
    let pieces = (0..number(config, "count", usize::MAX)).map(|_| piece.as_slice());
    for piece in pieces.chain([text(config, "last").as_bytes()]) {
        if let Err(error) = write(&stream, piece) {
            return json!({"error": error.to_string()});
        }
    }
    drop(stream);
    if let Err(error) = OutgoingBody::finish(body, None) {
        return json!({"error": error.to_string()});
    }
    match wait(&pending) {
        Ok(response) => json!({"status": response.status()}),
        Err(error) => json!({"error": error.to_string()}),
    }
}

airlock_adaptor::export_endpoint!(Upload);
