//! Loads an adaptor, or a chain of them, from files, and says what to do where that fails.

use std::path::{Path, PathBuf};

use airlock_sandbox::{Adaptor, LoadError, MAX_CHAIN, Sandbox};

use crate::fixtures::{Mistake, Place};

/// Why a chain was not loaded.
pub(super) struct Refused {
    /// Which part is to blame, where it is one.
    at: Option<usize>,
    message: String,
    remedy: String,
}

/// Loads one adaptor, or several as a chain.
pub(super) async fn chain(sandbox: &Sandbox, files: &[PathBuf]) -> Result<Adaptor, Refused> {
    if files.len() > MAX_CHAIN {
        return Err(Refused::of(LoadError::Length(files.len())));
    }
    let read = |(at, file): (usize, &PathBuf)| {
        std::fs::read(file).map_err(|e| Refused {
            at: Some(at),
            message: e.to_string(),
            remedy: "build the bundled adaptors with `./just build-adaptors`, or name their folder with --adaptors"
                .to_owned(),
        })
    };
    let parts: Vec<Vec<u8>> = files.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    sandbox.load_chain(&name(files), &parts).await.map_err(Refused::of)
}

/// The names of the parts, in order.
fn name(files: &[PathBuf]) -> String {
    let stem = |file: &PathBuf| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    files.iter().map(stem).collect::<Vec<_>>().join(" → ")
}

impl Refused {
    fn of(error: LoadError) -> Self {
        let (at, error) = match error {
            LoadError::Part { at, why } => (Some(at), *why),
            // The first one that is too many.
            LoadError::Length(count) => (count.checked_sub(1).map(|last| last.min(MAX_CHAIN)), error),
            error => (None, error),
        };
        let remedy = match error {
            LoadError::Compiler(_) => "this is no fault of the component: look at what the compiler says",
            LoadError::CompileLimit(_) => "make the component smaller, or raise the limits in [compile]",
            LoadError::NoMiddleware => "put it last, and middlewares in front of it",
            LoadError::Link(_) => "build both with SDKs of one version",
            LoadError::Length(_) => "take some out, or make one component of several",
            LoadError::NoEndpoint => "name a component that exports airlock:adaptor/endpoint",
            _ => "name a component built for airlock:adaptor",
        };
        Self { at, message: error.to_string(), remedy: remedy.to_owned() }
    }

    /// The task that loaded it broke.
    pub(super) fn crashed(error: &tokio::task::JoinError) -> Self {
        Self { at: None, message: error.to_string(), remedy: "report this".to_owned() }
    }

    /// The same for the operator; `places` is where the fixtures name each part.
    pub(super) fn mistake(&self, files: &[PathBuf], places: &[Place]) -> Option<Mistake> {
        let place = places.get(self.at.unwrap_or_default()).or(places.last())?;
        let part = self.at.or((files.len() == 1).then_some(0)).and_then(|at| files.get(at));
        let whom = match part.map(PathBuf::as_path).map(Path::display) {
            Some(file) => format!("the adaptor {file}"),
            None => format!("the chain {}", name(files)),
        };
        let message = format!("{whom} cannot be used: {}", self.message);
        Some(Mistake::new(place.clone(), message, self.remedy.clone()))
    }
}
