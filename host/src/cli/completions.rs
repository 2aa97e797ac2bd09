//! `airlock completions`

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Failure, print};

#[derive(Args)]
pub(super) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// What the shell reads to complete commands and flags.
pub(super) fn run(args: &CompletionArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "airlock", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}
