//! `airlock adaptor new`: an example as a project of its own, with another name, and the SDK beside it.

use std::{fmt, fs, path::Path};

use clap::ValueEnum;

use super::{ProjectError, ProjectName, packed};

/// Where a project has the SDK, which is on no registry.
pub const SDK: &str = "airlock-sdk";

/// The language of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust: the smallest and quickest components
    Rust,
    /// Python, by componentize-py
    Python,
    /// JavaScript or TypeScript, by jco
    Js,
}

/// What a project makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Runs tasks on a backend, by the direct API
    Endpoint,
    /// Runs tasks, and changes the stream event by event
    Streaming,
    /// Reports what a cluster is running
    Cluster,
    /// Stands in front of another adaptor
    Middleware,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Js => "js",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Endpoint => "endpoint",
            Self::Streaming => "streaming",
            Self::Cluster => "cluster",
            Self::Middleware => "middleware",
        })
    }
}

/// Writes a new project into a folder, which is made where it is missing, and has to be empty.
pub fn create(language: Language, kind: Kind, name: &ProjectName, folder: &Path) -> Result<(), ProjectError> {
    check_empty(folder)?;
    let renamed = Renamed::from_example(kind, name);
    let mut written = 0;
    for (path, bytes) in packed::below(&format!("examples/{language}/{kind}")) {
        write(&folder.join(renamed.text(path)), &renamed.bytes(bytes))?;
        written += 1;
    }
    if written == 0 {
        return Err(ProjectError::NoExample(kind, language));
    }
    write_sdk(language, folder)
}

/// Writes the SDK alone into a new folder, for a project whose files come from elsewhere.
pub fn bring_sdk(language: Language, folder: &Path) -> Result<(), ProjectError> {
    check_empty(folder)?;
    write_sdk(language, folder)
}

fn check_empty(folder: &Path) -> Result<(), ProjectError> {
    let is_empty = !fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if is_empty { Ok(()) } else { Err(ProjectError::NotEmpty(folder.to_owned())) }
}

fn write_sdk(language: Language, folder: &Path) -> Result<(), ProjectError> {
    for (path, bytes) in packed::below(&format!("sdk/{language}")) {
        write(&folder.join(SDK).join(path), bytes)?;
    }
    Ok(())
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), ProjectError> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).map_err(ProjectError::file(folder))?;
    fs::write(file, bytes).map_err(ProjectError::file(file))
}

/// The example's name and the project's, in their three spellings.
struct Renamed([(String, String); 3]);

impl Renamed {
    fn from_example(kind: Kind, name: &ProjectName) -> Self {
        let kind = kind.to_string();
        let (first, rest) = kind.split_at_checked(1).unwrap_or_default();
        Self([
            (format!("custom-{kind}"), name.kebab().to_owned()),
            (format!("custom_{kind}"), name.snake()),
            (format!("Custom{}{rest}", first.to_uppercase()), name.camel()),
        ])
    }

    fn text(&self, text: &str) -> String {
        let Self(spellings) = self;
        spellings.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new))
    }

    /// Of what is no text, nothing is changed.
    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(text).into_bytes(),
            Err(_) => bytes.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_put_in_place_of_the_examples() {
        let name = ProjectName::parse("my-backend").unwrap();
        let renamed = Renamed::from_example(Kind::Endpoint, &name);
        assert_eq!(
            renamed.text("custom-endpoint/custom_endpoint.rs: CustomEndpoint, CustomCluster"),
            "my-backend/my_backend.rs: MyBackend, CustomCluster"
        );
        assert_eq!(renamed.bytes(b"\xff custom-endpoint"), b"\xff custom-endpoint");
    }

    #[test]
    fn what_is_packed_leaves_out_what_builds_make() {
        for language in ["rust", "python", "js"] {
            for (path, _) in packed::below(&format!("sdk/{language}")).chain(packed::below("examples")) {
                let wrong = ["target", "node_modules", "__pycache__", ".venv", "dist", "airlock-sdk"];
                assert!(!path.split('/').any(|part| wrong.contains(&part)), "{path}");
            }
        }
        assert!(packed::below("sdk/rust").any(|(path, _)| path == "wit/worlds.wit"));
        assert!(packed::below("sdk/rust").any(|(path, _)| path == "middleware/src/lib.rs"));
    }
}
