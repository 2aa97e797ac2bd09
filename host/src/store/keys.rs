//! API keys: made, listed, revoked. Each of it is a write with an entry in the audit.

use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::{Any, Row as _, Transaction, any::AnyRow};

use super::{
    Store, StoreError,
    audit::{NewAudit, write_audit},
    now,
    writes::Line,
};
use crate::auth::{NewKey, Role, Scope, Scopes};

/// Whose keys are where nobody says.
pub const DEFAULT_TENANT: &str = "default";
/// The kind of the documents that say who belongs to a tenant.
pub const MEMBER: &str = "member";
/// The kind of the documents that stand for tenants themselves.
pub const TENANT: &str = "tenant";
/// Who made or revoked a key where no key was needed.
pub const COMMAND_LINE: &str = "command line";

/// A key as it is stored. The key itself is nowhere.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Identifier, for logs and for revoking.
    pub id: String,
    /// Its owner's name for it.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// What its holder is at most.
    pub role: Role,
    /// What it may be used for.
    pub scopes: Scopes,
    /// The member that it was made for.
    pub member: Option<String>,
    /// What its holder is now: what its member is, where that is less than what it was made with. Without a member who is
    /// there nothing.
    pub present_role: Option<Role>,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// From when on it does not count, in Unix seconds.
    pub expires_at: Option<i64>,
    /// When it was revoked, in Unix seconds.
    pub revoked_at: Option<i64>,
}

/// A key that somebody asks for.
#[derive(Debug, Clone)]
pub struct KeyOrder {
    /// Its name, of which a tenant has one active one.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// What its holder is.
    pub role: Role,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it is asked for, in Unix seconds: the one reading of the clock that its life is counted from.
    pub asked_at: i64,
    /// From when on it does not count, in Unix seconds.
    pub expires_at: Option<i64>,
    /// The member that it is for.
    pub member: Option<String>,
    /// For the audit: the id of the key that asks, or [`COMMAND_LINE`].
    pub actor: String,
}

impl KeyOrder {
    /// A user's key for inference, of the default tenant, without an end.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            tenant: DEFAULT_TENANT.to_owned(),
            role: Role::User,
            scopes: Scope::Inference.into(),
            asked_at: now(),
            expires_at: None,
            member: None,
            actor: COMMAND_LINE.to_owned(),
        }
    }
}

impl Store {
    /// Makes a key. It is shown once, here: only its digest is kept.
    pub async fn create_key(&self, order: &KeyOrder) -> Result<NewKey, StoreError> {
        let key = NewKey::generate();
        let (mut transaction, revision) = self.begin(Line::Store).await?;
        check_owner(&mut transaction, order).await?;
        // The name of a key that has expired is free.
        sqlx::query(
            "UPDATE api_keys SET revoked_at = expires_at
             WHERE tenant = $1 AND name = $2 AND revoked_at IS NULL AND expires_at <= $3",
        )
        .bind(&order.tenant)
        .bind(&order.name)
        .bind(order.asked_at)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO api_keys (id, name, tenant, role, scopes, member, digest, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&key.id)
        .bind(&order.name)
        .bind(&order.tenant)
        .bind(order.role.as_str())
        .bind(order.scopes.to_string())
        .bind(&order.member)
        .bind(Sha256::digest(key.secret.as_bytes()).to_vec())
        .bind(order.asked_at)
        .bind(order.expires_at)
        .execute(&mut *transaction)
        .await
        .map_err(|error| match error.as_database_error() {
            Some(e) if e.is_unique_violation() => StoreError::NameTaken(order.name.clone()),
            _ => error.into(),
        })?;
        let detail = json!({
            "id": key.id, "role": order.role.as_str(), "scopes": order.scopes.to_string(),
            "expires_at": order.expires_at, "member": order.member,
        });
        let audit = key_audit(&order.tenant, &order.actor, "create", &order.name, detail.to_string());
        write_audit(&mut transaction, revision, &audit).await?;
        transaction.commit().await?;
        Ok(key)
    }

    /// All keys, oldest first, revoked ones too.
    pub async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let select = sqlx::query(
            "SELECT api_keys.*, documents.body AS member_body FROM api_keys LEFT JOIN documents
             ON documents.tenant = api_keys.tenant AND documents.kind = $1 AND documents.name = api_keys.member
             ORDER BY api_keys.created_at, api_keys.id",
        );
        let rows = select.bind(MEMBER).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(key_from_row).collect::<Result<_, _>>()?)
    }

    /// Revokes the active key of a tenant with this name or id, for `actor`.
    pub async fn revoke_key(&self, tenant: &str, name_or_id: &str, actor: &str) -> Result<(), StoreError> {
        let (mut transaction, revision) = self.begin(Line::Store).await?;
        let row = sqlx::query(
            "UPDATE api_keys SET revoked_at = $1
             WHERE tenant = $2 AND (id = $3 OR name = $3) AND revoked_at IS NULL RETURNING id, name",
        )
        .bind(now())
        .bind(tenant)
        .bind(name_or_id)
        .fetch_optional(&mut *transaction)
        .await?;
        let unknown = || StoreError::UnknownKey { tenant: tenant.to_owned(), name: name_or_id.to_owned() };
        let row = row.ok_or_else(unknown)?;
        let (id, name): (String, String) = (row.try_get("id")?, row.try_get("name")?);
        let audit = key_audit(tenant, actor, "revoke", &name, json!({ "id": id }).to_string());
        write_audit(&mut transaction, revision, &audit).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Revokes keys of a tenant as a part of a write: those of a member, or all.
pub(super) async fn revoke_keys(
    transaction: &mut Transaction<'_, Any>,
    tenant: &str,
    member: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE api_keys SET revoked_at = $1
         WHERE tenant = $2 AND ($3 IS NULL OR member = $3) AND revoked_at IS NULL",
    )
    .bind(now())
    .bind(tenant)
    .bind(member)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// A key is for a tenant and a member who are there. Both take their keys with them, so that nobody who comes later by the
/// same name finds them.
async fn check_owner(transaction: &mut Transaction<'_, Any>, order: &KeyOrder) -> Result<(), StoreError> {
    let tenant = &order.tenant;
    let mut has = async |kind: &str, name: &str| {
        let select = "SELECT revision FROM documents WHERE tenant = $1 AND kind = $2 AND name = $3";
        let select = sqlx::query_scalar::<_, i64>(select).bind(tenant).bind(kind).bind(name);
        Ok::<_, StoreError>(select.fetch_optional(&mut **transaction).await?.is_some())
    };
    if tenant != DEFAULT_TENANT && !has(TENANT, tenant).await? {
        return Err(StoreError::UnknownTenant(tenant.clone()));
    }
    match &order.member {
        Some(member) if !has(MEMBER, member).await? => {
            Err(StoreError::UnknownMember { tenant: tenant.clone(), name: member.clone() })
        }
        _ => Ok(()),
    }
}

fn key_audit(tenant: &str, actor: &str, action: &str, name: &str, detail: String) -> NewAudit {
    NewAudit {
        tenant: tenant.to_owned(),
        actor: actor.to_owned(),
        action: action.to_owned(),
        kind: "key".to_owned(),
        name: name.to_owned(),
        detail,
    }
}

fn key_from_row(row: &AnyRow) -> Result<ApiKey, sqlx::Error> {
    let wrong = |what: &str| sqlx::Error::Decode(format!("a key's {what} cannot be read").into());
    let digest: Vec<u8> = row.try_get("digest")?;
    let (role, scopes): (String, String) = (row.try_get("role")?, row.try_get("scopes")?);
    let role = Role::parse(&role).ok_or_else(|| wrong("role"))?;
    let member: Option<String> = row.try_get("member")?;
    let member_body: Option<String> = row.try_get("member_body")?;
    let present_role = match &member {
        None => Some(role),
        Some(_) => member_body.and_then(|body| role_of(&body)).map(|present| present.min(role)),
    };
    Ok(ApiKey {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        tenant: row.try_get("tenant")?,
        role,
        scopes: Scopes::parse(&scopes).ok_or_else(|| wrong("list of scopes"))?,
        member,
        present_role,
        digest: digest.try_into().map_err(|_| wrong("digest"))?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

/// What a member is.
fn role_of(body: &str) -> Option<Role> {
    let said: serde_json::Value = serde_json::from_str(body).ok()?;
    Role::parse(said.get("role")?.as_str()?)
}
