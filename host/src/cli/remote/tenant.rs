//! `airlock tenant create|set|delete`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    GatewayArgs, amend, prompt,
    table::{Output, OutputArgs, json as print_json},
};
use crate::{
    cli::{Failure, say},
    config::Env,
};

#[derive(Args)]
pub(crate) struct TenantArgs {
    #[command(subcommand)]
    command: TenantCommand,
}

#[derive(Subcommand)]
enum TenantCommand {
    /// Make a tenant. `airlock keys create NAME --tenant T --role admin --url URL` makes its first key.
    Create {
        /// Its name
        name: String,
        /// For people
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// A limit, such as adaptors=5; may be given several times [default: the gateway's]
        #[arg(long = "quota", value_name = "NAME=N", value_parser = limit)]
        quota: Vec<Limit>,
        #[command(flatten)]
        gateway: GatewayArgs,
        #[command(flatten)]
        form: OutputArgs,
    },
    /// Change what is said of a tenant: what is named, and nothing else.
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Set {
        /// Its name
        name: String,
        /// For people
        #[arg(long, value_name = "TEXT", group = "change")]
        description: Option<String>,
        /// A limit, such as adaptors=5; NAME=default takes it away; may be given several times
        #[arg(long = "quota", value_name = "NAME=N", value_parser = limit, group = "change")]
        quota: Vec<Limit>,
        #[command(flatten)]
        gateway: GatewayArgs,
        #[command(flatten)]
        form: OutputArgs,
    },
    /// Delete a tenant with all that it has; its keys are revoked.
    Delete {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        gateway: GatewayArgs,
    },
}

/// A limit by its name, which the gateway knows; without a number the one where nothing is said.
type Limit = (String, Option<u64>);

fn limit(text: &str) -> Result<Limit, String> {
    let read = || {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
        let value = if value == "default" { None } else { Some(value.parse().ok()?) };
        Some((name.to_owned(), value))
    };
    read()
        .ok_or_else(|| "it is a name and a whole number, such as adaptors=5, or adaptors=default".to_owned())
}

/// Puts what was named into what is said of a tenant.
fn fill(spec: &mut Map<String, Value>, description: Option<String>, limits: Vec<Limit>) {
    if let Some(description) = description {
        spec.insert("description".to_owned(), description.into());
    }
    let quota = spec.entry("quota").or_insert_with(|| json!({}));
    for (name, limit) in limits {
        match (quota.as_object_mut(), limit) {
            (Some(quota), Some(limit)) => drop(quota.insert(name, limit.into())),
            (Some(quota), None) => drop(quota.remove(&name)),
            (None, _) => {}
        }
    }
}

pub(crate) fn run(args: TenantArgs, env: &Env) -> Result<(), Failure> {
    match args.command {
        TenantCommand::Create { name, description, quota, gateway, form } => {
            let mut order = Map::new();
            order.insert("name".to_owned(), json!(name));
            fill(&mut order, description, quota);
            let client = gateway.client(env)?;
            let answer = client.ask(Method::POST, &["tenants"]).json(&Value::Object(order)).send()?;
            let done = if answer.status == 201 { "made" } else { "there already" };
            told(&answer.good()?, &name, done, form.output)?;
        }
        TenantCommand::Set { name, description, quota, gateway, form } => {
            let change = |spec: &mut Map<String, Value>| fill(spec, description, quota);
            let answer = amend(&gateway.client(env)?, &["tenants", &name], change)?;
            told(&answer, &name, "changed", form.output)?;
        }
        TenantCommand::Delete { name, yes, gateway } => {
            let client = gateway.client(env)?;
            let question = format!("delete the tenant {name} with all that it has?");
            if !yes && !prompt::is_sure(&question, "say --yes to delete it")? {
                return Err(Failure::new("nothing was deleted"));
            }
            client.ask(Method::DELETE, &["tenants", &name]).send()?.good()?;
            say(format_args!("the tenant {name} is deleted"));
        }
    }
    Ok(())
}

fn told(answer: &Value, name: &str, done: &str, output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => print_json(answer),
        Output::Table => {
            say(format_args!("the tenant {name} is {done}"));
            Ok(())
        }
    }
}
