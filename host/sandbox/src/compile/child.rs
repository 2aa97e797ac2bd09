//! What runs in the child: reads a component or a chain of them, answers with a verdict and machine code.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use wasmtime::{Engine, InstanceAllocationStrategy, error::OutOfMemory};

use super::{compatibility, compose, one_line, proposals};
use crate::{LoadError, engine};

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
    /// A part of a chain cannot stand where it stands.
    Part(usize, LoadError),
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

/// Validates and compiles one component or one chain, in a process of its own.
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

    /// Reads a component to the end of `input`, or the parts of a chain, which are as long as `parts` says, and
    /// answers on `output`.
    pub fn serve(&self, parts: &[usize], mut input: impl Read, mut output: impl Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        let (verdict, code) = match input.read_to_end(&mut bytes) {
            Ok(_) if parts.is_empty() => self.compile(&bytes),
            Ok(_) => self.compile_chain(&split(&bytes, parts)?),
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => (Verdict::OutOfMemory, Vec::new()),
            Err(error) => return Err(error),
        };
        drop(bytes);
        serde_json::to_writer(&mut output, &verdict)?;
        output.write_all(b"\n")?;
        output.write_all(&code)?;
        output.flush()
    }

    fn compile_chain(&self, parts: &[&[u8]]) -> (Verdict, Vec<u8>) {
        let composed = match compose::compose(parts) {
            Ok(composed) => composed,
            Err((at, why)) => return (Verdict::Part(at, why), Vec::new()),
        };
        let (verdict, code) = self.compile(&composed);
        // The composition is new and nobody knows it: say whose proposal that is.
        let blamed = matches!(verdict, Verdict::Proposal(_))
            .then(|| parts.iter().enumerate().find_map(|(at, part)| Some((at, proposals::needed(part)?))))
            .flatten();
        match blamed {
            Some((at, name)) => (Verdict::Part(at, LoadError::Proposal(name.into())), Vec::new()),
            None => (verdict, code),
        }
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

/// The parts of a chain, one behind the other in `bytes`.
fn split<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> io::Result<Vec<&'a [u8]>> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "the parts are not as long as was said");
    let mut parts = Vec::new();
    for length in lengths {
        let (part, rest) = bytes.split_at_checked(*length).ok_or_else(broken)?;
        parts.push(part);
        bytes = rest;
    }
    if bytes.is_empty() { Ok(parts) } else { Err(broken()) }
}
