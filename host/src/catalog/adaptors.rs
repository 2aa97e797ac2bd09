//! The adaptors that a catalog needs: where their parts come from, each distinct chain loaded once and kept for the next
//! catalog.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use airlock_sandbox::{Adaptor, Health, Sandbox};
use futures_util::future::BoxFuture;

use super::load;
use crate::fixtures::{AdaptorRef, Located, Mistake, Place};

/// Where the component of one part of a chain is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// In a file.
    File(PathBuf),
    /// Uploaded: its SHA-256, in hexadecimal.
    Uploaded(Arc<str>),
}

/// A version of an uploaded adaptor that gets tasks.
#[derive(Debug, Clone)]
pub struct Release {
    /// SHA-256 of the component, in hexadecimal.
    pub digest: Arc<str>,
    /// What its calls come to.
    pub health: Arc<Health>,
}

/// An uploaded adaptor, as it is rolled out.
#[derive(Debug, Clone)]
pub struct Uploaded {
    /// The version that tasks go to.
    pub live: Release,
    /// A newer one that gets so many per cent of them.
    pub canary: Option<(Release, u8)>,
}

/// All that a tenant has uploaded and rolled out, by name.
pub type Uploads = BTreeMap<String, Uploaded>;

/// Where the bytes of uploaded components are.
pub trait ComponentSource: Send + Sync {
    /// The component with this digest; in words for the operator where it cannot be had.
    fn component(&self, digest: Arc<str>) -> BoxFuture<'static, Result<Vec<u8>, String>>;
}

/// Adaptors that some catalog uses. What none uses any more is let go.
#[derive(Default)]
pub struct AdaptorCache(Mutex<HashMap<Vec<Part>, Weak<Adaptor>>>);

impl AdaptorCache {
    fn get(&self, parts: &[Part]) -> Option<Arc<Adaptor>> {
        // What a file holds may have changed.
        if parts.iter().any(|part| matches!(part, Part::File(_))) {
            return None;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(parts)?.upgrade()
    }

    /// Forgets components in files: those may be other ones now.
    pub fn forget_files(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|parts, _| parts.iter().all(|part| matches!(part, Part::Uploaded(_))));
    }

    fn put(&self, parts: &[Part], adaptor: &Arc<Adaptor>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, adaptor| adaptor.strong_count() > 0);
        kept.insert(parts.to_vec(), Arc::downgrade(adaptor));
    }
}

/// One way to run a chain: the versions of its parts.
pub(super) struct Variant {
    pub(super) parts: Vec<Part>,
    pub(super) health: Vec<Arc<Health>>,
}

/// Both ways to run a chain.
pub(super) struct Variants {
    pub(super) live: Variant,
    pub(super) canary: Option<(Variant, u8)>,
}

/// Finds parts.
#[derive(Clone, Copy)]
pub(super) struct Finder<'a> {
    pub(super) bundled: &'a PathBuf,
    pub(super) uploads: &'a Uploads,
}

impl Finder<'_> {
    /// `None` for the bench's reference, which has no component.
    pub(super) fn variants(self, chain: &[Located<AdaptorRef>]) -> Option<Variants> {
        let canaries = chain.iter().filter_map(|part| self.upload(part)?.canary.as_ref());
        let percent = canaries.map(|(_, percent)| *percent).max();
        let canary = match percent {
            Some(percent) => Some((self.variant(chain, true)?, percent)),
            None => None,
        };
        Some(Variants { live: self.variant(chain, false)?, canary })
    }

    fn upload(&self, adaptor: &AdaptorRef) -> Option<&Uploaded> {
        let AdaptorRef::Uploaded(name) = adaptor else { return None };
        self.uploads.get(name)
    }

    fn variant(&self, chain: &[Located<AdaptorRef>], is_canary: bool) -> Option<Variant> {
        let mut variant = Variant { parts: Vec::new(), health: Vec::new() };
        for part in chain {
            variant.parts.push(match &part.value {
                AdaptorRef::Bundled(name) => Part::File(self.bundled.join(format!("{name}.wasm"))),
                AdaptorRef::File(path) => Part::File(path.clone()),
                adaptor @ AdaptorRef::Uploaded(_) => {
                    let upload = self.upload(adaptor)?;
                    let canary = upload.canary.as_ref().filter(|_| is_canary).map(|(release, _)| release);
                    let release = canary.unwrap_or(&upload.live);
                    variant.health.push(Arc::clone(&release.health));
                    Part::Uploaded(Arc::clone(&release.digest))
                }
                #[cfg(feature = "native-path")]
                AdaptorRef::Native => return None,
            });
        }
        Some(variant)
    }
}

/// What is to be loaded: each distinct chain, with the places that name its parts.
pub(super) type Wanted = BTreeMap<Vec<Part>, Vec<Place>>;

/// Loads each distinct chain once, several at a time. One component in two chains is compiled twice: what runs is the
/// chain as a whole.
pub(super) async fn load_all(
    wanted: Wanted,
    sandbox: &Sandbox,
    source: &dyn ComponentSource,
    cache: &AdaptorCache,
    mistakes: &mut Vec<Mistake>,
) -> HashMap<Vec<Part>, Arc<Adaptor>> {
    let mut loaded = HashMap::new();
    let mut loading = Vec::new();
    for (parts, places) in wanted {
        if let Some(adaptor) = cache.get(&parts) {
            loaded.insert(parts, adaptor);
            continue;
        }
        let (sandbox, own) = (sandbox.clone(), parts.clone());
        let components: Vec<_> = parts
            .iter()
            .map(|part| match part {
                Part::Uploaded(digest) => Some(source.component(Arc::clone(digest))),
                Part::File(_) => None,
            })
            .collect();
        let task = tokio::spawn(async move { load::chain(&sandbox, &own, components).await });
        loading.push((parts, places, task));
    }
    for (parts, places, task) in loading {
        match task.await.unwrap_or_else(|e| Err(load::Refused::crashed(&e))) {
            Ok(adaptor) => {
                let adaptor = Arc::new(adaptor);
                cache.put(&parts, &adaptor);
                loaded.insert(parts, adaptor);
            }
            Err(refused) => mistakes.extend(refused.mistake(&parts, &places)),
        }
    }
    loaded
}
