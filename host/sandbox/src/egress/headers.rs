//! Which headers cross the sandbox's wall.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::EgressError;

pub(super) const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("airlock/", env!("CARGO_PKG_VERSION")));

/// Largest headers of one request, as in wasi:http; each field costs the host more than its text.
pub(crate) const MAX_FIELDS: usize = 64 << 10;
const FIELD_OVERHEAD: usize = 64;

/// Whether an adaptor may set or see this header. Credentials and traces are the host's to add, framing is
/// hyper's, and hop-by-hop headers (RFC 9110, 7.6.1) end at the host.
pub(crate) fn is_guests(name: &HeaderName) -> bool {
    !matches!(
        name.as_str(),
        "authorization"
            | "proxy-authorization"
            | "proxy-authenticate"
            | "www-authenticate"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "cookie"
            | "set-cookie"
            | "host"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "traceparent"
            | "tracestate"
    )
}

/// Headers that an adaptor lists for a request.
pub(crate) fn outgoing_headers(list: &[(String, String)]) -> Result<HeaderMap, EgressError> {
    let size = list.iter().map(|(name, value)| name.len() + value.len() + FIELD_OVERHEAD).sum::<usize>();
    if size > MAX_FIELDS {
        return Err(EgressError::Denied(format!("its headers are larger than {MAX_FIELDS} bytes")));
    }
    let mut map = HeaderMap::with_capacity(list.len() + 4);
    for (name, value) in list {
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| EgressError::Denied(format!("{name:?} is not a header name")))?;
        if !is_guests(&name) {
            return Err(EgressError::Denied(format!("the header `{name}` is the host's to set")));
        }
        if name == header::CONTENT_LENGTH {
            continue; // hyper writes it, from the body itself
        }
        let value = HeaderValue::try_from(value.as_str())
            .map_err(|_| EgressError::Denied(format!("the value of `{name}` is malformed")))?;
        map.append(name, value);
    }
    Ok(map)
}

/// Headers of a response, as an adaptor and the relay see them.
pub(crate) fn visible_headers(mut headers: HeaderMap) -> HeaderMap {
    if headers.keys().all(is_guests) {
        return headers;
    }
    let hidden: Vec<HeaderName> = headers.keys().filter(|n| !is_guests(n)).cloned().collect();
    for name in hidden {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_framing_are_refused_whatever_their_spelling() {
        for name in
            ["Authorization", "X-API-Key", "cookie", "Host", "transfer-encoding", "api-key", "TraceParent"]
        {
            let list = [(name.to_owned(), "x".to_owned())];
            assert!(outgoing_headers(&list).is_err(), "{name}");
        }
        assert!(outgoing_headers(&[("x-a".into(), "b\r\nauthorization: c".into())]).is_err());
        assert!(outgoing_headers(&[("x-a: b".into(), "c".into())]).is_err());
        let kept = outgoing_headers(&[("X-Trace".into(), "1".into())]).unwrap();
        assert_eq!(kept["x-trace"], "1");
    }

    #[test]
    fn a_responses_cookies_are_hidden() {
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", "a=b".parse().unwrap());
        headers.insert("retry-after", "1".parse().unwrap());
        let seen = visible_headers(headers);
        assert_eq!(seen.len(), 1);
        assert!(seen.contains_key("retry-after"));
    }
}
