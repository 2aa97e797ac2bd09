//! What adaptors may import. Everything is linked here and nothing else is: files and sockets are `absent`.

pub(crate) mod absent;
mod callbacks;
mod clock;
mod coalescing;
mod http;
pub(crate) mod key_value;
mod logging;
mod upstream;
mod watched;

use bytes::Bytes;
use wasmtime::{
    Engine, Result,
    component::{HasSelf, Linker},
};
use wasmtime_wasi::{cli::WasiCli, p2::bindings::cli};

use crate::{bindings::airlock::adaptor as contract, call::CallState, witness::Step};

pub(crate) use self::{
    clock::CoarseClock,
    http::{Hooks, abort_unfinished},
    logging::{LogSink, Tags},
    upstream::outbound,
};

/// Links the worlds of `wit/worlds.wit` and what the standard libraries of guest languages expect of a
/// command-line program: an empty environment, no arguments, an output that goes to the log.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<CallState>> {
    let mut linker = Linker::<CallState>::new(engine);
    let l = &mut linker;
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(l)?;
    cli::environment::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    contract::upstream::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    contract::upstream_http::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    contract::logging::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    contract::key_value::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    contract::coalescing::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    contract::callbacks::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    contract::task_body::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    watched::add_to_linker(l)?;
    Ok(linker)
}

impl contract::task_body::Host for CallState {
    fn replace(&mut self, body: Vec<u8>) -> Result<()> {
        self.check_serves()?;
        let body = Bytes::from(body);
        if let Some(witness) = self.witness() {
            witness.saw(&Step::TaskBody { data: body.clone().into() });
        }
        self.own_body.replace(body);
        Ok(())
    }
}

/// The records of `common` need nothing of the host.
impl contract::common::Host for CallState {}
