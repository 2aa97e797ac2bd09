//! Commands that speak to a running gateway, over its admin API.

mod adaptors;
mod apply;
mod client;
mod get;
mod keys;
mod maintenance;
mod member;
mod prompt;
mod push;
mod refusal;
mod report;
mod route;
mod secret;
mod signer;
mod table;
mod tenant;
mod usage;

use std::path::PathBuf;

use clap::Args;
use http::{Method, header};
use serde_json::{Map, Value};

pub(super) use adaptors::{AdaptorCommand, run as adaptor};
pub(super) use apply::{ApplyArgs, run as apply};
pub(super) use client::Client;
pub(super) use get::{DeleteArgs, GetArgs, delete, run as get};
pub(super) use keys::{NewKey, create as create_key, list as list_keys, revoke as revoke_key};
pub(super) use maintenance::{MaintenanceArgs, run as maintenance};
pub(super) use member::{MemberArgs, run as member};
pub(super) use push::{config_in, upload};
pub(super) use report::lines as report_lines;
pub(super) use route::{RouteArgs, run as route};
pub(super) use secret::{SecretCommand, run as secret};
pub(super) use signer::{SignerArgs, run as signer};
pub(super) use table::{Output, OutputArgs, json};
pub(super) use tenant::{TenantArgs, run as tenant};
pub(super) use usage::report as usage_report;

use self::client::Ask;
use super::Failure;
use crate::config::Env;

const DEFAULT_URL: &str = "http://127.0.0.1:8000";

/// Which gateway, and who asks.
#[derive(Args)]
pub(super) struct GatewayArgs {
    /// The gateway's address [default: AIRLOCK_URL, else http://127.0.0.1:8000]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A file that holds the key [default: the key in AIRLOCK_KEY]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl GatewayArgs {
    pub(super) fn client(&self, env: &Env) -> Result<Client, Failure> {
        let url = self.url.as_deref().or_else(|| env.get("AIRLOCK_URL")).unwrap_or(DEFAULT_URL);
        connect(url, self.key_file.as_deref(), env)
    }
}

/// A client of the gateway at `url`. There is no flag for the key itself: every account of a machine sees flags.
pub(super) fn connect(url: &str, key_file: Option<&std::path::Path>, env: &Env) -> Result<Client, Failure> {
    let key = match key_file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Failure::new(format_args!("the key in {}: {error}", file.display())))?,
        None => env.get("AIRLOCK_KEY").map(str::to_owned).ok_or_else(|| {
            Failure::new(
                "there is no key: put it into AIRLOCK_KEY, or into a file that --key-file names\n  whoever runs the \
                 gateway makes one with `airlock keys create NAME --role developer --scope read --scope write`",
            )
        })?,
    };
    Client::new(url, key.trim().to_owned())
}

/// Which gateway, who asks, and about whom.
#[derive(Args)]
pub(super) struct RemoteArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Whose things [default: AIRLOCK_TENANT, else the only tenant that the key sees]
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
}

impl RemoteArgs {
    pub(super) fn open(&self, env: &Env) -> Result<Own, Failure> {
        let client = self.gateway.client(env)?;
        Own::of(client, self.tenant.as_deref().or_else(|| env.get("AIRLOCK_TENANT")))
    }
}

/// What one tenant has.
pub(super) struct Own {
    client: Client,
    tenant: String,
}

impl Own {
    /// Of this tenant, or of the only one that the key sees.
    pub(super) fn of(client: Client, tenant: Option<&str>) -> Result<Self, Failure> {
        if let Some(tenant) = tenant {
            return Ok(Self { client, tenant: tenant.to_owned() });
        }
        let seen = client.list(&["tenants"], 10)?;
        let names: Vec<&str> =
            seen.iter().filter_map(|tenant| tenant.get("name").and_then(Value::as_str)).collect();
        match names.as_slice() {
            [only] => Ok(Self { tenant: (*only).to_owned(), client }),
            [] => Err(Failure::new("the key sees no tenant: name one with --tenant or in AIRLOCK_TENANT")),
            several => Err(Failure::new(format_args!(
                "the key sees several tenants ({}): name one with --tenant or in AIRLOCK_TENANT",
                several.join(", ")
            ))),
        }
    }

    fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        ["tenants", &self.tenant].into_iter().chain(rest.iter().copied()).collect()
    }

    fn ask(&self, method: Method, rest: &[&str]) -> Ask<'_> {
        self.client.ask(method, &self.path(rest))
    }

    fn get(&self, rest: &[&str]) -> Result<Value, Failure> {
        self.client.get(&self.path(rest))
    }

    fn list(&self, rest: &[&str], most: usize) -> Result<Vec<Value>, Failure> {
        self.client.list(&self.path(rest), most)
    }
}

/// Changes what a thing says, unless somebody else changes it at the same moment.
fn amend(
    client: &Client,
    path: &[&str],
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<Value, Failure> {
    let found = client.get(path)?;
    let mut spec = found.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    change(&mut spec);
    let ask = client.ask(Method::PUT, path).json(&Value::Object(spec));
    let ask = match found.get("revision").and_then(Value::as_i64).unwrap_or_default() {
        // What is there without anybody having made it.
        0 => ask.header(header::IF_NONE_MATCH, "*"),
        revision => ask.header(header::IF_MATCH, &format!("\"{revision}\"")),
    };
    ask.send()?.good()
}
