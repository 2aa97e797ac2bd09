//! Keys over the API, for `airlock keys … --url`.

use http::Method;
use serde_json::{Value, json};

use super::{Own, get, table::Output};
use crate::{
    auth::{Role, Scope},
    cli::Failure,
};

/// A key that is wanted.
pub(crate) struct NewKey<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) scopes: &'a [Scope],
    pub(crate) expires_in: Option<u32>,
    pub(crate) member: Option<&'a str>,
}

/// Makes a key and returns it.
pub(crate) fn create(own: &Own, new: &NewKey<'_>) -> Result<String, Failure> {
    let mut order = json!({
        "name": new.name, "role": new.role.as_str(), "expires_in_seconds": new.expires_in, "member": new.member,
    });
    if let (false, Some(order)) = (new.scopes.is_empty(), order.as_object_mut()) {
        let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
        order.insert("scopes".to_owned(), scopes.into());
    }
    let made = own.ask(Method::POST, &["keys"]).json(&order).send()?.good()?;
    let key = made.get("key").and_then(Value::as_str);
    key.map(str::to_owned).ok_or_else(|| Failure::new("the gateway's answer holds no key"))
}

pub(crate) fn list(own: &Own, output: Output) -> Result<(), Failure> {
    get::keys(own, output)
}

pub(crate) fn revoke(own: &Own, key: &str) -> Result<(), Failure> {
    own.ask(Method::DELETE, &["keys", key]).send()?.good().map(drop)
}
