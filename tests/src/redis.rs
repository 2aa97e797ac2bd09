//! A real Redis server for one test, with a socket as its only door. It ends with the process, however that ends.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::Mutex,
};

use tempfile::TempDir;

/// What the server says when it can be reached.
const READY: &str = "ready to accept connections";
/// The shell that holds the server: it kills it when it is told to, or when nobody holds the shell's input any more.
const GUARD: &str =
    r#"cd /; "$@" 2>&1 & server=$!; read -r _; kill -KILL $server; wait $server 2>/dev/null; exit 0"#;

/// A server. Dropping it ends it.
pub struct RedisServer {
    folder: TempDir,
    running: Mutex<Option<(Child, ChildStdin)>>,
}

impl RedisServer {
    /// Starts one. `None`: there is no Redis here, and that was said.
    pub fn start() -> Option<Self> {
        let path = std::env::split_paths(&std::env::var_os("PATH")?).collect::<Vec<_>>();
        if !path.iter().any(|folder| folder.join("redis-server").is_file()) {
            let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!ci, "there is no Redis on this machine: run scripts/redis");
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: a test on Redis, which is missing: run scripts/redis");
            return None;
        }
        // Short, as the path of a socket is at most 107 bytes long.
        let folder = tempfile::Builder::new().prefix("ard").tempdir_in("/tmp").unwrap();
        let server = Self { folder, running: Mutex::default() };
        server.resume();
        Some(server)
    }

    /// Starts it again after [`Self::kill`]. It has forgotten everything.
    pub fn resume(&self) {
        let mut running = self.running.lock().unwrap();
        assert!(running.is_none(), "it runs");
        let mut command = Command::new("sh");
        command.env("LC_ALL", "C");
        command.args([
            "-c",
            GUARD,
            "redis",
            "redis-server",
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(self.folder.path()).arg("--unixsocket").arg(self.socket());
        let mut guard = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = guard.stdin.take().unwrap();
        let mut lines = BufReader::new(guard.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        loop {
            match lines.next() {
                Some(Ok(line)) if line.contains(READY) => break,
                Some(Ok(line)) => said.push(line),
                _ => panic!("Redis did not start:\n{}", said.join("\n")),
            }
        }
        // Somebody has to read what it says, or it stalls.
        std::thread::spawn(move || lines.for_each(drop));
        *running = Some((guard, input));
    }

    /// Ends it at once.
    pub fn kill(&self) {
        if let Some((mut guard, input)) = self.running.lock().unwrap().take() {
            drop(input);
            guard.wait().unwrap();
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// What it answers to a command of words without spaces, as it comes over the wire.
    pub fn ask(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.strip_suffix("+OK\r\n").unwrap_or(&answer).trim().to_owned()
    }

    /// Stops it for so long, so that it answers nobody.
    pub fn pause(&self, milliseconds: u64) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(format!("CLIENT PAUSE {milliseconds} ALL\r\n").as_bytes()).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"+OK\r\n");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
