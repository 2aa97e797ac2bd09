//! Prometheus' own checks of metrics and rules.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Runs `promtool` in `folder`, with this on its standard input, and gives what it says. `None`: there is none here, and that
/// was said.
///
/// # Errors
///
/// What it says where it finds mistakes.
pub fn promtool(folder: &Path, arguments: &[&str], input: &str) -> Option<Result<String, String>> {
    let Some(program) = find() else {
        eprintln!("SKIPPED: promtool is missing; run scripts/prometheus");
        assert!(!is_set("CI", "true"), "promtool is missing, and CI=true");
        return None;
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child.stdin.take().expect("it has an input").write_all(input.as_bytes()).expect("it reads");
    let done = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    Some(if done.status.success() { Ok(said) } else { Err(said) })
}

/// Where `scripts/prometheus` looks for it.
fn find() -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let cache = set("AIRLOCK_CACHE").or_else(|| Some(caches?.join("airlock")));
    let path = variable("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(cache.map(|cache| cache.join("tools/bin")));
    folders.map(|folder| folder.join("promtool")).find(|file| file.is_file())
}

fn is_set(name: &str, value: &str) -> bool {
    variable(name).is_some_and(|found| found == value)
}

fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}
