//! What the process gives up, so that whoever takes it over gets little: privileges always, files, ports and
//! system calls where `process.confine` asks for it. Threads and children inherit what is given up before they
//! are started; later it would hold for one thread only.

mod limits;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(not(target_os = "linux"))]
use elsewhere as platform;

use std::{fmt, path::PathBuf};

use crate::config::{Confine, Settings};

pub use limits::CompilerLimits;

/// One thing that the process gives up, or gives itself.
#[derive(Debug)]
pub struct Step {
    /// What is done, to be read after "could not".
    pub action: &'static str,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It was so already.
    NotNeeded,
    /// It is not done, or only in part, and why.
    CouldNot(String),
}

impl Outcome {
    fn of(result: Result<(), impl fmt::Display>) -> Self {
        result.map_or_else(|why| Self::CouldNot(why.to_string()), |()| Self::Done)
    }
}

/// Files of a confined process, beside those of the system that every program reads.
#[derive(Debug, Default)]
pub struct Access {
    /// Files and folders that it may read. What does not exist is left out.
    pub read: Vec<PathBuf>,
    /// Folders that it may change. What does not exist is left out.
    pub write: Vec<PathBuf>,
}

/// `process.confine` is `on`, and this machine cannot do it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// Everything for a process that serves, once its ports are open: gives up what it can always do without, and
/// confines the process where the settings ask for it. Returns what its operator should know, a line each.
pub fn prepare(settings: &Settings) -> Result<Vec<String>, Refused> {
    let mut notes = complaints(&harden());
    if rustix::process::geteuid().is_root() {
        notes.push("airlock runs as root: give it an account of its own".to_owned());
    }
    notes.extend(confine_as_set(settings)?);
    Ok(notes)
}

/// Confines the process as the settings say. It may read what they name, and change its own folders.
pub fn confine_as_set(settings: &Settings) -> Result<Vec<String>, Refused> {
    let section = &settings.process;
    if section.confine == Confine::Off {
        return Ok(Vec::new());
    }
    if let Some(missing) = section.read_paths.iter().find(|path| !path.exists()) {
        return Err(Refused(format!("process.read_paths names {}, which does not exist", missing.display())));
    }
    let named = [settings.fixtures.clone(), settings.adaptors_dir()];
    let access = Access {
        read: named
            .iter()
            .chain(&settings.file)
            .chain(&settings.egress.ca_file)
            .chain(&section.read_paths)
            .cloned()
            .collect(),
        write: settings.own_folders().into(),
    };
    decide(section.confine, &confine(&access))
}

/// Gives up privileges, and gives the process as many files as it may have.
pub fn harden() -> Vec<Step> {
    let mut steps = platform::give_up_privileges();
    steps.push(Step { action: "raise the limit of open files", outcome: limits::raise_open_files() });
    steps.push(Step { action: "switch core dumps off", outcome: limits::no_core_dumps() });
    steps
}

/// Leaves the process the files that it is given, no further port to listen on, and the system calls that a
/// gateway needs. Threads that run already keep what they have, which is told.
pub fn confine(access: &Access) -> Vec<Step> {
    platform::confine(access)
}

/// Leaves a process that compiles an adaptor its open pipes, threads, and as much memory and time as it is
/// given: no file, no socket, no other program. Returns what could not be done, a line each.
pub fn confine_compiler(limits: &CompilerLimits) -> Vec<String> {
    let mut steps = limits::for_compiler(limits);
    steps.extend(platform::give_up_privileges());
    steps.extend(platform::confine_compiler());
    complaints(&steps)
}

/// `on` is all or nothing; `try` says what is missing.
fn decide(confine: Confine, steps: &[Step]) -> Result<Vec<String>, Refused> {
    let missing = complaints(steps);
    if confine == Confine::On && !missing.is_empty() {
        return Err(Refused(format!(
            "process.confine is \"on\", and not all of it can be done here:\n  {}\n  \
             \"try\" does what can be done, \"off\" nothing",
            missing.join("\n  ")
        )));
    }
    Ok(missing)
}

fn complaints(steps: &[Step]) -> Vec<String> {
    let complaint = |step: &Step| match &step.outcome {
        Outcome::CouldNot(why) => Some(format!("could not {}: {why}", step.action)),
        Outcome::Done | Outcome::NotNeeded => None,
    };
    steps.iter().filter_map(complaint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(last: Outcome) -> [Step; 2] {
        [Step { action: "fly", outcome: Outcome::Done }, Step { action: "swim", outcome: last }]
    }

    #[test]
    fn on_is_refused_where_a_step_is_missing_and_try_tells_it() {
        let broken = || steps(Outcome::CouldNot("there is no water".to_owned()));
        let told = decide(Confine::On, &broken()).unwrap_err().to_string();
        assert!(
            told.contains("process.confine") && told.contains("could not swim: there is no water"),
            "{told}"
        );
        let told = decide(Confine::Try, &broken()).unwrap();
        assert_eq!(told, ["could not swim: there is no water"]);
        for fine in [Outcome::Done, Outcome::NotNeeded] {
            assert!(decide(Confine::On, &steps(fine)).unwrap().is_empty());
        }
    }

    #[test]
    fn a_read_path_that_is_missing_is_a_mistake_unless_nothing_is_confined() {
        let mut settings = Settings::default();
        settings.process.read_paths = vec!["nowhere/at-all".into()];
        assert!(confine_as_set(&settings).unwrap().is_empty());
        for confine in [Confine::Try, Confine::On] {
            settings.process.confine = confine;
            let told = confine_as_set(&settings).unwrap_err().to_string();
            assert!(told.contains("nowhere/at-all"), "{told}");
        }
    }
}
