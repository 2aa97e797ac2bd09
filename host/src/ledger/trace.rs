//! Which span of which trace a request is (W3C Trace Context, level 1).

use http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng as _;

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");
/// Longest `tracestate` that is handed on: what the standard asks for at least.
const MAX_STATE: usize = 512;

/// The span of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: u128,
    /// The request's own span.
    pub span: u64,
    /// The client's span.
    pub parent: Option<u64>,
    /// Whether it is wanted.
    pub is_sampled: bool,
}

/// What a client says of its trace, where that is well-formed.
struct Incoming {
    id: u128,
    span: u64,
    flags: u8,
}

/// The span of a request with these headers. A client decides whether its trace is wanted; one that begins here is.
pub fn begin(headers: &HeaderMap) -> Trace {
    let fresh = || rand::rng().random_range(1..=u64::MAX);
    match incoming(headers) {
        Some(Incoming { id, span, flags }) => {
            Trace { id, span: fresh(), parent: Some(span), is_sampled: flags & 1 == 1 }
        }
        None => {
            let id = rand::rng().random_range(1..=u128::MAX);
            Trace { id, span: fresh(), parent: None, is_sampled: true }
        }
    }
}

/// What a backend is told: of the request's span where there is one, else what the client has said, where that is
/// well-formed.
pub fn outgoing(headers: &HeaderMap, own: Option<&Trace>) -> HeaderMap {
    let mut out = HeaderMap::new();
    let known = incoming(headers);
    let (id, span, flags) = match (own, &known) {
        (Some(own), _) => (own.id, own.span, u8::from(own.is_sampled)),
        (None, Some(known)) => (known.id, known.span, known.flags),
        (None, None) => return out,
    };
    if let Ok(parent) = HeaderValue::try_from(format!("00-{id:032x}-{span:016x}-{flags:02x}")) {
        out.insert(PARENT, parent);
    }
    if let (Some(_), Some(state)) = (known, state(headers)) {
        out.insert(STATE, state);
    }
    out
}

/// One header alone, in the form of version 00; of later versions what that form has.
fn incoming(headers: &HeaderMap) -> Option<Incoming> {
    let mut all = headers.get_all(PARENT).iter();
    let (text, None) = (all.next()?.to_str().ok()?, all.next()) else { return None };
    if text.len() < 55 || !text.is_ascii() {
        return None;
    }
    let (parent, more) = text.split_at(55);
    let mut parts = parent.split('-');
    let [version, id, span, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let is_known = version == "00" && more.is_empty();
    let is_later = version != "00" && version != "ff" && (more.is_empty() || more.starts_with('-'));
    let lengths = [version.len(), id.len(), span.len(), flags.len()] == [2, 32, 16, 2];
    let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !(is_known || is_later) || !lengths || ![version, id, span, flags].into_iter().all(is_hex) {
        return None;
    }
    let id = u128::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
    Some(Incoming { id, span, flags: u8::from_str_radix(flags, 16).ok()? & 1 })
}

/// The vendors' part, which is nobody's business here: one line of plain text, or nothing.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let parts = headers.get_all(STATE).iter().map(|value| value.to_str().ok()).collect::<Option<Vec<_>>>()?;
    let text = parts.join(",");
    let is_plain = (1..=MAX_STATE).contains(&text.len()) && text.contains('=');
    is_plain.then(|| HeaderValue::try_from(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn with(parent: &str, state: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(PARENT, parent.parse().unwrap());
        headers.insert(STATE, state.parse().unwrap());
        headers
    }

    #[test]
    fn a_clients_trace_goes_on_and_ours_stands_in_it() {
        let headers = with(GOOD, "a=1");
        let own = begin(&headers);
        assert_eq!(
            (own.id, own.parent),
            (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, Some(0xb7ad_6b71_6920_3331))
        );
        assert!(own.is_sampled);
        assert_eq!(outgoing(&headers, None), headers);
        let sent = outgoing(&headers, Some(&own));
        assert_eq!(sent[PARENT], format!("00-0af7651916cd43dd8448eb211c80319c-{:016x}-01", own.span));
        assert_eq!(sent[STATE], "a=1");
        assert!(!begin(&with(&GOOD.replace("-01", "-00"), "a=1")).is_sampled);
    }

    #[test]
    fn what_is_malformed_is_as_if_it_were_not_there() {
        let upper = GOOD.to_uppercase();
        let bad = [
            "",
            "00",
            &GOOD[1..],
            &upper,
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319cb7ad6b7169203331---01",
        ];
        for parent in bad {
            let headers = with(parent, "a=1");
            assert!(outgoing(&headers, None).is_empty(), "{parent}");
            assert_eq!(begin(&headers).parent, None, "{parent}");
        }
        for state in ["x".repeat(513), "no".into()] {
            assert!(!outgoing(&with(GOOD, &state), None).contains_key(STATE));
        }
        let later = outgoing(&with(&format!("01{}-more", &GOOD[2..]), "a=1"), None);
        assert_eq!(later[PARENT], GOOD);
    }
}
