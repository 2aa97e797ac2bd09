//! What is wrong with `[auth]`, and what to do about it.

use url::{Host, Url};

use super::{AuthSection, ClientAccount, GlobusSection, IntrospectionSection, OidcSection};
use crate::config::{ConfigError, Env};

impl AuthSection {
    /// Everybody who gives out tokens, by the name that `issuer` of other sections means.
    fn issuers(&self) -> Vec<&str> {
        let oidc = self.oidc.iter().map(|section| &*section.issuer);
        let opaque = self.introspection.iter().map(IntrospectionSection::label);
        oidc.chain(opaque).chain(self.globus.iter().map(|section| &*section.url)).collect()
    }

    pub(in crate::config) fn check(&self) -> Result<(), String> {
        let numbers = [
            (self.timeout_seconds == 0, "auth.timeout_seconds must be at least 1"),
            (self.clock_skew_seconds > 3600, "auth.clock_skew_seconds is above 3600: set the clocks instead"),
            (self.keep_tokens < 16, "auth.keep_tokens must be at least 16"),
            (
                self.introspection.is_some() && self.globus.is_some(),
                "auth.introspection and auth.globus are both set, and nobody could tell whose a token is; keep one",
            ),
        ];
        if let Some((_, rule)) = numbers.iter().find(|(broken, _)| *broken) {
            return Err((*rule).to_owned());
        }
        self.check_addresses()?;
        self.check_who_is_meant()
    }

    fn check_addresses(&self) -> Result<(), String> {
        for OidcSection { issuer, audience, .. } in &self.oidc {
            check_url("auth.oidc.issuer", issuer)?;
            if audience.is_empty() || audience.iter().any(String::is_empty) {
                return Err(format!(
                    "auth.oidc {issuer}: audience is empty, so that tokens for any other service would count; name \
                     what the issuer writes into `aud` of tokens for this gateway"
                ));
            }
        }
        if let Some(IntrospectionSection { url, .. }) = &self.introspection {
            check_url("auth.introspection.url", url)?;
        }
        if let Some(GlobusSection { url, groups_url, .. }) = &self.globus {
            check_url("auth.globus.url", url)?;
            check_url("auth.globus.groups_url", groups_url)?;
        }
        let mut issuers = self.issuers();
        issuers.sort_unstable();
        match issuers.array_windows().find(|[one, other]| one == other) {
            Some([twice, _]) => Err(format!("auth: {twice} is named twice; keep one of them")),
            None => Ok(()),
        }
    }

    /// A group or an id of one issuer may stand for somebody else at another.
    fn check_who_is_meant(&self) -> Result<(), String> {
        let issuers = self.issuers();
        let check = |what: String, issuer: Option<&String>, needs_one: bool| match issuer {
            Some(issuer) if !issuers.contains(&issuer.as_str()) => Err(format!(
                "{what}: nobody of auth.oidc, auth.introspection and auth.globus is called {issuer:?}; known are {issuers:?}"
            )),
            None if needs_one && issuers.len() > 1 => Err(format!(
                "{what}: several issuers are known; say in `issuer` whose it is: one of {issuers:?}"
            )),
            _ => Ok(()),
        };
        for account in &self.service_accounts {
            check(format!("auth.service_accounts {}", account.name), account.issuer.as_ref(), true)?;
        }
        for rights in &self.rights {
            let group = rights.group.as_deref();
            check(
                format!("auth.rights {}", group.unwrap_or("of all")),
                rights.issuer.as_ref(),
                group.is_some(),
            )?;
        }
        Ok(())
    }
}

/// Who reads or changes what is said there could let anybody in, so it is encrypted, but for the machine's own.
fn check_url(what: &str, text: &str) -> Result<(), String> {
    let fail = |why: &str| {
        Err(format!("{what} {text:?} {why}; write an address such as \"https://login.example.org/realm\""))
    };
    let Ok(url) = Url::parse(text) else { return fail("is no URL") };
    let is_own = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return fail("names no host"),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_own => {}
        _ => return fail("is not https"),
    }
    let is_bare = url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        return fail("has more than scheme, host, port and path");
    }
    Ok(())
}

impl ClientAccount {
    /// The account of the variables that a section names.
    pub fn read(env: &Env, what: &str, id: &str, secret: &str) -> Result<Self, ConfigError> {
        let value = |field: &str, name: &str| {
            let unset = || {
                ConfigError(format!(
                    "{what}.{field} names the variable {name}, which is not set; set it where the gateway is started"
                ))
            };
            env.get(name).map(str::to_owned).ok_or_else(unset)
        };
        Ok(Self { id: value("client_id_env_name", id)?, secret: value("client_secret_env_name", secret)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(toml: &str) -> Result<(), String> {
        use figment::providers::{Format as _, Toml};
        let read: AuthSection =
            figment::Figment::from(Toml::string(toml)).extract().map_err(|error| error.to_string())?;
        read.check()
    }

    const A: &str = "[[oidc]]\nissuer = \"https://a.org\"\naudience = [\"airlock\"]\n";
    const B: &str = "[[oidc]]\nissuer = \"https://b.org/\"\naudience = [\"airlock\"]\n";

    #[test]
    fn mistakes_are_told_with_what_to_do() {
        let account = "[[service_accounts]]\nid = \"x\"\nname = \"bot\"\n";
        let rights = "[[rights]]\ngroup = \"g\"\nrole = \"admin\"\n";
        let ask = "url = \"https://c.org/i\"\nclient_id_env_name = \"I\"\nclient_secret_env_name = \"S\"\n";
        for good in ["", A, &[A, B].concat(), &[A, account, rights].concat()] {
            assert_eq!(section(good), Ok(()), "{good}");
        }
        for (bad, says) in [
            ("timeout_seconds = 0".to_owned(), "timeout_seconds"),
            (A.replace("https", "http"), "not https"),
            (A.replace("a.org", "a.org?x"), "more than scheme"),
            (A.replace("\"airlock\"", ""), "audience is empty"),
            ([A, A].concat(), "named twice"),
            ([A, B, account].concat(), "say in `issuer`"),
            ([A, B, rights].concat(), "say in `issuer`"),
            ([A, account, "issuer = \"https://c.org\"\n"].concat(), "nobody of"),
            (format!("[introspection]\n{ask}[globus]\n{ask}"), "both set"),
            ([A, "group_claim = \"x\"\n"].concat(), "group_claim"),
        ] {
            let error = section(&bad).expect_err(&bad);
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for good in ["https://a.org/x", "http://127.0.0.1:9", "http://[::1]:9", "http://localhost:9/x"] {
            assert_eq!(check_url("u", good), Ok(()));
        }
        for bad in ["http://a.org", "ftp://a.org", "a.org", "https://u:p@a.org", "http://127.0.0.1.a.org", ""]
        {
            assert!(check_url("u", bad).is_err(), "{bad}");
        }
    }
}
