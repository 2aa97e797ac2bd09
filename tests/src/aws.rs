//! What AWS does with a signature: compute it again from what came over the wire, and compare.
//!
//! Written after AWS's "Create a signed AWS API request", apart from the signer in the sandbox, so that a mistake in one
//! is not in the other.

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::Seen;

/// The keys of the tests: id, secret, session token.
pub const AWS_KEYS: (&str, &str, &str) = ("AKIATESTS4711", "secret/Key+of=the/tests", "session-token-4711");

/// Whether the signature of a request fits it, with [`AWS_KEYS`], for `bedrock` in `us-east-1`.
pub fn verify_aws(seen: &Seen) -> Result<(), String> {
    let (id, secret, session) = AWS_KEYS;
    let header =
        |name: &str| seen.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = header("authorization").strip_prefix("AWS4-HMAC-SHA256 ").ok_or("no signature")?;
    let field = |name: &str| {
        let fields = given.split(", ").filter_map(|part| part.split_once('='));
        fields
            .into_iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
            .ok_or(format!("no {name}"))
    };
    let (date, signed) = (header("x-amz-date"), field("SignedHeaders")?);
    let scope = format!("{}/us-east-1/bedrock/aws4_request", date.get(..8).ok_or("no date")?);
    if field("Credential")? != format!("{id}/{scope}") {
        return Err("the credential is another".into());
    }
    if header("x-amz-security-token") != session {
        return Err("the session is another".into());
    }
    for needed in ["host", "x-amz-date", "x-amz-security-token", "content-type"] {
        if seen.headers.contains_key(needed) && !signed.split(';').any(|name| name == needed) {
            return Err(format!("{needed} is not signed"));
        }
    }
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex::encode(Sha256::digest(canonical(seen, signed)))
    );
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part));
    let expected = hex::encode(hmac(&key, &text));
    if field("Signature")? == expected { Ok(()) } else { Err("the signature does not fit".into()) }
}

/// The canonical request.
fn canonical(seen: &Seen, signed: &str) -> String {
    let uri = url::Url::parse("http://x").unwrap().join(&seen.uri.to_string()).unwrap();
    // The service decodes the path once, and encodes each part of what it then has twice.
    let mut path: Vec<String> = Vec::new();
    for part in seen.uri.path().split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            path.pop();
        } else {
            path.push(percent(part));
        }
    }
    let folder = if seen.uri.path().ends_with('/') && !path.is_empty() { "/" } else { "" };
    let mut query: Vec<(String, String)> =
        uri.query_pairs().map(|(name, value)| (percent(&name), percent(&value))).collect();
    query.sort();
    let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut lines = vec![seen.method.to_string(), format!("/{}{folder}", path.join("/")), query.join("&")];
    for name in signed.split(';') {
        let values: Vec<String> =
            seen.headers.get_all(name).iter().map(|v| squeezed(v.to_str().unwrap())).collect();
        lines.push(format!("{name}:{}", values.join(",")));
    }
    lines.extend([String::new(), signed.to_owned(), hex::encode(Sha256::digest(&seen.body))]);
    lines.join("\n")
}

fn squeezed(text: &str) -> String {
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn percent(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
