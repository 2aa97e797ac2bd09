//! The real binary, as a person or a script runs it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
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

impl Finished {
    fn of(output: std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A run that goes on. Dropping it ends it.
pub struct Airlock {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// The real binary.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap(); // target/debug/deps/it-…
    let path = test.ancestors().nth(2).unwrap().join("airlock");
    assert!(path.is_file(), "{} is missing: run `./just build`", path.display());
    path
}

/// Every test of the binary runs confined, where the system can; those that must not say so.
const CONFINE: &str = if cfg!(target_os = "linux") { "on" } else { "off" };

/// With no other variables, so that the developer's own settings do not count.
fn command<S: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: &[S], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments);
    prepared(command, folder, env)
}

fn prepared(mut command: Command, folder: &Path, env: &[(&str, &str)]) -> Command {
    command
        .env_clear()
        .env("AIRLOCK_PROCESS__CONFINE", CONFINE)
        .env("AIRLOCK_UNREADY_SECONDS", "0")
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
        Finished::of(within(command(folder, arguments, env).output()).await.unwrap())
    }

    /// The same for what builds a project: a compiler takes its time, longer where others use the machine.
    pub async fn build<S: AsRef<std::ffi::OsStr>>(
        folder: &Path,
        arguments: &[S],
        env: &[(&str, &str)],
    ) -> Finished {
        let output = command(folder, arguments, env).output();
        let done = tokio::time::timeout(std::time::Duration::from_secs(1200), output).await;
        Finished::of(done.expect("it ends in 20 minutes").unwrap())
    }

    /// The same with something on standard input.
    pub async fn run_fed<S: AsRef<std::ffi::OsStr>>(
        folder: &Path,
        arguments: &[S],
        env: &[(&str, &str)],
        input: &str,
    ) -> Finished {
        let mut child = command(folder, arguments, env).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        Finished::of(within(child.wait_with_output()).await.unwrap())
    }

    /// Starts it and leaves it running.
    pub fn start<S: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: &[S], env: &[(&str, &str)]) -> Self {
        Self::spawn(command(folder, arguments, env))
    }

    /// The same with a hard limit of open files.
    pub fn start_with_files<S: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: &[S], limit: u32) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]).arg(binary()).args(arguments);
        Self::spawn(prepared(shell, folder, &[]))
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
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

    /// Lines of standard error up to the one that says this.
    pub async fn error_line(&mut self, says: &str) -> String {
        let errors = self.child.stderr.as_mut().expect("not read to its end");
        let mut line = Vec::new();
        // Byte by byte, so that nothing of what follows is lost.
        loop {
            match within(errors.read_u8()).await.expect("it goes on") {
                b'\n' if String::from_utf8_lossy(&line).contains(says) => {
                    return String::from_utf8(line).unwrap();
                }
                b'\n' => line.clear(),
                byte => line.push(byte),
            }
        }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends a signal, by its name for `kill`.
    pub async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let done = Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap();
        assert!(done.success());
    }

    /// Ends it at once (`kill -9`), and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        within(self.child.wait()).await.unwrap();
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
