//! `airlock keys create|list|revoke`

use std::{io::IsTerminal as _, path::PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Failure, print, remote, say, store::StoreArgs, wait};
use crate::{
    auth::{Role, Scope},
    config::Env,
    store::{ApiKey, COMMAND_LINE, DEFAULT_TENANT, KeyOrder, now},
};

#[derive(Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make a key. It is printed once, alone, on standard output; only its digest is stored.
    Create(CreateArgs),
    /// List keys, revoked ones too: id, name, made, state, tenant, role, scopes, expiry, member; separated by tabs.
    List {
        /// Another form: of the store as above where nothing is said, of a gateway a table
        #[arg(long, short, value_name = "FORM", value_enum)]
        output: Option<remote::Output>,
        /// Whose keys, with --url [default: AIRLOCK_TENANT, else the only tenant that the key sees]
        #[arg(long, value_name = "T", requires = "url")]
        tenant: Option<String>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Revoke a key, by name or id. A running gateway refuses it within a second.
    Revoke {
        /// The key's name or id
        key: String,
        /// Whose key it is [default: `default`; with --url AIRLOCK_TENANT, else the only tenant that the key sees]
        #[arg(long, value_name = "T")]
        tenant: Option<String>,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Where keys are: in the store, where a gateway need not run, or with a gateway that does. AIRLOCK_URL does not decide
/// it, so that nobody makes a key in another place than they believe.
#[derive(Args)]
struct PlaceArgs {
    /// Over the API of the gateway at this address, instead of on the store; the key for it is in AIRLOCK_KEY
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "data", "database"])]
    url: Option<String>,
    /// A file that holds the key for --url [default: the key in AIRLOCK_KEY]
    #[arg(long, value_name = "FILE", requires = "url")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

impl PlaceArgs {
    /// The gateway's part of a tenant, where a gateway is meant.
    fn remote(&self, tenant: Option<&str>, env: &Env) -> Result<Option<remote::Own>, Failure> {
        let Some(url) = &self.url else { return Ok(None) };
        let client = remote::connect(url, self.key_file.as_deref(), env)?;
        remote::Own::of(client, tenant.or_else(|| env.get("AIRLOCK_TENANT"))).map(Some)
    }
}

#[derive(Args)]
struct CreateArgs {
    /// A name, for the log and for `revoke`
    name: String,
    /// Whose key it is [default: `default`; with --url AIRLOCK_TENANT, else the only tenant that the key sees]
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// What its holder is: user, developer, admin (of the tenant) or operator (of the gateway)
    #[arg(long, value_name = "R", default_value = Role::User.as_str(), value_parser = role)]
    role: Role,
    /// What it may be used for: inference, read, write; may be given several times [default: inference]
    #[arg(long = "scope", value_name = "S", value_parser = scope)]
    scopes: Vec<Scope>,
    /// The member of the tenant that it is for: it may never do more than they may, and goes when they go
    #[arg(long, value_name = "M")]
    member: Option<String>,
    /// How long it counts, such as 30d, 12h, 90m or 45s [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires_in: Option<u32>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Longest name of a key, in bytes.
const MAX_NAME: usize = 100;

pub(super) fn run(args: KeysArgs, env: &Env) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Create(args) => create(args, env),
        KeysCommand::List { output, tenant, place } => match place.remote(tenant.as_deref(), env)? {
            Some(own) => remote::list_keys(&own, output.unwrap_or(remote::Output::Table)),
            None => wait(list(place.store, output, env)),
        },
        KeysCommand::Revoke { key, tenant, place } => {
            match place.remote(tenant.as_deref(), env)? {
                Some(own) => remote::revoke_key(&own, &key)?,
                None => wait(revoke(place.store, tenant, &key, env))?,
            }
            say(format_args!("{key} is revoked"));
            Ok(())
        }
    }
}

fn create(args: CreateArgs, env: &Env) -> Result<(), Failure> {
    for (what, text) in [("name", Some(&args.name)), ("tenant", args.tenant.as_ref())] {
        let is_usable = |text: &String| {
            !text.trim().is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control)
        };
        if !text.is_none_or(is_usable) {
            return Err(Failure::new(format_args!(
                "a key's {what} is 1 to {MAX_NAME} bytes long and holds no control characters"
            )));
        }
    }
    let key = match args.place.remote(args.tenant.as_deref(), env)? {
        Some(own) => {
            let CreateArgs { name, role, scopes, expires_in, member, .. } = &args;
            let (role, expires_in, member) = (*role, *expires_in, member.as_deref());
            remote::create_key(&own, &remote::NewKey { name, role, scopes, expires_in, member })?
        }
        None => return wait(create_in_store(args, env)),
    };
    show(key)
}

async fn create_in_store(args: CreateArgs, env: &Env) -> Result<(), Failure> {
    let basic = KeyOrder::named(&args.name);
    let order = KeyOrder {
        tenant: args.tenant.unwrap_or(basic.tenant),
        role: args.role,
        scopes: if args.scopes.is_empty() { basic.scopes } else { args.scopes.into_iter().collect() },
        expires_at: args.expires_in.map(|seconds| basic.asked_at + i64::from(seconds)),
        member: args.member,
        ..basic
    };
    let store = args.place.store.open(env).await?;
    let key = store.create_key(&order).await.map_err(Failure::new)?;
    store.close().await;
    show(key.secret)
}

fn show(key: String) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() {
        say("keep this key; it is not shown again:");
    }
    print(key)
}

async fn revoke(store: StoreArgs, tenant: Option<String>, key: &str, env: &Env) -> Result<(), Failure> {
    let store = store.open(env).await?;
    let tenant = tenant.as_deref().unwrap_or(DEFAULT_TENANT);
    store.revoke_key(tenant, key, COMMAND_LINE).await.map_err(Failure::new)?;
    store.close().await;
    Ok(())
}

async fn list(store: StoreArgs, output: Option<remote::Output>, env: &Env) -> Result<(), Failure> {
    let store = store.open(env).await?;
    let keys = store.keys().await.map_err(Failure::new)?;
    store.close().await;
    if keys.is_empty() {
        say("there are no keys; `airlock keys create NAME` makes one");
    }
    if let Some(output) = output {
        return output.list(COLUMNS, &keys.iter().map(as_json).collect::<Vec<_>>());
    }
    for key in keys {
        let state = state(&key);
        let ApiKey { id, name, created_at, tenant, role, scopes, expires_at, member, .. } = key;
        let expiry = expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let (role, member) = (role.as_str(), member.as_deref().unwrap_or("-"));
        print(format_args!(
            "{id}\t{name}\t{created_at}\t{state}\t{tenant}\t{role}\t{scopes}\t{expiry}\t{member}"
        ))?;
    }
    Ok(())
}

const COLUMNS: &[(&str, &str)] = &[
    ("NAME", "/name"),
    ("ID", "/id"),
    ("TENANT", "/tenant"),
    ("ROLE", "/role"),
    ("SCOPES", "/scopes"),
    ("MEMBER", "/member"),
    ("EXPIRES", "/expires_at"),
    ("REVOKED", "/revoked_at"),
];

/// As the API shows it.
fn as_json(key: &ApiKey) -> Value {
    let time = |at: i64| Some(Timestamp::from_second(at).ok()?.to_string());
    json!({
        "object": "key", "id": key.id, "name": key.name, "tenant": key.tenant, "role": key.role.as_str(),
        "scopes": key.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(), "member": key.member,
        "created_at": time(key.created_at), "expires_at": key.expires_at.and_then(time),
        "revoked_at": key.revoked_at.and_then(time),
    })
}

fn state(key: &ApiKey) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(end)) if end <= now() => "expired".to_owned(),
        (None, _) => "active".to_owned(),
    }
}

pub(super) fn role(text: &str) -> Result<Role, String> {
    let words = Role::ALL.map(Role::as_str).join(", ");
    Role::parse(text).ok_or_else(|| format!("it is one of {words}"))
}

fn scope(text: &str) -> Result<Scope, String> {
    let words = Scope::ALL.map(Scope::as_str).join(", ");
    Scope::parse(text).ok_or_else(|| format!("it is one of {words}"))
}

/// A number and its unit.
fn seconds(text: &str) -> Result<u32, String> {
    let units = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    let read = || {
        let (unit, seconds) = units.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
        text.strip_suffix(unit)?.parse::<u32>().ok()?.checked_mul(seconds).filter(|n| *n > 0)
    };
    read().ok_or_else(|| "it is a number with its unit, such as 30d, 12h, 90m or 45s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_units() {
        for (text, expected) in [("30d", 2_592_000), ("12h", 43_200), ("90m", 5_400), ("45s", 45)] {
            assert_eq!(seconds(text), Ok(expected));
        }
        for bad in ["", "d", "30", "0d", "-1d", "1w", "1.5h", "99999999d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
