//! Components that no compiler makes: many memories, tables and instances. They act in their start functions.

use std::{sync::Arc, time::Duration};

use airlock_sandbox::{
    Adaptor, AddressPolicy, Budgets, Cluster, ConnectSettings, Connector, Egress, EgressLimits, Fault, Grant,
    LoadError, Sandbox, SandboxSettings, Tenant, TenantLimits,
};
use airlock_tests::{compiler, eventually, within};

fn sandbox(slots: u32) -> Sandbox {
    let settings =
        SandboxSettings { slots, max_memory_bytes: 64 << 20, compiler: compiler(), callbacks: None };
    Sandbox::new(&settings).expect("a small pool")
}

/// Loads a cluster adaptor with this inside. Its function has another type than the contract's, which shows once
/// it is instantiated.
async fn load(sandbox: &Sandbox, inside: &str) -> Result<Adaptor, LoadError> {
    let text = format!(
        r#"(component {inside}
        (core module $own (func (export "f"))) (core instance $c (instantiate $own))
        (func $f (canon lift (core func $c "f"))) (instance $i (export "get-jobs" (func $f)))
        (export "airlock:adaptor/cluster@0.1.0" (instance $i)))"#
    );
    sandbox.load("wat", &wat::parse_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))).await
}

/// A module, instantiated `count` times.
fn modules(count: usize, module: &str) -> String {
    let instances = "(core instance (instantiate $m)) ".repeat(count);
    format!("(core module $m {module}) {instances}")
}

/// What came of an instance: `ran`, or the limit that it met: 16 MiB of memory, 100 000 elements of tables.
async fn run(sandbox: &Sandbox, inside: &str) -> &'static str {
    let tenant = Tenant::new("default", TenantLimits::default());
    let cluster = Arc::new(Cluster {
        sandbox: sandbox.clone(),
        adaptor: Arc::new(load(sandbox, inside).await.unwrap_or_else(|e| panic!("{e}: {inside}"))),
        name: "c".into(),
        config: "{}".into(),
        models: Vec::new(),
        grant: Arc::new(Grant::new(tenant, AddressPolicy::default(), Vec::new(), Vec::new())),
        budgets: Arc::new(Budgets {
            memory_bytes: 16 << 20,
            cpu: Duration::from_millis(200),
            ..Budgets::default()
        }),
        pace: Arc::default(),
        meter: None,
    });
    let connector = Connector::new(&ConnectSettings::default()).unwrap();
    let egress = Egress::new(connector, EgressLimits::default());
    match within(cluster.validate(&egress)).await {
        Err(Fault::MemoryLimit) => "memory",
        Err(Fault::CpuLimit) => "cpu",
        Err(Fault::Overloaded { .. }) => "overloaded",
        Err(Fault::Trap(text)) if text.contains("expected 2") => "ran",
        Err(Fault::Trap(_)) => "trap",
        other => panic!("{other:?}: {inside}"),
    }
}

/// Runs each in a pool of one slot, so that whatever is left behind shows at the next one.
async fn run_all(cases: &[(String, &str)]) {
    let sandbox = sandbox(1);
    for (inside, expected) in cases {
        assert_eq!(run(&sandbox, inside).await, *expected, "{inside}");
        assert_eq!(sandbox.live_instances(), 0);
        assert_eq!(run(&sandbox, "").await, "ran", "after {inside}");
    }
}

#[tokio::test]
async fn the_memory_limit_is_on_the_sum_over_all_memories() {
    let grower = |pages| format!("(memory 0) (func $s (drop (memory.grow (i32.const {pages})))) (start $s)");
    let endless = "(memory 0) (func $s (loop $l (drop (memory.grow (i32.const 16))) (br $l))) (start $s)";
    run_all(&[
        (modules(2, "(memory 96)"), "ran"),
        (modules(3, "(memory 96)"), "memory"),
        (modules(2, &grower(96)), "ran"),
        (modules(3, &grower(96)), "memory"),
        (modules(4, &grower(64)), "ran"),
        (modules(4, &grower(65)), "memory"),
        (modules(1, &grower(257)), "memory"),
        (modules(1, endless), "memory"),
        (modules(4, endless), "memory"),
    ])
    .await;
}

#[tokio::test]
async fn the_limit_of_tables_is_on_their_sum_too() {
    let grower = |by| {
        format!(
            "(table 1 funcref) (func $s (loop $l (br_if $l (table.grow 0 (ref.null func) (i32.const {by}))))) (start $s)"
        )
    };
    run_all(&[
        (modules(2, "(table 49000 funcref)"), "ran"),
        (modules(2, "(table 51000 funcref)"), "memory"),
        (modules(1, &grower(1)), "memory"),
        (modules(1, &grower(100_000)), "memory"),
        (modules(1, &grower(-1)), "memory"),
    ])
    .await;
}

#[tokio::test]
async fn what_can_never_fit_is_refused_when_it_is_loaded() {
    let sandbox = sandbox(1);
    for (inside, says) in [
        (modules(9, "(memory 1)"), "9 Wasm linear memories"),
        (modules(1, "(table 100001 funcref)"), "100001"),
        (modules(9, "(table 1 funcref) (table 1 funcref)"), "18 tables"),
        (modules(1, "(table 1 funcref) (table 1 funcref) (table 1 funcref)"), "table"),
        (modules(128, ""), "129 core module instances"),
        (modules(20, &"(global (mut i64) (i64.const 0))".repeat(40_000)), "component instance size"),
    ] {
        let error = load(&sandbox, &inside).await.map(drop).unwrap_err();
        assert!(matches!(&error, LoadError::Invalid(why) if why.contains(says)), "{says}: {error}");
    }
}

/// A component that holds ten of another, which holds ten of another, and so on: a few hundred bytes.
fn nested(depth: usize) -> String {
    let mut text = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
    for level in 1..=depth {
        let ten = format!("(instance (instantiate $c{}))", level - 1).repeat(10);
        text = format!("(component $c{level} {text} {ten})");
    }
    format!("{text} (instance (instantiate $c{depth}))")
}

/// A hundred million instances: making a plan of each takes more than the compiling child gets.
#[tokio::test]
async fn a_small_component_that_unfolds_into_millions_is_refused() {
    let mut compiler = compiler();
    (compiler.cache, compiler.limits.memory_bytes) = (None, 1 << 30);
    compiler.limits.cpu = Duration::from_secs(3);
    let sandbox =
        Sandbox::new(&SandboxSettings { slots: 1, max_memory_bytes: 64 << 20, compiler, callbacks: None })
            .unwrap();
    let error = load(&sandbox, &nested(8)).await.map(drop).unwrap_err();
    assert!(matches!(error, LoadError::CompileLimit(_)), "{error}");
}

/// Whatever a component is made of, one slot is one instance: eight slots hold seven of the largest and another.
#[tokio::test]
async fn a_component_takes_no_more_than_its_share_of_the_pool() {
    for (what, part) in [("tables", "(table 1 funcref)"), ("core instances", "")] {
        let sandbox = sandbox(8);
        let mut most = 1;
        while load(&sandbox, &modules(most + 1, part)).await.is_ok() {
            most += 1;
        }
        most -= 1; // the spinning one is an instance too
        let spinning =
            "(core module $s (func $f (loop $l (br $l))) (start $f)) (core instance (instantiate $s))";
        let inside = format!("{} {spinning}", modules(most, part));
        let spin = || {
            let (sandbox, inside) = (sandbox.clone(), inside.clone());
            tokio::spawn(async move { run(&sandbox, &inside).await })
        };
        let hostile: Vec<_> = (0..7).map(|_| spin()).collect();
        eventually(|| sandbox.live_instances() == 7 || hostile.iter().any(|one| one.is_finished())).await;
        assert_eq!(run(&sandbox, &modules(2, part)).await, "ran", "beside {most} {what}");
        for one in hostile {
            assert_eq!(one.await.unwrap(), "cpu", "{most} {what}");
        }
    }
}

/// A start function that traps where a global, a table or a memory is not as it was declared, and then changes
/// all of them.
#[tokio::test]
async fn an_instance_finds_its_globals_tables_and_memory_as_declared() {
    let module = |is_fresh: &str| {
        format!(
            r#"(memory 16) (table 1000 funcref) (elem declare func $f) (global $g (mut i64) (i64.const 0))
            (data (i32.const 70000) "a") (global $h (mut i32) (i32.const 5)) (func $f)
            (func $fresh (result i32)
                (i32.eqz (memory.grow (i32.const 64)))
                (i64.eqz (global.get $g)) (i32.eq (global.get $h) (i32.const 5)) (i32.and)
                (ref.is_null (table.get (i32.const 999))) (i32.and)
                (i32.eq (i32.load8_u (i32.const 70000)) (i32.const 97)) (i32.and)
                (i64.eqz (i64.load (i32.const 5000000))) (i32.and)
                (i64.eqz (i64.load (i32.const 1000000))) (i32.and) (i32.or))
            (func $s
                (if {is_fresh} (then) (else (unreachable)))
                (global.set $g (i64.const -1)) (global.set $h (i32.const 6))
                (table.fill (i32.const 0) (ref.func $f) (i32.const 1000))
                (memory.fill (i32.const 0) (i32.const 255) (i32.const 5242880)))
            (start $s)"#
        )
    };
    let (fresh, stale) =
        (modules(1, &module("(call $fresh)")), modules(1, &module("(i32.eqz (call $fresh))")));
    for slots in [1, 4] {
        let sandbox = sandbox(slots);
        assert_eq!(run(&sandbox, &stale).await, "trap", "it would be noticed");
        for round in 0..50 {
            assert_eq!(run(&sandbox, &fresh).await, "ran", "round {round}");
        }
    }
}
