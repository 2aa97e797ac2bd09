//! The environment, as data: read once at start, so that tests and the demo can bring their own.

use std::{collections::HashMap, fmt};

/// Environment variables. Its `Debug` shows no value: some are secrets.
#[derive(Clone, Default)]
pub struct Env(HashMap<String, String>);

impl Env {
    /// What the process was started with. Variables that are not Unicode are left out.
    pub fn of_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
        let vars = std::env::vars_os();
        Self(vars.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect())
    }

    /// The value of a variable; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// With one variable more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Env({} variables)", self.0.len())
    }
}
