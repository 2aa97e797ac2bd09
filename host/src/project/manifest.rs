//! `adaptor.toml`.

use std::{
    fmt, io,
    path::{Component, Path, PathBuf},
    process::ExitStatus,
};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Name, ProjectError};
use crate::similar::suggestion;

/// What `adaptor.toml` says, checked.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) name: Name,
    pub(super) watch: Vec<PathBuf>,
    pub(super) setup: Option<Setup>,
    pub(super) build: Target,
    pub(super) dev: Option<Target>,
    pub(super) check: Option<Program>,
    pub(super) config: Map<String, Value>,
}

/// A command, and the component that it makes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    pub(super) command: Program,
    pub(super) component: Inside,
}

/// What is run once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    pub(super) command: Program,
    /// What is there when it has been run.
    pub(super) creates: Inside,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Name,
    component: Inside,
    watch: Vec<Inside>,
    setup: Option<Setup>,
    build: Command,
    dev: Option<Target>,
    check: Option<Command>,
    #[serde(default)]
    config: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    command: Program,
}

impl Manifest {
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, ProjectError> {
        let written: Written = toml_edit::de::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            ProjectError::Manifest {
                place: format!("{}:{line}", file.display()),
                why: explain(error.message()),
            }
        })?;
        let Written { name, component, watch, setup, build, dev, check, config } = written;
        Ok(Self {
            name,
            watch: watch.into_iter().map(|Inside(path)| path).collect(),
            setup,
            build: Target { command: build.command, component },
            dev,
            check: check.map(|check| check.command),
            config,
        })
    }
}

/// What the parser says, with the key that was probably meant.
fn explain(message: &str) -> String {
    let message = message.trim();
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.to_owned() };
    // The wrong one, then all that are known.
    let mut names = rest.split('`').step_by(2);
    let wrong = names.next().unwrap_or_default();
    let known: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    format!("unknown key `{wrong}`: {}", suggestion(wrong, &known))
}

/// A path inside of the project.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "PathBuf")]
pub(super) struct Inside(PathBuf);

impl TryFrom<PathBuf> for Inside {
    type Error = String;

    fn try_from(path: PathBuf) -> Result<Self, String> {
        let stays = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if path.as_os_str().is_empty() || !path.components().all(stays) {
            return Err(format!("{path:?} is no path inside of the project: write one from its folder"));
        }
        Ok(Self(path))
    }
}

impl AsRef<Path> for Inside {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// A program and its arguments. No shell reads them.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct Program {
    name: String,
    arguments: Vec<String>,
}

impl TryFrom<Vec<String>> for Program {
    type Error = &'static str;

    fn try_from(words: Vec<String>) -> Result<Self, Self::Error> {
        let mut words = words.into_iter();
        match words.next().filter(|name| !name.is_empty()) {
            Some(name) => Ok(Self { name, arguments: words.collect() }),
            None => Err("a command names a program and its arguments: [\"cargo\", \"build\"]"),
        }
    }
}

impl Program {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Why it was not started, and what to do.
    pub(super) fn not_started(&self, error: &io::Error) -> String {
        if error.kind() != io::ErrorKind::NotFound {
            return format!("cannot be started: {error}");
        }
        let remedy = match self.name.as_str() {
            "cargo" => "install Rust from https://rustup.rs, then `rustup target add wasm32-wasip2`",
            "npm" | "npx" | "node" => "install Node.js 20 or newer from https://nodejs.org",
            "python3" | "pip" | "pip3" => "install Python 3.11 to 3.13 from https://www.python.org",
            _ => "install it, or correct the command in adaptor.toml",
        };
        format!("cannot be started: there is no program `{}`; {remedy}", self.name)
    }

    /// How it failed, and what may be the reason.
    pub(super) fn failed(&self, ended: ExitStatus) -> String {
        const TARGET: &str = "wasm32-wasip2";
        let hint = if self.arguments.iter().any(|word| word == TARGET) {
            "\n  where the target is missing, install it: rustup target add wasm32-wasip2"
        } else {
            ""
        };
        format!("failed with {ended}{hint}")
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.arguments.iter().try_for_each(|word| write!(f, " {word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "name = \"a\"\ncomponent = \"a.wasm\"\nwatch = [\"src\"]\n[build]\ncommand = [\"make\"]\n";

    fn told(text: &str) -> String {
        Manifest::parse(Path::new("adaptor.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn the_shortest_project_is_read() {
        let found = Manifest::parse(Path::new("adaptor.toml"), GOOD).unwrap();
        assert_eq!((found.name.as_str(), found.build.command.name()), ("a", "make"));
        assert!(found.setup.is_none() && found.check.is_none() && found.config.is_empty());
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_a_remedy() {
        for (wrong, says) in [
            (GOOD.replace("watch", "wach"), "adaptor.toml:3: unknown key `wach`: did you mean \"watch\"?"),
            (
                GOOD.replace("command", "commands"),
                "adaptor.toml:5: unknown key `commands`: did you mean \"command\"?",
            ),
            (
                format!("{GOOD}[zzzzzzz]\n"),
                "known names: name, component, watch, setup, build, dev, check, config",
            ),
            (
                GOOD.replace("name = \"a\"", "name = \"A b\""),
                "adaptor.toml:1: \"A b\" is no name for an adaptor",
            ),
            (GOOD.replace("a.wasm", "/etc/a.wasm"), "adaptor.toml:2: \"/etc/a.wasm\" is no path inside"),
            (GOOD.replace("a.wasm", "../a.wasm"), "is no path inside of the project"),
            (GOOD.replace("[\"make\"]", "[]"), "adaptor.toml:5: a command names a program"),
            (GOOD.replace("[\"make\"]", "\"make\""), "adaptor.toml:5: invalid type: string \"make\""),
            (GOOD.replace("component = \"a.wasm\"\n", ""), "missing field `component`"),
            (format!("{GOOD}[check]\n"), "missing field `command`"),
            ("name = ".to_owned(), "adaptor.toml:1: "),
        ] {
            let told = told(&wrong);
            assert!(told.contains(says), "{told}");
        }
    }
}
