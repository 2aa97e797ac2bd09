//! A real PostgreSQL server for this test process: started when it is first needed, with its data in a folder of
//! its own and a socket as its only door. It ends with the process, however that ends.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

/// Where distributions put the programs, beside `PATH`.
const FOLDERS: &str = "/usr/lib/postgresql";
/// The name of its socket, which belongs to the port that it would have.
pub const SOCKET: &str = ".s.PGSQL.5432";
/// What the server says when it can be reached.
const READY: &str = "database system is ready to accept connections";
/// PostgreSQL does not run as root; this account is on every system.
const NOBODY: u32 = 65534;
/// The shell that holds the server: it ends it by the signal that it is told, or at once and with its folder when
/// nobody holds the shell's input any more.
const GUARD: &str = r#"cd /; "$@" 2>&1 & server=$!
read -r signal
kill -"${signal:-QUIT}" $server; wait $server
[ -n "$signal" ] || rm -rf "$0"; exit 0"#;

/// A server. Dropping it ends it.
pub struct PostgresServer {
    programs: PathBuf,
    folder: TempDir,
    /// Whether what was written outlives a crash of the machine, too: slower, and as it is in production.
    durable: bool,
    running: Mutex<Option<Running>>,
}

struct Running {
    guard: Child,
    /// The server runs as long as this is open.
    input: ChildStdin,
}

impl PostgresServer {
    /// Starts a server for one test, which may stop it. `None`: there is no PostgreSQL here, and that was said.
    pub fn start() -> Option<Self> {
        Self::new(true)
    }

    fn new(durable: bool) -> Option<Self> {
        let Some(programs) = programs() else {
            missing();
            return None;
        };
        // Short, as the path of a socket is at most 107 bytes long.
        let folder = tempfile::Builder::new().prefix("apg").tempdir_in("/tmp").unwrap();
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let server = Self { programs, folder, durable, running: Mutex::new(None) };
        let data = server.folder.path().join("data").display().to_string();
        let options =
            ["-D", &data, "-U", "airlock", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"];
        let done = server.command("initdb").args(options).arg("--locale=C").output().unwrap();
        assert!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));
        server.resume();
        Some(server)
    }

    /// Starts it again after [`Self::stop`] or [`Self::crash`].
    pub fn resume(&self) {
        let mut running = self.running.lock().unwrap();
        assert!(running.is_none(), "it runs");
        *running = Some(self.run());
    }

    fn run(&self) -> Running {
        let folder = self.folder.path().display().to_string();
        let mut command = self.command("sh");
        command.args(["-c", GUARD, &folder]).arg(self.programs.join("postgres"));
        command.args([
            "-D",
            &format!("{folder}/data"),
            "-k",
            &folder,
            "-c",
            "listen_addresses=",
            "-p",
            "5432",
        ]);
        command.args(["-c", "max_connections=300", "-c", "shared_buffers=16MB"]);
        if !self.durable {
            command.args(["-c", "fsync=off"]);
        }
        let mut guard = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = guard.stdin.take().unwrap();
        let mut lines = BufReader::new(guard.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        loop {
            match lines.next() {
                Some(Ok(line)) if line.contains(READY) => break,
                Some(Ok(line)) => said.push(line),
                _ => panic!("PostgreSQL did not start:\n{}", said.join("\n")),
            }
        }
        // Somebody has to read what it says, or it stalls.
        std::thread::spawn(move || lines.for_each(drop));
        Running { guard, input }
    }

    /// Stops it and waits until it is gone: connections are cut off, nothing is lost.
    pub fn stop(&self) {
        self.end("INT");
    }

    /// Ends all of its processes at once, without any clearing up.
    pub fn crash(&self) {
        self.end("QUIT");
    }

    fn end(&self, signal: &str) {
        let Some(mut running) = self.running.lock().unwrap().take() else { return };
        writeln!(running.input, "{signal}").unwrap();
        running.guard.wait().unwrap();
    }

    /// The address of a fresh database.
    pub async fn fresh(&self) -> String {
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        // Where it can, with an order of letters that is not that of their bytes, as most servers have it.
        let create = format!("CREATE DATABASE {name}");
        let ordered = format!("{create} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'");
        if connection.execute(ordered.as_str()).await.is_err() {
            connection.execute(create.as_str()).await.unwrap();
        }
        connection.close().await.unwrap();
        self.url(&name)
    }

    /// Its only door.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    fn url(&self, name: &str) -> String {
        format!("postgres://airlock@localhost/{name}?host={}", self.folder.path().display())
    }

    /// One of its programs, under an account that may run it.
    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = Command::new(if path.exists() { path } else { program.into() });
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.lock().unwrap().take() {
            drop(running.input);
            let _ = running.guard.wait();
        }
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// The address of a fresh database on the server of this process. `None`: there is no PostgreSQL here.
pub(super) async fn fresh_database() -> Option<String> {
    static SERVER: OnceLock<Option<PostgresServer>> = OnceLock::new();
    SERVER.get_or_init(|| PostgresServer::new(false)).as_ref()?.fresh().await.into()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The folder with `initdb` and `postgres`.
fn programs() -> Option<PathBuf> {
    let is_complete = |folder: &Path| ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file());
    let path = std::env::split_paths(&std::env::var_os("PATH")?).collect::<Vec<_>>();
    let versions = std::fs::read_dir(FOLDERS).into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    path.into_iter().chain(versions.into_iter().rev()).find(|folder| is_complete(folder))
}

/// On CI it is a mistake that there is none; elsewhere it is said past libtest, which hides what passing tests say.
fn missing() {
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!ci, "there is no PostgreSQL on this machine: run scripts/postgres");
    let _ =
        writeln!(std::io::stderr(), "SKIPPED: a test on PostgreSQL, which is missing: run scripts/postgres");
}
