//! `airlock get` and `airlock delete`: everything that the admin API lists.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use http::Method;
use serde_json::Value;

use super::{
    Own, RemoteArgs,
    table::{self, Column, Output, OutputArgs},
};
use crate::{
    cli::{Failure, say},
    config::Env,
};

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    #[value(alias = "cluster")]
    Clusters,
    #[value(alias = "endpoint")]
    Endpoints,
    Federated,
    Maintenance,
    #[value(alias = "member")]
    Members,
    #[value(alias = "secret")]
    Secrets,
    #[value(alias = "signer")]
    Signers,
    #[value(alias = "key")]
    Keys,
    #[value(alias = "adaptor")]
    Adaptors,
    #[value(alias = "tenant")]
    Tenants,
    Audit,
}

#[derive(Args)]
pub(crate) struct GetArgs {
    /// What to list
    what: What,
    /// One of them, shown in full as JSON
    name: Option<String>,
    /// At most so many [default: 50 of audit, else all]
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    form: OutputArgs,
}

#[derive(Args)]
pub(crate) struct DeleteArgs {
    /// What it is
    what: What,
    /// Its name
    name: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl What {
    /// The API's word for the list.
    const fn path(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Endpoints => "endpoints",
            Self::Federated => "federated",
            Self::Maintenance => "maintenance",
            Self::Members => "members",
            Self::Secrets => "secrets",
            Self::Signers => "signers",
            Self::Keys => "keys",
            Self::Adaptors => "adaptors",
            Self::Tenants => "tenants",
            Self::Audit => "audit",
        }
    }

    const fn columns(self) -> &'static [Column] {
        match self {
            Self::Clusters => &[
                ("NAME", "/name"),
                ("ADAPTOR", "/spec/cluster_adapter"),
                ("FRAMEWORKS", "/spec/frameworks"),
                ("CHANGED", "/updated_at"),
            ],
            Self::Endpoints => &[
                ("NAME", "/name"),
                ("MODEL", "/spec/model"),
                ("ADAPTOR", "/spec/endpoint_adapter"),
                ("CHANGED", "/updated_at"),
            ],
            Self::Federated => {
                &[("NAME", "/name"), ("MODEL", "/spec/target_model_name"), ("CHANGED", "/updated_at")]
            }
            Self::Maintenance => &[("NAME", "/name"), ("NOTICE", "/spec/notice"), ("CHANGED", "/updated_at")],
            Self::Members => &[("NAME", "/name"), ("ROLE", "/spec/role"), ("EMAIL", "/spec/email")],
            Self::Secrets => &[
                ("NAME", "/name"),
                ("ORIGIN", "/spec/origin"),
                ("HEADER", "/spec/header"),
                ("CHANGED", "/updated_at"),
            ],
            Self::Signers => &[("NAME", "/name"), ("CHANGED", "/updated_at")],
            Self::Keys => &[
                ("NAME", "/name"),
                ("ID", "/id"),
                ("ROLE", "/role"),
                ("SCOPES", "/scopes"),
                ("MEMBER", "/member"),
                ("EXPIRES", "/expires_at"),
                ("REVOKED", "/revoked_at"),
            ],
            Self::Adaptors => &[
                ("NAME", "/name"),
                ("LIVE", "/spec/live"),
                ("ON TRIAL", "/spec/canary/version"),
                ("PERCENT", "/spec/canary/percent"),
                ("BEFORE", "/spec/previous"),
                ("CHANGED", "/updated_at"),
            ],
            Self::Tenants => {
                &[("NAME", "/name"), ("DESCRIPTION", "/spec/description"), ("MADE", "/created_at")]
            }
            Self::Audit => &[
                ("AT", "/at"),
                ("ACTOR", "/actor"),
                ("MEMBER", "/member"),
                ("ACTION", "/action"),
                ("KIND", "/kind"),
                ("NAME", "/name"),
            ],
        }
    }

    const fn most(self) -> usize {
        match self {
            Self::Audit => 50,
            _ => usize::MAX,
        }
    }
}

pub(crate) fn run(args: GetArgs, env: &Env) -> Result<(), Failure> {
    let GetArgs { what, name, limit, remote, form } = args;
    let most = limit.map_or(what.most(), NonZeroUsize::get);
    match (what, name) {
        (What::Tenants, None) => {
            form.output.list(what.columns(), &remote.gateway.client(env)?.list(&["tenants"], most)?)
        }
        (What::Tenants, Some(name)) => table::json(&remote.gateway.client(env)?.get(&["tenants", &name])?),
        (What::Audit, Some(_)) => Err(Failure::new("entries of audit have no names: leave the name out")),
        (What::Keys, Some(name)) => table::json(&key(&remote.open(env)?, &name)?),
        (_, Some(name)) => table::json(&remote.open(env)?.get(&[what.path(), &name])?),
        (_, None) => list(&remote.open(env)?, what, most, form.output),
    }
}

fn list(own: &Own, what: What, most: usize, output: Output) -> Result<(), Failure> {
    output.list(what.columns(), &own.list(&[what.path()], most)?)
}

pub(super) fn adaptors(own: &Own, output: Output) -> Result<(), Failure> {
    list(own, What::Adaptors, usize::MAX, output)
}

pub(super) fn members(own: &Own, output: Output) -> Result<(), Failure> {
    list(own, What::Members, usize::MAX, output)
}

pub(super) fn keys(own: &Own, output: Output) -> Result<(), Failure> {
    list(own, What::Keys, usize::MAX, output)
}

/// The API lists keys, and gives none alone.
fn key(own: &Own, name: &str) -> Result<Value, Failure> {
    let keys = own.list(&["keys"], usize::MAX)?;
    let is = |key: &Value, field: &str| key.get(field).and_then(Value::as_str) == Some(name);
    let found = keys.into_iter().rev().find(|key| is(key, "name") || is(key, "id"));
    found.ok_or_else(|| Failure::new(format_args!("The tenant `{}` has no key `{name}`.", own.tenant)))
}

pub(crate) fn delete(args: DeleteArgs, env: &Env) -> Result<(), Failure> {
    let DeleteArgs { what, name, remote } = args;
    match what {
        What::Tenants => Err(Failure::new("a tenant goes with all that it has: use `airlock tenant delete`")),
        What::Audit => Err(Failure::new("what was done stays written down: audit cannot be deleted")),
        what => {
            remote.open(env)?.ask(Method::DELETE, &[what.path(), &name]).send()?.good()?;
            let done = if what == What::Keys { "revoked" } else { "deleted" };
            say(format_args!("{name} is {done}"));
            Ok(())
        }
    }
}
