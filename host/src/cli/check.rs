//! `airlock check`

use super::{Failure, SettingsArgs, say};
use crate::{config::Env, gateway};

pub(super) async fn run(args: SettingsArgs, env: &Env) -> Result<(), Failure> {
    let settings = args.load(env)?;
    let checked = gateway::check(&settings, env).await.map_err(Failure::new)?;
    let catalog = &checked.catalog;
    say(format_args!(
        "{}: {} cluster(s), {} endpoint(s), {} federated endpoint(s), all in order",
        settings.fixtures.display(),
        catalog.cluster_count(),
        catalog.endpoints().count(),
        catalog.all_federated().count(),
    ));
    Ok(())
}
