//! `[cors]`: the pages in browsers that may call the API.

use http::HeaderValue;
use serde::{Deserialize, Serialize};

/// `[cors]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorsSection {
    /// Origins of pages that may, as `https://app.example.org`; `*` alone for all.
    pub allow_origins: Vec<String>,
}

impl CorsSection {
    /// Whether pages of any origin may.
    fn is_any(&self) -> bool {
        self.allow_origins.iter().any(|origin| origin == "*")
    }

    /// An origin that no browser would send is a mistake.
    pub(super) fn check(&self) -> Result<(), String> {
        const REMEDY: &str =
            "write scheme, host and port as browsers do, such as \"https://app.example.org\", or \"*\" alone";
        if self.is_any() && self.allow_origins.len() > 1 {
            return Err(format!("cors.allow_origins has \"*\" beside others; {REMEDY}"));
        }
        match self.allow_origins.iter().find(|origin| *origin != "*" && !is_origin(origin)) {
            Some(bad) => Err(format!("cors.allow_origins: {bad:?} is no origin; {REMEDY}")),
            None => Ok(()),
        }
    }
}

/// Browser extensions and the like have schemes of their own.
fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_plain = |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase() && !"/?#@*,".contains(c);
    !scheme.is_empty()
        && !rest.is_empty()
        && text.replacen("://", "", 1).chars().all(is_plain)
        && HeaderValue::from_str(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_browser_sends_is_a_mistake() {
        let check = |origins: &[&str]| {
            CorsSection { allow_origins: origins.iter().map(|o| (*o).to_owned()).collect() }.check()
        };
        for good in [&[][..], &["*"], &["https://a.org", "http://localhost:3000", "chrome-extension://abc"]] {
            assert_eq!(check(good), Ok(()));
        }
        for bad in [
            "a.org",
            "https://a.org/",
            "https://a.org/x",
            "https://*.a.org",
            "https://A.org",
            "null",
            "",
            "https://",
            "https://u@a.org",
            "https://a.org, https://b.org",
        ] {
            assert!(check(&[bad]).is_err(), "{bad}");
        }
        assert!(check(&["*", "https://a.org"]).is_err());
    }
}
