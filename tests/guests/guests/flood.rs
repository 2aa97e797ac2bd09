//! Writes to where `config.to` says, `stdout`, `stderr` or `log`, `config.writes` (1) times `config.bytes` (0)
//! bytes, 4 KiB at most. They end in a line feed with `config.lines`. Then replies with a completion whose
//! content is `flooded`.

use airlock_adaptor::log::{Level, log};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::wasi::cli;
use airlock_guests::{completion, number, settings, text};

struct Flood;

impl EndpointAdaptor for Flood {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let mut piece = "x".repeat(number(&config, "bytes", 0));
        if config["lines"] == true {
            piece.replace_range(piece.len() - 1.., "\n");
        }
        let stream = match text(&config, "to") {
            "stdout" => Some(cli::stdout::get_stdout()),
            "stderr" => Some(cli::stderr::get_stderr()),
            _ => None,
        };
        for _ in 0..number(&config, "writes", 1) {
            match &stream {
                Some(stream) => stream
                    .check_write()
                    .and_then(|_| stream.write(piece.as_bytes()))
                    .expect("the stream stays open"),
                None => log(Level::Info, &piece),
            }
        }
        Reply::json(&completion(&endpoint.model, "flooded"))
    }
}

airlock_adaptor::export_endpoint!(Flood);
