//! The real binary, as a person or a script runs it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::within;

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A run that goes on. Dropping it ends it.
pub struct Airlock {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap(); // target/debug/deps/it-…
    let path = test.ancestors().nth(2).unwrap().join("airlock");
    assert!(path.is_file(), "{} is missing: run `./just build`", path.display());
    path
}

/// With no variables but `PATH`, so that the developer's own settings do not count.
fn command<S: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: &[S], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .env_clear()
        .envs(env.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Airlock {
    /// Runs it in `folder` to its end.
    pub async fn run<S: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: &[S]) -> Finished {
        Self::run_with(folder, arguments, &[]).await
    }

    /// The same with variables.
    pub async fn run_with<S: AsRef<std::ffi::OsStr>>(
        folder: &Path,
        arguments: &[S],
        env: &[(&str, &str)],
    ) -> Finished {
        let output = within(command(folder, arguments, env).output()).await.unwrap();
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts it and leaves it running.
    pub fn start<S: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: &[S], env: &[(&str, &str)]) -> Self {
        let mut child = command(folder, arguments, env).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line of standard output.
    pub async fn line(&mut self) -> String {
        match within(self.lines.next_line()).await.unwrap() {
            Some(line) => line,
            None => panic!("it ended: {}", self.stderr().await),
        }
    }

    /// Sends a signal, by its name for `kill`.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let done = Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap();
        assert!(done.success());
    }

    /// Waits for its end.
    pub async fn finished(mut self) -> Finished {
        let stderr = self.stderr().await;
        let code = within(self.child.wait()).await.unwrap().code().unwrap_or(-1);
        let mut stdout = String::new();
        while let Ok(Some(line)) = self.lines.next_line().await {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        Finished { code, stdout, stderr }
    }

    async fn stderr(&mut self) -> String {
        let mut text = String::new();
        let mut stderr = self.child.stderr.take().expect("read once");
        within(stderr.read_to_string(&mut text)).await.unwrap();
        text
    }
}
