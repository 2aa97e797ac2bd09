//! Writes one line per level (`a trace line`, …), one with control characters, one of 8 KiB, one line
//! each to standard output and standard error, and `config.lines` (0) lines of 1 KiB; then replies with
//! a completion whose content is `logged`.

use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_adaptor::{debug, error, info, trace, warn};
use airlock_guests::{completion, settings};

struct Logs;

impl EndpointAdaptor for Logs {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        trace!("a trace line");
        debug!("a debug line");
        info!("an info line of task {}", task.id);
        warn!("a warn line");
        error!("an error line");
        info!("control\r\ncharacters \u{1b}[31mred\u{7}\0 end");
        info!("{}", "l".repeat(8 << 10));
        println!("a line to standard output");
        eprintln!("a line to standard error");
        for at in 0..settings(&endpoint)["lines"].as_u64().unwrap_or(0) {
            info!("{at:4} {}", "m".repeat((1 << 10) - 5));
        }
        Reply::json(&completion(&endpoint.model, "logged"))
    }
}

airlock_adaptor::export_endpoint!(Logs);
