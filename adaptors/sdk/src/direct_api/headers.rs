//! The headers that a configuration may add.

use std::collections::BTreeMap;

use crate::AdaptorError;

const KEY: &str = "extra_headers";

/// Credentials: bound to an origin and added by the host, which a configuration must not circumvent.
const CREDENTIALS: [&str; 5] = ["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"];

/// The host frames the request and manages the connection.
const FRAMING: [&str; 10] = [
    "host",
    "content-length",
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers of every request: JSON, and those of the configuration.
pub(super) fn checked(extra: BTreeMap<String, String>) -> Result<Vec<(String, String)>, AdaptorError> {
    let mut headers = Vec::with_capacity(extra.len() + 1);
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    for (name, value) in extra {
        check(&name, &value)?;
        put(&mut headers, &name, &value);
    }
    Ok(headers)
}

/// Sets a header, in place of one of that name.
pub(super) fn put(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    headers.push((name.to_ascii_lowercase(), value.to_owned()));
}

/// Refuses what the host would refuse on every request, and says what to do instead.
pub(super) fn check(name: &str, value: &str) -> Result<(), AdaptorError> {
    let named = |known: &[&str]| known.iter().any(|known| name.eq_ignore_ascii_case(known));
    if named(&CREDENTIALS) {
        let why = format!(
            "`{name}` is a credential: name the variable that holds it in `api_key_env_name`, and the gateway adds it"
        );
        return Err(AdaptorError::invalid_config(KEY, why));
    }
    if named(&FRAMING) {
        return Err(AdaptorError::invalid_config(KEY, format!("`{name}` is set by the gateway: remove it")));
    }
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(AdaptorError::invalid_config(
            KEY,
            format!("`{}` is not a header name", name.escape_debug()),
        ));
    }
    if !value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
        return Err(AdaptorError::invalid_config(
            KEY,
            format!("the value of `{name}` holds control characters"),
        ));
    }
    Ok(())
}

/// The characters of a header name (RFC 9110, `token`).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
