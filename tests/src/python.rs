//! Components that are built with Python, which a machine may not have.

use std::{io::Write as _, path::PathBuf, process::Command};

use super::target_dir;

/// The component of an example in Python, or of a ported one: what `scripts/python-adaptors` has built. None, and a line that
/// says so, where this machine has no Python; on CI that is a mistake.
pub fn python_example(name: &str) -> Option<PathBuf> {
    found(target_dir().join("examples").join(format!("{name}-python.wasm")))
}

/// The same of a test's own adaptor.
pub fn python_guest(name: &str) -> Option<PathBuf> {
    found(target_dir().join("guests").join(format!("python-{name}.wasm")))
}

/// A Python for scripts of ours.
pub fn python() -> Option<Command> {
    let program = PathBuf::from("python3");
    let is_there = Command::new(&program).arg("--version").output().is_ok_and(|done| done.status.success());
    let mut command = Command::new(found_if(is_there.then_some(program))?);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

fn found(path: PathBuf) -> Option<PathBuf> {
    found_if(path.is_file().then_some(path))
}

fn found_if(path: Option<PathBuf>) -> Option<PathBuf> {
    if path.is_none() {
        let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!ci, "there are no adaptors in Python on this machine: run scripts/python-adaptors");
        let line = "SKIPPED: a test of adaptors in Python, which are missing: run scripts/python-adaptors";
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    path
}
