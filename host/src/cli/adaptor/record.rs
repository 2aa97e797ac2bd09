//! `airlock adaptor record`: a run, and everything that reached the adaptor, in a file.

use std::{
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    named,
    run::{Done, TrialArgs, verdict},
};
use crate::{
    cli::{Failure, remote::Output, say},
    config::Env,
    trial::Recording,
};

#[derive(Args)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    trial: TrialArgs,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Put the component into it too, so that nothing else is needed to play it
    #[arg(long)]
    with_component: bool,
}

pub(super) fn run(args: &RecordArgs, env: &Env) -> Result<(), Failure> {
    let done = args.trial.run(Output::Table, env)?;
    let verdict = verdict(&done.outcome);
    let recording = recording_of(done, args.with_component)?;
    write(&recording, &args.to)?;
    say(format_args!(
        "{} written. It holds no credentials, as no adaptor sees any, and everything else: the config, and what was asked \
         and answered. Look at it before you give it to others.",
        args.to.display()
    ));
    verdict
}

fn recording_of(done: Done, with_component: bool) -> Result<Recording, Failure> {
    let Done { mut plan, outcome, steps, parts, .. } = done;
    let too_large =
        "the run is too large to be recorded: more than 64 MiB went through. Record a smaller task";
    let steps = steps.ok_or_else(|| Failure::new(too_large))?;
    if with_component {
        for (part, component) in plan.parts.iter_mut().zip(parts) {
            part.component = Some(component.bytes.into());
        }
    }
    Ok(Recording::new(plan, steps, outcome))
}

/// Under another name until it is whole: a recording that was there stays until then.
pub(super) fn write(recording: &Recording, to: &Path) -> Result<(), Failure> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|file| {
        let mut out = BufWriter::new(file);
        recording.write(&mut out)?;
        out.flush()?;
        out.into_inner().map_err(|error| error.into_error())?.persist(to).map_err(|error| error.error)
    });
    written.map(drop).map_err(|e| named(to, e))
}
