//! Loads an adaptor, or a chain of them, and says what to do where that fails.

use std::path::Path;

use airlock_sandbox::{Adaptor, LoadError, MAX_CHAIN, Sandbox};
use futures_util::future::BoxFuture;

use super::adaptors::Part;
use crate::fixtures::{Mistake, Place};

/// Why a chain was not loaded.
pub(super) struct Refused {
    /// Which part is to blame, where it is one.
    at: Option<usize>,
    message: String,
    remedy: String,
}

/// A component that has to be fetched; `None` for one in a file.
type Fetching = Option<BoxFuture<'static, Result<Vec<u8>, String>>>;

/// Loads one adaptor, or several as a chain.
pub(super) async fn chain(
    sandbox: &Sandbox,
    parts: &[Part],
    components: Vec<Fetching>,
) -> Result<Adaptor, Refused> {
    if parts.len() > MAX_CHAIN {
        return Err(Refused::of(LoadError::Length(parts.len())));
    }
    let mut bytes = Vec::with_capacity(parts.len());
    for (at, (part, component)) in parts.iter().zip(components).enumerate() {
        bytes.push(read(part, component).await.map_err(|(message, remedy)| Refused {
            at: Some(at),
            message,
            remedy: remedy.to_owned(),
        })?);
    }
    let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
    sandbox.load_chain(&name(parts), &bytes).await.map_err(Refused::of)
}

async fn read(part: &Part, component: Fetching) -> Result<Vec<u8>, (String, &'static str)> {
    match (part, component) {
        (Part::File(path), _) => std::fs::read(path).map_err(|error| {
            let remedy =
                "build the bundled adaptors with `./just build-adaptors`, or name their folder with --adaptors";
            (error.to_string(), remedy)
        }),
        (Part::Uploaded(_), Some(component)) => {
            component.await.map_err(|error| (error, "upload the component again"))
        }
        (Part::Uploaded(digest), None) => Err((format!("{digest} is not there"), "upload it again")),
    }
}

/// What people call a part: the file's name, or the beginning of the digest.
fn part_name(part: &Part) -> String {
    match part {
        Part::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        Part::Uploaded(digest) => digest.chars().take(12).collect(),
    }
}

/// The names of the parts, in order.
fn name(parts: &[Part]) -> String {
    parts.iter().map(part_name).collect::<Vec<_>>().join(" → ")
}

impl Refused {
    fn of(error: LoadError) -> Self {
        let (at, error) = match error {
            LoadError::Part { at, why } => (Some(at), *why),
            // The first one that is too many.
            LoadError::Length(count) => (count.checked_sub(1).map(|last| last.min(MAX_CHAIN)), error),
            error => (None, error),
        };
        Self { at, message: error.to_string(), remedy: remedy(&error).to_owned() }
    }

    /// The task that loaded it broke.
    pub(super) fn crashed(error: &tokio::task::JoinError) -> Self {
        Self { at: None, message: error.to_string(), remedy: "report this".to_owned() }
    }

    /// The same for the operator; `places` is where the fixtures name each part.
    pub(super) fn mistake(&self, parts: &[Part], places: &[Place]) -> Option<Mistake> {
        let place = places.get(self.at.unwrap_or_default()).or(places.last())?;
        let part = self.at.or((parts.len() == 1).then_some(0)).and_then(|at| parts.get(at));
        let whom = match part {
            Some(Part::File(file)) => format!("the adaptor {}", Path::display(file)),
            Some(part) => format!("the version {}", part_name(part)),
            None => format!("the chain {}", name(parts)),
        };
        let message = format!("{whom} cannot be used: {}", self.message);
        Some(Mistake::new(place.clone(), message, self.remedy.clone()))
    }
}

/// What to do about a component that cannot be loaded.
pub fn remedy(error: &LoadError) -> &'static str {
    match error {
        LoadError::Compiler(_) => "this is no fault of the component: look at what the compiler says",
        LoadError::CompileLimit(_) => "make the component smaller, or raise the limits in [compile]",
        LoadError::NoMiddleware => "put it last, and middlewares in front of it",
        LoadError::Link(_) => "build both with SDKs of one version",
        LoadError::Length(_) => "take some out, or make one component of several",
        LoadError::NoEndpoint => "name a component that exports airlock:adaptor/endpoint",
        _ => "name a component built for airlock:adaptor",
    }
}
