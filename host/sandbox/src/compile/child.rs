//! What runs in the child: reads a component, answers with a verdict and machine code.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use wasmtime::{Engine, InstanceAllocationStrategy, error::OutOfMemory};

use super::{compatibility, one_line, proposals};
use crate::engine;

/// The child's answer: one line of JSON, then the code where there is any.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// Code follows, for engines of this compatibility.
    Compiled {
        /// As [`compatibility`] says it.
        compatibility: String,
    },
    /// Broken, or over a limit of the engine.
    Invalid(String),
    /// Valid WebAssembly, with a proposal that is switched off.
    Proposal(String),
    /// There was not enough memory to read or to compile it.
    OutOfMemory,
}

impl Verdict {
    /// Takes an answer apart.
    pub(super) fn read(answer: &[u8]) -> Option<(Self, &[u8])> {
        let end = answer.iter().position(|byte| *byte == b'\n')?;
        let (line, code) = answer.split_at_checked(end)?;
        Some((serde_json::from_slice(line).ok()?, code.get(1..)?))
    }
}

/// Validates and compiles one component, in a process of its own.
pub struct ComponentCompiler {
    engine: Engine,
}

impl ComponentCompiler {
    /// Everything that is needed, so that the process can give up its rights before it reads a byte.
    pub fn new() -> Result<Self, String> {
        // Code does not depend on how instances are allocated, and the pool would reserve address space.
        let config = engine::code_config(InstanceAllocationStrategy::OnDemand);
        Ok(Self { engine: Engine::new(&config).map_err(|e| format!("{e:#}"))? })
    }

    /// Reads a component to the end of `input`, and answers on `output`.
    pub fn serve(&self, mut input: impl Read, mut output: impl Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        let (verdict, code) = match input.read_to_end(&mut bytes) {
            Ok(_) => self.compile(&bytes),
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => (Verdict::OutOfMemory, Vec::new()),
            Err(error) => return Err(error),
        };
        drop(bytes);
        serde_json::to_writer(&mut output, &verdict)?;
        output.write_all(b"\n")?;
        output.write_all(&code)?;
        output.flush()
    }

    fn compile(&self, bytes: &[u8]) -> (Verdict, Vec<u8>) {
        let error = match self.engine.precompile_component(bytes) {
            Ok(code) => return (Verdict::Compiled { compatibility: compatibility(&self.engine) }, code),
            Err(error) => error,
        };
        let verdict = if error.is::<OutOfMemory>() {
            Verdict::OutOfMemory
        } else {
            proposals::needed(bytes)
                .map_or_else(|| Verdict::Invalid(one_line(&error)), |name| Verdict::Proposal(name.into()))
        };
        (verdict, Vec::new())
    }
}
