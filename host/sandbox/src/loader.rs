//! From bytes to something that can be instantiated: what is it, was it built for this contract, may it
//! import what it imports.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use wasmtime::{
    Engine,
    component::{Component, InstancePre},
};

use crate::{
    Fault,
    ahead::Making,
    bindings::exports::airlock::adaptor as exported,
    call::CallState,
    compile::Source,
    engine::{Sandbox, Shared},
    host::absent,
};

/// The contract's version that this host speaks. A component built for the same 0.x is accepted.
pub const CONTRACT_VERSION: &str = "0.1.0";
const PACKAGE: &str = "airlock:adaptor/";

/// The longest chain. The pool's limits hold as many adaptors of the usual kinds (`engine.rs`).
pub const MAX_CHAIN: usize = 8;

/// A component that was compiled and checked. Instances are made from it, one for each request.
pub struct Adaptor {
    name: Arc<str>,
    digest: String,
    size: usize,
    pub(crate) pre: InstancePre<CallState>,
    pub(crate) making: Making,
    endpoint: Option<EndpointExports>,
    cluster: Option<exported::cluster::GuestIndices>,
    batch: Option<exported::batch::GuestIndices>,
}

/// Where an endpoint adaptor's exports are.
pub(crate) struct EndpointExports {
    pub(crate) endpoint: exported::endpoint::GuestIndices,
    pub(crate) replies: exported::replies::GuestIndices,
}

/// Why a file cannot be used as an adaptor, or where it stands. The texts say what to do.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadError {
    /// No WebAssembly at all.
    #[error("this is not a WebAssembly file: it does not begin with `\\0asm`")]
    NotWasm,
    /// A module without a component around it.
    #[error(
        "this is a core WebAssembly module, not a component. Build it for the target \
         wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// Machine code.
    #[error("this file is precompiled; load the .wasm it was made from")]
    Precompiled,
    /// Larger than is compiled.
    #[error("this file is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Broken, truncated, or over a limit of the engine.
    #[error("this component is not valid: {0}")]
    Invalid(String),
    /// Valid, with a proposal that is switched off.
    #[error(
        "this component needs the WebAssembly proposal `{0}`, which adaptors do not get: build it without"
    )]
    Proposal(String),
    /// Compiling it takes too much.
    #[error("this component takes more than {0}: make it smaller")]
    CompileLimit(String),
    /// Nothing that the component is to blame for.
    #[error("the compiler failed: {0}")]
    Compiler(String),
    /// An import that adaptors do not get.
    #[error("the component imports `{name}`: {why}")]
    Import {
        /// The import's name.
        name: String,
        /// Why not, and what instead.
        why: String,
    },
    /// Nothing to call.
    #[error(
        "the component exports neither `airlock:adaptor/endpoint` nor `airlock:adaptor/cluster`{0}. \
         Build it for one of the worlds in wit/worlds.wit"
    )]
    NoInterface(String),
    /// Another version of the contract.
    #[error(
        "the component was built for airlock:adaptor@{found}; this host accepts 0.1. \
         Build it again with a matching SDK"
    )]
    Version {
        /// The version that it names.
        found: String,
    },
    /// The right name with other functions behind it.
    #[error("`{interface}` does not have the shape of airlock:adaptor@{CONTRACT_VERSION}: {why}")]
    Shape {
        /// The interface.
        interface: String,
        /// What differs.
        why: String,
    },
    /// A part of a chain that cannot stand where it stands.
    #[error("part {} of the chain: {why}", .at + 1)]
    Part {
        /// Which one, from 0.
        at: usize,
        /// Why not.
        why: Box<Self>,
    },
    /// Nothing that could stand in a chain.
    #[error("it exports no `airlock:adaptor/endpoint`, as every part of a chain does")]
    NoEndpoint,
    /// It stands in front of another and would never ask it.
    #[error(
        "it is no middleware: it does not import `airlock:adaptor/endpoint`, so nothing would reach what stands \
         behind it. Put it last"
    )]
    NoMiddleware,
    /// Two parts of a chain that do not fit.
    #[error("it does not fit what stands behind it: {0}")]
    Link(String),
    /// No chain, or one that is too long.
    #[error("a chain has 1 to {MAX_CHAIN} parts, and this one has {0}")]
    Length(usize),
}

impl Adaptor {
    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Size of the component in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn endpoint(&self) -> Result<&EndpointExports, Fault> {
        self.endpoint
            .as_ref()
            .ok_or_else(|| Fault::BadOutput(format!("`{}` is no endpoint adaptor", self.name)))
    }

    pub(crate) fn cluster(&self) -> Result<&exported::cluster::GuestIndices, Fault> {
        self.cluster
            .as_ref()
            .ok_or_else(|| Fault::BadOutput(format!("`{}` is no cluster adaptor", self.name)))
    }

    pub(crate) fn batch(&self) -> Result<&exported::batch::GuestIndices, Fault> {
        self.batch.as_ref().ok_or_else(|| Fault::BadOutput(format!("`{}` runs no batches", self.name)))
    }

    /// Whether it runs tasks.
    pub fn is_endpoint(&self) -> bool {
        self.endpoint.is_some()
    }

    /// Whether it reports jobs.
    pub fn is_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// Whether it runs batches.
    pub fn is_batch(&self) -> bool {
        self.batch.is_some()
    }
}

impl fmt::Debug for Adaptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Adaptor({} {})", self.name, self.digest)
    }
}

impl Sandbox {
    /// Compiles and checks a component. Takes CPU time in proportion to its size, in a child process: 0.1 s
    /// for a Rust guest, many seconds for a Python one. One that was compiled before is there at once.
    pub async fn load(&self, name: &str, bytes: &[u8]) -> Result<Adaptor, LoadError> {
        check_kind(bytes)?;
        self.load_source(name, Source(&[bytes])).await
    }

    /// The same for a chain: middlewares in the order in which a task meets them, and last the adaptor behind
    /// them. They become one component, of which every request gets one fresh instance.
    pub async fn load_chain(&self, name: &str, parts: &[&[u8]]) -> Result<Adaptor, LoadError> {
        if !(1..=MAX_CHAIN).contains(&parts.len()) {
            return Err(LoadError::Length(parts.len()));
        }
        for (at, part) in parts.iter().enumerate() {
            check_kind(part).map_err(|why| LoadError::Part { at, why: Box::new(why) })?;
        }
        self.load_source(name, Source(parts)).await
    }

    async fn load_source(&self, name: &str, source: Source<'_>) -> Result<Adaptor, LoadError> {
        let engine = &self.0.engine;
        let digest = source.digest();
        let component = self.0.compiler.component(engine, &digest, source).await?;
        let exports = check_names(engine, &component)?;
        let pre = self
            .instantiate_pre(&component)
            .map_err(|e| LoadError::Import { name: "…".into(), why: format!("{e:#}") })?;
        Ok(Adaptor {
            name: name.into(),
            digest,
            size: source.size(),
            endpoint: exports.endpoint.then(|| endpoint_exports(&pre)).transpose()?,
            cluster: exports
                .cluster
                .then(|| exported::cluster::GuestIndices::new(&pre).map_err(shape("airlock:adaptor/cluster")))
                .transpose()?,
            batch: exports
                .batch
                .then(|| exported::batch::GuestIndices::new(&pre).map_err(shape("airlock:adaptor/batch")))
                .transpose()?,
            making: Making::of(&component),
            pre,
        })
    }

    fn instantiate_pre(&self, component: &Component) -> wasmtime::Result<InstancePre<CallState>> {
        let Shared { engine, linker, .. } = &*self.0;
        if !component.component_type().imports(engine).any(|(name, _)| absent::is_absent(name)) {
            return linker.instantiate_pre(component);
        }
        let mut linker = linker.clone();
        absent::link(&mut linker, engine, component)?;
        linker.instantiate_pre(component)
    }
}

fn endpoint_exports(pre: &InstancePre<CallState>) -> Result<EndpointExports, LoadError> {
    Ok(EndpointExports {
        endpoint: exported::endpoint::GuestIndices::new(pre).map_err(shape("airlock:adaptor/endpoint"))?,
        replies: exported::replies::GuestIndices::new(pre).map_err(shape("airlock:adaptor/replies"))?,
    })
}

fn shape(interface: &'static str) -> impl Fn(wasmtime::Error) -> LoadError {
    move |error| LoadError::Shape { interface: interface.to_owned(), why: format!("{error:#}") }
}

/// The first eight bytes tell modules from components, before any parser runs.
pub(crate) fn check_kind(bytes: &[u8]) -> Result<(), LoadError> {
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(LoadError::Precompiled);
    }
    match bytes {
        [b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::CoreModule),
        [b'\0', b'a', b's', b'm', ..] => {
            Err(LoadError::Invalid("its header is truncated or of an unknown version".into()))
        }
        _ => Err(LoadError::NotWasm),
    }
}

#[derive(Default)]
struct Exports {
    endpoint: bool,
    cluster: bool,
    batch: bool,
}

/// Reads the component's type: names alone tell most mistakes, better than a linker's error does.
fn check_names(engine: &Engine, component: &Component) -> Result<Exports, LoadError> {
    let ty = component.component_type();
    for (name, _) in ty.imports(engine) {
        check_import(name, Place::Last)?;
    }
    let mut exports = Exports::default();
    let mut others = Vec::new();
    for (name, _) in ty.exports(engine) {
        match contract_interface(name)? {
            Some("endpoint") => exports.endpoint = true,
            Some("cluster") => exports.cluster = true,
            Some("batch") => exports.batch = true,
            Some(_) => {}
            None => others.push(name),
        }
    }
    if exports.endpoint || exports.cluster {
        return Ok(exports);
    }
    let seen = if others.is_empty() { String::new() } else { format!(", but `{}`", others.join("`, `")) };
    Err(LoadError::NoInterface(seen))
}

/// Where a component stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In front of another.
    Before,
    /// Alone, or at the end of a chain.
    Last,
}

/// The interface's name where it belongs to the contract, in a version that is understood.
pub(crate) fn contract_interface(name: &str) -> Result<Option<&str>, LoadError> {
    let Some(rest) = name.strip_prefix(PACKAGE) else { return Ok(None) };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, "none"));
    if version != "0.1" && !version.starts_with("0.1.") {
        return Err(LoadError::Version { found: version.to_owned() });
    }
    Ok(Some(interface))
}

pub(crate) fn check_import(name: &str, place: Place) -> Result<(), LoadError> {
    let refuse = |why: &str| Err(LoadError::Import { name: name.to_owned(), why: why.to_owned() });
    match contract_interface(name)? {
        Some(
            "common" | "upstream" | "upstream-http" | "logging" | "key-value" | "task-body" | "coalescing"
            | "callbacks",
        ) => {
            return Ok(());
        }
        Some("endpoint" | "replies") if place == Place::Before => return Ok(()),
        Some("endpoint" | "replies") => {
            return refuse(
                "it is a middleware, which needs another adaptor behind it and does nothing alone",
            );
        }
        Some(_) => return refuse("this host has no such interface"),
        None => {}
    }
    let package = name.split(['/', '@']).next().unwrap_or(name);
    match package {
        "wasi:io" | "wasi:clocks" | "wasi:random" | "wasi:cli" | "wasi:http" => Ok(()),
        // Named by the runtimes of languages; there is nothing behind.
        _ if absent::is_absent(name) => Ok(()),
        "wasi:filesystem" | "wasi:sockets" => {
            refuse("adaptors have no files and no sockets; they call out through HTTP")
        }
        _ => refuse("adaptors get the interfaces in wit/worlds.wit and no others"),
    }
}
