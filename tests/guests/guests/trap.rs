//! Traps: with the instruction `unreachable`, or by a panic with a message where `config.panic` is
//! true. The message must reach the log and no client. With `config.at` = `validate` it traps there.

use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::settings;

struct Trap;

impl EndpointAdaptor for Trap {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        if settings(endpoint)["at"] == "validate" {
            trap(endpoint);
        }
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        trap(&endpoint)
    }
}

fn trap(endpoint: &EndpointInfo) -> ! {
    if settings(endpoint)["panic"] == true {
        panic!("the guest's secret last words");
    }
    unreachable_instruction()
}

#[cfg(target_arch = "wasm32")]
fn unreachable_instruction() -> ! {
    std::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn unreachable_instruction() -> ! {
    std::process::abort()
}

airlock_adaptor::export_endpoint!(Trap);
