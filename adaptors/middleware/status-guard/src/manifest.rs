//! What a status page says of one model. It may be
//!
//! - empty: whoever answers is there (`/health` of vLLM)
//! - `{"status": "Live"}`: of the one model behind it
//! - a list of models, alone or under `data` or `models`, or an object of them by name. Each is a word, or has
//!   `status`; one is meant by its name in the object, by its `model`, `id` or `name`, or in its list `models`
//!   or `experts`.

use airlock_adaptor::serde_json::{self, Value};

const LIVE: [&str; 4] = ["live", "ok", "ready", "running"];

/// Says in a sentence why the model cannot be used, if so.
pub(crate) fn check(page: &[u8], model: &str, live: Option<&[String]>) -> Result<(), String> {
    if page.trim_ascii().is_empty() {
        return Ok(());
    }
    let page: Value = serde_json::from_slice(page)
        .map_err(|_| format!("whether {model} runs cannot be found out: its status page is not JSON"))?;
    let Some(status) = status_of(&page, model) else {
        return Err(format!("{model} does not run: its status page does not list it"));
    };
    let is_live = match live {
        Some(words) => words.iter().any(|word| word.eq_ignore_ascii_case(status)),
        None => LIVE.iter().any(|word| word.eq_ignore_ascii_case(status)),
    };
    if is_live { Ok(()) } else { Err(format!("{model} does not run: its status is {status:?}")) }
}

/// The status of a model; where several entries name it, the first.
fn status_of<'a>(page: &'a Value, model: &str) -> Option<&'a str> {
    match page {
        Value::Array(models) => models.iter().find(|entry| names(entry, model)).and_then(word),
        Value::Object(fields) => {
            let by_key = || fields.get(model).and_then(word);
            let by_name = || fields.values().find(|entry| names(entry, model)).and_then(word);
            let inside = || ["data", "models"].iter().find_map(|list| status_of(fields.get(*list)?, model));
            let whole = || fields.get("status").and_then(Value::as_str);
            by_key().or_else(by_name).or_else(inside).or_else(whole)
        }
        _ => None,
    }
}

fn names(entry: &Value, model: &str) -> bool {
    let is_named = |key: &&str| entry.get(key).and_then(Value::as_str) == Some(model);
    let is_listed = |key: &&str| {
        entry.get(key).and_then(Value::as_array).is_some_and(|list| list.iter().any(|name| name == model))
    };
    ["model", "id", "name"].iter().any(is_named) || ["models", "experts"].iter().any(is_listed)
}

fn word(entry: &Value) -> Option<&str> {
    entry.as_str().or_else(|| entry.get("status")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_model_is_found_in_every_form() {
        for page in [
            "",
            " \n",
            r#"{"status":"ok"}"#,
            r#"{"status":"LIVE"}"#,
            r#"{"m":"running"}"#,
            r#"{"other":"down","m":{"status":"Live"}}"#,
            r#"{"key-1":{"status":"Live","model":"m"},"key-2":{"status":"Stopped","model":"n"}}"#,
            r#"{"key-1":{"status":"Live","experts":["l","m"]}}"#,
            r#"[{"id":"n","status":"down"},{"id":"m","status":"ready"}]"#,
            r#"{"data":[{"id":"m","status":"ok"}]}"#,
            r#"{"status":"degraded","models":[{"name":"m","status":"ok"}]}"#,
            r#"{"models":{"m":"ok"}}"#,
        ] {
            assert_eq!(check(page.as_bytes(), "m", None), Ok(()), "{page}");
        }
    }

    #[test]
    fn another_status_and_none_are_told_in_a_sentence() {
        let stopped = "m does not run: its status is \"Stopped\"";
        let absent = "m does not run: its status page does not list it";
        let broken = "whether m runs cannot be found out: its status page is not JSON";
        for (page, expected) in [
            (r#"{"status":"Stopped"}"#, stopped),
            (r#"{"m":"Stopped","status":"ok"}"#, stopped),
            (r#"[{"model":"m","status":"Stopped"},{"model":"m","status":"ok"}]"#, stopped),
            (r#"[{"model":"n","status":"ok"}]"#, absent),
            (r#"{"n":"ok"}"#, absent),
            (r#"{"m":7}"#, absent),
            ("[]", absent),
            ("7", absent),
            ("<html>", broken),
        ] {
            assert_eq!(check(page.as_bytes(), "m", None).unwrap_err(), expected, "{page}");
        }
    }

    #[test]
    fn the_words_may_be_the_operators_own() {
        let words = ["hot".to_owned()];
        assert_eq!(check(br#"{"status":"Hot"}"#, "m", Some(&words)), Ok(()));
        assert!(check(br#"{"status":"ok"}"#, "m", Some(&words)).is_err());
    }
}
