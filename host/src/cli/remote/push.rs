//! `airlock adaptor push`: a component from a file, or from a registry that the gateway pulls it from.

use std::{
    io::{Cursor, IsTerminal as _, Read, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use http::{HeaderName, Method};
use serde_json::{Map, Value, json};

use super::{Own, RemoteArgs, adaptors::rollout, client::Answer, client::Ask, report, table::OutputArgs};
use crate::{
    cli::{Failure, say},
    config::Env,
    project::{Project, Quality},
};

/// What makes a name one in a registry.
const SCHEME: &str = "oci://";
const SIGNATURE: HeaderName = HeaderName::from_static("x-airlock-signature");

#[derive(Args)]
pub(crate) struct PushArgs {
    /// The .wasm file, the folder of a project, which is built, or oci://REGISTRY/NAME:TAG, which the gateway pulls
    #[arg(value_name = "FILE|DIR|oci://REFERENCE")]
    component: String,
    /// The adaptor's name [default: the project's, the file's name without its ending, or the last part of the
    /// reference's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A file with a signature of the component in base64, as `cosign sign-blob` writes it; may be given again
    #[arg(long, value_name = "FILE")]
    signature: Vec<PathBuf>,
    /// A file with the JSON object that it is configured with while the gate examines it [default: `[config]` of the
    /// project]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only so many of a hundred tasks go to this version, 1 to 99
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99), conflicts_with = "hold")]
    canary: Option<u8>,
    /// No task goes to this version for now
    #[arg(long)]
    hold: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    form: OutputArgs,
}

pub(super) fn push(args: PushArgs, env: &Env) -> Result<(), Failure> {
    let PushArgs { component, name, signature, config, canary, hold, remote, form } = args;
    let source = Source::of(&component)?;
    let name = name
        .or_else(|| source.name())
        .ok_or_else(|| Failure::new(format_args!("{component}: name the adaptor with --name")))?;
    let signatures = signature.iter().map(|file| signature_in(file)).collect::<Result<Vec<_>, _>>()?;
    let config = config.map(|file| config_in(&file)).transpose()?.or_else(|| source.config());
    let config = config.map(|config| Value::Object(config).to_string());
    let own = remote.open(env)?;
    let release = match (canary, hold) {
        (Some(percent), _) => format!("canary:{percent}"),
        (None, true) => "hold".to_owned(),
        (None, false) => "live".to_owned(),
    };
    let ask = own.ask(Method::POST, &["adaptors", &name, "versions"]).query("release", &release);
    let ask = config.iter().fold(ask, |ask, config| ask.query("config", config));
    let ask = signatures.iter().fold(ask, |ask, signature| ask.header(SIGNATURE, signature));
    let done = source.send(ask)?.good()?;
    let mut lines = vec![format!("adaptor {name} of {}", own.tenant)];
    if let Some(manifest) = done.pointer("/source/manifest").and_then(Value::as_str) {
        lines.push(format!("pulled  {manifest}"));
    }
    lines.extend(report::lines(done.get("report").unwrap_or(&Value::Null)));
    lines.push(rollout(done.get("rollout")));
    form.output.lines(&done, &lines)
}

/// A signature as it goes into a header: in one line.
fn signature_in(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| {
        let remedy = "it is to hold base64: `base64 < SIGNATURE` makes it of what openssl wrote";
        Failure::new(format_args!("{}: {e}\n  {remedy}", file.display()))
    })?;
    Ok(text.split_ascii_whitespace().collect())
}

/// Uploads a component that gets all tasks at once: what the gateway says.
pub(in crate::cli) fn upload(
    own: &Own,
    name: &str,
    component: Vec<u8>,
    config: &Map<String, Value>,
) -> Result<Value, Failure> {
    let ask = own.ask(Method::POST, &["adaptors", name, "versions"]).query("release", "live");
    let ask = ask.query("config", &Value::Object(config.clone()).to_string());
    let length = component.len();
    ask.body(Cursor::new(component), length).send()?.good()
}

/// The configuration in a file.
pub(in crate::cli) fn config_in(file: &Path) -> Result<Map<String, Value>, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|e| Failure::new(format_args!("{}: {e}", file.display())))?;
    serde_json::from_str(&text).map_err(|e| {
        Failure::new(format_args!(
            "{}: {e}\n  it is to hold one JSON object, an endpoint's `config`",
            file.display()
        ))
    })
}

/// Where the component is.
enum Source<'a> {
    File(&'a Path, Vec<u8>),
    Project(Box<Project>, Vec<u8>),
    Registry(&'a str),
}

impl<'a> Source<'a> {
    fn of(component: &'a str) -> Result<Self, Failure> {
        if let Some(reference) = component.strip_prefix(SCHEME) {
            return Ok(Self::Registry(reference));
        }
        let path = Path::new(component);
        let read = |file: &Path| {
            std::fs::read(file).map_err(|e| Failure::new(format_args!("{}: {e}", file.display())))
        };
        if !path.is_dir() {
            return Ok(Self::File(path, read(path)?));
        }
        let project = Project::open(path).map_err(Failure::new)?;
        let built = project.build(Quality::Release).map_err(Failure::new)?;
        Ok(Self::Project(Box::new(project), read(&built)?))
    }

    /// What the adaptor is called where nothing else is said.
    fn name(&self) -> Option<String> {
        match self {
            Self::File(file, _) => Some(file.file_stem()?.to_str()?.to_owned()),
            Self::Project(project, _) => Some(project.name().to_owned()),
            Self::Registry(reference) => {
                let last = reference.rsplit('/').next()?;
                Some(last.split(['@', ':']).next()?.to_owned()).filter(|name| !name.is_empty())
            }
        }
    }

    /// What it is configured with where nothing else is said.
    fn config(&self) -> Option<Map<String, Value>> {
        match self {
            Self::Project(project, _) => Some(project.config().clone()),
            Self::File(..) | Self::Registry(_) => None,
        }
    }

    fn send(self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let bytes = match self {
            Self::Registry(reference) => return ask.json(&json!({ "reference": reference })).send(),
            Self::File(_, bytes) | Self::Project(_, bytes) => bytes,
        };
        let length = bytes.len();
        let answer = ask.body(Uploading::of(bytes), length).send();
        if std::io::stderr().is_terminal() {
            say("");
        }
        answer
    }
}

/// A component on its way, which tells a terminal how far it is.
struct Uploading {
    bytes: Cursor<Vec<u8>>,
    is_watched: bool,
}

impl Uploading {
    fn of(bytes: Vec<u8>) -> Self {
        Self { bytes: Cursor::new(bytes), is_watched: std::io::stderr().is_terminal() }
    }
}

impl Read for Uploading {
    fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read(space)?;
        if self.is_watched {
            let (sent, all) = (self.bytes.position() >> 10, self.bytes.get_ref().len() as u64 >> 10);
            let waits = if sent == all { ", the gate examines it …" } else { "" };
            let _ = write!(std::io::stderr(), "\ruploading: {sent} of {all} KiB{waits}");
        }
        Ok(count)
    }
}
