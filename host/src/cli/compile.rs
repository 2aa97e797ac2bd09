//! `airlock compile`: the child process that compiles one adaptor, or one chain of them.

use std::io;

use airlock_sandbox::ComponentCompiler;
use clap::Args;

use super::{Failure, say};
use crate::process::{self, CompilerLimits};

#[derive(Args)]
pub(super) struct CompileArgs {
    /// Processor time of all threads, in seconds
    #[arg(long)]
    cpu_seconds: u64,
    /// Address space, in bytes
    #[arg(long)]
    memory_bytes: u64,
    /// Length of a part of a chain, in bytes; once for each part, in their order on standard input
    #[arg(long)]
    part_bytes: Vec<usize>,
}

/// Gives up its rights before it reads a byte of what somebody uploaded. What cannot be given up here is told on
/// standard error; the gateway's own warnings at start say the same of the machine.
pub(super) fn run(args: &CompileArgs) -> Result<(), Failure> {
    let compiler = ComponentCompiler::new().map_err(Failure::new)?;
    let limits = CompilerLimits { cpu_seconds: args.cpu_seconds, memory_bytes: args.memory_bytes };
    process::confine_compiler(&limits).iter().for_each(|note| say(format_args!("warning: {note}")));
    compiler.serve(&args.part_bytes, io::stdin().lock(), io::stdout().lock()).map_err(Failure::new)
}
