//! What may be named where.

use super::{
    File, Finding,
    rust::{code, has_word},
};

/// The engine behind the sandbox. Split, as are the words below, so that this file may be read too.
const ENGINE: &str = concat!("wasm", "time");

/// Design: whoever replaces the engine changes one crate.
pub(super) fn only_the_sandbox_names_the_engine(file: &File) -> Vec<Finding> {
    const REMEDY: &str = "put it behind a type of airlock-sandbox, which is the only crate that may";
    let is_manifest = file.path.ends_with("/Cargo.toml");
    if file.path.starts_with("host/sandbox/") || !(file.is_rust() || is_manifest) {
        return Vec::new();
    }
    let text = if is_manifest { without_hash_comments(&file.text) } else { code(&file.text) };
    file.lines_where(&text, REMEDY, |line| {
        line.contains(ENGINE).then(|| format!("names {ENGINE} outside of host/sandbox"))
    })
}

/// Tests and the demo bring their own environment, and many gateways run in one process.
pub(super) fn only_config_reads_the_environment(file: &File) -> Vec<Finding> {
    const REMEDY: &str = "take a `config::Env` or a setting";
    const READERS: [&str; 4] = ["env::var", "env::set_var", "env::remove_var", "current_exe"];
    // A build script is told by its environment alone.
    let may = file.path.starts_with("host/src/config/") || file.path == "host/build.rs";
    if !file.is_rust() || !file.path.starts_with("host/") || may {
        return Vec::new();
    }
    file.lines_where(&code(&file.text), REMEDY, |line| {
        let reader = READERS.into_iter().find(|reader| line.contains(reader))?;
        Some(format!("{reader} outside of host/src/config"))
    })
}

/// Two gateways in one process must not see each other.
pub(super) fn no_global_state(file: &File) -> Vec<Finding> {
    const REMEDY: &str = "put it into the Gateway, or into whatever owns its life";
    const GLOBALS: [&str; 5] = ["static mut", "lazy_static", "OnceLock", "LazyLock", "thread_local"];
    const CELLS: [&str; 6] = ["Atomic", "Mutex", "RwLock", "Cell<", "ArcSwap", "Semaphore"];
    if !file.is_rust() || !file.path.starts_with("host/") {
        return Vec::new();
    }
    file.lines_where(&code(&file.text), REMEDY, |line| {
        let global = GLOBALS.into_iter().find(|global| has_word(line, global));
        let cell = || {
            let (_, kind) =
                line.trim_start().trim_start_matches("pub ").strip_prefix("static ")?.split_once(':')?;
            CELLS.into_iter().find(|cell| kind.contains(cell))
        };
        Some(format!("global state: {}", global.or_else(cell)?))
    })
}

/// Decision 19: what adds a route describes it.
pub(super) fn routes_are_described(file: &File) -> Vec<Finding> {
    const REMEDY: &str =
        "add the route with `Api::get`, `post`, `put` or `delete` (host/src/api/openapi/mod.rs)";
    const WAYS: [&str; 5] = [".route(", ".route_service(", ".nest(", ".nest_service(", ".merge("];
    if !file.path.starts_with("host/src/api/") || file.path == "host/src/api/openapi/mod.rs" {
        return Vec::new();
    }
    file.lines_where(&code(&file.text), REMEDY, |line| {
        let way = WAYS.into_iter().find(|way| line.contains(way))?;
        Some(format!("`{way}…)` makes a route without a description"))
    })
}

/// What is not finished is not committed, and a test that is not run is none.
pub(super) fn nothing_is_left_to_do(file: &File) -> Vec<Finding> {
    const REMEDY: &str = "finish it, or open an issue and take this out";
    const MACROS: [&str; 4] =
        [concat!("to", "do!"), concat!("unimple", "mented!"), concat!("db", "g!"), concat!("#[ig", "nore")];
    const MARK: &str = concat!("FIX", "ME");
    if file.is_foreign() {
        return Vec::new();
    }
    let says = |word: &str| Some(format!("{word} is left in"));
    let mut findings =
        file.lines_where(&file.text, REMEDY, |line| line.contains(MARK).then(|| says(MARK))?);
    if file.is_rust() {
        findings.extend(file.lines_where(&code(&file.text), REMEDY, |line| {
            MACROS.into_iter().find(|word| line.contains(word)).and_then(says)
        }));
    }
    findings
}

/// The repository stands alone.
pub(super) fn no_places_of_ours(file: &File) -> Vec<Finding> {
    const REMEDY: &str = "say it in own words, or put what is needed into the repository";
    const PLACES: [&str; 2] = [concat!("../", "shared"), concat!("/wo", "rk/")];
    file.lines_where(&file.text, REMEDY, |line| {
        let place = PLACES.into_iter().find(|place| line.contains(place))?;
        Some(format!("names {place}, which only some machines have"))
    })
}

/// Everybody builds from the public registries, or from the mirror that their own machine is set to.
pub(super) fn no_registries_of_ours(file: &File) -> Vec<Finding> {
    const REMEDY: &str = "leave the registry to the machine's own configuration";
    const CRATES: &str = r#"source = "registry+https://github.com/rust-lang/crates.io-index""#;
    const OPTIONS: [&str; 7] = [
        "--index-url",
        "--extra-index-url",
        "--find-links",
        "[source.",
        "[registries",
        "replace-with",
        "registry =",
    ];
    const KINDS: [&str; 5] = ["toml", "lock", "json", "txt", "npmrc"];
    if !file.has_extension(&KINDS) || file.path.ends_with("deny.toml") {
        return Vec::new();
    }
    file.lines_where(&file.text, REMEDY, |line| {
        let line = line.trim_start();
        let is_other_source =
            line.starts_with("source = \"") && line != CRATES && file.path.ends_with(".lock");
        let is_option =
            OPTIONS.iter().any(|option| line.starts_with(option) || line.starts_with("registry="));
        // A package that is linked from the project has a path there.
        let is_other_npm = line.starts_with("\"resolved\"")
            && line.contains("://")
            && !line.contains("\"https://registry.npmjs.org/");
        (is_other_source || is_option || is_other_npm).then(|| format!("names a registry: {line}"))
    })
}

fn without_hash_comments(text: &str) -> String {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{super::assert_bites, *};

    #[test]
    fn the_engine_is_named_by_the_sandbox_alone() {
        let rule = only_the_sandbox_names_the_engine;
        let code = format!("// {ENGINE} is fine here\nuse {ENGINE}_wasi::p2;\n");
        assert_bites(&rule(&File::new("host/src/api/mod.rs", &code)), "host/src/api/mod.rs:2", ENGINE);
        assert!(rule(&File::new("host/sandbox/src/engine.rs", &code)).is_empty());
        let manifest = format!("# not {ENGINE}\n{ENGINE}.workspace = true\n");
        assert_bites(&rule(&File::new("bench/Cargo.toml", &manifest)), "bench/Cargo.toml:2", ENGINE);
        assert!(rule(&File::new("Cargo.toml", &manifest)).is_empty());
        assert!(rule(&File::new("docs/a.md", &manifest)).is_empty());
    }

    #[test]
    fn the_environment_is_read_in_one_room() {
        let rule = only_config_reads_the_environment;
        for reader in
            ["std::env::var(\"X\")", "env::vars_os()", "std::env::current_exe()", "env::set_var(a, b)"]
        {
            let file = File::new("host/src/cli/serve.rs", &format!("fn f() {{\n    {reader};\n}}\n"));
            assert_bites(&rule(&file), "host/src/cli/serve.rs:2", "outside of host/src/config");
            assert!(rule(&File::new("host/src/config/env.rs", &file.text)).is_empty());
            assert!(rule(&File::new("tests/src/lib.rs", &file.text)).is_empty());
        }
        assert!(rule(&File::new("host/src/a.rs", "option_env!(\"X\"); std::env::temp_dir();")).is_empty());
    }

    #[test]
    fn a_route_without_a_description_is_found() {
        let rule = routes_are_described;
        for line in ["router.route(PATH, get(list))", "api.merge(other)", "Router::new().nest(\"/a\", b)"] {
            let found = rule(&File::new("host/src/api/admin/keys.rs", line));
            assert_bites(&found, "host/src/api/admin/keys.rs:1", "without a description");
            assert!(rule(&File::new("host/src/api/openapi/mod.rs", line)).is_empty());
            assert!(rule(&File::new("host/src/demo/model_server.rs", line)).is_empty());
        }
    }

    #[test]
    fn global_state_is_found() {
        for line in [
            "static mut N: u32 = 0;",
            "static N: OnceLock<u32> = OnceLock::new();",
            "pub static N: AtomicUsize = AtomicUsize::new(0);",
            "thread_local! { static N: u8 = 0 }",
            "use std::sync::LazyLock;",
        ] {
            let found = no_global_state(&File::new("host/src/a.rs", line));
            assert_bites(&found, "host/src/a.rs:1", "global state");
        }
        let allocator =
            "static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;\nfn f(x: &'static Mutex<u8>) {}\n";
        assert!(no_global_state(&File::new("host/src/main.rs", allocator)).is_empty());
    }

    #[test]
    fn unfinished_work_is_found() {
        for line in [
            concat!("to", "do!()"),
            concat!("unimple", "mented!()"),
            concat!("db", "g!(x)"),
            concat!("#[ig", "nore]"),
            concat!("// FIX", "ME later"),
        ] {
            let found = nothing_is_left_to_do(&File::new("tests/it/a.rs", line));
            assert_bites(&found, "tests/it/a.rs:1", "is left in");
        }
        let quoted = concat!("let s = \"to", "do!\";");
        assert!(nothing_is_left_to_do(&File::new("tests/it/a.rs", quoted)).is_empty());
    }

    #[test]
    fn places_and_registries_of_one_machine_are_found() {
        for text in [concat!("see ../", "shared/x"), concat!("cd /wo", "rk/main")] {
            assert_bites(
                &no_places_of_ours(&File::new("README.md", text)),
                "README.md:1",
                "only some machines",
            );
        }
        let rule = no_registries_of_ours;
        for (path, line) in [
            ("Cargo.lock", "source = \"sparse+https://mirror.example/index/\""),
            (".cargo/config.toml", "[source.crates-io]"),
            ("a/Cargo.toml", "registry = \"mirror\""),
            ("requirements.txt", "--index-url https://mirror.example/simple"),
            ("package-lock.json", "\"resolved\": \"https://mirror.example/a.tgz\""),
            (".npmrc", "registry=https://mirror.example/"),
        ] {
            assert_bites(&rule(&File::new(path, line)), &format!("{path}:1"), "names a registry");
        }
        let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert!(rule(&File::new("Cargo.lock", public)).is_empty());
    }
}
