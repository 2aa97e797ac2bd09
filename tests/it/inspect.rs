//! `airlock adaptor inspect`: what a component says it is.

use std::path::Path;

use airlock_tests::{Airlock, Finished, adaptor, guest};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

async fn inspect(file: &Path, more: &[&str]) -> Finished {
    let arguments: Vec<&str> =
        ["adaptor", "inspect", file.to_str().unwrap()].into_iter().chain(more.iter().copied()).collect();
    Airlock::run(file.parent().unwrap(), &arguments).await
}

async fn inspect_json(file: &Path) -> Value {
    let done = inspect(file, &["--json"]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

#[tokio::test]
async fn each_kind_of_adaptor_is_told() {
    let cases = [
        (adaptor("direct-api"), vec!["endpoint"]),
        (adaptor("static-cluster"), vec!["cluster"]),
        (guest("batch"), vec!["endpoint", "batch"]),
        (adaptor("globus-compute"), vec!["endpoint", "cluster", "batch"]),
        (adaptor("system-prompt"), vec!["middleware"]),
    ];
    for (file, kinds) in cases {
        let found = inspect_json(&file).await;
        assert_eq!(found["kinds"], serde_json::json!(kinds), "{}", file.display());
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(found["size"], bytes.len());
        assert_eq!(found["digest"], format!("sha256:{}", hex::encode(Sha256::digest(&bytes))));
        for import in found["imports"].as_array().unwrap() {
            assert_eq!(import["allowed"], true, "{import}");
            assert!(!import["grants"].as_str().unwrap().contains("listed here"), "{import} is not explained");
        }
    }
}

#[tokio::test]
async fn the_text_says_what_an_import_lets_it_do() {
    let done = inspect(&guest("kv"), &[]).await;
    assert_eq!(done.code, 0);
    for part in [
        "kind      endpoint",
        "airlock:adaptor/key-value@0.1.0",
        "reads and writes the cache of its tenant",
        "  airlock:adaptor/endpoint@0.1.0",
    ] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
}

#[tokio::test]
async fn what_a_gateway_would_refuse_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let sockets = wat::parse_str(
        r#"(component
            (import "wasi:sockets/types@0.3.0" (instance))
            (instance $endpoint)
            (export "airlock:adaptor/endpoint@0.1.0" (instance $endpoint)))"#,
    )
    .unwrap();
    let newer = wat::parse_str(
        r#"(component (instance $e) (export "airlock:adaptor/endpoint@0.9.0" (instance $e)))"#,
    );
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("sockets.wasm", sockets, "adaptors have no files and no sockets"),
        ("newer.wasm", newer.unwrap(), "built for airlock:adaptor@0.9.0"),
        ("empty.wasm", wat::parse_str("(component)").unwrap(), "neither `airlock:adaptor/endpoint`"),
        ("module.wasm", wat::parse_str("(module)").unwrap(), "core WebAssembly module"),
        ("text.wasm", b"hello".to_vec(), "not a WebAssembly file"),
        ("cut.wasm", std::fs::read(adaptor("direct-api")).unwrap()[..5000].to_vec(), "not valid"),
    ];
    for (name, bytes, says) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let done = inspect(&file, &[]).await;
        assert_eq!(done.code, 1, "{name}");
        assert!(done.stderr.contains(says) && done.stderr.contains(name), "{name}: {}", done.stderr);
    }
    let done = inspect(&folder.path().join("none.wasm"), &[]).await;
    assert!(done.code == 1 && done.stderr.contains("none.wasm: No such file"), "{}", done.stderr);
}
