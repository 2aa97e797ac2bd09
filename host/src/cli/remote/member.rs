//! `airlock member add|set|list|remove`

use clap::{Args, Subcommand};
use http::{Method, header};
use serde_json::{Map, Value, json};

use super::{
    RemoteArgs, amend, get,
    table::{Output, OutputArgs},
};
use crate::{
    auth::Role,
    cli::{Failure, keys::role, say},
    config::Env,
};

#[derive(Args)]
pub(crate) struct MemberArgs {
    #[command(subcommand)]
    command: MemberCommand,
}

#[derive(Subcommand)]
enum MemberCommand {
    /// Add a member. `airlock keys create NAME --member M` makes keys for them.
    Add {
        /// Their name
        name: String,
        /// What they are: user, developer, admin (of the tenant) or operator (of the gateway)
        #[arg(long, value_name = "R", default_value = Role::User.as_str(), value_parser = role)]
        role: Role,
        /// For people
        #[arg(long, value_name = "TEXT")]
        email: Option<String>,
        #[command(flatten)]
        remote: RemoteArgs,
        #[command(flatten)]
        form: OutputArgs,
    },
    /// Change a member. Their keys may do what the new role may, within a second and without new keys.
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Set {
        /// Their name
        name: String,
        /// What they are from now on
        #[arg(long, value_name = "R", value_parser = role, group = "change")]
        role: Option<Role>,
        /// For people
        #[arg(long, value_name = "TEXT", group = "change")]
        email: Option<String>,
        #[command(flatten)]
        remote: RemoteArgs,
        #[command(flatten)]
        form: OutputArgs,
    },
    /// List a tenant's members.
    List {
        #[command(flatten)]
        remote: RemoteArgs,
        #[command(flatten)]
        form: OutputArgs,
    },
    /// Remove a member. Their keys are revoked.
    Remove {
        /// Their name
        name: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
}

pub(crate) fn run(args: MemberArgs, env: &Env) -> Result<(), Failure> {
    match args.command {
        MemberCommand::Add { name, role, email, remote, form } => {
            let mut spec = Map::new();
            fill(&mut spec, Some(role), email);
            let own = remote.open(env)?;
            let ask = own.ask(Method::PUT, &["members", &name]).header(header::IF_NONE_MATCH, "*");
            let answer = ask.json(&Value::Object(spec)).send()?;
            if answer.status == 409 {
                return Err(Failure::new(format_args!(
                    "there is another member {name} already: `airlock member set {name}` changes them"
                )));
            }
            let done = if answer.status == 201 { "a member" } else { "a member already" };
            told(&answer.good()?, &name, done, form.output)
        }
        MemberCommand::Set { name, role, email, remote, form } => {
            let own = remote.open(env)?;
            let path = own.path(&["members", &name]);
            let answer = amend(&own.client, &path, |spec| fill(spec, role, email))?;
            told(&answer, &name, "changed", form.output)
        }
        MemberCommand::List { remote, form } => get::members(&remote.open(env)?, form.output),
        MemberCommand::Remove { name, remote } => {
            remote.open(env)?.ask(Method::DELETE, &["members", &name]).send()?.good()?;
            say(format_args!("{name} is removed, and their keys are revoked"));
            Ok(())
        }
    }
}

fn fill(spec: &mut Map<String, Value>, role: Option<Role>, email: Option<String>) {
    if let Some(role) = role {
        spec.insert("role".to_owned(), json!(role.as_str()));
    }
    if let Some(email) = email {
        spec.insert("email".to_owned(), json!(email));
    }
}

fn told(answer: &Value, name: &str, done: &str, output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => super::table::json(answer),
        Output::Table => {
            say(format_args!("{name} is {done}"));
            Ok(())
        }
    }
}
