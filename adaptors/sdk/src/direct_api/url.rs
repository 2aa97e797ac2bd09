//! `api_url`: a base, or the full URL of one operation.

use crate::AdaptorError;

/// Paths of operations, longest first where one ends with another.
const OPERATIONS: [&str; 15] = [
    "chat/completions",
    "completions",
    "embeddings",
    "responses",
    "messages/count_tokens",
    "messages",
    "rerank",
    "score",
    "moderations",
    "audio/transcriptions",
    "audio/translations",
    "audio/speech",
    "images/generations",
    "images/edits",
    "images/variations",
];

/// The URL of an API, checked, in parts.
#[derive(Debug)]
pub struct ApiUrl {
    /// Scheme, host and path as configured.
    path: String,
    /// How much of the path is the base.
    base: usize,
    /// The query with its question mark, or nothing.
    query: String,
}

impl ApiUrl {
    /// Checks a URL; `key`, of the configuration, is named in the error.
    pub fn parse(key: &str, url: &str) -> Result<Self, AdaptorError> {
        let wrong = |why: &str| AdaptorError::invalid_config(key, why);
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
            return Err(wrong("must not hold spaces, control characters or backslashes"));
        }
        if url.contains('#') {
            return Err(wrong("must not hold a fragment (`#`)"));
        }
        let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
        let rest = strip_scheme(path).ok_or_else(|| wrong("must begin with `https://` or `http://`"))?;
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.contains('@') {
            return Err(wrong(
                "must not hold a user or password: name the variable that holds the key in `api_key_env_name`",
            ));
        }
        if !has_host(authority) {
            return Err(wrong("names no host, or a port that is not a number"));
        }
        let trimmed = path.trim_end_matches('/');
        Ok(Self { base: base(trimmed).len(), path: path.to_owned(), query: query.to_owned() })
    }

    /// The URL without the path of an operation, a slash at its end or a query.
    pub fn base(&self) -> &str {
        self.path.get(..self.base).unwrap_or(&self.path)
    }

    /// The URL of a path below the base, which may have a query of its own. Whoever names the path has checked it.
    pub(super) fn for_path(&self, path: &str) -> String {
        let query = if path.contains('?') { self.query.replacen('?', "&", 1) } else { self.query.clone() };
        format!("{}/{path}{query}", self.base())
    }

    /// The URL of an operation: the configured one where it is of that operation, else the base with
    /// the operation's path. The query stays.
    pub fn for_operation(&self, operation: &str) -> Result<String, AdaptorError> {
        if !is_plain_path(operation) {
            let message = format!("`{}` is not an operation", operation.escape_debug());
            return Err(AdaptorError::bad_request("unsupported_operation", message));
        }
        let trimmed = self.path.trim_end_matches('/');
        let is_whole = trimmed.strip_suffix(operation).is_some_and(|base| base.ends_with('/'));
        // `…/chat/completions` ends with `completions` too, and is not that operation.
        if is_whole && (self.base == trimmed.len() || self.base + 1 + operation.len() == trimmed.len()) {
            return Ok(format!("{}{}", self.path, self.query));
        }
        Ok(format!("{}/{operation}{}", self.base(), self.query))
    }
}

/// What follows `http://` or `https://`.
fn strip_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    (scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")).then_some(rest)
}

/// True where there is a host and, behind it, a port or nothing.
fn has_host(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').or(rest.is_empty().then_some(""))),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        },
    };
    !host.is_empty() && port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok())
}

/// A URL's path without the operation that it ends with.
fn base(path: &str) -> &str {
    OPERATIONS
        .iter()
        .find_map(|operation| path.strip_suffix(operation)?.strip_suffix('/'))
        .map_or(path, |base| base.trim_end_matches('/'))
}

/// True for a path that stays below the base: the client chose it.
pub(super) fn is_plain_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    path.bytes().all(plain) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
