//! `airlock route`

use clap::Args;
use serde_json::Value;

use super::{
    RemoteArgs,
    table::{Output, OutputArgs, json, plain},
};
use crate::{
    cli::{Failure, print},
    config::Env,
};

#[derive(Args)]
pub(crate) struct RouteArgs {
    /// The model, as a client would name it
    model: String,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    form: OutputArgs,
}

pub(crate) fn run(args: &RouteArgs, env: &Env) -> Result<(), Failure> {
    let route = args.remote.open(env)?.get(&["routes", &args.model])?;
    if args.form.output == Output::Json {
        return json(&route);
    }
    print(plain(route.get("why").and_then(Value::as_str).unwrap_or_default()))?;
    let endpoints = route.get("endpoints").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let columns = [
        ("ENDPOINT", "/endpoint"),
        ("CLUSTER", "/cluster"),
        ("FRAMEWORK", "/framework"),
        ("MODEL", "/model"),
        ("ADAPTOR", "/adaptor/live"),
        ("ON TRIAL", "/adaptor/canary/digest"),
        ("WEIGHT", "/weight"),
        ("OPEN", "/open_requests"),
        ("RESTS", "/rests_seconds"),
        ("MAINTENANCE", "/maintenance"),
    ];
    args.form.output.list(&columns, endpoints)
}
