//! What is run by `run`, `record` and `replay`, from what stands on the command line.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use airlock_sandbox::{
    Connector, Egress, EgressLimits, Grant, Inspection, LoadError, Origin, StandIn, Tenant, TenantLimits,
    inspect,
};
use serde_json::{Map, Value};
use tokio::io::DuplexStream;

use super::{named, workbench::Workbench};
use crate::{
    catalog::{self, Holder},
    cli::Failure,
    config::Env,
    fixtures::{ConfigPlaces, Mistakes, Place, bundled_adaptors, read_config},
    project::{MANIFEST, Project, Quality},
    trial::{Part, Stage},
};

/// Whose the run is.
const TENANT: &str = "local";
/// What a middleware stands in front of.
const BEHIND: &str = "direct-api";
/// What lists further hosts.
const ALLOWED: &str = "allowed_hosts";

/// A component that was read.
pub(super) struct Component {
    pub(super) part: Part,
    pub(super) bytes: Vec<u8>,
    pub(super) found: Inspection,
}

impl Component {
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(file).map_err(|e| named(file, e))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        Self::of(&name, bytes).map_err(|e| named(file, e))
    }

    pub(super) fn of(name: &str, bytes: Vec<u8>) -> Result<Self, LoadError> {
        let found = inspect(&bytes)?;
        let digest = found.digest.clone();
        Ok(Self {
            part: Part { name: name.into(), digest, size: bytes.len(), component: None },
            bytes,
            found,
        })
    }
}

/// What the author names: a project, which is built, or a `.wasm` file.
pub(super) struct Target {
    pub(super) component: Component,
    /// Of a project: the configuration in its manifest, and where that is.
    pub(super) config: Option<(Map<String, Value>, PathBuf)>,
}

impl Target {
    pub(super) fn open(target: &Path) -> Result<Self, Failure> {
        if target.is_file() {
            return Ok(Self { component: Component::read(target)?, config: None });
        }
        let project = Project::open(target).map_err(Failure::new)?;
        let mut component = Component::read(&project.build(Quality::Quick).map_err(Failure::new)?)?;
        component.part.name = project.name().to_owned();
        Ok(Self { component, config: Some((project.config().clone(), target.join(MANIFEST))) })
    }
}

/// The component, and behind a middleware what it stands in front of: bundled ones by name, others by file.
pub(super) fn chain(first: Component, behind: &[String], adaptors: &Path) -> Result<Vec<Component>, Failure> {
    let mut names: Vec<&str> = behind.iter().map(String::as_str).collect();
    if names.is_empty() && first.found.kind.middleware {
        names.push(BEHIND);
    }
    let mut parts = vec![first];
    for name in names {
        parts.push(if bundled_adaptors().any(|bundled| bundled == name) {
            Component::read(&adaptors.join(format!("{name}.wasm")))?
        } else {
            Component::read(Path::new(name))?
        });
    }
    Ok(parts)
}

/// A configuration, checked as an operator's.
pub(super) struct Config {
    pub(super) values: Map<String, Value>,
    places: ConfigPlaces,
}

impl Config {
    /// Of the file that is named, or else the project's own.
    pub(super) fn read(
        file: Option<&Path>,
        own: Option<&(Map<String, Value>, PathBuf)>,
    ) -> Result<Self, Failure> {
        let (values, places) = match (file, own) {
            (Some(file), _) => {
                let text = std::fs::read_to_string(file).map_err(|e| named(file, e))?;
                read_config(file, &text).map_err(Failure::new)?
            }
            (None, Some((config, manifest))) => {
                let text = Value::Object(config.clone()).to_string();
                read_config(manifest, &text).map_err(|mistakes| Failure::new(in_whole(mistakes, manifest)))?
            }
            (None, None) => (Map::new(), ConfigPlaces::none(Place::whole(Path::new("(no config)")))),
        };
        Ok(Self { values, places })
    }

    /// What it grants, and what `--allow` adds.
    pub(super) fn grant(
        &self,
        allow: &[String],
        who: &str,
        bench: &Workbench,
        env: &Env,
    ) -> Result<Grant, Failure> {
        for origin in allow {
            Origin::parse(origin).map_err(|e| Failure::new(format_args!("--allow {e}")))?;
        }
        let mut values = self.values.clone();
        if let Some(hosts) = values.entry(ALLOWED).or_insert_with(|| Value::Array(Vec::new())).as_array_mut()
        {
            hosts.extend(allow.iter().map(|origin| origin.as_str().into()));
        }
        let tenant = Tenant::new(TENANT, TenantLimits::default());
        let (policy, secrets) = (bench.settings.address_policy(), BTreeMap::new());
        let holder = Holder { tenant: &tenant, policy: &policy, env, secrets: &secrets };
        catalog::grant(&values, &self.places, who, holder).map_err(Failure::new)
    }
}

/// The text was made from another: lines and columns are of no use.
fn in_whole(mistakes: Mistakes, file: &Path) -> Mistakes {
    let place = |mut mistake: crate::fixtures::Mistake| {
        mistake.place = Place::whole(file);
        mistake
    };
    Mistakes(mistakes.0.into_iter().map(place).collect())
}

/// Compiles the parts as one, and sets them where they can run.
pub(super) async fn stage(bench: Workbench, parts: &[Component], grant: Grant) -> Result<Stage, Failure> {
    let egress = Egress::new(bench.connector.clone(), bench.settings.egress_limits());
    staged(bench, parts, grant, egress).await
}

/// The same for a replay: there is no way out at all.
pub(super) async fn sealed(bench: Workbench, parts: &[Component]) -> Result<Stage, Failure> {
    let tenant = Tenant::new(TENANT, TenantLimits::default());
    let grant = Grant::new(tenant, bench.settings.address_policy(), Vec::new(), Vec::new());
    let connector: Connector = bench.connector.with_stand_in(Arc::new(Nowhere));
    let egress = Egress::new(connector, EgressLimits::default());
    staged(bench, parts, grant, egress).await
}

async fn staged(
    bench: Workbench,
    parts: &[Component],
    grant: Grant,
    egress: Egress,
) -> Result<Stage, Failure> {
    let names: Vec<&str> = parts.iter().map(|component| component.part.name.as_str()).collect();
    let bytes: Vec<&[u8]> = parts.iter().map(|component| component.bytes.as_slice()).collect();
    let loaded = bench.sandbox.load_chain(&names.join(" → "), &bytes).await;
    let adaptor = loaded.map_err(|error| {
        let cause = if let LoadError::Part { why, .. } = &error { why } else { &error };
        Failure::new(format_args!("{error}\n  {}", catalog::remedy(cause)))
    })?;
    Ok(Stage {
        sandbox: bench.sandbox,
        adaptor: Arc::new(adaptor),
        grant: Arc::new(grant),
        egress,
        budgets: bench.settings.budgets(),
    })
}

/// Connections to it end before they begin.
struct Nowhere;

impl StandIn for Nowhere {
    fn connect(&self) -> DuplexStream {
        tokio::io::duplex(1).0
    }
}
