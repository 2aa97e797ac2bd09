//! Adaptor projects: a folder with an `adaptor.toml`, in whatever language, that commands are run in.

mod create;
mod manifest;
mod name;
mod packed;

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Map, Value};

use self::manifest::{Manifest, Program, Target};
pub use self::{
    create::{Kind, Language, SDK, bring_sdk, create},
    name::{Name, ProjectName},
};

/// The file that makes a folder a project.
pub const MANIFEST: &str = "adaptor.toml";

/// Why a project cannot be made, read or built, in words for its author.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A name that no adaptor or project can have.
    #[error("{name:?} is no name for an adaptor: {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The folder is no project.
    #[error(
        "{} holds no {MANIFEST}: name the folder of an adaptor project; `airlock adaptor new` makes one", .0.display()
    )]
    NoProject(PathBuf),
    /// A mistake in `adaptor.toml`.
    #[error("{place}: {why}")]
    Manifest {
        /// File and line.
        place: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The folder of a new project is there already, with something in it.
    #[error("{} is not empty: name another folder with --dir, or empty this one", .0.display())]
    NotEmpty(PathBuf),
    /// There is no example of this kind in this language.
    #[error("this build of airlock has no {0} project in {1}")]
    NoExample(Kind, Language),
    /// A command could not be run, or failed.
    #[error("{step}: `{command}` {why}")]
    Command {
        /// Which step of the project it is.
        step: Step,
        /// The command.
        command: String,
        /// How it ended, and what to do.
        why: String,
    },
    /// The build has ended well and left nothing.
    #[error("the build has ended and {} is not there: correct `component` in {}", .component.display(), .manifest.display())]
    NoComponent {
        /// What should be there.
        component: PathBuf,
        /// The file that says so.
        manifest: PathBuf,
    },
    /// A file or folder.
    #[error("{}: {why}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
}

impl ProjectError {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        |why| Self::File { path: path.to_owned(), why }
    }
}

/// What a project has a command for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `[setup]`
    Setup,
    /// `[build]`
    Build,
    /// `[dev]`
    Dev,
    /// `[check]`
    Check,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setup => "setup",
            Self::Build => "build",
            Self::Dev => "quick build",
            Self::Check => "the project's own tests",
        })
    }
}

/// How well a component is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// As it goes to users: `[build]`.
    Release,
    /// As quickly as it can be: `[dev]` where the project has it, else `[build]`.
    Quick,
}

/// An adaptor project.
#[derive(Debug, Clone)]
pub struct Project {
    folder: PathBuf,
    manifest: Manifest,
}

impl Project {
    /// Reads the project in a folder.
    pub fn open(folder: &Path) -> Result<Self, ProjectError> {
        let file = folder.join(MANIFEST);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ProjectError::NoProject(folder.to_owned()));
            }
            Err(error) => return Err(ProjectError::File { path: file, why: error }),
        };
        Ok(Self { folder: folder.to_owned(), manifest: Manifest::parse(&file, &text)? })
    }

    /// What the adaptor is called at a gateway.
    pub fn name(&self) -> &str {
        self.manifest.name.as_str()
    }

    /// What an endpoint or cluster of it is configured with while it is tried out.
    pub fn config(&self) -> &Map<String, Value> {
        &self.manifest.config
    }

    /// The files and folders whose change makes a build necessary.
    pub fn watched(&self) -> impl Iterator<Item = PathBuf> {
        // Whatever it says, a change of the manifest counts.
        let named = self.manifest.watch.iter().map(PathBuf::as_path);
        named.chain([Path::new(MANIFEST)]).map(|path| self.folder.join(path))
    }

    /// Runs the setup where it has not been run, then the build; where the component is.
    pub fn build(&self, quality: Quality) -> Result<PathBuf, ProjectError> {
        if let Some(setup) = &self.manifest.setup
            && !self.folder.join(&setup.creates).exists()
        {
            self.run(Step::Setup, &setup.command)?;
        }
        let (step, Target { command, component }) = match (&self.manifest.dev, quality) {
            (Some(dev), Quality::Quick) => (Step::Dev, dev),
            _ => (Step::Build, &self.manifest.build),
        };
        self.run(step, command)?;
        let component = self.folder.join(component);
        if !component.is_file() {
            return Err(ProjectError::NoComponent { component, manifest: self.folder.join(MANIFEST) });
        }
        Ok(component)
    }

    /// Runs the project's own tests; whether it has any.
    pub fn check(&self) -> Result<bool, ProjectError> {
        match &self.manifest.check {
            Some(check) => self.run(Step::Check, check).map(|()| true),
            None => Ok(false),
        }
    }

    /// Runs a command in the project's folder. What it says goes to standard error: standard output is for what
    /// scripts read of us.
    fn run(&self, step: Step, program: &Program) -> Result<(), ProjectError> {
        let failed = |why| ProjectError::Command { step, command: program.to_string(), why };
        let mut command = Command::new(program.name());
        command.args(program.arguments()).current_dir(&self.folder);
        // Nobody's build scripts need the key of a gateway.
        command.stdin(Stdio::null()).stdout(std::io::stderr()).env_remove("AIRLOCK_KEY");
        let ended = command.status().map_err(|error| failed(program.not_started(&error)))?;
        if ended.success() { Ok(()) } else { Err(failed(program.failed(ended))) }
    }
}
