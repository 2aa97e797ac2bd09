//! What a component says it is, read from its names alone: nothing is compiled and nothing runs.

use sha2::{Digest as _, Sha256};
use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload, Validator, WasmFeatures};

use crate::{
    LoadError,
    loader::{self, Place},
};

/// What a component says it is.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// Its size in bytes.
    pub size: usize,
    /// What it can be used as.
    pub kind: AdaptorKind,
    /// Its imports, in the order of the file.
    pub imports: Vec<Import>,
    /// Its exports, in the order of the file.
    pub exports: Vec<String>,
}

/// What a component can be used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdaptorKind {
    /// It runs tasks.
    pub endpoint: bool,
    /// It reports jobs.
    pub cluster: bool,
    /// It runs batches.
    pub batch: bool,
    /// It stands in front of another endpoint adaptor.
    pub middleware: bool,
}

/// One import, and what comes of it.
#[derive(Debug, Clone)]
pub struct Import {
    /// Its name.
    pub name: String,
    /// What it lets the component do; `Err`: why it is refused.
    pub grants: Result<&'static str, String>,
}

/// What each package or interface lets an adaptor do. The first that a name begins with counts.
const GRANTS: &[(&str, &str)] = &[
    ("airlock:adaptor/upstream", "sends requests to the hosts that its endpoint grants"),
    ("airlock:adaptor/logging", "writes lines to the operator's log"),
    ("airlock:adaptor/key-value", "reads and writes the cache of its tenant"),
    (
        "airlock:adaptor/coalescing",
        "makes calls for other requests of its tenant, and has its own made by them",
    ),
    ("airlock:adaptor/callbacks", "gets what backends post to the gateway for its own request"),
    ("airlock:adaptor/endpoint", "hands tasks to the next adaptor of its chain"),
    ("airlock:adaptor/replies", "hands on the replies of the next adaptor of its chain"),
    ("airlock:adaptor/task-body", "gives the host the body that it has changed"),
    ("airlock:adaptor/common", "nothing: types"),
    ("wasi:http/types", "nothing: types and buffers"),
    ("wasi:http/", "sends requests to the hosts that its endpoint grants"),
    ("wasi:io/", "nothing: buffers, and waiting for them"),
    ("wasi:clocks/", "reads the time, to a millisecond"),
    ("wasi:random/", "gets random numbers"),
    ("wasi:cli/environment", "nothing: the environment is empty"),
    ("wasi:cli/stdin", "nothing: the input is empty"),
    ("wasi:cli/stdout", "writes lines to the operator's log"),
    ("wasi:cli/stderr", "writes lines to the operator's log"),
    ("wasi:cli/", "nothing: no terminal, and an exit ends the instance"),
    ("wasi:filesystem/", "nothing: there are no files"),
    ("wasi:sockets/", "nothing: there are no sockets, and no names are looked up"),
];

/// Reads a component. Fails where it is none, or is broken.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, LoadError> {
    loader::check_kind(bytes)?;
    let invalid = |error: wasmparser::BinaryReaderError| LoadError::Invalid(error.to_string());
    Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).map_err(invalid)?;
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0_usize);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            // Deeper ones are of components inside, which see what the outer one hands them.
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    if export.kind == ComponentExternalKind::Instance {
                        exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    for name in &exports {
        loader::contract_interface(name)?;
    }
    let kind = kind(&imports, &exports);
    let imports = imports.into_iter().map(|name| import(name, kind.middleware)).collect();
    Ok(Inspection { digest: hex::encode(Sha256::digest(bytes)), size: bytes.len(), kind, imports, exports })
}

fn kind(imports: &[String], exports: &[String]) -> AdaptorKind {
    let has = |names: &[String], interface: &str| {
        names.iter().any(|name| loader::contract_interface(name).is_ok_and(|found| found == Some(interface)))
    };
    AdaptorKind {
        endpoint: has(exports, "endpoint"),
        cluster: has(exports, "cluster"),
        batch: has(exports, "batch"),
        middleware: has(imports, "endpoint") && has(exports, "endpoint"),
    }
}

fn import(name: String, is_middleware: bool) -> Import {
    let allowed = loader::check_import(&name, if is_middleware { Place::Before } else { Place::Last });
    let grants = match allowed {
        Ok(()) => {
            let known = GRANTS.iter().find(|(start, _)| name.starts_with(start));
            Ok(known.map_or("nothing that is listed here", |(_, grants)| grants))
        }
        Err(LoadError::Import { why, .. }) => Err(why),
        Err(error) => Err(error.to_string()),
    };
    Import { name, grants }
}
