//! `airlock keys create|list|revoke`

use std::io::IsTerminal as _;

use clap::{Args, Subcommand};

use super::{Failure, print, say, store::StoreArgs};
use crate::{
    auth::{Role, Scope},
    config::Env,
    store::{ApiKey, COMMAND_LINE, DEFAULT_TENANT, KeyOrder, Store, now},
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
    /// List keys, revoked ones too: id, name, made, state, tenant, role, scopes, expiry; separated by tabs.
    List {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Revoke a key, by name or id. A running gateway refuses it within a second.
    Revoke {
        /// The key's name or id
        key: String,
        /// Whose key it is
        #[arg(long, value_name = "T", default_value = DEFAULT_TENANT)]
        tenant: String,
        #[command(flatten)]
        store: StoreArgs,
    },
}

#[derive(Args)]
struct CreateArgs {
    /// A name, for the log and for `revoke`
    name: String,
    /// Whose key it is
    #[arg(long, value_name = "T", default_value = DEFAULT_TENANT)]
    tenant: String,
    /// What its holder is: user, developer, admin (of the tenant) or operator (of the gateway)
    #[arg(long, value_name = "R", default_value = Role::User.as_str(), value_parser = role)]
    role: Role,
    /// What it may be used for: inference, read, write; may be given several times [default: inference]
    #[arg(long = "scope", value_name = "S", value_parser = scope)]
    scopes: Vec<Scope>,
    /// How long it counts, such as 30d, 12h, 90m or 45s [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires_in: Option<u32>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Longest name of a key, in bytes.
const MAX_NAME: usize = 100;

pub(super) async fn run(args: KeysArgs, env: &Env) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Create(args) => create(args, env).await,
        KeysCommand::List { store } => list(store.open(env).await?).await,
        KeysCommand::Revoke { key, tenant, store } => {
            let store = store.open(env).await?;
            store.revoke_key(&tenant, &key, COMMAND_LINE).await.map_err(Failure::new)?;
            say(format_args!("{key} is revoked"));
            store.close().await;
            Ok(())
        }
    }
}

async fn create(args: CreateArgs, env: &Env) -> Result<(), Failure> {
    for (what, text) in [("name", &args.name), ("tenant", &args.tenant)] {
        let usable = !text.trim().is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control);
        if !usable {
            return Err(Failure::new(format_args!(
                "a key's {what} is 1 to {MAX_NAME} bytes long and holds no control characters"
            )));
        }
    }
    let basic = KeyOrder::named(&args.name);
    let order = KeyOrder {
        tenant: args.tenant,
        role: args.role,
        scopes: if args.scopes.is_empty() { basic.scopes } else { args.scopes.into_iter().collect() },
        expires_at: args.expires_in.map(|seconds| now() + i64::from(seconds)),
        ..basic
    };
    let store = args.store.open(env).await?;
    let key = store.create_key(&order).await.map_err(Failure::new)?;
    store.close().await;
    if std::io::stdout().is_terminal() {
        say("keep this key; it is not shown again:");
    }
    print(key.secret)
}

async fn list(store: Store) -> Result<(), Failure> {
    let keys = store.keys().await.map_err(Failure::new)?;
    store.close().await;
    if keys.is_empty() {
        say("there are no keys; `airlock keys create NAME` makes one");
    }
    for key in keys {
        let state = state(&key);
        let ApiKey { id, name, created_at, tenant, role, scopes, expires_at, .. } = key;
        let expiry = expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let role = role.as_str();
        print(format_args!("{id}\t{name}\t{created_at}\t{state}\t{tenant}\t{role}\t{scopes}\t{expiry}"))?;
    }
    Ok(())
}

fn state(key: &ApiKey) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(end)) if end <= now() => "expired".to_owned(),
        (None, _) => "active".to_owned(),
    }
}

fn role(text: &str) -> Result<Role, String> {
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
