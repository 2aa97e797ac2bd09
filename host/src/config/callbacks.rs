//! Callbacks of backends: where they go, and the secret that they show.

use airlock_sandbox::{CallbackAddress, CallbackSettings};
use url::Url;

use super::{ConfigError, Env, Settings};

/// The variable of the secret, FIRST's on both sides: backends have one of the same name.
const SECRET_VARIABLE: &str = "INTERNAL_STREAMING_SECRET";
/// What FIRST's functions show where nobody has set one.
const FIRST_DEFAULT: &str = "default-secret-change-me";
const MIN_SECRET: usize = 16;

impl Settings {
    /// How backends call back; `None` where `callbacks.url` is not set.
    pub fn callback_settings(&self, env: &Env) -> Result<Option<CallbackSettings>, ConfigError> {
        let Some(url) = &self.callbacks.url else { return Ok(None) };
        let address = address(url).map_err(|why| {
            let remedy = "write scheme, host and port alone, such as \"https://gateway.example.org\"";
            ConfigError(format!("callbacks.url {url:?} {why}; {remedy}"))
        })?;
        let fail = |why: String| {
            let remedy = "set it to a long random text, for example of `openssl rand -hex 32`, here and on the \
                          workers that call back";
            Err(ConfigError(format!("callbacks.url is set, and {SECRET_VARIABLE} {why}; {remedy}")))
        };
        match env.get(SECRET_VARIABLE) {
            None => fail("is not".into()),
            Some(FIRST_DEFAULT) => fail("is the default that everybody knows".into()),
            Some(short) if short.len() < MIN_SECRET => fail(format!("has less than {MIN_SECRET} characters")),
            Some(secret) => Ok(Some(CallbackSettings { address, secret: secret.to_owned() })),
        }
    }
}

fn address(url: &str) -> Result<CallbackAddress, &'static str> {
    let url = Url::parse(url).map_err(|_| "is no URL")?;
    let is_http = matches!(url.scheme(), "http" | "https");
    let (true, Some(host), Some(port)) = (is_http, url.host_str(), url.port_or_known_default()) else {
        return Err("is no http: or https: URL");
    };
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        return Err("has more than scheme, host and port");
    }
    Ok(CallbackAddress { protocol: url.scheme().to_owned(), host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CallbackSection;

    fn read(url: &str, secret: &str) -> Result<Option<CallbackSettings>, String> {
        let settings =
            Settings { callbacks: CallbackSection { url: Some(url.to_owned()) }, ..Settings::default() };
        settings.callback_settings(&Env::default().with(SECRET_VARIABLE, secret)).map_err(|e| e.to_string())
    }

    #[test]
    fn an_address_is_scheme_host_and_port() {
        let secret = "0123456789abcdef";
        let known = |url| read(url, secret).unwrap().unwrap().address;
        let address = known("https://gateway.example.org");
        assert_eq!((&*address.protocol, &*address.host, address.port), ("https", "gateway.example.org", 443));
        assert_eq!(known("http://10.0.0.1:8000/").port, 8000);
        for bad in ["gateway:8000", "ftp://x", "https://x/base", "https://x?y", "https://u:p@x", ""] {
            let error = read(bad, secret).unwrap_err();
            assert!(error.contains("callbacks.url") && error.contains("https://gateway"), "{bad}: {error}");
        }
    }

    #[test]
    fn nothing_starts_with_a_secret_that_others_know() {
        for (secret, says) in [("", "is not"), (FIRST_DEFAULT, "everybody knows"), ("short", "less than 16")]
        {
            let error = read("https://x", secret).unwrap_err();
            assert!(error.contains(SECRET_VARIABLE) && error.contains(says), "{error}");
        }
        assert!(Settings::default().callback_settings(&Env::default()).unwrap().is_none());
        let settings = read("https://x", "0123456789abcdef").unwrap();
        assert!(!format!("{settings:?}").contains("0123456789abcdef"));
    }
}
