//! `airlock adaptor port`: an adaptor of FIRST, in Python, as a project. Its file is copied and not changed; what reads it is
//! Python itself (`port.py` of the SDK).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use serde::Deserialize;

use super::named;
use crate::{
    cli::{Failure, print, say},
    project::{Language, ProjectName, SDK, bring_sdk},
};

#[derive(Args)]
pub(super) struct PortArgs {
    /// The adaptor's file, as in custom_endpoint.py
    file: PathBuf,
    /// What it is called here: small letters, digits and hyphens [default: the file's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The new folder [default: the name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What was found in the file.
#[derive(Deserialize)]
struct Ported {
    classes: Vec<String>,
    findings: Vec<Finding>,
}

/// Something that is not carried.
#[derive(Deserialize)]
struct Finding {
    line: usize,
    what: String,
    remedy: String,
    /// Whether the adaptor fails by it, or does less.
    breaks: bool,
}

/// Writes the project, and says what is left to do.
pub(super) fn port(args: &PortArgs) -> Result<(), Failure> {
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.file));
    let name = ProjectName::parse(&name).map_err(Failure::new)?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(name.kebab()));
    if !args.file.is_file() {
        return Err(named(&args.file, "there is no such file"));
    }
    bring_sdk(Language::Python, &dir).map_err(Failure::new)?;
    let ported = read(&args.file, &name, &dir).inspect_err(|_| {
        // A folder that holds no project is in the way of the next attempt. What cannot be removed is no worse than that.
        let _ = fs::remove_dir_all(dir.join(SDK));
        let _ = fs::remove_dir(&dir);
    })?;
    print(dir.display())?;
    report(args, &ported, &dir);
    Ok(())
}

fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem.to_lowercase().replace('_', "-")
}

fn read(file: &Path, name: &ProjectName, dir: &Path) -> Result<Ported, Failure> {
    let script = dir.join(SDK).join("port.py");
    let mut python = Command::new("python3");
    python.arg(script).arg(file).arg(name.kebab()).arg(dir).env("PYTHONDONTWRITEBYTECODE", "1");
    let ended = python.output().map_err(|error| {
        Failure::new(format_args!(
            "python3 cannot be started, which reads the file: {error}\n  install Python 3.11 to 3.13"
        ))
    })?;
    if !ended.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&ended.stderr)));
    }
    serde_json::from_slice(&ended.stdout).map_err(|error| named(file, error))
}

fn report(args: &PortArgs, ported: &Ported, dir: &Path) {
    let (file, shown) = (args.file.display(), dir.display());
    for Finding { line, what, remedy, breaks } in &ported.findings {
        let kind = if *breaks { "error" } else { "warning" };
        say(format_args!("{kind}: {file}:{line}: {what}\n  {remedy}"));
    }
    let broken = ported.findings.iter().filter(|finding| finding.breaks).count();
    let classes = ported.classes.join(", ");
    say(format_args!("\n{classes} of {file} is a project in {shown}; the file is as it was."));
    if broken > 0 {
        say(format_args!("It needs {broken} change(s), as said above, before it runs in the sandbox."));
    }
    say(format_args!(
        "\n  cd {shown}\n  airlock adaptor build     # the component\n  airlock adaptor test      # a trial in the \
         sandbox, with [config] of adaptor.toml\n\nfixture.json is its entry: put it among your fixtures, with values of \
         your own in `config`."
    ));
}
