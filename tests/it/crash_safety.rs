//! A process, or the database, is killed in the midst of writes: what was acknowledged is there, and nothing half.

use std::{process::Stdio, time::Duration};

use airlock::store::Store;
use airlock_tests::{Database, PostgresServer, crash, within};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// A writer in a process of its own.
struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    acknowledged: u64,
}

impl Writer {
    fn start(place: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_airlock-writer"));
        // What it says when its database is gone is expected.
        command.arg(place).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, acknowledged: 0 }
    }

    /// Whether there was one more acknowledgement.
    async fn next(&mut self) -> bool {
        let Some(line) = within(self.lines.next_line()).await.unwrap() else { return false };
        self.acknowledged = line.parse().unwrap();
        true
    }

    /// Lets it work up to some moment within a write.
    async fn work(&mut self) {
        for _ in 0..=fastrand::u32(0..4) {
            assert!(self.next().await, "the writer ended by itself");
        }
        // No waiting for anything: the moment is random.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..4_000))).await;
    }

    /// What it acknowledged, with its last words.
    async fn last_words(mut self) -> u64 {
        while self.next().await {}
        within(self.child.wait()).await.unwrap();
        self.acknowledged
    }
}

/// What was asked for last may have been done and not acknowledged.
async fn check(store: Store, acknowledged: u64) {
    let last = crash::last(&store).await;
    store.close().await;
    assert!((acknowledged..=acknowledged + 1).contains(&last), "{acknowledged} acknowledged, {last} found");
}

#[tokio::test]
async fn a_writer_that_is_killed_100_times_loses_nothing_and_leaves_nothing_half() {
    let database = Database::sqlite();
    let airlock::store::Place::Folder(folder) = database.place().clone() else { panic!("a folder") };
    for _ in 0..100 {
        let mut writer = Writer::start(folder.to_str().unwrap());
        writer.work().await;
        writer.child.start_kill().unwrap();
        check(database.open().await, writer.last_words().await).await;
    }
}

#[tokio::test]
async fn a_server_that_is_killed_10_times_loses_nothing_and_leaves_nothing_half() {
    let Some(server) = PostgresServer::start() else { return };
    let database = Database::on(&server).await;
    let url = database.url().unwrap().secret().to_owned();
    for _ in 0..10 {
        let mut writer = Writer::start(&url);
        writer.work().await;
        server.crash();
        let acknowledged = writer.last_words().await;
        server.resume();
        check(database.open().await, acknowledged).await;
    }
}
