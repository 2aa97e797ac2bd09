use super::*;
use crate::Operation;

fn endpoint(config: &str) -> EndpointInfo {
    EndpointInfo {
        slug: "c-api-m".to_owned(),
        cluster: "c".to_owned(),
        framework: "api".to_owned(),
        model: "backend/M".to_owned(),
        config: config.to_owned(),
    }
}

fn task(operation: &str, model: &str, body: &str) -> Task {
    Task {
        id: "r1".to_owned(),
        operation: Operation::from_path(operation),
        model: model.to_owned(),
        stream: false,
        user: None,
        body: body.as_bytes().to_vec(),
    }
}

/// The URL that an operation goes to under `api_url`.
fn url(api_url: &str, operation: &str) -> String {
    let endpoint = endpoint(&format!(r#"{{"api_url":"{api_url}"}}"#));
    DirectApi::new(&endpoint).unwrap().request(&task(operation, "backend/M", "{}")).unwrap().url
}

/// The body that is sent under a configuration; none for the task's own.
fn body(extra: &str, model: &str, body: &str) -> Option<String> {
    let endpoint = endpoint(&format!(r#"{{"api_url":"https://h/v1"{extra}}}"#));
    let request = DirectApi::new(&endpoint).unwrap().request(&task("chat/completions", model, body)).unwrap();
    request.body.map(|body| String::from_utf8(body).unwrap())
}

fn refusal(config: &str) -> String {
    let error = DirectApi::new(&endpoint(config)).map(drop).unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (400, "invalid_config"), "{config}");
    error.message
}

#[test]
fn a_base_is_extended_by_the_operation() {
    assert_eq!(url("https://h/v1", "chat/completions"), "https://h/v1/chat/completions");
    assert_eq!(url("https://h/v1/", "embeddings"), "https://h/v1/embeddings");
    assert_eq!(url("http://h:8000", "completions"), "http://h:8000/completions");
    assert_eq!(url("HTTP://[::1]:8000/v1", "rerank"), "HTTP://[::1]:8000/v1/rerank");
    assert_eq!(url("https://h/v1", "audio/x.y"), "https://h/v1/audio/x.y");
}

#[test]
fn a_full_url_is_used_as_it_is_or_its_operation_is_swapped() {
    let full = "https://h/v1/my-model/chat/completions";
    assert_eq!(url(full, "chat/completions"), full);
    assert_eq!(url(full, "completions"), "https://h/v1/my-model/completions");
    assert_eq!(url(full, "embeddings"), "https://h/v1/my-model/embeddings");
    assert_eq!(url("https://h/v1/completions", "chat/completions"), "https://h/v1/chat/completions");
    assert_eq!(url("https://h/v1/completions", "completions"), "https://h/v1/completions");
    assert_eq!(url("https://h/v1/embeddings/", "embeddings"), "https://h/v1/embeddings/");
    assert_eq!(url("https://h/v1/tokenize", "tokenize"), "https://h/v1/tokenize");
    assert_eq!(url("https://h/v1/notcompletions", "completions"), "https://h/v1/notcompletions/completions");
}

#[test]
fn a_query_stays_behind_the_path() {
    let azure = "https://h/openai/deployments/d?api-version=2024-10-21";
    let expected = "https://h/openai/deployments/d/chat/completions?api-version=2024-10-21";
    assert_eq!(url(azure, "chat/completions"), expected);
    assert_eq!(url(expected, "chat/completions"), expected);
    assert_eq!(
        url(expected, "embeddings"),
        "https://h/openai/deployments/d/embeddings?api-version=2024-10-21"
    );
    assert_eq!(url("https://h?x=/a", "embeddings"), "https://h/embeddings?x=/a");
}

#[test]
fn a_path_that_would_leave_the_base_is_refused() {
    let endpoint = endpoint(r#"{"api_url":"https://h/v1"}"#);
    let api = DirectApi::new(&endpoint).unwrap();
    for path in ["../admin", "a/../b", "/a", "a//b", "", ".", "a?b", "a#b", "a%2e", "a\\b", "a\r\n"] {
        let error = api.request(&task(path, "backend/M", "{}")).unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (400, "unsupported_operation"), "{path}");
    }
}

#[test]
fn an_unchanged_body_is_the_tasks_own() {
    assert_eq!(body("", "backend/M", "not even JSON"), None);
    assert_eq!(body(r#","extra_body":{}"#, "backend/M", "not even JSON"), None);
    assert_eq!(body(r#","extra_body":null"#, "backend/M", "not even JSON"), None);
}

#[test]
fn a_public_name_becomes_the_backends() {
    let sent = body("", "public", r#"{"messages":[{"b":1, "a":2}],"model":"public","n":1}"#);
    assert_eq!(sent.unwrap(), r#"{"messages":[{"b":1, "a":2}],"model":"backend/M","n":1}"#);
}

#[test]
fn extra_fields_are_merged_and_null_removes() {
    let extra = r#","extra_body":{"top_k":5,"user":null,"chat_template_kwargs":{"thinking":false}}"#;
    let sent = body(extra, "backend/M", r#"{"model":"backend/M","user":"u","top_k":1}"#);
    let expected = r#"{"model":"backend/M","top_k":5,"chat_template_kwargs":{"thinking":false}}"#;
    assert_eq!(sent.unwrap(), expected);
}

#[test]
fn an_extension_changes_url_fields_and_headers() {
    let endpoint = endpoint(r#"{"api_url":"https://h/v1","extra_body":{"a":1}}"#);
    let mut api = DirectApi::new(&endpoint).unwrap();
    api.set_api_url("https://other/v2").unwrap();
    api.set_field("a", [1, 2]).unwrap();
    api.remove_field("b");
    api.set_header("Content-Type", "text/plain").unwrap();
    let request =
        api.request_with_body(&task("completions", "backend/M", "{}"), br#"{"b":1,"c":2}"#.to_vec()).unwrap();
    assert_eq!(request.url, "https://other/v2/completions");
    assert_eq!(request.headers, [("content-type".to_owned(), "text/plain".to_owned())]);
    assert_eq!(request.body.unwrap(), br#"{"c":2,"a":[1,2]}"#);
    assert!(api.set_header("Authorization", "x").is_err());
}

#[test]
fn a_body_that_must_change_and_is_no_object_is_the_clients_fault() {
    let endpoint = endpoint(r#"{"api_url":"https://h/v1"}"#);
    let api = DirectApi::new(&endpoint).unwrap();
    let error = api.request(&task("completions", "public", "[]")).unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (400, "invalid_json"));
}

#[test]
fn the_whole_request_is_as_configured() {
    let config = r#"{"api_url":"https://h/v1","api_request_timeout":0.5,"api_key_env_name":"KEY",
        "extra_headers":{"X-Team":"physics"},"status_url":"https://other"}"#;
    let endpoint = endpoint(config);
    let request =
        DirectApi::new(&endpoint).unwrap().request(&task("completions", "backend/M", "{}")).unwrap();
    assert_eq!((request.method.as_str(), request.timeout_ms), ("POST", Some(500)));
    let headers = [("content-type", "application/json"), ("x-team", "physics")];
    assert_eq!(request.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn a_url_from_elsewhere_takes_the_place_of_the_configured_one() {
    for config in ["{}", r#"{"api_url":"https://configured/v1"}"#] {
        let endpoint = endpoint(config);
        let api = DirectApi::with_url(&endpoint, "https://other/v1/").unwrap();
        let request = api.request(&task("completions", "backend/M", "{}")).unwrap();
        assert_eq!(request.url, "https://other/v1/completions");
        assert!(DirectApi::with_url(&endpoint, "other").is_err());
    }
}

#[test]
fn the_timeout_defaults_to_two_minutes() {
    let endpoint = endpoint(r#"{"api_url":"https://h/v1","api_request_timeout":null}"#);
    let request =
        DirectApi::new(&endpoint).unwrap().request(&task("completions", "backend/M", "{}")).unwrap();
    assert_eq!(request.timeout_ms, Some(120_000));
}

#[test]
fn a_bad_url_is_refused_with_the_reason() {
    assert_eq!(refusal("{}"), "config key `api_url`: is missing");
    assert!(refusal(r#"{"api_url":7}"#).starts_with("config key `api_url`: invalid type"));
    for (api_url, reason) in [
        ("", "must begin with"),
        ("h/v1", "must begin with"),
        ("ftp://h/v1", "must begin with"),
        ("https://", "names no host"),
        ("https:///v1", "names no host"),
        ("https://:80/v1", "names no host"),
        ("https://h:x/v1", "names no host"),
        ("https://[::1]x/v1", "names no host"),
        ("https://user:secret@h/v1", "must not hold a user or password"),
        ("https://h/v1#x", "must not hold a fragment"),
        ("https://h/a b", "must not hold spaces"),
    ] {
        let message = refusal(&format!(r#"{{"api_url":"{api_url}"}}"#));
        assert!(message.starts_with(&format!("config key `api_url`: {reason}")), "{api_url}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn other_bad_settings_are_refused_with_the_key() {
    for (setting, start) in [
        (r#""api_request_timeout":0"#, "config key `api_request_timeout`: 0 is not a time"),
        (r#""api_request_timeout":-1"#, "config key `api_request_timeout`: -1 is not a time"),
        (r#""api_request_timeout":3601"#, "config key `api_request_timeout`: 3601 is not a time"),
        (
            r#""api_request_timeout":"120""#,
            "config key `api_request_timeout`: invalid type: string \"120\", expected a number",
        ),
        (r#""api_key_env_name":1"#, "config key `api_key_env_name`: invalid type: integer"),
        (r#""extra_headers":[]"#, "config key `extra_headers`: invalid type: sequence"),
        (r#""extra_headers":{"x":1}"#, "config key `extra_headers`: invalid type: integer"),
        (r#""extra_headers":{"X y":"1"}"#, "config key `extra_headers`: `X y` is not a header name"),
        (r#""extra_headers":{"x":"a\r\nb: c"}"#, "config key `extra_headers`: the value of `x`"),
        (r#""extra_headers":{"Host":"x"}"#, "config key `extra_headers`: `Host` is set by the gateway"),
        (
            r#""extra_headers":{"Authorization":"x"}"#,
            "config key `extra_headers`: `Authorization` is a credential",
        ),
        (r#""extra_headers":{"X-API-Key":"x"}"#, "config key `extra_headers`: `X-API-Key` is a credential"),
        (r#""extra_headers":{"cookie":"x"}"#, "config key `extra_headers`: `cookie` is a credential"),
        (r#""extra_body":[1]"#, "config key `extra_body`: must be an object"),
        (r#""extra_body":"x""#, "config key `extra_body`: must be an object"),
    ] {
        let message = refusal(&format!(r#"{{"api_url":"https://h/v1",{setting}}}"#));
        assert!(message.starts_with(start), "{setting}: {message}");
    }
}

/// Where a task goes under `speaks`, or the error's message.
fn becomes(speaks: &str, operation: &str, body: &str) -> Result<String, String> {
    let endpoint = endpoint(&format!(r#"{{"api_url":"https://h/v1","speaks":{speaks}}}"#));
    let mut task = task(operation, "backend/M", body);
    let api = DirectApi::new(&endpoint).unwrap();
    let sent = api.translation(&mut task).and_then(|_| api.request(&task));
    sent.map(|request| request.url.replace("https://h/v1/", "")).map_err(|error| {
        assert_eq!(error.status, 400);
        error.message
    })
}

/// The host has the form: all that the adaptor can do is to send it on.
#[test]
fn a_form_is_sent_on_as_it_is_or_refused() {
    let sent = |config: &str| {
        let endpoint = endpoint(config);
        let api = DirectApi::new(&endpoint).unwrap();
        api.request(&task("audio/transcriptions", "another-name", r#"{"model":"another-name"}"#))
    };
    let request = sent(r#"{"api_url":"https://h/v1","extra_headers":{"x-a":"b"}}"#).unwrap();
    assert_eq!((request.url.as_str(), request.body), ("https://h/v1/audio/transcriptions", None));
    let refused = sent(r#"{"api_url":"https://h/v1","extra_body":{"temperature":0}}"#).unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (400, "unsupported_operation"));
    assert!(refused.message.contains("`temperature`") && refused.message.contains("extra_body"));
}

#[test]
fn what_is_spoken_is_not_looked_into_and_the_rest_is_translated_or_refused() {
    let chat = r#"["chat/completions"]"#;
    for path in ["chat/completions", "completions", "responses", "messages", "rerank"] {
        assert_eq!(becomes("null", path, "no JSON"), Ok(path.to_owned()));
    }
    assert_eq!(becomes(r#"["responses"]"#, "responses", "no JSON"), Ok("responses".to_owned()));
    assert_eq!(becomes(chat, "chat/completions", "no JSON"), Ok("chat/completions".to_owned()));
    let body = r#"{"model":"m","input":"a","max_tokens":1,"messages":[{"role":"user","content":"a"}]}"#;
    assert_eq!(becomes(chat, "responses", r#"{"input":"a"}"#), Ok("chat/completions".to_owned()));
    assert!(becomes(chat, "messages", body).unwrap_err().starts_with("`input` is not supported"));
    let refused = becomes(chat, "embeddings", "{}").unwrap_err();
    assert_eq!(refused, "this model's backend takes `chat/completions`, and not `embeddings`");
    assert!(becomes(r#"["responses"]"#, "messages", body).unwrap_err().contains("takes `responses`"));
    for wrong in ["[]", r#"[""]"#, r#"["../x"]"#, r#""chat""#] {
        let message = refusal(&format!(r#"{{"api_url":"https://h/v1","speaks":{wrong}}}"#));
        assert!(message.starts_with("config key `speaks`"), "{message}");
    }
}
