//! Fixtures into the store and out of it, through the real binary.

use std::path::Path;

use airlock_tests::{Airlock, Finished};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tidy::root;

async fn airlock(folder: &Path, arguments: &[&str]) -> Finished {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--data", "data"]).collect();
    Airlock::run(folder, &arguments).await
}

fn demo() -> Vec<String> {
    let files = ["endpoints.json", "federated_endpoints.json", "clusters.json"];
    files.iter().map(|file| root().join("fixtures/demo").join(file).display().to_string()).collect()
}

async fn load(folder: &Path, files: &[String]) -> Finished {
    let arguments: Vec<&str> = ["loaddata"].into_iter().chain(files.iter().map(String::as_str)).collect();
    airlock(folder, &arguments).await
}

#[tokio::test]
async fn what_is_dumped_loads_again_and_is_the_same() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let loaded = load(first.path(), &demo()).await;
    assert_eq!((loaded.code, loaded.stdout.as_str()), (0, ""), "{loaded:?}");
    assert!(loaded.stderr.contains("default: 4 loaded, 0 unchanged"), "{loaded:?}");
    // The name of a variable is an operator's to give, in files: it is kept, and said.
    assert!(loaded.stderr.contains("warning: ") && loaded.stderr.contains("endpoints.json:15"), "{loaded:?}");
    let dumped = airlock(first.path(), &["dumpdata"]).await;
    assert_eq!(dumped.code, 0, "{dumped:?}");
    let entries: Vec<Value> = serde_json::from_str(&dumped.stdout).unwrap();
    for file in demo() {
        let wanted: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        for entry in wanted {
            let found = |own: &&Value| own["fields"] == entry["fields"] && own["model"] == entry["model"];
            assert_eq!(entries.iter().filter(found).count(), 1, "{entry} of {file}: {entries:?}");
        }
    }
    let file = second.path().join("dump.json");
    std::fs::write(&file, &dumped.stdout).unwrap();
    let file = [file.display().to_string()];
    assert_eq!(load(second.path(), &file).await.code, 0);
    assert_eq!(airlock(second.path(), &["dumpdata"]).await.stdout, dumped.stdout);
    let again = load(second.path(), &file).await;
    assert!(again.stderr.contains("0 loaded, 4 unchanged"), "{again:?}");
}

#[tokio::test]
async fn what_a_cluster_does_when_clients_go_is_kept() {
    let folder = TempDir::new().unwrap();
    let fields = json!({
        "cluster_name": "c", "cluster_adapter": "static-cluster", "frameworks": ["api"],
        "openai_endpoints": ["completions"], "on_disconnect": "finish",
    });
    let mut entries =
        json!([{ "model": "resource_server_async.cluster", "pk": 1, "fields": fields.clone() }]);
    let file = folder.path().join("f.json");
    std::fs::write(&file, entries.to_string()).unwrap();
    let file_name = [file.display().to_string()];
    assert_eq!(load(folder.path(), &file_name).await.code, 0);
    let dumped = airlock(folder.path(), &["dumpdata"]).await;
    assert_eq!(serde_json::from_str::<Value>(&dumped.stdout).unwrap()[0]["fields"], fields);
    entries[0]["fields"]["on_disconnect"] = json!("wait");
    std::fs::write(&file, entries.to_string()).unwrap();
    let refused = load(folder.path(), &file_name).await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("must be \"cancel\" or \"finish\", found \"wait\""), "{refused:?}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_as_a_whole() {
    let folder = TempDir::new().unwrap();
    let write = |text: String| {
        let file = folder.path().join("f.json");
        std::fs::write(&file, text).unwrap();
        [file.display().to_string()]
    };
    let cluster =
        |fields: Value| json!([{ "model": "resource_server_async.cluster", "pk": 1, "fields": fields }]);
    let good = json!({ "cluster_name": "c", "cluster_adapter": "static-cluster", "frameworks": ["api"] });
    let mut bad = good.clone();
    bad["frameworkz"] = json!([]);
    for (text, says) in [
        ("[".to_owned(), "no JSON"),
        (json!([{ "model": "auth.user", "fields": {} }]).to_string(), "no kind of entry \"auth.user\""),
        (cluster(json!({})).to_string(), "`cluster_name`"),
        (cluster(bad).to_string(), "frameworkz"),
        (json!([cluster(good.clone())[0], cluster(good.clone())[0]]).to_string(), "twice"),
    ] {
        let refused = load(folder.path(), &write(text)).await;
        assert_eq!(refused.code, 1, "{says}: {refused:?}");
        assert!(refused.stderr.contains(says), "{says}: {refused:?}");
    }
    let stranger = airlock(folder.path(), &["dumpdata", "--tenant", "nobody"]).await;
    assert!(stranger.code == 1 && stranger.stderr.contains("no tenant nobody"), "{stranger:?}");
    assert_eq!(airlock(folder.path(), &["dumpdata"]).await.stdout.trim(), "[]");
}
