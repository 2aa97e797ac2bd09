//! `airlock tenant create|delete`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use super::{GatewayArgs, prompt};
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
        #[command(flatten)]
        gateway: GatewayArgs,
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

pub(crate) fn run(args: TenantArgs, env: &Env) -> Result<(), Failure> {
    match args.command {
        TenantCommand::Create { name, description, gateway } => {
            let order = json!({ "name": name, "description": description.unwrap_or_default() });
            let answer = gateway.client(env)?.ask(Method::POST, &["tenants"]).json(&order).send()?;
            let done = if answer.status == 201 { "made" } else { "there already" };
            answer.good()?;
            say(format_args!("the tenant {name} is {done}"));
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
