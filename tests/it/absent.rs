//! Files and sockets: components may name them, as the runtimes of Python and JavaScript do, and nothing is there.

use std::{net::TcpListener, path::Path};

use airlock_sandbox::inspect;
use airlock_tests::{Lab, TestGateway, guest};
use serde_json::{Value, json};

use crate::chains::chain;

#[tokio::test]
async fn a_guest_that_goes_for_files_and_sockets_finds_none() {
    // The kernel takes connections for whoever listens: an accepted one would show.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let target = server.local_addr().unwrap().to_string();
    let gateway = TestGateway::builder()
        .endpoint("m", guest("files"), json!({ "target": target, "allowed_hosts": [target] }))
        .start()
        .await;
    let told: Value = gateway.chat().send().await.unwrap().json().await.unwrap();
    let tried = ["read", "list", "write", "resolve", "connect", "listen", "datagrams"];
    assert_eq!(told.as_object().unwrap().len(), tried.len(), "{told}");
    for what in tried {
        let outcome = told[what].as_str().unwrap();
        assert_ne!(outcome, "worked", "{what}: {told}");
    }
    assert_eq!(told["listen"], "permission denied", "{told}");
    assert!(server.accept().is_err(), "nobody has connected");
    assert!(!Path::new("/tmp/airlock-was-here").exists());
}

#[tokio::test]
async fn what_they_are_good_for_is_told() {
    let found = inspect(&std::fs::read(guest("files")).unwrap()).unwrap();
    for (import, says) in
        [("wasi:filesystem/types", "there are no files"), ("wasi:sockets/tcp@", "there are no sockets")]
    {
        let import = found.imports.iter().find(|i| i.name.starts_with(import)).unwrap();
        assert!(import.grants.as_ref().unwrap().contains(says), "{import:?}");
    }
}

/// A function that WASI does not have, and that has no way to say no.
#[tokio::test]
async fn a_call_that_cannot_be_refused_politely_ends_the_guest() {
    let text = r#"(component
        (import "wasi:sockets/tcp@0.2.12" (instance $sockets (export "odd" (func (result u32)))))
        (core func $odd (canon lower (func $sockets "odd")))
        (core module $module
            (import "sockets" "odd" (func $odd (result i32)))
            (func $start (drop (call $odd)))
            (func (export "get-jobs"))
            (start $start))
        (core instance $inside (instantiate $module
            (with "sockets" (instance (export "odd" (func $odd))))))
        (func $jobs (canon lift (core func $inside "get-jobs")))
        (instance $cluster (export "get-jobs" (func $jobs)))
        (export "airlock:adaptor/cluster@0.1.0" (instance $cluster)))"#;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.wasm");
    std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    let cluster = json!({ "cluster_adapter": file, "config": {} });
    let told = TestGateway::builder().cluster(cluster).try_start().await.err().unwrap();
    assert!(told.contains("`odd` was called, and adaptors have no files and no sockets"), "{told}");
}

/// The chain is one component, made anew of its parts: it asks for what any of them asks for.
#[tokio::test]
async fn a_part_of_a_chain_may_name_them_too() {
    let gateway = chain(&[guest("front"), guest("files")], json!({ "target": "127.0.0.1:9" })).start().await;
    let told: Value = gateway.chat().send().await.unwrap().json().await.unwrap();
    assert_ne!(told["read"], "worked", "{told}");
}

#[tokio::test]
async fn newer_ones_are_refused() {
    let lab = Lab::new();
    for name in ["wasi:filesystem/types@0.3.0", "wasi:sockets/types@0.3.0", "wasi:filesystem/types"] {
        let text = format!(r#"(component (import "{name}" (instance)))"#);
        let error = lab.sandbox.load("new", &wat::parse_str(text).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("no files and no sockets"), "{error}");
    }
}
