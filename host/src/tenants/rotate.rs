//! All secrets encrypted with the newest master key, so that older ones can be thrown away.

use serde_json::json;

use super::{Kind, MasterKeys, SecretError};
use crate::store::{Change, Document, Expect, NewAudit, Store, StoreError};

/// What became of the secrets of a store.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// How many were encrypted anew.
    pub rotated: usize,
    /// How many had the newest key already.
    pub new: usize,
    /// Those that no key opens: tenant and name. They are as they were.
    pub lost: Vec<(String, String)>,
}

/// Why a rotation ended early. What it had done by then stays done; another one does the rest.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// There is no key to encrypt with.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Encrypts all secrets of all tenants with the first key, for `actor`. Each is a write of its own, made where nobody has
/// changed it since it was read.
pub async fn rotate(store: &Store, master: &MasterKeys, actor: &str) -> Result<Rotation, RotateError> {
    if master.is_empty() {
        return Err(SecretError::NoKey.into());
    }
    let mut done = Rotation::default();
    for document in store.documents(None, Some(Kind::Secret.as_str())).await? {
        let named = (document.tenant.clone(), document.name.clone());
        match renew(store, master, document, actor).await? {
            Outcome::Rotated => done.rotated += 1,
            Outcome::New => done.new += 1,
            Outcome::Lost => done.lost.push(named),
            Outcome::Gone => {}
        }
    }
    Ok(done)
}

enum Outcome {
    Rotated,
    New,
    Lost,
    Gone,
}

async fn renew(
    store: &Store,
    master: &MasterKeys,
    document: Document,
    actor: &str,
) -> Result<Outcome, RotateError> {
    let mut found = Some(document);
    while let Some(Document { tenant, kind, name, body, revision, .. }) = found {
        let sealed = serde_json::from_str(&body).ok();
        let Some(renewed) = sealed.and_then(|sealed| master.renew(&tenant, &name, &sealed).ok()) else {
            return Ok(Outcome::Lost);
        };
        let Some(renewed) = renewed else { return Ok(Outcome::New) };
        let change = Change::Put {
            tenant: tenant.clone(),
            kind: kind.clone(),
            name: name.clone(),
            body: json!(renewed).to_string(),
            expect: Expect::Revision(revision),
        };
        let audit = NewAudit {
            tenant: tenant.clone(),
            actor: actor.to_owned(),
            action: "rotate".to_owned(),
            kind: kind.clone(),
            name: name.clone(),
            detail: json!({ "origin": renewed.origin, "header": renewed.header }).to_string(),
        };
        match store.apply(&[change], &audit).await {
            Ok(_) => return Ok(Outcome::Rotated),
            // Somebody has set or deleted it meanwhile.
            Err(StoreError::Conflict { .. }) => found = store.document(&tenant, &kind, &name).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Outcome::Gone)
}
