//! `airlock demo`: everything in one process, on the embedded default.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Failure, SettingsArgs, print, say, serve};
use crate::{
    config::Env,
    demo::{self, ModelServerConfig},
    observe,
    store::{COMMAND_LINE, DEFAULT_TENANT, KeyOrder, Store, StoreError},
};

#[derive(Args)]
pub(super) struct DemoArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Folder of the store and of the demo's fixtures
    #[arg(long, value_name = "DIR", default_value = "airlock-demo")]
    data: PathBuf,
    /// Milliseconds between two tokens of a stream
    #[arg(long, value_name = "MS", default_value_t = 20)]
    pace: u64,
    /// Folder of the bundled adaptors [default: ../adaptors, from the binary]
    #[arg(long, value_name = "DIR")]
    adaptors: Option<PathBuf>,
}

const KEY_NAME: &str = "demo";
/// The demo's model server asks for a key, so that the demo shows who holds it: the host.
const MODEL_KEY_VARIABLE: &str = "DEMO_MODEL_API_KEY";

/// The fixtures, as a newcomer would copy them; the address is filled in when they are written.
const FIXTURES: [(&str, &str); 3] = [
    ("clusters.json", include_str!("../../../fixtures/demo/clusters.json")),
    ("endpoints.json", include_str!("../../../fixtures/demo/endpoints.json")),
    ("federated_endpoints.json", include_str!("../../../fixtures/demo/federated_endpoints.json")),
];
/// What the fixtures name as the model server's address.
const WRITTEN_ADDRESS: &str = "http://127.0.0.1:8001";

pub(super) async fn run(args: DemoArgs, env: &Env) -> Result<(), Failure> {
    let model_key = crate::auth::NewKey::generate().secret;
    let env = env.clone().with(MODEL_KEY_VARIABLE, &model_key);
    let fixtures = args.data.join("fixtures");
    let settings = SettingsArgs {
        fixtures: Some(fixtures.clone()),
        data: Some(args.data),
        listen: Some(args.listen),
        adaptors: args.adaptors,
        ..SettingsArgs::default()
    };
    let mut settings = settings.load(&env)?;
    // It is all in one folder, whatever else this machine is set to.
    settings.database = None;
    // Nobody spreads requests over demos.
    settings.unready_seconds = 0;
    let listener = serve::bind(settings.listen).await?;
    let models_stop = CancellationToken::new();
    let models = start_models(args.pace, &model_key, &models_stop).await?;
    serve::give_up(&settings)?;

    let quiet = env.get("AIRLOCK_LOG").is_none();
    let log_env = if quiet { env.clone().with("AIRLOCK_LOG", "warn") } else { env.clone() };
    let _log = observe::start(&log_env).map_err(Failure::new)?;
    let stop = serve::stop_signal()?;
    write_fixtures(&fixtures, models)?;

    say("loading adaptors …");
    let key = fresh_key(&settings.data).await?;
    let running = serve::start(settings, &env, listener, stop).await?;
    print(format_args!("url={}", running.base_url()))?;
    print(format_args!("key={key}"))?;
    print("ready")?;
    say(welcome(running.address, models, &fixtures, &key));
    let done = running.finish().await;
    models_stop.cancel();
    done
}

async fn start_models(pace: u64, key: &str, stop: &CancellationToken) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Failure::new)?;
    let address = listener.local_addr().map_err(Failure::new)?;
    let config = ModelServerConfig {
        models: vec!["demo-model".into(), "demo-embedding".into()],
        pace: Duration::from_millis(pace),
        api_key: Some(key.to_owned()),
    };
    tokio::spawn(demo::serve(listener, config, stop.clone()));
    Ok(address)
}

fn write_fixtures(folder: &Path, models: SocketAddr) -> Result<(), Failure> {
    let fail = |e: std::io::Error| {
        Failure::new(format_args!("the demo's fixtures cannot be written to {}: {e}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(fail)?;
    for (name, text) in FIXTURES {
        let text = text.replace(WRITTEN_ADDRESS, &format!("http://{models}"));
        std::fs::write(folder.join(name), text).map_err(fail)?;
    }
    Ok(())
}

/// A key for this run; the one of the last run ends.
async fn fresh_key(data: &Path) -> Result<String, Failure> {
    let store = Store::open(data).await.map_err(Failure::new)?;
    match store.revoke_key(DEFAULT_TENANT, KEY_NAME, COMMAND_LINE).await {
        Ok(()) | Err(StoreError::UnknownKey { .. }) => {}
        Err(error) => return Err(Failure::new(error)),
    }
    let key = store.create_key(&KeyOrder::named(KEY_NAME)).await.map_err(Failure::new)?;
    store.close().await;
    Ok(key.secret)
}

fn welcome(gateway: SocketAddr, models: SocketAddr, fixtures: &Path, key: &str) -> String {
    let fixtures = fixtures.display();
    format!(
        r#"
Airlock is running.
  gateway        http://{gateway}/v1
  model server   http://{models}/v1   (a demo backend; its key is the host's, adaptors never see it)
  fixtures       {fixtures}
  API key        {key}

Try it with curl:

curl -N http://{gateway}/v1/chat/completions -H "Authorization: Bearer {key}" -H "Content-Type: application/json" -d '{{"model": "demo-model", "stream": true, "messages": [{{"role": "user", "content": "Hello!"}}]}}'

or with Python (pip install openai):

python3 -c '
from openai import OpenAI
client = OpenAI(base_url="http://{gateway}/v1", api_key="{key}")
answer = client.chat.completions.create(model="demo-model", messages=[{{"role": "user", "content": "Hello!"}}])
print(answer.choices[0].message.content)
'

Ctrl-C stops it.
"#
    )
}
