//! `airlock secret set|delete`

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::{RemoteArgs, prompt};
use crate::{
    cli::{Failure, say},
    config::Env,
};

#[derive(Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret. Its value comes from standard input, or is asked for; it can never be read again.
    Set {
        /// Its name, for `api_key_secret` of endpoints
        name: String,
        /// The only origin that it is sent to, such as https://api.example.org
        #[arg(long, value_name = "URL")]
        origin: String,
        /// The header that carries it; `authorization` carries it as `Bearer`
        #[arg(long, value_name = "NAME", default_value = "authorization")]
        header: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Delete a secret. Refused where an endpoint needs it.
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
}

pub(crate) fn run(command: SecretCommand, env: &Env) -> Result<(), Failure> {
    match command {
        SecretCommand::Set { name, origin, header, remote } => {
            let own = remote.open(env)?;
            let value = prompt::secret("the secret's value")?;
            let order = json!({ "value": value, "origin": origin, "header": header });
            own.ask(Method::PUT, &["secrets", &name]).json(&order).send()?.good()?;
            say(format_args!("the secret {name} is set"));
        }
        SecretCommand::Delete { name, remote } => {
            remote.open(env)?.ask(Method::DELETE, &["secrets", &name]).send()?.good()?;
            say(format_args!("the secret {name} is deleted"));
        }
    }
    Ok(())
}
