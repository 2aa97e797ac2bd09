//! `airlock check`

use super::{Failure, SettingsArgs, say};
use airlock_sandbox::CacheKey;

use crate::{config::Env, gateway, process, store};

pub(super) async fn run(args: SettingsArgs, env: &Env) -> Result<(), Failure> {
    let settings = args.load(env)?;
    // As `serve`, so that a file that it could not read is found now.
    let notes = process::confine_as_set(&settings).map_err(Failure::new)?;
    notes.iter().for_each(|note| say(format_args!("warning: {note}")));
    let cache_key = store::existing_cache_key(&settings.data).map_err(Failure::new)?.map(CacheKey);
    let checked = gateway::check(&settings, env, cache_key).await;
    let checked = checked.map_err(|error| Failure::to_load(error, settings.process.confine))?;
    let catalog = checked;
    say(format_args!(
        "{}: {} cluster(s), {} endpoint(s), {} federated endpoint(s), all in order",
        settings.fixtures.display(),
        catalog.clusters().len(),
        catalog.endpoints().count(),
        catalog.federated_count(),
    ));
    Ok(())
}
