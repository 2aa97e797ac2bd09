//! A sandbox on this machine, for adaptors that are tried out without a gateway.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use airlock_sandbox::{CacheKey, Connector, Sandbox};
use serde_json::{Map, Value};

use crate::{
    cli::{Failure, SettingsArgs, remote::config_in},
    config::{Env, Settings},
    project::{Project, Quality},
    store,
};

/// Instances at a time: one call is made after the other.
const SLOTS: u32 = 8;

/// What is needed to run components.
pub(super) struct Workbench {
    pub(super) settings: Settings,
    pub(super) sandbox: Sandbox,
    pub(super) connector: Connector,
}

impl Workbench {
    /// With the limits that a gateway with these settings has.
    pub(super) fn open(adaptors: Option<PathBuf>, env: &Env) -> Result<Self, Failure> {
        let mut settings = SettingsArgs { adaptors, ..SettingsArgs::default() }.load(env)?;
        settings.sandbox.slots = SLOTS;
        let cache_key = match cache_folder(env) {
            Some(folder) => {
                settings.data = folder;
                make(&settings.data)?;
                Some(CacheKey(store::cache_key(&settings.data).map_err(Failure::new)?))
            }
            // Compiled anew each time.
            None => None,
        };
        let sandbox = Sandbox::new(&settings.sandbox_settings(cache_key, None)).map_err(Failure::new)?;
        let connector = Connector::new(&settings.connect_settings()).map_err(Failure::new)?;
        Ok(Self { settings, sandbox, connector })
    }
}

/// Where compiled components are kept for this user, if the user has a place for such things.
fn cache_folder(env: &Env) -> Option<PathBuf> {
    let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let cache = env.get("XDG_CACHE_HOME").and_then(absolute);
    let cache = cache.or_else(|| Some(env.get("HOME").and_then(absolute)?.join(".cache")));
    Some(cache?.join("airlock"))
}

fn make(folder: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| Failure::new(format_args!("{}: {e}", folder.display())))
}

/// A component that is tried out.
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) component: PathBuf,
    pub(super) config: Map<String, Value>,
}

impl Candidate {
    /// Of a project, which is built, or of a `.wasm` file; with the configuration in a file, or the project's own.
    pub(super) fn of(
        target: &Path,
        config: Option<&Path>,
        before: impl FnOnce(&Project) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let given = config.map(config_in).transpose()?;
        if target.is_file() {
            let name = target.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Self { name, component: target.to_owned(), config: given.unwrap_or_default() });
        }
        let project = Project::open(target).map_err(Failure::new)?;
        let component = project.build(Quality::Release).map_err(Failure::new)?;
        before(&project)?;
        let config = given.unwrap_or_else(|| project.config().clone());
        Ok(Self { name: project.name().to_owned(), component, config })
    }
}
