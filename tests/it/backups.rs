//! Schemas and backups: what an older version left is taken over, what a newer one wrote is refused, and a copy
//! that is made while the gateway serves can be put back.

use airlock::{
    auth::{Role, Scope},
    store::{Document, Place, Store, StoreError},
};
use airlock_tests::{Airlock, Database, TestGateway, crash, guest, on_both_databases};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Connection as _, Executor as _};

use crate::tidy::root;

on_both_databases!(
    a_store_of_a_newer_version_is_refused,
    keys_of_an_older_schema_are_their_users_for_inference,
);

/// A connection beside the store's own.
async fn connect(database: &Database) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let url = match database.place() {
        Place::Folder(folder) => format!("sqlite:{}/airlock.sqlite3?mode=rwc", folder.display()),
        Place::Server(url) => url.secret().to_owned(),
    };
    AnyConnection::connect(&url).await.unwrap()
}

async fn a_store_of_a_newer_version_is_refused(database: Database) {
    database.open().await.close().await;
    let mut connection = connect(&database).await;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', TRUE, $1, 0)";
    sqlx::query(later).bind(b"x".as_slice()).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let error = Store::open(database.place().clone()).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Newer { version: 9999, .. }), "{error}");
    assert!(error.to_string().contains("newer version of airlock"), "{error}");
}

async fn keys_of_an_older_schema_are_their_users_for_inference(database: Database) {
    let folder = match database.place() {
        Place::Folder(folder) => {
            Store::make_folder(folder).unwrap();
            "sqlite"
        }
        Place::Server(_) => "postgres",
    };
    let mut connection = connect(&database).await;
    let all = sqlx::migrate::Migrator::new(root().join("host/migrations").join(folder)).await.unwrap();
    let older: Vec<_> = all.iter().filter(|migration| migration.version <= 2).cloned().collect();
    assert_eq!(older.len(), 2);
    let older = sqlx::migrate::Migrator { migrations: older.into(), ..sqlx::migrate::Migrator::DEFAULT };
    older.run(&mut connection).await.unwrap();
    let insert = "INSERT INTO api_keys (id, name, digest, created_at) VALUES ('key_1', 'old', $1, 7)";
    connection.execute(sqlx::query(insert).bind([7_u8; 32].as_slice())).await.unwrap();
    connection.close().await.unwrap();

    let store = database.open().await;
    let [key] = store.keys().await.unwrap().try_into().unwrap();
    assert_eq!((&*key.id, &*key.name, &*key.tenant, key.digest), ("key_1", "old", "default", [7; 32]));
    assert_eq!((key.role, key.scopes, key.expires_at), (Role::User, Scope::Inference.into(), None));
}

/// Files of the past are part of stores that are in use; and both databases have the same schemas.
#[test]
fn migrations_are_never_changed_and_agree() {
    let list = |folder: &str| {
        let files = std::fs::read_dir(root().join("host/migrations").join(folder)).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(list("sqlite"), list("postgres"));
    for (name, digest) in [
        ("0001_api_keys.sql", "70a50d2c50f5ea03b54e99c25070f02812d291b4ea38a2e454d36e8588409456"),
        ("0002_batches.sql", "817d6b77019db88434e6d15a2fb35f168b2317bc4f1942ab1690c803f61bcb84"),
    ] {
        let text = std::fs::read(root().join("host/migrations/sqlite").join(name)).unwrap();
        assert_eq!(hex::encode(Sha256::digest(text)), digest, "{name}");
    }
}

async fn everything(store: &Store) -> (Vec<Document>, Vec<[u8; 32]>) {
    let keys = store.keys().await.unwrap();
    (store.documents(None, None).await.unwrap(), keys.into_iter().map(|key| key.digest).collect())
}

#[tokio::test]
async fn a_backup_is_made_while_the_gateway_serves_and_restored() {
    let gateway = TestGateway::with(guest("echo"), json!({})).await;
    for number in 1..=3 {
        crash::write(&gateway.store, number).await.unwrap();
    }
    let folder = gateway.data().parent().unwrap().to_owned();
    let run = async |line: &str| Airlock::run(&folder, &line.split(' ').collect::<Vec<_>>()).await;
    let done = run("backup copy --data data").await;
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    let kept = everything(&gateway.store).await;
    crash::write(&gateway.store, 4).await.unwrap();
    assert_eq!(gateway.chat().send().await.unwrap().status(), 200);

    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(folder.join("copy")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds digests of keys");
    let again = run("backup copy --data data").await;
    assert!(again.code == 1 && again.stderr.contains("already"), "{again:?}");
    let over = run("restore copy --data data").await;
    assert!(over.code == 1 && over.stderr.contains("move the store's files"), "{over:?}");

    // The log of another store would be taken for this one's.
    std::fs::create_dir(folder.join("other")).unwrap();
    std::fs::write(folder.join("other/airlock.sqlite3-wal"), "x").unwrap();
    let beside = run("restore copy --data other").await;
    assert!(beside.code == 1 && beside.stderr.contains("it holds airlock.sqlite3-wal"), "{beside:?}");
    std::fs::remove_file(folder.join("other/airlock.sqlite3-wal")).unwrap();

    let done = run("restore copy --data other").await;
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    let restored = Store::open(&folder.join("other")).await.unwrap();
    assert_eq!(crash::last(&restored).await, 3);
    assert_eq!(everything(&restored).await, kept);
    let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "nothing unfinished is left: {names:?}");
}

#[tokio::test]
async fn what_is_no_backup_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |line: &str| Airlock::run(folder.path(), &line.split(' ').collect::<Vec<_>>()).await;
    std::fs::write(folder.path().join("text"), "this is not a database, but text, and a long one".repeat(99))
        .unwrap();
    std::fs::write(folder.path().join("empty"), "").unwrap();
    for (line, says) in [
        ("restore none --data new", "there is no such file"),
        ("restore text --data new", "not a database"),
        ("restore empty --data new", "no store of airlock"),
        ("backup copy --data new", "holds no store"),
        ("backup copy --database postgres://me:s3cret@h/d", "pg_dump"),
        ("restore copy --database postgres://me:s3cret@h/d", "pg_restore"),
    ] {
        let refused = run(line).await;
        assert!(refused.code == 1 && refused.stderr.contains(says), "{line}: {refused:?}");
        assert!(!refused.stderr.contains("s3cret"), "{refused:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
