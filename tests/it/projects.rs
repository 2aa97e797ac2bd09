//! Adaptor projects, as their authors see them: `airlock adaptor new`, `build`, `test` and `dev` of the real binary.

use std::path::{Path, PathBuf};

use airlock_tests::{Airlock, Finished, adaptor, guest, target_dir};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli_remote::gateway;

/// A component that is "built" by copying one, with this command.
fn project(command: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let manifest = format!(
        "name = \"mine\"\ncomponent = \"mine.wasm\"\nwatch = [\"source.wasm\"]\n[build]\ncommand = {command}\n"
    );
    std::fs::write(folder.path().join("adaptor.toml"), manifest).unwrap();
    change(folder.path(), &adaptor("direct-api"));
    folder
}

const COPY: &str = r#"["cp", "source.wasm", "mine.wasm"]"#;

/// As editors do: another file in the place of the old one.
fn change(folder: &Path, component: &Path) {
    std::fs::copy(component, folder.join("unfinished")).unwrap();
    std::fs::rename(folder.join("unfinished"), folder.join("source.wasm")).unwrap();
}

/// What programs of a project need of the environment, and where compiled components are kept.
fn environment() -> Vec<(String, String)> {
    let names = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
    let taken = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?.into_string().ok()?)));
    let cache = target_dir().join("test-cache/projects").display().to_string();
    let offline = ("CARGO_NET_OFFLINE".to_owned(), "true".to_owned());
    taken.chain([("XDG_CACHE_HOME".to_owned(), cache), offline]).collect()
}

async fn run(folder: &Path, arguments: &[&str]) -> Finished {
    let env = environment();
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Airlock::build(folder, arguments, &env).await
}

/// The bundled adaptors, for what is tested in front of one.
fn bundled() -> String {
    target_dir().join("adaptors").display().to_string()
}

#[track_caller]
fn refused(done: &Finished, says: &str) {
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains(says), "{says}:\n{}", done.stderr);
}

/// All four are built in one folder for what cargo makes, so that the SDK is compiled once.
#[tokio::test]
async fn a_new_project_in_rust_builds_and_passes_its_tests_and_the_gate() {
    let folder = TempDir::new().unwrap();
    let built = target_dir().join("projects");
    std::fs::create_dir_all(&built).unwrap();
    for (kind, role) in [
        ("endpoint", "endpoint"),
        ("streaming", "endpoint"),
        ("cluster", "cluster"),
        ("middleware", "middleware"),
    ] {
        let name = format!("my-{kind}");
        let made = run(folder.path(), &["adaptor", "new", "--lang", "rust", "--kind", kind, &name]).await;
        assert_eq!((made.code, made.stdout.trim()), (0, name.as_str()), "{made:?}");
        let project = folder.path().join(&name);
        std::os::unix::fs::symlink(&built, project.join("target")).unwrap();
        let done = run(&project, &["adaptor", "build"]).await;
        assert_eq!(done.code, 0, "{}", done.stderr);
        for part in [&format!("kind       {role}"), "digest     sha256:", "upstream"] {
            assert!(done.stdout.contains(part), "{part}:\n{}", done.stdout);
        }
        let done = run(&project, &["adaptor", "test", "--output", "json", "--adaptors", &bundled()]).await;
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(done.stderr.contains("test result: ok"), "{}", done.stderr);
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!((&report["passed"], &report["roles"][0]), (&true.into(), &role.into()), "{report}");
        assert!(
            report["checks"].as_array().unwrap().iter().all(|check| check["skipped"].is_null()),
            "{report}"
        );
    }
}

#[tokio::test]
async fn a_new_project_has_its_own_name_everywhere_and_the_sdk_beside() {
    let folder = TempDir::new().unwrap();
    let made = run(folder.path(), &["adaptor", "new", "--lang", "rust", "my-backend"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.stderr.contains("airlock adaptor build"), "{}", made.stderr);
    let read = |path: &str| std::fs::read_to_string(folder.path().join("my-backend").join(path)).unwrap();
    assert!(read("src/lib.rs").contains("struct MyBackend;"));
    assert!(read("adaptor.toml").contains("release/my_backend.wasm"));
    assert!(read("airlock-sdk/wit/worlds.wit").contains("world endpoint-adaptor"));
    for file in ["Cargo.toml", "adaptor.toml", "README.md", "src/lib.rs", "src/tests.rs"] {
        let text = read(file);
        assert!(!text.to_lowercase().replace(['-', '_'], "").contains("customendpoint"), "{file}:\n{text}");
    }
    let manifest = read("Cargo.toml");
    assert!(!manifest.contains("workspace = true"), "{manifest}");
    assert!(manifest.contains("[profile.release]"), "{manifest}");
}

#[tokio::test]
async fn a_project_is_made_in_no_folder_that_holds_something_and_under_no_bad_name() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("full")).unwrap();
    std::fs::write(folder.path().join("full/precious"), "x").unwrap();
    let new = ["adaptor", "new", "--lang", "rust"];
    for (rest, says) in [
        (&["full"][..], "full is not empty"),
        (&["ok", "--dir", "full"][..], "full is not empty"),
        (&["My_Adaptor"][..], "it has to begin with a small letter"),
        (&["my_adaptor"][..], "single hyphens between them"),
        (&["../up"][..], "it has to begin with a small letter"),
        (&["match"][..], "means something else"),
        (&["serde"][..], "a project builds with a crate `serde`"),
    ] {
        refused(&run(folder.path(), &[&new[..], rest].concat()).await, says);
    }
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["full"]);
    assert_eq!(std::fs::read_dir(folder.path().join("full")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_build_that_fails_is_told_with_its_command() {
    let built = async |command: &str| run(project(command).path(), &["adaptor", "build"]).await;
    for (command, says) in [
        (
            r#"["sh", "-c", "echo no luck; exit 3"]"#,
            "build: `sh -c echo no luck; exit 3` failed with exit status: 3",
        ),
        (r#"["airlock-no-such-program"]"#, "there is no program `airlock-no-such-program`"),
        (r#"["true"]"#, "the build has ended and"),
        (r#"["cp", "adaptor.toml", "mine.wasm"]"#, "mine.wasm: "),
    ] {
        refused(&built(command).await, says);
    }
    let told = built(r#"["sh", "-c", "echo no luck; exit 3"]"#).await;
    assert!(told.stderr.contains("no luck\n") && told.stdout.is_empty(), "{told:?}");
    let empty = TempDir::new().unwrap();
    refused(&run(empty.path(), &["adaptor", "build"]).await, "holds no adaptor.toml");
}

/// Somebody's build scripts are not ours.
#[tokio::test]
async fn the_commands_of_a_project_do_not_see_the_key_of_a_gateway() {
    let project = project(r#"["sh", "-c", "echo \"key=$AIRLOCK_KEY\" > seen; cp source.wasm mine.wasm"]"#);
    let mut env = environment();
    env.push(("AIRLOCK_KEY".to_owned(), "precious".to_owned()));
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let done = Airlock::run_with(project.path(), &["adaptor", "build"], &env).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(std::fs::read_to_string(project.path().join("seen")).unwrap(), "key=\n");
}

#[tokio::test]
async fn setup_is_run_once_and_a_projects_own_tests_come_before_the_trial() {
    let project = project(COPY);
    let manifest = project.path().join("adaptor.toml");
    let rest = "[setup]\ncommand = [\"sh\", \"-c\", \"echo x >> once\"]\ncreates = \"once\"\n\
                [check]\ncommand = [\"sh\", \"-c\", \"test -f good\"]\n";
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, format!("{text}{rest}")).unwrap();
    refused(
        &run(project.path(), &["adaptor", "test"]).await,
        "the project's own tests: `sh -c test -f good` failed",
    );
    std::fs::write(project.path().join("good"), "").unwrap();
    let done = run(project.path(), &["adaptor", "test"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    for part in ["✓ configuration", "✓ hanging", "a request takes", "it may"] {
        assert!(done.stdout.contains(part), "{part}:\n{}", done.stdout);
    }
    assert_eq!(std::fs::read_to_string(project.path().join("once")).unwrap(), "x\n");
}

/// One test case of a JUnit file: its name, and what it says where it is no plain success.
fn cases(file: &Path) -> Vec<(String, Option<String>)> {
    let text = std::fs::read_to_string(file).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    let outcome = |case: roxmltree::Node<'_, '_>| {
        let bad = case.children().find(|node| node.has_tag_name("failure") || node.has_tag_name("skipped"));
        Some(format!("{} {}", bad?.attribute("message").unwrap(), bad?.text().unwrap_or_default()))
    };
    cases.map(|case| (case.attribute("name").unwrap().to_owned(), outcome(case))).collect()
}

#[tokio::test]
async fn results_are_written_for_ci_as_they_are_told() {
    let folder = TempDir::new().unwrap();
    let junit = folder.path().join("results.xml");
    let test = async |component: PathBuf| {
        let component = component.display().to_string();
        let order = ["adaptor", "test", &component, "--output", "json", "--junit", "results.xml"];
        let done = run(folder.path(), &order).await;
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        (done, report, cases(&junit))
    };
    let names = |report: &Value| -> Vec<String> {
        let checks = report["checks"].as_array().unwrap().iter();
        checks.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
    };
    let (done, report, found) = test(adaptor("direct-api")).await;
    assert_eq!((done.code, &report["passed"]), (0, &true.into()), "{done:?}");
    assert_eq!(found.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), names(&report));
    assert!(found.iter().all(|(_, outcome)| outcome.is_none()), "{found:?}");
    let (done, report, found) = test(guest("trap")).await;
    refused(&done, "trap: no gateway takes it: `answers` fails");
    assert_eq!(report["passed"], false);
    let (name, outcome) = found.last().unwrap();
    assert_eq!(name, "answers");
    let check = report["checks"].as_array().unwrap().last().unwrap();
    let told = format!("{} {}", check["message"].as_str().unwrap(), check["remedy"].as_str().unwrap());
    assert_eq!(outcome.as_deref(), Some(told.as_str()));
}

#[tokio::test]
async fn a_change_is_served_and_a_mistake_is_told_and_mended_by_the_next_one() {
    let gateway = gateway().await;
    let project = project(COPY);
    let mut env = environment();
    env.extend(
        [("AIRLOCK_URL", &gateway.url), ("AIRLOCK_KEY", &gateway.developer)]
            .map(|(name, value)| (name.to_owned(), value.clone())),
    );
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut dev = Airlock::start(project.path(), &["adaptor", "dev"], &env);
    let served = async |dev: &mut Airlock, component: PathBuf| {
        let digest = airlock::gate::digest(&std::fs::read(component).unwrap());
        let line = dev.line().await;
        assert!(line.starts_with(&format!("served mine {}: build ", &digest[..12])), "{line}");
    };
    served(&mut dev, adaptor("direct-api")).await;
    change(project.path(), &adaptor("direct-api-wasi"));
    served(&mut dev, adaptor("direct-api-wasi")).await;
    // The gate does not take it, and what was served stays.
    change(project.path(), &guest("trap"));
    assert!(
        dev.error_line("gateway does not take").await.contains("the gateway does not take the component")
    );
    let shown = gateway.developer(&["adaptor", "show", "mine"]).await;
    let digest = airlock::gate::digest(&std::fs::read(adaptor("direct-api-wasi")).unwrap());
    assert!(shown.stdout.contains(&format!("live: {}", &digest[..12])), "{shown:?}");
    change(project.path(), &adaptor("direct-api"));
    served(&mut dev, adaptor("direct-api")).await;
}
