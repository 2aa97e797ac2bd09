//! The store is gone while the gateway serves: known callers go on, and nobody is told that a key is wrong.

use std::path::PathBuf;

use airlock::{
    auth::Role,
    store::{KeyOrder, Store},
};
use airlock_tests::{
    Database, PostgresServer, TestGateway, error, guest, postgres::SOCKET, refused_address, until, within,
};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::watch,
};

const UNKNOWN: &str = "sk-airlock-unknown";

async fn gateway(database: &Database) -> TestGateway {
    TestGateway::builder().endpoint("m", guest("echo"), json!({})).database(database).start().await
}

async fn status(gateway: &TestGateway, key: &str) -> u16 {
    let request = gateway.anonymous("GET", "/v1/models").bearer_auth(key);
    within(request.send()).await.unwrap().status().as_u16()
}

/// From when the gateway has noticed on: 503 for who is unknown, and nothing else than before for who is known.
async fn goes_on_without_a_store(gateway: &TestGateway) {
    until(async || status(gateway, UNKNOWN).await == 503).await;
    for _ in 0..20 {
        let refused = gateway.anonymous("POST", "/v1/chat/completions").bearer_auth(UNKNOWN).send();
        let refused = within(refused).await.unwrap();
        assert_eq!(refused.headers()["retry-after"], "1");
        error(refused, 503, "store_unavailable").await;
        assert_eq!(within(gateway.chat().send()).await.unwrap().status(), 200);
        assert_eq!(
            gateway.anonymous("GET", "/v1/models").send().await.unwrap().status(),
            401,
            "no key at all"
        );
    }
}

async fn is_whole_again(gateway: &TestGateway, other: &Store) {
    until(async || status(gateway, UNKNOWN).await == 401).await;
    let key = other.create_key(&KeyOrder::named("fresh")).await.unwrap().secret;
    until(async || status(gateway, &key).await == 200).await;
    assert_eq!(status(gateway, &gateway.key).await, 200);
}

#[tokio::test]
async fn a_postgres_server_that_stops_and_comes_back() {
    let Some(server) = PostgresServer::start() else { return };
    let database = Database::on(&server).await;
    let gateway = gateway(&database).await;
    assert_eq!(status(&gateway, UNKNOWN).await, 401);
    for _ in 0..2 {
        server.stop();
        goes_on_without_a_store(&gateway).await;
        server.resume();
        until(async || status(&gateway, UNKNOWN).await == 401).await;
    }
    is_whole_again(&gateway, &database.open().await).await;
    server.stop();
    let batches = gateway.request("GET", "/resource_server/v1/batches").send();
    error(within(batches).await.unwrap(), 503, "store_unavailable").await;
}

#[tokio::test]
async fn a_lock_that_somebody_keeps_holds_a_writer_for_ten_seconds_and_nobody_else() {
    let Some(database) = Database::postgres().await else { return };
    let gateway = gateway(&database).await;
    let operator = gateway.person("default", Role::Operator).await;
    let mut other = PgConnection::connect(database.url().unwrap().secret()).await.unwrap();
    other.execute("BEGIN; UPDATE counters SET value = value WHERE name = 'store_revision'").await.unwrap();
    let refused = operator.post("/tenants", &json!({ "name": "t" })).await;
    error(refused, 503, "store_unavailable").await;
    assert_eq!(status(&gateway, UNKNOWN).await, 401, "who only reads has not waited");
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(operator.post("/tenants", &json!({ "name": "t" })).await.status(), 201);
}

#[tokio::test]
async fn a_file_that_is_moved_away_and_put_back() {
    let gateway = gateway(&Database::sqlite()).await;
    let file = gateway.data().join("airlock.sqlite3");
    let away = gateway.data().join("away");
    assert_eq!(status(&gateway, UNKNOWN).await, 401);
    std::fs::rename(&file, &away).unwrap();
    goes_on_without_a_store(&gateway).await;
    let refused = gateway.store.create_key(&KeyOrder::named("lost")).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("was moved, removed or replaced"), "{refused}");
    // Another store in its place is not the one that was opened.
    std::fs::write(&file, "").unwrap();
    goes_on_without_a_store(&gateway).await;
    std::fs::rename(&away, &file).unwrap();
    is_whole_again(&gateway, &Store::open(&gateway.data()).await.unwrap()).await;
}

#[tokio::test]
async fn a_server_that_nobody_is_at_is_told_at_start() {
    let address = refused_address();
    let database = Database::at(&format!("postgres://me:s3cret@{address}/airlock"));
    let error = Store::open(database.place().clone()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains(&format!("the database postgres://{address}/airlock cannot be used")), "{error}");
    assert!(error.contains("refused") && !error.contains("s3cret"), "{error}");
}

/// A way to a server that can fall silent: connections stay open, and nothing comes any more.
struct Way {
    folder: TempDir,
    is_open: watch::Sender<bool>,
}

impl Way {
    fn to(server: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (is_open, gate) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (from, to) = near.into_split();
                let (back, there) = UnixStream::connect(&server).await.unwrap().into_split();
                tokio::spawn(carry(from, there, gate.clone()));
                tokio::spawn(carry(back, to, gate.clone()));
            }
        });
        Self { folder, is_open }
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut gate: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 8192];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        let is_open = gate.wait_for(|is_open| *is_open).await.is_ok();
        if !is_open || to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_postgres_server_that_falls_silent() {
    let Some(server) = PostgresServer::start() else { return };
    let way = Way::to(server.socket());
    let url = server.fresh().await;
    let (direct, _) = url.split_once('?').unwrap();
    let database = Database::at(&format!("{direct}?host={}", way.folder.path().display()));
    let gateway = gateway(&database).await;
    assert_eq!(status(&gateway, UNKNOWN).await, 401);
    way.is_open.send_replace(false);
    goes_on_without_a_store(&gateway).await;
    way.is_open.send_replace(true);
    is_whole_again(&gateway, &Database::at(&url).open().await).await;
}
