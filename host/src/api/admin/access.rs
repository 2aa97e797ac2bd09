//! Who may do what to which tenant. To whom a tenant is none of their business, it does not exist.

use axum::http::HeaderMap;

use crate::{
    api::error::{ApiError, ErrorKind},
    auth::{Caller, Role, Scope},
    gateway::Gateway,
};

/// A caller who may do this to this tenant.
pub(super) struct Allowed {
    pub(super) caller: Caller,
    pub(super) tenant: String,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To see what there is.
    Read,
    /// To change adaptors, clusters, endpoints and secrets.
    Define,
    /// To change members, keys and the like.
    Manage,
    /// To see what members have used.
    Account,
    /// To see what all tenants have used.
    Survey,
    /// To change tenants themselves.
    Operate,
}

impl Wish {
    const fn needs(self) -> (Role, Scope) {
        match self {
            Self::Read => (Role::Developer, Scope::Read),
            Self::Define => (Role::Developer, Scope::Write),
            Self::Manage => (Role::Admin, Scope::Write),
            Self::Account => (Role::Admin, Scope::Read),
            Self::Survey => (Role::Operator, Scope::Read),
            Self::Operate => (Role::Operator, Scope::Write),
        }
    }
}

/// Lets pass who may do this to this tenant.
pub(super) async fn allow(
    gateway: &Gateway,
    headers: &HeaderMap,
    tenant: &str,
    wish: Wish,
) -> Result<Allowed, ApiError> {
    let caller = gateway.callers().authenticate(headers).await?;
    let is_own = *caller.tenant == *tenant || caller.role == Role::Operator;
    if !is_own || !gateway.tenants().has(tenant) {
        return Err(no_tenant(tenant));
    }
    let (role, scope) = wish.needs();
    if caller.role < role {
        let message =
            format!("This needs the role `{}`; the key has `{}`.", role.as_str(), caller.role.as_str());
        return Err(ApiError::new(ErrorKind::Forbidden, message));
    }
    if !caller.scopes.contains(scope) {
        let message = format!("This needs a key with the scope `{}`.", scope.as_str());
        return Err(ApiError::new(ErrorKind::InsufficientScope, message));
    }
    Ok(Allowed { caller, tenant: tenant.to_owned() })
}

/// The same answer whether there is no such tenant or it is another's.
pub(super) fn no_tenant(tenant: &str) -> ApiError {
    ApiError::new(ErrorKind::ResourceNotFound, format!("There is no tenant `{tenant}`."))
}
