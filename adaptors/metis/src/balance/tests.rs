use std::hash::{BuildHasherDefault, DefaultHasher};

use airlock_adaptor::serde_json::{Value, from_value, json};

use super::*;

const API: &str = "https://api/v1";

fn endpoint(config: &Value) -> EndpointInfo {
    EndpointInfo {
        slug: "c-api-m".to_owned(),
        cluster: "c".to_owned(),
        framework: "api".to_owned(),
        model: "m".to_owned(),
        config: config.to_string(),
    }
}

fn sorted(entries: Value, api_url: Option<&str>) -> Result<Vec<String>, AdaptorError> {
    let entries: Vec<Entry> = from_value(entries).unwrap();
    let mut urls: Vec<String> =
        urls(&endpoint(&json!({})), &entries, api_url)?.into_iter().map(str::to_owned).collect();
    urls.sort();
    Ok(urls)
}

#[test]
fn live_entries_of_the_model_are_places_to_go() {
    let entries = json!([
        { "model": "m", "status": "Live", "url": "https://one/v1" },
        { "model": "other", "status": "Live", "url": "https://other/v1" },
        { "model": "m", "status": "Stopped", "url": "https://stopped/v1" },
        { "model": "west", "status": "Live", "url": "https://two/v1", "experts": ["m"] },
        { "model": "m", "status": "Live", "url": "https://one/v1" },
    ]);
    assert_eq!(sorted(entries.clone(), None).unwrap(), ["https://one/v1", "https://two/v1"]);
    assert_eq!(sorted(entries, Some(API)).unwrap(), [API, "https://one/v1", "https://two/v1"]);
    let without = json!([{ "model": "m", "status": "Live" }]);
    assert_eq!(sorted(without.clone(), Some(API)).unwrap(), [API]);
    assert_eq!(sorted(without, None).unwrap_err().code, "model_url_unknown");
}

#[test]
fn a_model_that_is_not_live_is_refused_with_its_status() {
    let stopped = sorted(json!([{ "model": "m", "status": "Stopped" }]), Some(API)).unwrap_err();
    assert_eq!((stopped.status, stopped.code.as_str()), (503, "model_not_running"));
    assert_eq!(stopped.retry_after_ms, Some(60_000));
    let told = "the model `m` is not running on c: its status is \"Stopped\"; try again later";
    assert!(stopped.message.starts_with(told), "{}", stopped.message);
    let absent = sorted(json!([{ "model": "n", "status": "Live" }]), Some(API)).unwrap_err();
    assert!(absent.message.contains("its status list does not name it"), "{}", absent.message);
}

/// Hashes with keys that the test chooses.
struct Keyed(u64);

impl BuildHasher for Keyed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        use std::hash::Hasher as _;
        let mut hasher = BuildHasherDefault::<DefaultHasher>::default().build_hasher();
        hasher.write_u64(self.0);
        hasher
    }
}

#[test]
fn the_order_depends_on_the_keys_and_the_last_resort_stays_last() {
    let all = vec!["a", "b", "c", "a"];
    let first: Vec<&str> = (0..60).map(|key| ordered(all.clone(), Some(API), &Keyed(key))[0]).collect();
    for url in ["a", "b", "c"] {
        assert!(first.iter().filter(|other| **other == url).count() > 5, "{url}: {first:?}");
    }
    for key in 0..60 {
        let urls = ordered(all.clone(), Some(API), &Keyed(key));
        assert_eq!((urls.len(), urls[3]), (4, API));
        assert_eq!(ordered(vec!["a", API], Some(API), &Keyed(key)).len(), 2);
    }
    let many: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(ordered(many.clone(), None, &Keyed(0)).len(), MAX_TRIES);
    let urls = ordered(many, Some(API), &Keyed(0));
    assert_eq!((urls.len(), urls[MAX_TRIES - 1]), (MAX_TRIES, API));
}

#[test]
fn a_request_says_whether_it_streams_and_names_no_port() {
    let endpoint = endpoint(&json!({ "extra_body": { "top_k": 1 } }));
    let body = |path: &str, stream: bool, text: &str| {
        let task = Task {
            id: "r".to_owned(),
            operation: Operation::from_path(path),
            model: "m".to_owned(),
            stream,
            user: None,
            body: text.as_bytes().to_vec(),
        };
        let request = request(DirectApi::with_url(&endpoint, "https://one/v1").unwrap(), &task).unwrap();
        assert_eq!(request.url, format!("https://one/v1/{path}"));
        String::from_utf8(request.body.unwrap()).unwrap()
    };
    let given = r#"{"model":"m","api_port":8000,"stream":true}"#;
    assert_eq!(body("chat/completions", true, given), r#"{"model":"m","stream":true,"top_k":1}"#);
    assert_eq!(body("completions", false, "{}"), r#"{"top_k":1,"stream":false}"#);
    assert_eq!(body("embeddings", false, "{}"), r#"{"top_k":1}"#);
}
