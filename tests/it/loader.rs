//! Files that are no adaptors, and components that were built for something else.

use std::sync::{Arc, LazyLock};

use airlock_sandbox::{
    Adaptor, AddressPolicy, Budgets, Cluster, CompileLimits, CompilerSettings, ConnectSettings, Connector,
    Egress, EgressLimits, Grant, LoadError, Sandbox, SandboxSettings, Tenant, TenantLimits,
};
use airlock_tests::{TestGateway, adaptor, binary_path, guest};
use serde_json::json;

/// One pool for all of these tests: loading takes none of its slots.
static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    let compiler = CompilerSettings { program: binary_path(), limits: CompileLimits::default(), cache: None };
    Sandbox::new(&SandboxSettings { slots: 1, max_memory_bytes: 64 << 20, compiler, callbacks: None })
        .expect("a small pool")
});

fn load(name: &str, bytes: &[u8]) -> Result<Adaptor, LoadError> {
    tokio::runtime::Runtime::new().unwrap().block_on(SANDBOX.load(name, bytes))
}

fn refusal(bytes: &[u8]) -> LoadError {
    match load("x", bytes) {
        Ok(adaptor) => panic!("{adaptor:?} was loaded"),
        Err(error) => error,
    }
}

fn refused_text(text: &str) -> LoadError {
    refusal(&wat::parse_str(text).unwrap_or_else(|e| panic!("{e}: {text}")))
}

fn bytes(path: std::path::PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn adaptors_are_loaded_and_say_what_they_are() {
    let echo = load("echo", &bytes(guest("echo"))).unwrap();
    assert_eq!(echo.name(), "echo");
    assert_eq!(echo.digest().len(), 64);
    assert_eq!(echo.size(), bytes(guest("echo")).len());
    assert!(echo.is_endpoint() && !echo.is_cluster() && !echo.is_batch());
    let cluster = load("c", &bytes(adaptor("static-cluster"))).unwrap();
    assert!(cluster.is_cluster() && !cluster.is_endpoint());
    assert_ne!(echo.digest(), cluster.digest());
}

#[test]
fn what_is_no_webassembly_is_told_so() {
    let whole = bytes(guest("echo"));
    for other in
        [b"".as_slice(), b"\0as", b"hello", b"#!/bin/sh\n", b"PK\x03\x04zip", b"(component)", &whole[1..]]
    {
        assert!(matches!(refusal(other), LoadError::NotWasm), "{other:?}: {}", refusal(other));
    }
}

#[test]
fn a_core_module_is_told_how_to_become_a_component() {
    let error = refused_text("(module (memory 1))");
    assert!(matches!(error, LoadError::CoreModule), "{error}");
    assert!(error.to_string().contains("wasm32-wasip2"), "{error}");
}

/// The header of what `wasmtime compile` writes: ELF, with wasmtime's number as operating system.
#[test]
fn machine_code_is_not_loaded() {
    for flags in [1_u8, 2] {
        let mut elf = vec![0; 64];
        elf[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\xc8");
        elf[16] = 1; // relocatable
        elf[18] = 62; // x86-64
        elf[20] = 1;
        elf[48] = flags;
        elf[52] = 64; // size of this header
        elf[58] = 64; // size of a section's header
        let error = refusal(&elf);
        assert!(matches!(error, LoadError::Precompiled), "{error}");
    }
}

#[test]
fn a_truncated_or_damaged_component_is_invalid_wherever_it_is_cut() {
    let whole = bytes(guest("counter"));
    for length in [4, 7, 8, 9, 100, 1000, whole.len() / 2, whole.len() - 1] {
        let error = refusal(&whole[..length]);
        // Cut right behind the header it is a valid component, of nothing.
        let fits = matches!(error, LoadError::Invalid(_)) || length == 8;
        assert!(fits, "cut at {length}: {error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let mut version = whole.clone();
    version[4] = 0x0e;
    assert!(matches!(refusal(&version), LoadError::Invalid(_)));
    let mut damaged = whole;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    assert!(matches!(refusal(&damaged), LoadError::Invalid(_)));
}

#[test]
fn a_component_of_another_world_is_told_what_it_exports_instead() {
    let empty = refused_text("(component)");
    assert!(matches!(&empty, LoadError::NoInterface(seen) if seen.is_empty()), "{empty}");
    let other = refused_text(
        r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.12" (instance $i)))"#,
    );
    assert!(matches!(&other, LoadError::NoInterface(_)), "{other}");
    assert!(other.to_string().contains("wasi:http/incoming-handler@0.2.12"), "{other}");
    assert!(other.to_string().contains("airlock:adaptor/endpoint"), "{other}");
}

#[test]
fn imports_that_adaptors_do_not_get_are_named_with_a_reason() {
    let cases = [
        ("foo:bar/baz", "and no others"),
        ("foo:bar/baz@1.2.3", "and no others"),
        ("wasi:filesystem/types@0.3.0", "no files"),
        ("wasi:filesystem/preopens@0.3.0", "no files"),
        ("wasi:sockets/types@0.3.0", "no sockets"),
        ("wasi:keyvalue/store@0.2.0", "and no others"),
        ("airlock:adaptor/endpoint@0.1.0", "middleware"),
        ("airlock:adaptor/secrets@0.1.0", "no such interface"),
    ];
    for (name, says) in cases {
        let error = refused_text(&format!(r#"(component (import "{name}" (instance)))"#));
        let LoadError::Import { name: named, why } = &error else { panic!("{name}: {error}") };
        assert_eq!(named, name);
        assert!(why.contains(says), "{name}: {error}");
    }
}

/// Of packages that are known, interfaces that are not linked: the message has to name them too.
#[test]
fn an_import_that_is_not_linked_is_named() {
    let cases = [
        (r#"(import "wasi:http/nonsense@0.2.12" (instance (export "f" (func))))"#, "wasi:http/nonsense"),
        (r#"(import "wasi:io/poll@0.2.12" (instance (export "no-such" (func))))"#, "no-such"),
        (r#"(import "wasi:io/poll@0.3.0" (instance (export "f" (func))))"#, "wasi:io/poll@0.3.0"),
        (r#"(import "airlock:adaptor/logging@0.1.0" (instance (export "log" (func))))"#, "log"),
    ];
    for (import, names) in cases {
        let export = r#"(instance $i) (export "airlock:adaptor/endpoint@0.1.0" (instance $i))"#;
        let error = refused_text(&format!("(component {import} {export})"));
        assert!(matches!(error, LoadError::Import { .. }), "{error}");
        assert!(error.to_string().contains(names), "{error}");
    }
}

#[test]
fn another_version_of_the_contract_is_named() {
    for version in ["0.9.0", "0.2.0", "1.0.0", "0.10.0"] {
        let import = format!(r#"(component (import "airlock:adaptor/upstream@{version}" (instance)))"#);
        let export = format!(
            r#"(component (instance $i) (export "airlock:adaptor/endpoint@{version}" (instance $i)))"#
        );
        for text in [import, export] {
            let error = refused_text(&text);
            assert!(matches!(&error, LoadError::Version { found } if found == version), "{error}");
            assert!(error.to_string().contains(version), "{error}");
        }
    }
}

#[test]
fn the_right_name_with_another_shape_is_told_what_differs() {
    for interface in ["endpoint", "cluster"] {
        shape_error(interface, "(instance $i)");
    }
}

/// The functions are there, with other parameters and results: found on the first instance, before traffic.
#[tokio::test]
async fn functions_of_another_type_are_found_before_traffic() {
    let component = r#"(component
        (core module $m (func (export "f"))) (core instance $c (instantiate $m))
        (func $f (canon lift (core func $c "f"))) (instance $i (export "get-jobs" (func $f)))
        (export "airlock:adaptor/cluster@0.1.0" (instance $i)))"#;
    let tenant = Tenant::new("default", TenantLimits::default());
    let cluster = Arc::new(Cluster {
        sandbox: SANDBOX.clone(),
        adaptor: Arc::new(SANDBOX.load("other", &wat::parse_str(component).unwrap()).await.unwrap()),
        name: "c".into(),
        config: "{}".into(),
        models: Vec::new(),
        grant: Arc::new(Grant::new(tenant, AddressPolicy::default(), Vec::new(), Vec::new())),
        budgets: Arc::new(Budgets::default()),
        pace: Arc::default(),
        meter: None,
    });
    let connector = Connector::new(&ConnectSettings::default()).unwrap();
    let egress = Egress::new(connector, EgressLimits::default());
    let fault = cluster.validate(&egress).await.unwrap_err().to_string();
    assert!(fault.contains("expected 2"), "{fault}");
}

fn shape_error(interface: &str, body: &str) {
    let export = format!(r#"(export "airlock:adaptor/{interface}@0.1.0" (instance $i))"#);
    let error = refused_text(&format!("(component {body} {export})"));
    let LoadError::Shape { interface: named, why } = &error else { panic!("{error}") };
    assert!(named.ends_with(interface), "{error}");
    assert!(!why.is_empty());
}

#[test]
fn proposals_that_are_switched_off_are_refused() {
    let modules = [
        ("threads", "(memory 1 1 shared)"),
        ("threads", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))"),
        ("memory64", "(memory i64 1)"),
        ("gc", "(type (struct (field i32)))"),
        ("function-references", "(type $f (func)) (func (param (ref $f)))"),
        ("exception-handling", "(tag)"),
    ];
    for (what, body) in modules {
        let error = refused_text(&component_of(body));
        assert!(matches!(&error, LoadError::Proposal(name) if name == what), "{what}: {error}");
    }
    for what in ["(type (stream u8))", "(type (future u8))"] {
        let error = refused_text(&format!("(component {what})"));
        assert!(matches!(&error, LoadError::Proposal(name) if name == "component-model-async"), "{error}");
    }
}

#[test]
fn what_is_over_the_pools_limits_is_refused() {
    for (what, body) in [("memory", "(memory 2000)"), ("memories", "(memory 1) (memory 1)")] {
        let error = refused_text(&component_of(body));
        assert!(matches!(error, LoadError::Invalid(_)), "{what}: {error}");
    }
}

fn component_of(body: &str) -> String {
    format!("(component (core module $m {body}) (core instance (instantiate $m)))")
}

#[tokio::test]
async fn a_gateway_names_the_fixtures_line_of_a_file_that_is_no_adaptor() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("text.wasm", b"hello".to_vec(), "not a WebAssembly file"),
        ("module.wasm", wat::parse_str("(module)").unwrap(), "core WebAssembly module"),
        ("short.wasm", bytes(guest("echo"))[..5000].to_vec(), "not valid"),
        ("other.wasm", wat::parse_str("(component)").unwrap(), "exports neither"),
    ];
    let mut builder = TestGateway::builder();
    for (name, bytes, _) in &cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        builder = builder.endpoint(name, path, json!({}));
    }
    let text = builder.try_start().await.map(drop).unwrap_err();
    for (name, _, says) in cases {
        let line = text.lines().find(|l| l.contains(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(line.contains(says) && line.contains("endpoints.json:"), "{text}");
    }
}

#[tokio::test]
async fn an_adaptor_of_the_other_kind_is_refused_where_it_is_named() {
    let cluster = adaptor("static-cluster");
    let text =
        TestGateway::builder().endpoint("m", &cluster, json!({})).try_start().await.map(drop).unwrap_err();
    assert!(text.contains("endpoints.json:2:") && text.contains("no endpoint adaptor"), "{text}");
    let text = TestGateway::builder()
        .endpoint("m", guest("echo"), json!({}))
        .cluster(json!({ "cluster_adapter": guest("echo") }))
        .try_start()
        .await
        .map(drop)
        .unwrap_err();
    assert!(text.contains("clusters.json:2:") && text.contains("no cluster adaptor"), "{text}");
    for (endpoint, cluster) in [("static-cluster", "static-cluster"), ("direct-api", "direct-api")] {
        let text = TestGateway::builder()
            .endpoint("m", endpoint, json!({ "api_url": "http://127.0.0.1:1/v1" }))
            .cluster(json!({ "cluster_adapter": cluster }))
            .try_start()
            .await
            .map(drop)
            .unwrap_err();
        assert!(text.contains("adaptor") && text.contains(".json:"), "{text}");
    }
}
