//! From bytes to machine code, away from the serving process: a child with limits and without rights compiles
//! (`child`), of chains it makes one component first (`compose`), its output is kept (`cache`), and what a
//! component may not use is named (`proposals`).

mod cache;
mod child;
mod compose;
mod proposals;

use std::{
    ffi::OsString,
    hash::Hasher,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    sync::Semaphore,
};
use wasmtime::{Engine, component::Component};

pub use cache::{CacheKey, CacheSettings};
pub use child::ComponentCompiler;

use crate::{LoadError, counted::Counted};
use child::Verdict;

/// How many components are compiled at a time. Each compilation uses all cores by itself.
const AT_A_TIME: usize = 2;
/// What of a child's complaints is kept.
const MAX_COMPLAINT: u64 = 16 << 10;

/// Who compiles, within what, and where the result is kept.
#[derive(Debug, Clone)]
pub struct CompilerSettings {
    /// A program that runs [`ComponentCompiler::serve`] when it gets `compile` and [`CompileLimits::arguments`].
    pub program: PathBuf,
    /// What one compilation may use.
    pub limits: CompileLimits,
    /// Where machine code is kept. Without, every start compiles again.
    pub cache: Option<CacheSettings>,
}

/// What one compilation may use.
#[derive(Debug, Clone)]
pub struct CompileLimits {
    /// Processor time of all its threads.
    pub cpu: Duration,
    /// Time until it is ended.
    pub wall: Duration,
    /// Memory.
    pub memory_bytes: u64,
    /// Largest component.
    pub max_component_bytes: usize,
    /// Largest machine code.
    pub max_code_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(120),
            wall: Duration::from_secs(120),
            memory_bytes: 4 << 30,
            max_component_bytes: 64 << 20,
            max_code_bytes: 512 << 20,
        }
    }
}

impl CompileLimits {
    /// The child's arguments, which the program hands to its confinement and to [`ComponentCompiler::serve`].
    fn arguments(&self, source: &Source<'_>) -> Vec<OsString> {
        let mut arguments = vec![
            "compile".into(),
            format!("--cpu-seconds={}", self.cpu.as_secs().max(1)).into(),
            format!("--memory-bytes={}", self.memory_bytes).into(),
        ];
        if source.is_chain() {
            arguments.extend(source.0.iter().map(|part| format!("--part-bytes={}", part.len()).into()));
        }
        arguments
    }
}

/// What is compiled: one component, or the parts of a chain, middlewares first.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a>(pub(crate) &'a [&'a [u8]]);

impl Source<'_> {
    fn is_chain(&self) -> bool {
        self.0.len() > 1
    }

    /// Length in bytes, of all parts.
    pub(crate) fn size(&self) -> usize {
        self.0.iter().map(|part| part.len()).sum()
    }

    /// What its code is known by, in hexadecimal: SHA-256 of the component; of a chain over the way that chains
    /// are made and the digests of its parts, as nobody but the child sees the whole.
    pub(crate) fn digest(&self) -> String {
        let digests = self.0.iter().map(Sha256::digest);
        if !self.is_chain() {
            return digests.map(hex::encode).collect();
        }
        // The number changes with every change of `compose`: chains that were made the old way are kept under the old one.
        let mut whole = Sha256::new_with_prefix(b"airlock chain 2\n");
        digests.for_each(|part| whole.update(part));
        hex::encode(whole.finalize())
    }
}

/// Compiles components, or finds that it has done so before.
pub(crate) struct Compiler {
    settings: CompilerSettings,
    /// Of this engine: wasmtime's version and every setting that shapes code.
    compatibility: String,
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Compiler {
    pub(crate) fn new(settings: CompilerSettings, engine: &Engine) -> Self {
        let turns = Arc::new(Semaphore::new(AT_A_TIME));
        Self { settings, compatibility: compatibility(engine), turns, waiting: Arc::default() }
    }

    /// Compilations that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// The component that is made of `source`, which has this digest.
    pub(crate) async fn component(
        &self,
        engine: &Engine,
        digest: &str,
        source: Source<'_>,
    ) -> Result<Component, LoadError> {
        let limit = self.settings.limits.max_component_bytes;
        if source.size() > limit {
            return Err(LoadError::TooLarge { limit });
        }
        let cache = self.settings.cache.as_ref();
        if let Some(code) = cache.and_then(|cache| cache.read(digest, &self.compatibility)) {
            match adopt(engine, &code) {
                Ok(component) => return Ok(component),
                Err(error) => tracing::warn!(digest, %error, "cached code does not fit; it is made again"),
            }
        }
        let code = self.compile(source).await?;
        let component = adopt(engine, &code).map_err(|e| LoadError::Invalid(one_line(&e)))?;
        if let Some(cache) = cache {
            cache.write(digest, &self.compatibility, &code);
        }
        Ok(component)
    }

    async fn compile(&self, source: Source<'_>) -> Result<Vec<u8>, LoadError> {
        let broken = |what: &str| LoadError::Compiler(what.to_owned());
        let waiting = Counted::new(&self.waiting);
        let _turn = self.turns.acquire().await.map_err(|_| broken("it is closed"))?;
        drop(waiting);
        let child = self.spawn(&source).map_err(|e| {
            LoadError::Compiler(format!("{} could not be started: {e}", self.settings.program.display()))
        })?;
        let wall = self.settings.limits.wall;
        let answer = tokio::time::timeout(wall, self.converse(child, source)).await;
        let answer = answer.map_err(|_| LoadError::CompileLimit(format!("{wall:?} to compile")))??;
        let (verdict, code) = Verdict::read(&answer).ok_or_else(|| broken("its answer cannot be read"))?;
        match verdict {
            Verdict::Compiled { compatibility } if compatibility == self.compatibility => Ok(code.to_vec()),
            Verdict::Compiled { .. } => Err(broken("it belongs to another version of airlock")),
            Verdict::Invalid(why) => Err(LoadError::Invalid(why)),
            Verdict::Proposal(name) => Err(LoadError::Proposal(name)),
            Verdict::Part(at, why) => Err(LoadError::Part { at, why: Box::new(why) }),
            Verdict::OutOfMemory => Err(self.too_much_memory()),
        }
    }

    /// With nothing of ours: no environment, where keys are, and no open file.
    fn spawn(&self, source: &Source<'_>) -> std::io::Result<Child> {
        Command::new(&self.settings.program)
            .args(self.settings.limits.arguments(source))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    /// Everything that the child has to say.
    async fn converse(&self, mut child: Child, source: Source<'_>) -> Result<Vec<u8>, LoadError> {
        let lost = |e: std::io::Error| LoadError::Compiler(e.to_string());
        let (Some(mut input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(LoadError::Compiler("it has no pipes".into()));
        };
        let write = async {
            for part in source.0 {
                // A child that ended early does not read to the end; its status says more than this would.
                let _ = input.write_all(part).await;
            }
            drop(input);
            Ok(())
        };
        let limit = self.settings.limits.max_code_bytes;
        let too_much = || LoadError::CompileLimit(format!("{limit} bytes of machine code"));
        let read = async { read_all(output, limit).await.map_err(lost)?.ok_or_else(too_much) };
        // What it says beyond the limit is read and thrown away, so that it never waits for a reader.
        let complained = async { read_some(errors, MAX_COMPLAINT).await.map_err(lost) };
        let ((), answer, complaint) = tokio::try_join!(write, read, complained)?;
        let status = child.wait().await.map_err(lost)?;
        if status.success() {
            return Ok(answer);
        }
        Err(self.died(status, &String::from_utf8_lossy(&complaint)))
    }

    fn too_much_memory(&self) -> LoadError {
        LoadError::CompileLimit(format!(
            "{} MiB of memory to compile",
            self.settings.limits.memory_bytes >> 20
        ))
    }

    /// What a child's end says about its component.
    fn died(&self, status: std::process::ExitStatus, complaint: &str) -> LoadError {
        use std::os::unix::process::ExitStatusExt as _;
        let limits = &self.settings.limits;
        match status.signal() {
            Some(SIGXCPU | SIGKILL) => {
                LoadError::CompileLimit(format!("{:?} of processor time to compile", limits.cpu))
            }
            // A thread's stack is address space too.
            _ if ["memory allocation", "ThreadPoolBuildError"]
                .iter()
                .any(|sign| complaint.contains(sign)) =>
            {
                self.too_much_memory()
            }
            _ => LoadError::Compiler(format!("{status}: {}", complaint.trim())),
        }
    }
}

/// All that comes, or `None` where it is more than `limit`.
async fn read_all(pipe: impl AsyncRead + Unpin, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    pipe.take(limit.saturating_add(1)).read_to_end(&mut bytes).await?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// The beginning of all that comes.
async fn read_some(mut pipe: impl AsyncRead + Unpin, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut pipe).take(limit).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    Ok(bytes)
}

const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

/// Takes machine code for what it says it is.
#[expect(unsafe_code, reason = "machine code cannot be checked; this is the one place that takes any in")]
fn adopt(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` comes straight from our own compiler in a child process, or from our cache of its output,
    // whose authentication code was verified over these very bytes. Uploads never come here: what is
    // precompiled is refused as input.
    unsafe { Component::deserialize(engine, code) }
}

/// What code for `engine` can be used by: the same version of wasmtime with the same settings.
fn compatibility(engine: &Engine) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            0 // the digest is asked instead
        }
    }
    let mut hasher = Sha(Sha256::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    hex::encode(hasher.0.finalize())
}

/// Parser errors continue with an offset and a cause; both fit a line.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
