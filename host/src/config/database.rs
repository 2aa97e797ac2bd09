//! The address of a PostgreSQL server. It may hold a password, so it is shown without user and options only.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::ConfigError;

/// Options that the address may have. A misspelt one would be told in the log, with its value.
const OPTIONS: [&str; 11] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
];

/// Such as `postgres://user:password@host:5432/name`.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// All of it, for who connects.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let fail = |why: &str| {
            let form = "postgres://USER:PASSWORD@HOST:PORT/NAME";
            ConfigError(format!("database {why}; it is written {form} (what it says is not shown here)"))
        };
        let url = Url::parse(text).map_err(|_| fail("is no URL"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(fail("does not begin with postgres://"));
        }
        if url.query_pairs().any(|(key, _)| !OPTIONS.contains(&&*key)) {
            let known = OPTIONS.join(", ");
            return Err(fail(&format!("has an option that nobody knows: there are {known}")));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Server and database, and nothing else.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(url) = Url::parse(&self.0) else { return f.write_str("postgres://…") };
        let option = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
        let host = option("host").unwrap_or_else(|| url.host_str().unwrap_or_default().into());
        write!(f, "postgres://{host}")?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_secret() {
        let text = "postgres://me:s3cret@db.example.org:5433/airlock?password=s3cret&sslmode=require";
        let url: DatabaseUrl = text.parse().unwrap();
        assert_eq!(url.to_string(), "postgres://db.example.org:5433/airlock");
        assert_eq!(format!("{url:?}"), url.to_string());
        assert_eq!(url.secret(), text);
        for bad in ["s3cret", "mysql://me:s3cret@x/y", "postgres://me:s3cret@x/y?passwort=s3cret"] {
            let error = bad.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(error.contains("database") && !error.contains("s3cret"), "{error}");
        }
    }
}
