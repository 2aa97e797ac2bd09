//! `airlock demo`: everything in one process, on the embedded default.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio_util::sync::CancellationToken;

use super::{Failure, SettingsArgs, print, say, serve};
use crate::{
    auth::{Role, Scope},
    config::Env,
    demo::{self, ModelServerConfig},
    observe,
    store::{COMMAND_LINE, DEFAULT_TENANT, KeyOrder, Store, StoreError},
};

#[derive(Args)]
pub(super) struct DemoArgs {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Folder of the store and of the demo's fixtures
    #[arg(long, value_name = "DIR", default_value = "airlock-demo")]
    data: PathBuf,
    /// Milliseconds between two tokens of a stream
    #[arg(long, value_name = "MS", default_value_t = 20)]
    pace: u64,
    /// Folder of the bundled adaptors [default: ../adaptors, from the binary]
    #[arg(long, value_name = "DIR")]
    adaptors: Option<PathBuf>,
    /// For those who write adaptors: the key may push them, they may call this machine, and the model server is at the
    /// next port, without a key
    #[arg(long)]
    develop: bool,
}

const KEY_NAME: &str = "demo";
/// What the model server offers; the last is for the endpoints that developers make.
const MODELS: [&str; 3] = ["demo-model", "demo-embedding", "my-model"];
/// The demo's model server asks for a key, so that the demo shows who holds it: the host.
const MODEL_KEY_VARIABLE: &str = "DEMO_MODEL_API_KEY";

/// What adaptors of tenants may call beside public addresses, where somebody develops them.
const THIS_MACHINE: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];

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
        listen: args.listen,
        adaptors: args.adaptors,
        ..SettingsArgs::default()
    };
    let mut settings = settings.load(&env)?;
    // It is all in one folder, whatever else this machine is set to.
    settings.database = None;
    // Nobody spreads requests over demos.
    settings.unready_seconds = 0;
    if args.develop {
        settings.egress.allow_networks.extend(THIS_MACHINE);
    }
    let listener = serve::bind(settings.listen).await?;
    let models_stop = CancellationToken::new();
    let models = ModelServerConfig {
        models: MODELS.iter().take(if args.develop { 3 } else { 2 }).map(|&model| model.to_owned()).collect(),
        pace: Duration::from_millis(args.pace),
        api_key: (!args.develop).then_some(model_key),
    };
    let models = start_models(models_address(settings.listen, args.develop), models, &models_stop).await?;
    serve::give_up(&settings)?;

    let quiet = env.get("AIRLOCK_LOG").is_none();
    let log_env = if quiet { env.clone().with("AIRLOCK_LOG", "warn") } else { env.clone() };
    let _log = observe::start(&log_env).map_err(Failure::new)?;
    let stop = serve::stop_signal()?;
    write_fixtures(&fixtures, models)?;

    say("loading adaptors …");
    let key = fresh_key(&settings.data, args.develop).await?;
    let running = serve::start(settings, &env, listener, stop).await?;
    print(format_args!("url={}", running.base_url()))?;
    print(format_args!("key={key}"))?;
    if args.develop {
        print(format_args!("models=http://{models}/v1"))?;
    }
    print("ready")?;
    say(welcome(running.address, models, &fixtures, &key, args.develop));
    let done = running.finish().await;
    models_stop.cancel();
    done
}

/// Where the model server listens: adaptors of a developer's name it in their configuration, so that it has to stay.
fn models_address(gateway: SocketAddr, develop: bool) -> SocketAddr {
    match gateway.port().checked_add(1) {
        Some(next) if develop && gateway.port() != 0 => SocketAddr::new(gateway.ip(), next),
        _ => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

async fn start_models(
    at: SocketAddr,
    config: ModelServerConfig,
    stop: &CancellationToken,
) -> Result<SocketAddr, Failure> {
    let listener = serve::bind(at).await?;
    let address = listener.local_addr().map_err(Failure::new)?;
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
async fn fresh_key(data: &Path, develop: bool) -> Result<String, Failure> {
    let store = Store::open(data).await.map_err(Failure::new)?;
    match store.revoke_key(DEFAULT_TENANT, KEY_NAME, COMMAND_LINE).await {
        Ok(()) | Err(StoreError::UnknownKey { .. }) => {}
        Err(error) => return Err(Failure::new(error)),
    }
    let mut order = KeyOrder::named(KEY_NAME);
    if develop {
        order.role = Role::Developer;
        order.scopes = [Scope::Inference, Scope::Read, Scope::Write].into_iter().collect();
    }
    let key = store.create_key(&order).await.map_err(Failure::new)?;
    store.close().await;
    Ok(key.secret)
}

fn welcome(gateway: SocketAddr, models: SocketAddr, fixtures: &Path, key: &str, develop: bool) -> String {
    let fixtures = fixtures.display();
    let guard = if develop { "needs no key" } else { "its key is the host's, adaptors never see it" };
    format!(
        r#"
Airlock is running.
  gateway        http://{gateway}/v1
  model server   http://{models}/v1   (a demo backend; {guard})
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
