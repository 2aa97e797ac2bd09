//! What a tenant has defined, from documents to what a catalog is made of.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use airlock_sandbox::TenantLimits;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{rollout::Rollout, secrets::Sealed};
use crate::{
    config::Limits,
    fixtures::{Fixtures, Mistakes, endpoint_slug, slugify},
    store::{Change, Document, MEMBER, TENANT},
};

/// The kinds of documents that say what a tenant's requests can reach.
pub const CATALOG_KINDS: [Kind; 3] = [Kind::Cluster, Kind::Endpoint, Kind::Federated];

/// Large answers that one tenant's endpoints have read at the same time; further ones wait.
const LARGE_ANSWERS: usize = 4;

/// What a document is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The tenant itself.
    Tenant,
    /// A person or program that belongs to it.
    Member,
    /// A secret.
    Secret,
    /// Somebody who makes adaptors: the key that their signatures are checked with.
    Signer,
    /// An uploaded adaptor: which versions get tasks.
    Adaptor,
    /// One version of it.
    Version,
    /// A cluster.
    Cluster,
    /// An endpoint.
    Endpoint,
    /// A federated endpoint.
    Federated,
    /// A cluster that is down, and what clients are told.
    Maintenance,
}

impl Kind {
    /// The word that the store has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => TENANT,
            Self::Member => MEMBER,
            Self::Secret => "secret",
            Self::Signer => "signer",
            Self::Adaptor => "adaptor",
            Self::Version => "version",
            Self::Cluster => "cluster",
            Self::Endpoint => "endpoint",
            Self::Federated => "federated",
            Self::Maintenance => "maintenance",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::Tenant,
            Self::Member,
            Self::Secret,
            Self::Signer,
            Self::Adaptor,
            Self::Version,
            Self::Cluster,
            Self::Endpoint,
            Self::Federated,
            Self::Maintenance,
        ];
        all.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The name that follows from what an entry says, where its kind is an entry's and it says enough.
    pub fn name_of(self, fields: &Value) -> Option<String> {
        let text = |key: &str| fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        match self {
            Self::Cluster => text("cluster_name").map(str::to_owned),
            Self::Endpoint => Some(endpoint_slug(text("cluster")?, text("framework")?, text("model")?)),
            Self::Federated => text("slug").map(str::to_owned).or_else(|| text("name").map(slugify)),
            _ => None,
        }
    }

    /// Whether a change of it changes what requests can reach.
    pub fn is_routed(self) -> bool {
        matches!(
            self,
            Self::Tenant
                | Self::Secret
                | Self::Adaptor
                | Self::Cluster
                | Self::Endpoint
                | Self::Federated
                | Self::Maintenance
        )
    }

    /// FIRST's word for it in a fixture file.
    pub const fn model(self) -> Option<&'static str> {
        match self {
            Self::Cluster => Some("resource_server_async.cluster"),
            Self::Endpoint => Some("resource_server_async.endpoint"),
            Self::Federated => Some("resource_server.federatedendpoint"),
            _ => None,
        }
    }

    /// The kind that FIRST has this word for, in the form of either of its versions.
    pub fn of_model(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        let (app, own) = word.split_once('.')?;
        let is_own = |model: &str| model.split_once('.').is_some_and(|(_, name)| name == own);
        let is_first = matches!(app, "resource_server" | "resource_server_async");
        CATALOG_KINDS.into_iter().find(|kind| is_first && kind.model().is_some_and(is_own))
    }
}

/// What is stored of a tenant itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Tenant)]
#[serde(deny_unknown_fields, default)]
pub struct TenantSettings {
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it may have and use.
    pub quota: Quota,
}

/// What is stored of a cluster that is down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Notice)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// What clients are told.
    #[schema(min_length = 1)]
    pub notice: String,
}

/// What a tenant may have and use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Adaptors.
    pub adaptors: usize,
    /// Bytes of all versions of all adaptors together.
    #[schema(format = "uint64")]
    pub adaptor_bytes: u64,
    /// Adaptor instances at the same time.
    pub instances: usize,
    /// CPU time of adaptors in a day, in seconds; no limit where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uint64")]
    pub cpu_seconds_per_day: Option<u64>,
    /// Bytes sent to backends in a day; no limit where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uint64")]
    pub egress_bytes_per_day: Option<u64>,
    /// Requests in any second; 0: no limit. The operator's where nothing is said, here and below.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uint64")]
    pub requests_per_second: Option<u64>,
    /// Requests in any minute; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uint64")]
    pub requests_per_minute: Option<u64>,
    /// Tokens in any minute; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uint64")]
    pub tokens_per_minute: Option<u64>,
    /// Tokens in a day; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uint64")]
    pub tokens_per_day: Option<u64>,
    /// Requests at a time; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uint64")]
    pub concurrent_requests: Option<u64>,
    /// Bytes of a request's body; 0: no limit but the gateway's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uint64")]
    pub body_bytes: Option<u64>,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            adaptors: 100,
            adaptor_bytes: 512 << 20,
            instances: 64,
            cpu_seconds_per_day: None,
            egress_bytes_per_day: None,
            requests_per_second: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            tokens_per_day: None,
            concurrent_requests: None,
            body_bytes: None,
        }
    }
}

impl Quota {
    /// The sandbox's part of it.
    pub fn limits(&self) -> TenantLimits {
        TenantLimits {
            instances: self.instances,
            large_answers: LARGE_ANSWERS,
            daily_cpu: self.cpu_seconds_per_day.map(Duration::from_secs),
            daily_egress_bytes: self.egress_bytes_per_day,
            ..TenantLimits::default()
        }
    }

    /// What its callers may use together, where `usual` is what tenants may of which nothing is said.
    pub fn of_callers(&self, usual: &Limits) -> Limits {
        Limits {
            requests_per_second: self.requests_per_second.unwrap_or(usual.requests_per_second),
            requests_per_minute: self.requests_per_minute.unwrap_or(usual.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.unwrap_or(usual.tokens_per_minute),
            tokens_per_day: self.tokens_per_day.unwrap_or(usual.tokens_per_day),
            concurrent_requests: self.concurrent_requests.unwrap_or(usual.concurrent_requests),
            body_bytes: self.body_bytes.unwrap_or(usual.body_bytes),
        }
    }
}

/// All documents of one tenant that decide what its requests reach, by kind and name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Definition(BTreeMap<(String, String), Document>);

impl Definition {
    /// Of these documents, which are all of one tenant.
    pub fn of(documents: impl IntoIterator<Item = Document>) -> Self {
        let routed = documents.into_iter().filter(|d| Kind::parse(&d.kind).is_some_and(Kind::is_routed));
        Self(routed.map(|d| ((d.kind.clone(), d.name.clone()), d)).collect())
    }

    /// The same with changes made. Revisions are as before: nobody has stored it.
    pub fn changed(&self, changes: &[Change]) -> Self {
        let mut changed = self.clone();
        for change in changes {
            match change {
                Change::Put { tenant, kind, name, body, .. } => {
                    let key = (kind.clone(), name.clone());
                    let created_at = changed.0.get(&key).map_or(0, |before| before.created_at);
                    let document = Document {
                        tenant: tenant.clone(),
                        kind: kind.clone(),
                        name: name.clone(),
                        body: body.clone(),
                        revision: 0,
                        created_at,
                        updated_at: 0,
                    };
                    changed.0.insert(key, document);
                }
                Change::Delete { kind, name, .. } => {
                    changed.0.remove(&(kind.clone(), name.clone()));
                }
                Change::Forget { .. } => changed.0.clear(),
            }
        }
        changed
    }

    /// What was stored of one thing.
    pub fn get<T: for<'a> Deserialize<'a>>(&self, kind: Kind, name: &str) -> Option<T> {
        let document = self.0.get(&(kind.as_str().to_owned(), name.to_owned()))?;
        serde_json::from_str(&document.body).ok()
    }

    /// Whether there is such a thing.
    pub fn has(&self, kind: Kind, name: &str) -> bool {
        self.0.contains_key(&(kind.as_str().to_owned(), name.to_owned()))
    }

    /// When a thing was made, in Unix seconds.
    pub fn made_at(&self, kind: Kind, name: &str) -> Option<i64> {
        self.0.get(&(kind.as_str().to_owned(), name.to_owned())).map(|document| document.created_at)
    }

    fn all(&self, kind: Kind) -> impl Iterator<Item = &Document> {
        self.0.values().filter(move |document| document.kind == kind.as_str())
    }

    /// The adaptors that were rolled out.
    pub fn rollouts(&self) -> BTreeMap<String, Rollout> {
        let rollouts = self.all(Kind::Adaptor).filter_map(|document| {
            let rollout = serde_json::from_str(&document.body).ok()?;
            Some((document.name.clone(), rollout))
        });
        rollouts.collect()
    }

    /// The secrets, encrypted.
    pub fn secrets(&self) -> impl Iterator<Item = (String, Sealed)> {
        let secrets = self.all(Kind::Secret);
        secrets
            .filter_map(|document| Some((document.name.clone(), serde_json::from_str(&document.body).ok()?)))
    }

    /// What clients are told of clusters that are down.
    pub fn notices(&self) -> BTreeMap<String, String> {
        let notices = self.all(Kind::Maintenance).filter_map(|document| {
            let maintenance: Maintenance = serde_json::from_str(&document.body).ok()?;
            Some((document.name.clone(), maintenance.notice))
        });
        notices.collect()
    }

    /// The entries, beside those of an operator's files.
    pub fn fixtures(&self, files: &[(Arc<Path>, String)]) -> Result<Fixtures, Mistakes> {
        let uploaded: BTreeSet<String> = self.rollouts().into_keys().collect();
        let mut entries = Vec::new();
        for kind in CATALOG_KINDS {
            entries.extend(self.all(kind).filter_map(|document| entry(kind, document)));
        }
        Fixtures::parse_all(files, &entries, uploaded)
    }

    /// Without the entries that a mistake is in; the same where there is none.
    pub fn without(&self, mistakes: &Mistakes) -> Self {
        let broken: BTreeSet<&Path> = mistakes.0.iter().map(|mistake| &*mistake.place.file).collect();
        let mut rest = self.clone();
        rest.0.retain(|(kind, name), _| !broken.contains(Path::new(&place_name(kind, name))));
        rest
    }
}

/// What messages show in the place of a file's name.
fn place_name(kind: &str, name: &str) -> String {
    format!("{kind} {name}")
}

/// A document as the text of a fixture entry.
fn entry(kind: Kind, document: &Document) -> Option<(Arc<Path>, String)> {
    let fields: Value = serde_json::from_str(&document.body).unwrap_or_default();
    let text = json!({ "model": kind.model()?, "fields": fields }).to_string();
    let place: Arc<Path> = Path::new(&place_name(kind.as_str(), &document.name)).into();
    Some((place, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_either_word() {
        for kind in CATALOG_KINDS {
            let (_, name) = kind.model().unwrap().split_once('.').unwrap();
            for word in [format!("resource_server.{name}"), format!("Resource_Server_async.{name}")] {
                assert_eq!(Kind::of_model(&word), Some(kind), "{word}");
            }
        }
        for word in ["", "resource_server", "resource_server.", "resource_serverr", "auth.cluster", "cluster"]
        {
            assert_eq!(Kind::of_model(word), None, "{word}");
        }
    }
}
