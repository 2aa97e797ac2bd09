//! What the process gives up: of the real gateway by what the kernel says of it, and of a program that confines
//! itself the same way by what it can still do.
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::{linux::net::SocketAddrExt as _, unix::net},
    path::Path,
    process::Output,
};

use airlock_tests::{Airlock, TestGateway, Upstream, completion, guest, json, target_dir, within};
use serde_json::{Value, json};
use tokio::process::Command;

/// What is tried, and whether it may be done: by a process that is not confined, one that is as a gateway, and
/// one that is as a compiler.
#[rustfmt::skip]
const TRIES: [(&str, [bool; 3]); 22] = [
    ("start-a-thread",            [true, true, true]),
    ("read-inside",               [true, true, false]),
    ("write-inside",              [true, true, false]),
    ("rename-inside",             [true, true, false]),
    ("change-mode",               [true, true, false]),
    ("run-itself",                [true, true, false]),
    ("connect",                   [true, true, false]),
    ("datagrams",                 [true, true, false]),
    ("much-memory",               [true, true, false]),
    ("read-outside",              [true, false, false]),
    ("list-outside",              [true, false, false]),
    ("write-to-read",             [true, false, false]),
    ("write-outside",             [true, false, false]),
    ("parents-environment",       [true, false, false]),
    ("run-another",               [true, false, false]),
    ("run-another-by-the-loader", [true, false, false]),
    ("listen",                    [true, false, false]),
    ("abstract-socket",           [true, false, false]),
    ("odd-socket",                [true, false, false]),
    ("signal-the-parent",         [true, false, false]),
    ("files-of-a-process",        [true, false, false]),
    ("trace",                     [true, false, false]),
];

async fn attempt(confinement: &str, folder: &Path, tcp: &str, socket: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_airlock-attempt"));
    command.arg(confinement).arg(folder).args([tcp, socket]).env_clear().kill_on_drop(true);
    within(command.output()).await.unwrap()
}

#[tokio::test]
async fn what_is_not_needed_is_out_of_reach() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = server.local_addr().unwrap().to_string();
    for (column, confinement) in ["none", "gateway", "compiler"].into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().to_str().unwrap();
        let address = net::SocketAddr::from_abstract_name(socket).unwrap();
        let _listener = net::UnixListener::bind_addr(&address).unwrap();
        fs::create_dir(folder.path().join("read")).unwrap();
        fs::create_dir(folder.path().join("write")).unwrap();
        fs::write(folder.path().join("read/file"), "x").unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();

        let output = attempt(confinement, folder.path(), &tcp, socket).await;
        let text = format!("{confinement}: {output:?}");
        assert!(output.status.success() && output.stderr.is_empty(), "{text}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        let told: BTreeMap<&str, &str> = stdout
            .lines()
            .map(|line| line.split_once('=').unwrap_or_else(|| panic!("{line}: {text}")))
            .collect();
        assert_eq!(told.len(), TRIES.len(), "{text}");
        for (name, may) in TRIES {
            let refused = told[name] == "refused";
            assert_eq!(refused, !may[column], "{name}={} as {confinement}", told[name]);
            // A kernel may not know odd sockets. All else works where it is not refused.
            assert!(refused || told[name] == "done" || name == "odd-socket", "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn a_compiler_is_ended_when_its_time_is_up() {
    use std::os::unix::process::ExitStatusExt as _;
    const SIGXCPU: i32 = 24;
    let folder = tempfile::tempdir().unwrap();
    let output = attempt("spin", folder.path(), "", "").await;
    assert_eq!(output.status.signal().or(output.status.code()), Some(SIGXCPU), "{output:?}");
}

/// The lines of `/proc/PID/…`, by their first word.
fn lines(path: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let pair =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    text.lines().filter_map(pair).collect()
}

/// The soft and the hard limit.
fn limit(id: u32, name: &str) -> (String, String) {
    let text = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

/// The arguments of a server with `folder`'s fixtures.
fn serve() -> Vec<String> {
    let adaptors = target_dir().join("adaptors").display().to_string();
    ["serve", "--data", "d", "--listen", "127.0.0.1:0", "--adaptors", &adaptors].map(str::to_owned).to_vec()
}

/// Serves one chat; the key is made while it runs.
async fn serves(serving: &mut Airlock, folder: &Path) {
    let url = serving.line().await.strip_prefix("url=").unwrap().to_owned();
    assert_eq!(serving.line().await, "ready");
    let key = Airlock::run(folder, &["keys", "create", "k", "--data", "d"]).await.stdout;
    let chat = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    airlock_tests::until(async || {
        let request = reqwest::Client::new().post(format!("{url}/chat/completions"));
        let response = within(request.bearer_auth(key.trim()).json(&chat).send()).await.unwrap();
        response.status() == 200 && response.json::<Value>().await.unwrap() == completion()
    })
    .await;
}

#[tokio::test]
async fn a_confined_gateway_serves_and_every_thread_of_it_has_given_up_all() {
    let upstream = Upstream::start(|_| async { json(200, &completion()) }).await;
    // A name, so that it is looked up with what the process may still read.
    let backend = upstream.url().replace("127.0.0.1", "localhost");
    for (confine, filters) in [("on", "2"), ("off", "0")] {
        let folder =
            TestGateway::builder().endpoint("m", "direct-api", json!({ "api_url": backend })).write_only();
        let mut serving = Airlock::start(folder.path(), &serve(), &[("AIRLOCK_PROCESS__CONFINE", confine)]);
        serves(&mut serving, folder.path()).await;

        let id = serving.id();
        let threads: Vec<_> = fs::read_dir(format!("/proc/{id}/task")).unwrap().map(Result::unwrap).collect();
        assert!(threads.len() > 2, "workers and the log have their own: {threads:?}");
        for thread in threads {
            let status = lines(thread.path().join("status").to_str().unwrap());
            assert_eq!(status["NoNewPrivs"], "1", "{status:?}");
            assert_eq!(status["Seccomp"], filters, "{status:?}");
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(status[set], "0000000000000000", "{status:?}");
            }
        }
        let (soft, hard) = limit(id, "Max open files");
        assert_eq!(soft, hard);
        let (soft, hard) = limit(id, "Max core file size");
        assert!(soft == hard && ["0", "1"].contains(&soft.as_str()), "{soft} {hard}");
        assert!(folder.path().join("d/airlock.sqlite3").is_file());

        serving.signal("TERM").await;
        let done = serving.finished().await;
        assert_eq!(done.code, 0, "{done:?}");
        assert!(!done.stderr.contains("could not"), "{done:?}");
        let is_root = rustix::process::geteuid().is_root();
        assert_eq!(done.stderr.contains("runs as root"), is_root, "{done:?}");
    }
}

#[tokio::test]
async fn a_component_elsewhere_needs_a_read_path() {
    let folder = TestGateway::builder().endpoint("m", guest("echo"), json!({})).write_only();
    let guests = serde_json::to_string(&[target_dir().join("guests")]).unwrap();
    let check = async |env: &[(&str, &str)]| Airlock::run_with(folder.path(), &["check"], env).await;
    let done = check(&[]).await;
    assert!(done.code == 1 && done.stderr.contains("process.read_paths"), "{done:?}");
    let done = check(&[("AIRLOCK_PROCESS__CONFINE", "off")]).await;
    assert_eq!(done.code, 0, "{done:?}");
    let done = check(&[("AIRLOCK_PROCESS__READ_PATHS", &guests)]).await;
    assert_eq!(done.code, 0, "{done:?}");
    let done = check(&[("AIRLOCK_PROCESS__READ_PATHS", "[\"not-there\"]")]).await;
    assert!(done.code == 1 && done.stderr.contains("not-there, which does not exist"), "{done:?}");
    let done = check(&[("AIRLOCK_PROCESS__CONFINE", "maybe")]).await;
    assert!(done.code == 1 && done.stderr.contains("CONFINE"), "{done:?}");
}

#[tokio::test]
async fn a_hard_limit_that_is_low_is_told_at_start() {
    let folder = TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": "http://127.0.0.1:9/v1" }))
        .write_only();
    let mut serving = Airlock::start_with_files(folder.path(), &serve(), 300);
    while serving.line().await != "ready" {}
    assert_eq!(limit(serving.id(), "Max open files"), ("300".to_owned(), "300".to_owned()));
    serving.signal("TERM").await;
    let done = serving.finished().await;
    assert!(
        done.stderr.contains("could not raise the limit of open files: above the hard limit of 300"),
        "{done:?}"
    );
}
