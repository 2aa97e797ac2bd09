//! Compiling: in a child with limits and without rights, kept where nobody can change it unseen.

use std::{path::Path, time::Duration};

use airlock_sandbox::{
    CacheKey, CacheSettings, CompileLimits, CompilerSettings, LoadError, Sandbox, SandboxSettings,
};
use airlock_tests::{binary_path, guest};
use std::fmt::Write as _;

fn sandbox(compiler: CompilerSettings) -> Sandbox {
    Sandbox::new(&SandboxSettings { slots: 1, max_memory_bytes: 64 << 20, compiler, callbacks: None })
        .unwrap()
}

fn limited(change: impl FnOnce(&mut CompileLimits)) -> Sandbox {
    let mut limits = CompileLimits::default();
    change(&mut limits);
    sandbox(CompilerSettings { program: binary_path(), limits, cache: None })
}

fn cached(folder: &Path, key: u8) -> Sandbox {
    let cache = CacheSettings { folder: folder.to_owned(), key: CacheKey([key; 32]), max_bytes: 1 << 30 };
    let limits = CompileLimits::default();
    sandbox(CompilerSettings { program: binary_path(), limits, cache: Some(cache) })
}

/// The same, where nothing can be compiled: what loads was kept.
fn only_cached(folder: &Path, key: u8) -> Sandbox {
    let cache = CacheSettings { folder: folder.to_owned(), key: CacheKey([key; 32]), max_bytes: 1 << 30 };
    let limits = CompileLimits::default();
    sandbox(CompilerSettings { program: "/nowhere/airlock".into(), limits, cache: Some(cache) })
}

fn echo() -> Vec<u8> {
    std::fs::read(guest("echo")).unwrap()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn what_was_compiled_once_is_there_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("made/by/itself");
    let first = cached(&folder, 1).load("echo", &echo()).await.unwrap();
    assert_eq!(files(&folder).len(), 1);
    let again = only_cached(&folder, 1).load("echo", &echo()).await.unwrap();
    assert_eq!(first.digest(), again.digest());
    let error = only_cached(&folder, 1).load("x", &std::fs::read(guest("kv")).unwrap()).await.unwrap_err();
    assert!(matches!(error, LoadError::Compiler(_)) && error.to_string().contains("/nowhere"), "{error}");

    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&files(&folder)[0])), (0o700, 0o600));
}

#[tokio::test]
async fn a_flipped_byte_anywhere_is_noticed_and_the_code_made_again() {
    let folder = tempfile::tempdir().unwrap();
    cached(folder.path(), 1).load("echo", &echo()).await.unwrap();
    let file = files(folder.path()).remove(0);
    let good = std::fs::read(&file).unwrap();
    let length = good.len();
    for at in [0, 31, 32, 33, 100, length / 2, length - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&file, bad).unwrap();
        let error = only_cached(folder.path(), 1).load("echo", &echo()).await.unwrap_err();
        assert!(matches!(error, LoadError::Compiler(_)), "byte {at}: {error}");
    }
    for cut in [0, 10, 32, length / 2, length - 1] {
        std::fs::write(&file, &good[..cut]).unwrap();
        assert!(only_cached(folder.path(), 1).load("echo", &echo()).await.is_err(), "cut at {cut}");
    }
    cached(folder.path(), 1).load("echo", &echo()).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap().len(), length);
    only_cached(folder.path(), 1).load("echo", &echo()).await.unwrap();
}

#[tokio::test]
async fn code_of_another_component_or_another_key_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let kv = std::fs::read(guest("kv")).unwrap();
    let both = cached(folder.path(), 1);
    let echo_digest = both.load("echo", &echo()).await.unwrap().digest().to_owned();
    let kv_digest = both.load("kv", &kv).await.unwrap().digest().to_owned();
    let find = |digest: &str| {
        let name = |f: &std::path::PathBuf| f.file_name().unwrap().to_str().unwrap().starts_with(digest);
        files(folder.path()).into_iter().find(name).unwrap()
    };
    let (echo_file, kv_file) = (find(&echo_digest), find(&kv_digest));
    assert!(only_cached(folder.path(), 2).load("echo", &echo()).await.is_err());
    only_cached(folder.path(), 1).load("echo", &echo()).await.unwrap();
    std::fs::copy(kv_file, echo_file).unwrap();
    assert!(only_cached(folder.path(), 1).load("echo", &echo()).await.is_err());
}

#[tokio::test]
async fn a_full_cache_forgets_what_was_used_longest_ago() {
    let folder = tempfile::tempdir().unwrap();
    let room = |max_bytes| {
        let cache = CacheSettings { folder: folder.path().to_owned(), key: CacheKey([1; 32]), max_bytes };
        let limits = CompileLimits::default();
        sandbox(CompilerSettings { program: binary_path(), limits, cache: Some(cache) })
    };
    room(1 << 30).load("echo", &echo()).await.unwrap();
    let size = std::fs::metadata(&files(folder.path())[0]).unwrap().len();
    room(size + size / 2).load("kv", &std::fs::read(guest("kv")).unwrap()).await.unwrap();
    assert_eq!(files(folder.path()).len(), 1);
    assert!(only_cached(folder.path(), 1).load("echo", &echo()).await.is_err());
}

/// A component whose code takes long to make: many large functions, which compress well.
fn bomb(functions: usize) -> Vec<u8> {
    let mut body = String::new();
    for at in 0..2_000 {
        write!(body, "(local.set 0 (i64.mul (local.get 0) (i64.add (local.get 0) (i64.const {at}))))")
            .unwrap();
    }
    let mut text = String::from("(component (core module $m ");
    for _ in 0..functions {
        write!(text, "(func (param i64) {body})").unwrap();
    }
    text.push_str("))");
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_component_that_takes_too_long_to_compile_is_refused() {
    let bomb = bomb(600);
    let cpu = limited(|l| l.cpu = Duration::from_secs(1)).load("bomb", &bomb).await.unwrap_err();
    assert!(matches!(&cpu, LoadError::CompileLimit(what) if what.contains("processor")), "{cpu}");
    let wall = limited(|l| l.wall = Duration::from_millis(300)).load("bomb", &bomb).await.unwrap_err();
    assert!(matches!(&wall, LoadError::CompileLimit(what) if what.contains("300ms")), "{wall}");
}

#[tokio::test]
async fn a_component_that_takes_too_much_memory_to_compile_is_refused() {
    let bomb = bomb(3000);
    // Memory may run out at any place: while the component is read, in a thread of the compiler, at its end.
    for mib in [600, 700] {
        let error = limited(|l| l.memory_bytes = mib << 20).load("bomb", &bomb).await.unwrap_err();
        assert!(matches!(&error, LoadError::CompileLimit(what) if what.contains("memory")), "{mib}: {error}");
    }
}

#[tokio::test]
async fn sizes_are_limited_on_both_sides() {
    let large = limited(|l| l.max_component_bytes = 1000).load("echo", &echo()).await.unwrap_err();
    assert!(matches!(large, LoadError::TooLarge { limit: 1000 }), "{large}");
    let code = limited(|l| l.max_code_bytes = 10_000).load("echo", &echo()).await.unwrap_err();
    assert!(matches!(&code, LoadError::CompileLimit(what) if what.contains("machine code")), "{code}");
}

#[tokio::test]
async fn a_compiler_that_is_none_is_told_apart_from_a_bad_component() {
    for (program, says) in
        [("/bin/false", "exit status: 1"), ("/bin/true", "cannot be read"), ("/none", "/none")]
    {
        let limits = CompileLimits::default();
        let sandbox = sandbox(CompilerSettings { program: program.into(), limits, cache: None });
        let error = sandbox.load("echo", &echo()).await.unwrap_err();
        assert!(matches!(error, LoadError::Compiler(_)) && error.to_string().contains(says), "{error}");
    }
}
