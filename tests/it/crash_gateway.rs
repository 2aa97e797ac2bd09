//! The gateway itself is killed (`kill -9`) in the midst of writes over its admin API: what was acknowledged is there as
//! it was acknowledged, once in the audit, and serves; what was under way is there as a whole or not at all.

use std::{collections::BTreeMap, time::Duration};

use airlock::store::{NewAudit, Place, Store};
use airlock_tests::{
    Airlock, Database, Upstream, adaptor, chat_with, completion, json as answer, target_dir, tenant_cluster,
    tenant_endpoint, within,
    world::{Body, Changer, Id, World, Write},
};
use fastrand::Rng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Tenants, each with somebody who changes it.
const TENANTS: [&str; 3] = ["a", "b", "c"];

/// A folder with fixtures, an operator's key, and a place for the store.
struct Site {
    folder: TempDir,
    database: Database,
    operator: String,
    components: [Vec<u8>; 2],
    backend: Upstream,
}

/// All components that tenants use here, so that none waits for its compilation.
fn compiled_at_start() -> Value {
    let entry = |kind: &str, fields: Value| json!({ "model": kind, "pk": 1, "fields": fields });
    let config = json!({ "api_url": "http://127.0.0.1:9/v1" });
    let endpoint = |adaptor: &str| {
        let fields = tenant_endpoint("w", adaptor, adaptor, config.clone());
        entry("resource_server_async.endpoint", fields)
    };
    json!([
        entry("resource_server_async.cluster", tenant_cluster("w")),
        endpoint("direct-api"),
        endpoint("direct-api-wasi"),
    ])
}

impl Site {
    async fn new(database: Database) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("fixtures")).unwrap();
        std::fs::write(folder.path().join("fixtures/all.json"), compiled_at_start().to_string()).unwrap();
        let components = ["direct-api", "direct-api-wasi"].map(|name| std::fs::read(adaptor(name)).unwrap());
        let backend = Upstream::start(|_| async { answer(200, &completion()) }).await;
        let mut site = Self { folder, database, operator: String::new(), components, backend };
        let order = ["keys", "create", "op", "--role", "operator", "--scope", "read", "--scope", "write"];
        let made = Airlock::run(site.folder.path(), &site.on_store(&order)).await;
        assert_eq!(made.code, 0, "{made:?}");
        made.stdout.trim().clone_into(&mut site.operator);
        site
    }

    fn on_store(&self, arguments: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
        match self.database.place() {
            Place::Folder(folder) => all.extend(["--data".into(), folder.display().to_string()]),
            Place::Server(url) => {
                all.extend(["--data".into(), "data".into(), "--database".into(), url.secret().to_owned()]);
            }
        }
        all
    }

    async fn serve(&self) -> (Airlock, String) {
        let adaptors = target_dir().join("adaptors").display().to_string();
        let serve = ["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--adaptors", &adaptors];
        let env = [
            ("AIRLOCK_MASTER_KEY", &*"07".repeat(32)),
            ("AIRLOCK_EGRESS__ALLOW_NETWORKS", "[\"127.0.0.0/8\"]"),
            ("AIRLOCK_SANDBOX__SLOTS", "16"),
            ("AIRLOCK_LOG", "off"),
        ];
        let mut airlock = Airlock::start(self.folder.path(), &self.on_store(&serve), &env);
        let url = airlock.line().await.strip_prefix("url=").unwrap().trim_end_matches("/v1").to_owned();
        assert_eq!(airlock.line().await, "ready");
        (airlock, url)
    }

    fn client(&self, tenant: &str, rng: Rng) -> Client {
        let digests = self.components.each_ref().map(|component| hex::encode(Sha256::digest(component)));
        let backend = format!("http://{}", self.backend.address);
        Client {
            changer: Changer { tenant: tenant.to_owned(), backend, digests, rng, count: 0 },
            operator: self.operator.clone(),
            components: self.components.clone(),
            checked: World::default(),
            last_line: 0,
            world: World::default(),
            told: Vec::new(),
            under_way: None,
        }
    }

    /// What is stored of a tenant is what requests meet. Whether its model was asked.
    async fn serves(&self, url: &str, client: &Client) -> bool {
        let (tenant, world) = (&client.changer.tenant, &client.world);
        let status = async |path: &str, key: &str| {
            let asked = reqwest::Client::new().get(format!("{url}{path}")).bearer_auth(key).send();
            within(asked).await.unwrap().status().as_u16()
        };
        let expected = if world.said("tenant", tenant).is_some() { 200 } else { 404 };
        assert_eq!(
            status(&format!("/admin/v1/tenants/{tenant}"), &self.operator).await,
            expected,
            "{tenant}"
        );
        for key in world.keys.values().filter_map(|key| key.secret.as_ref()) {
            assert_eq!(status("/v1/models", key).await, 200, "an acknowledged key");
        }
        for key in world.ended.iter().rev().take(3) {
            assert_eq!(status("/v1/models", key).await, 401, "a revoked key");
        }
        let (Some(endpoint), Some(key)) =
            (world.said("endpoint", "c-api-m"), world.keys.values().find_map(|key| key.secret.as_ref()))
        else {
            return false;
        };
        let chat = reqwest::Client::new().post(format!("{url}/v1/chat/completions")).bearer_auth(key);
        let chat = within(chat.json(&chat_with("m")).send()).await.unwrap();
        assert_eq!(chat.status(), 200, "{}", chat.text().await.unwrap());
        let seen = self.backend.seen().pop().unwrap();
        let asked = format!("http://{}{}", self.backend.address, seen.uri.path());
        assert_eq!(asked, format!("{}/chat/completions", endpoint["config"]["api_url"].as_str().unwrap()));
        let header = world.said("secret", "s").unwrap()["header"].as_str().unwrap();
        assert_eq!(seen.headers[header], header.replace("x-key", "value"));
        true
    }
}

/// Somebody who changes a tenant, and what they were told.
struct Client {
    changer: Changer,
    operator: String,
    components: [Vec<u8>; 2],
    /// As the last check found it, with the number of the last line of the audit.
    checked: World,
    last_line: i64,
    /// With all that was told since: writes and their answers.
    world: World,
    told: Vec<(Write, Value)>,
    under_way: Option<Write>,
}

impl Client {
    /// One write after the other, until nobody answers.
    async fn work(mut self, url: String, acknowledged: mpsc::UnboundedSender<()>) -> Self {
        let http = reqwest::Client::new();
        loop {
            let write = self.changer.next(&self.world);
            self.under_way = Some(write.clone());
            let Ok(answer) = self.ask(&http, &url, &write).await else { return self };
            self.under_way = None;
            self.world.apply(&write, 0, &answer);
            self.told.push((write, answer));
            acknowledged.send(()).unwrap();
        }
    }

    async fn ask(&self, http: &reqwest::Client, url: &str, write: &Write) -> reqwest::Result<Value> {
        let url = format!("{url}/admin/v1{}", write.path);
        let request = http.request(write.method.parse().unwrap(), url).bearer_auth(&self.operator);
        let request = match &write.body {
            Body::Nothing => request,
            Body::Json(body) => request.json(body),
            Body::Component(number) => request.body(self.components[*number].clone()),
        };
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        assert!(status.is_success(), "{write:?}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Compares what is stored with what was told. What was under way has to be there as a whole where the audit has a line
    /// of it, and not at all where it has none. Which of the two: `None` where nothing was under way.
    async fn check(&mut self, store: &Store) -> Option<bool> {
        let tenant = &self.changer.tenant;
        let mut lines = store.audit_page(Some(tenant), None, 1000).await.unwrap();
        lines.retain(|line| line.id > self.last_line);
        lines.reverse();
        let (told, under_way) = (std::mem::take(&mut self.told), self.under_way.take());
        let is_done = under_way.is_some() && lines.len() > told.len();
        let was_under_way = under_way.is_some();
        let writes = told.into_iter().chain(under_way.filter(|_| is_done).map(|write| (write, Value::Null)));
        let writes: Vec<_> = writes.collect();
        assert_eq!(lines.len(), writes.len(), "of {tenant}:\n{lines:?}\n{writes:?}");
        let mut world = self.checked.clone();
        for ((write, answer), line) in writes.iter().zip(&lines) {
            assert_eq!([&line.action, &line.kind, &line.name], write.line.each_ref(), "{line:?}");
            let told = answer["revision"].as_i64();
            assert!(told.is_none_or(|revision| revision == line.id), "{answer} {line:?}");
            world.apply(write, line.id, answer);
            self.last_line = line.id;
        }
        same(&mut world, tenant, store).await;
        (self.world, self.checked) = (world.clone(), world);
        was_under_way.then_some(is_done)
    }
}

/// The store has what the world has; from then on the world knows all of what it says.
async fn same(world: &mut World, tenant: &str, store: &Store) {
    let found = store.documents(Some(tenant), None).await.unwrap().into_iter();
    let found: BTreeMap<Id, (Value, i64)> =
        found.map(|d| ((d.kind, d.name), (serde_json::from_str(&d.body).unwrap(), d.revision))).collect();
    let (there, expected): (Vec<_>, Vec<_>) = (found.keys().collect(), world.documents.keys().collect());
    assert_eq!(there, expected, "of {tenant}");
    for (id, (said, number)) in &mut world.documents {
        let (body, revision) = &found[id];
        assert_eq!(revision, number, "{id:?} of {tenant}");
        for (field, value) in said.as_object().unwrap() {
            assert_eq!(&body[field], value, "{field} of {id:?} of {tenant}");
        }
        body.clone_into(said);
        if let (true, Some(digest)) = (id.0 == "version", body["digest"].as_str()) {
            assert!(store.blob(digest).await.unwrap().is_some(), "{id:?} of {tenant} without its bytes");
        }
    }
    let keys = store.keys().await.unwrap().into_iter();
    let mut active: Vec<String> =
        keys.filter(|key| key.tenant == tenant && key.revoked_at.is_none()).map(|key| key.name).collect();
    active.sort();
    assert_eq!(active, world.keys.keys().cloned().collect::<Vec<_>>(), "keys of {tenant}");
}

/// Comes after all that the killed gateway has begun: a server may still be at it.
async fn barrier(store: &Store) {
    let [tenant, actor, action, kind, name] = ["none", "test", "wait", "none", "none"].map(str::to_owned);
    let audit = NewAudit { tenant, actor, action, kind, name, detail: "{}".to_owned() };
    within(store.apply(&[], &audit)).await.unwrap();
}

async fn is_killed(database: Database, times: u32) {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let site = Site::new(database).await;
    let mut clients: Vec<Client> = TENANTS.iter().map(|tenant| site.client(tenant, rng.fork())).collect();
    let (mut airlock, mut url) = site.serve().await;
    let [mut told, mut lost, mut done, mut asked] = [0; 4];
    for _ in 0..times {
        let (acknowledged, mut acknowledgements) = mpsc::unbounded_channel();
        let start = |client: Client| tokio::spawn(client.work(url.clone(), acknowledged.clone()));
        let working: Vec<_> = clients.drain(..).map(start).collect();
        for _ in 0..rng.u8(0..16) {
            within(acknowledgements.recv()).await.unwrap();
        }
        // No waiting for anything: the moment is random.
        tokio::time::sleep(Duration::from_micros(rng.u64(0..20_000))).await;
        airlock.kill().await;
        for client in working {
            clients.push(within(client).await.unwrap());
        }
        (airlock, url) = site.serve().await;
        let store = site.database.open().await;
        barrier(&store).await;
        for client in &mut clients {
            told += client.told.len();
            match client.check(&store).await {
                Some(true) => done += 1,
                Some(false) => lost += 1,
                None => {}
            }
            asked += usize::from(site.serves(&url, client).await);
        }
        store.close().await;
    }
    eprintln!("{told} acknowledged; of those under way {done} were done and {lost} not; {asked} chats");
    assert!(told > 0 && done > 0 && lost > 0 && asked > 0);
}

#[tokio::test]
async fn a_gateway_that_is_killed_100_times_loses_nothing_and_leaves_nothing_half() {
    is_killed(Database::sqlite(), 100).await;
}

#[tokio::test]
async fn a_gateway_on_a_server_that_is_killed_20_times_loses_nothing_and_leaves_nothing_half() {
    if let Some(database) = Database::postgres().await {
        is_killed(database, 20).await;
    }
}
