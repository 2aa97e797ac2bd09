//! Components that the gateway pulls from registries: a real one, and hostile ones.

use std::{collections::BTreeMap, io::ErrorKind, net::TcpListener};

use airlock::auth::Role;
use airlock_tests::{
    Authority, Body, Database, OciRegistry, Person, Seen, TestGateway, Upstream, adaptor, bytes, error,
    json as answer,
    oci::{ACCOUNT, Blob, MANIFEST, component, digest, manifest},
    on_both_databases,
};
use http::Response;
use serde_json::{Value, json};

on_both_databases!(
    a_component_is_pulled_by_tag_and_by_digest_and_is_the_version_that_it_would_be_otherwise,
    a_private_registry_is_shown_the_tenants_secret,
);

/// A gateway on which tenants reach one address of this machine, and a developer of the tenant `t` who may use it.
async fn gateway(database: Option<&Database>) -> TestGateway {
    let one = "127.0.0.1/32".parse().unwrap();
    let mut builder = TestGateway::builder().env("AIRLOCK_MASTER_KEY", &"07".repeat(32)).settings(move |s| {
        s.egress.allow_networks = vec![one];
        s.compile.max_adaptor_mib = 4;
    });
    if let Some(database) = database {
        builder = builder.database(database);
    }
    let gateway = builder.start().await;
    gateway.tenant("t").await;
    gateway
}

fn direct() -> Vec<u8> {
    std::fs::read(adaptor("direct-api")).unwrap()
}

async fn pull(person: &Person<'_>, reference: &str) -> reqwest::Response {
    person.post("/tenants/t/adaptors/mine/versions", &json!({ "reference": reference })).await
}

async fn good(person: &Person<'_>, reference: &str) -> Value {
    let done = pull(person, reference).await;
    let (status, text) = (done.status(), done.text().await.unwrap());
    assert_eq!(status, 201, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// What a refusal says.
async fn refused(person: &Person<'_>, reference: &str) -> String {
    let refused = error(pull(person, reference).await, 422, "pull_failed").await;
    refused["message"].as_str().unwrap().to_owned()
}

async fn a_component_is_pulled_by_tag_and_by_digest_and_is_the_version_that_it_would_be_otherwise(
    database: Database,
) {
    let Some(registry) = OciRegistry::start() else { return };
    let gateway = gateway(Some(&database)).await;
    let developer = gateway.person("t", Role::Developer).await;
    let [config, layer] = component(direct());
    let pushed = registry.push("team/adaptor", "1.2", &config, &[layer]).await;
    let reference = registry.reference("team/adaptor", "1.2");
    let pulled = good(&developer, &reference).await;
    assert_eq!(pulled["source"], json!({ "reference": reference, "manifest": pushed }));
    let by_digest = format!("{}/team/adaptor@{pushed}", registry.address);
    let again = good(&developer, &by_digest).await;
    assert_eq!(again["report"]["digest"], pulled["report"]["digest"]);
    let versions = developer.read("/tenants/t/adaptors/mine/versions").await;
    assert_eq!(versions["data"].as_array().unwrap().len(), 1, "{versions}");
    let source = json!({ "reference": by_digest, "manifest": pushed });
    assert_eq!(versions["data"][0]["spec"]["source"], source);
    let audit = developer.read("/tenants/t/audit?limit=1").await;
    assert_eq!(audit["data"][0]["detail"]["source"], source, "{audit}");
    let sent = developer.push("/tenants/t/adaptors/mine/versions", direct()).await;
    assert_eq!(sent.json::<Value>().await.unwrap()["report"]["digest"], pulled["report"]["digest"]);
}

#[tokio::test]
async fn what_is_no_component_is_refused_and_it_is_said_what_it_is() {
    let Some(registry) = OciRegistry::start() else { return };
    let gateway = gateway(None).await;
    let developer = gateway.person("t", Role::Developer).await;
    let [config, layer] = component("no wasm");
    let image = Blob::new("application/vnd.oci.image.config.v1+json", "{}");
    registry.push("x", "image", &image, &[Blob::new("application/vnd.oci.image.layer.v1.tar", "x")]).await;
    registry.push("x", "two", &config, &[layer.clone(), layer.clone()]).await;
    let mut child = layer.descriptor();
    let only = registry.push("x", "junk", &config, &[layer]).await;
    child["digest"] = json!(only);
    child["mediaType"] = json!(MANIFEST);
    child["size"] = json!(manifest(&component("no wasm")[0], &component("no wasm")[1..]).len());
    let index = "application/vnd.oci.image.index.v1+json";
    let list = json!({ "schemaVersion": 2, "mediaType": index, "manifests": [child] }).to_string();
    registry.push_manifest("x", "index", index, list).await;
    for (tag, says) in
        [("image", "image.config.v1"), ("two", "`application/wasm`, `application/wasm`"), ("index", index)]
    {
        let refused = refused(&developer, &registry.reference("x", tag)).await;
        assert!(refused.contains(says) && refused.contains("wkg oci push"), "{refused}");
    }
    let junk: Value = pull(&developer, &registry.reference("x", "junk")).await.json().await.unwrap();
    assert_eq!(junk["error"]["code"], "adaptor_refused", "it passes the same gate: {junk}");
    let none = refused(&developer, &registry.reference("x", "none")).await;
    assert!(none.contains("has no ") && none.contains("x:none"), "{none}");
    for bad in ["", "team/x", "x:1", "a b", "registry.example.org/x@sha256:1"] {
        assert_eq!(
            error(pull(&developer, bad).await, 400, "invalid_value").await["param"],
            "reference",
            "{bad}"
        );
    }
    assert_eq!(developer.read("/tenants/t/adaptors").await["data"], json!([]));
}

async fn a_private_registry_is_shown_the_tenants_secret(database: Database) {
    let Some(registry) = OciRegistry::start_private() else { return };
    let gateway = gateway(Some(&database)).await;
    let developer = gateway.person("t", Role::Developer).await;
    let [config, layer] = component(direct());
    registry.push("team/adaptor", "1", &config, &[layer]).await;
    let reference = registry.reference("team/adaptor", "1");
    let origin = format!("http://{}", registry.address);
    let told = refused(&developer, &reference).await;
    assert!(told.contains("airlock secret set") && told.contains(&origin), "{told}");
    let store = async |value: &str, origin: &str| {
        let secret = json!({ "value": value, "origin": origin });
        assert_eq!(developer.put("/tenants/t/secrets/registry", &secret).await.status(), 200);
    };
    store("ci:wrong-4711", &origin).await;
    let told = refused(&developer, &reference).await;
    assert!(told.contains("secret") && !told.contains("4711"), "{told}");
    store(ACCOUNT, "https://elsewhere.example").await;
    refused(&developer, &reference).await;
    store(ACCOUNT, &origin).await;
    good(&developer, &reference).await;
    let second = json!({ "value": ACCOUNT, "origin": origin });
    developer.put("/tenants/t/secrets/second", &second).await;
    assert!(refused(&developer, &reference).await.contains("registry and second"));
}

/// What a fake registry has, by path. It answers 404 for the rest.
type Files = BTreeMap<String, (String, Vec<u8>)>;

/// A registry that says of `layer` what is true, and has `sent` in its place.
fn files(layer: &Blob, sent: &[u8]) -> Files {
    let [config, _] = component("");
    let manifest = manifest(&config, std::slice::from_ref(layer));
    let blob = layer.descriptor()["digest"].as_str().unwrap().to_owned();
    [
        ("/v2/x/manifests/1".to_owned(), (MANIFEST.to_owned(), manifest.into_bytes())),
        (format!("/v2/x/blobs/{blob}"), ("application/octet-stream".to_owned(), sent.to_vec())),
    ]
    .into()
}

fn file(files: &Files, seen: &Seen) -> Response<Body> {
    match files.get(seen.uri.path()) {
        Some((media_type, content)) => bytes(200, media_type, content.clone()),
        None => answer(404, &json!({})),
    }
}

async fn registry(files: Files) -> Upstream {
    Upstream::start(move |seen| {
        let response = file(&files, &seen);
        async move { response }
    })
    .await
}

fn redirect(to: &str) -> Response<Body> {
    let mut response = answer(307, &json!({}));
    response.headers_mut().insert("location", to.parse().unwrap());
    response
}

#[tokio::test]
async fn what_is_read_counts_and_not_what_a_registry_says() {
    let gateway = gateway(None).await;
    let developer = gateway.person("t", Role::Developer).await;
    let [_, layer] = component(direct());
    let mut changed = direct();
    *changed.last_mut().unwrap() ^= 1;
    let other = registry(files(&layer, &changed)).await;
    let told = refused(&developer, &format!("{}/x:1", other.address)).await;
    assert!(told.contains("something else") && told.contains(&digest(&changed)), "{told}");
    // By its digest a manifest is the one that was meant, or none.
    let mut moved = files(&layer, &direct());
    let meant = digest(b"another");
    let found = moved["/v2/x/manifests/1"].clone();
    moved.insert(format!("/v2/x/manifests/{meant}"), found);
    let moved = registry(moved).await;
    let told = refused(&developer, &format!("{}/x@{meant}", moved.address)).await;
    assert!(told.contains("something else"), "{told}");
    // More than the manifest says is not read.
    let longer = registry(files(&layer, &[direct(), direct()].concat())).await;
    let told = refused(&developer, &format!("{}/x:1", longer.address)).await;
    assert!(told.contains("larger than"), "{told}");
    // More than the limit is not even asked for.
    let large = Blob::new("application/wasm", vec![0; (4 << 20) + 1]);
    let large = registry(files(&large, b"")).await;
    let told = refused(&developer, &format!("{}/x:1", large.address)).await;
    assert!(told.contains("larger than 4194304 bytes"), "{told}");
    assert_eq!(large.only().uri.path(), "/v2/x/manifests/1");
    let mut endless = files(&layer, &direct());
    endless.get_mut("/v2/x/manifests/1").unwrap().1.resize(2 << 20, b' ');
    let endless = registry(endless).await;
    let told = refused(&developer, &format!("{}/x:1", endless.address)).await;
    assert!(told.contains("at most 1048576 bytes"), "{told}");
}

#[tokio::test]
async fn redirects_lead_where_the_tenant_may_go_and_take_no_credential_along() {
    let gateway = gateway(None).await;
    let developer = gateway.person("t", Role::Developer).await;
    let [_, layer] = component(direct());
    let all = files(&layer, &direct());
    let elsewhere = registry(all.clone()).await;
    let forbidden = TcpListener::bind("127.0.0.2:0").unwrap();
    forbidden.set_nonblocking(true).unwrap();
    let of_forbidden = format!("http://{}/blob", forbidden.local_addr().unwrap());
    let of_elsewhere = format!("http://{}", elsewhere.address);
    let front = Upstream::start(move |seen: Seen| {
        let path = seen.uri.path().replace("/v2/good/", "/v2/x/");
        let response = match (seen.headers.contains_key("authorization"), &path) {
            (false, _) => {
                let mut response = answer(401, &json!({}));
                response.headers_mut().insert("www-authenticate", "Basic realm=\"x\"".parse().unwrap());
                response
            }
            (true, path) if path.contains("/manifests/") => {
                let (media_type, content) = all["/v2/x/manifests/1"].clone();
                bytes(200, &media_type, content)
            }
            (true, path) if path.starts_with("/v2/x/") => redirect(&format!("{of_elsewhere}{path}")),
            (true, path) if path.starts_with("/v2/meta/") => redirect("http://169.254.169.254/latest"),
            (true, path) if path.starts_with("/v2/round/") => redirect(path),
            (true, _) => redirect(&of_forbidden),
        };
        async move { response }
    })
    .await;
    let secret = json!({ "value": ACCOUNT, "origin": format!("http://{}", front.address) });
    developer.put("/tenants/t/secrets/registry", &secret).await;
    let at = |name: &str| format!("{}/{name}:1", front.address);
    good(&developer, &at("good")).await;
    assert!(!elsewhere.only().headers.contains_key("authorization"), "{:?}", elsewhere.only());
    for (name, says) in [("meta", "169.254.169.254"), ("local", "127.0.0.2"), ("round", "more than 3 times")]
    {
        let told = refused(&developer, &at(name)).await;
        assert!(told.contains(says), "{told}");
    }
    assert_eq!(forbidden.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody came");
}

#[tokio::test]
async fn a_token_is_asked_for_where_the_registry_says_and_a_secret_goes_to_its_own_origin_alone() {
    let gateway = gateway(None).await;
    let developer = gateway.person("t", Role::Developer).await;
    let [_, layer] = component(direct());
    let all = files(&layer, &direct());
    let tokens = Upstream::json(json!({ "token": "t-4711" })).await;
    let realm = format!("http://{}/token", tokens.address);
    let front = Upstream::start(move |seen: Seen| {
        let shown = seen.headers.get("authorization").is_some_and(|value| value == "Bearer t-4711");
        let response = if shown {
            file(&all, &seen)
        } else {
            let mut response = answer(401, &json!({}));
            let challenge =
                format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:x:pull,push\"");
            response.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
            response
        };
        async move { response }
    })
    .await;
    let store = async |name: &str, origin: &Upstream| {
        let secret = json!({ "value": ACCOUNT, "origin": format!("http://{}", origin.address) });
        assert_eq!(developer.put(&format!("/tenants/t/secrets/{name}"), &secret).await.status(), 200);
    };
    let reference = format!("{}/x:1", front.address);
    store("registry", &front).await;
    good(&developer, &reference).await;
    let asked = tokens.only();
    assert_eq!(asked.uri, "/token?service=s&scope=repository%3Ax%3Apull", "for reading alone");
    assert!(!asked.headers.contains_key("authorization"), "the secret is the registry's: {asked:?}");
    let basic =
        |seen: &Seen| seen.headers.get("authorization").is_some_and(|v| v.as_bytes().starts_with(b"Basic "));
    assert!(!front.seen().iter().any(basic), "who asks for a token gets no password");
    store("tokens", &tokens).await;
    good(&developer, &reference).await;
    assert!(basic(&tokens.seen()[1]));
}

#[tokio::test]
async fn a_tenants_registry_is_public_or_one_that_the_operator_allows() {
    let gateway = TestGateway::builder().start().await;
    gateway.tenant("t").await;
    let [_, layer] = component(direct());
    let local = registry(files(&layer, &direct())).await;
    let reference = format!("{}/x:1", local.address);
    let developer = gateway.person("t", Role::Developer).await;
    let told = refused(&developer, &reference).await;
    assert!(told.contains("may not be contacted"), "{told}");
    assert_eq!(local.accepted_connections(), 0);
    let operator = gateway.person("default", Role::Operator).await;
    let path = "/tenants/default/adaptors/mine/versions";
    let own = operator.post(path, &json!({ "reference": reference })).await;
    assert_eq!(own.status(), 201, "{}", own.text().await.unwrap());
}

#[tokio::test]
async fn what_is_encrypted_stays_encrypted() {
    let authority = Authority::new();
    let [_, layer] = component(direct());
    let all = files(&layer, &direct());
    let plain = registry(all.clone()).await;
    let target = format!("http://{}", plain.address);
    let secure = Upstream::start_tls(&authority, &["h2", "http/1.1"], move |seen: Seen| {
        let mut seen = seen;
        let leads_out = seen.uri.path().starts_with("/v2/out/") && seen.uri.path().contains("/blobs/");
        let response = if leads_out {
            redirect(&format!("{target}{}", seen.uri.path().replace("/out/", "/x/")))
        } else {
            seen.uri = seen.uri.path().replace("/out/", "/x/").parse().unwrap();
            file(&all, &seen)
        };
        async move { response }
    })
    .await;
    let (ca, loopback) = (authority.ca_file().to_owned(), "127.0.0.0/8".parse().unwrap());
    let gateway = TestGateway::builder()
        .settings(move |s| {
            s.egress.ca_file = Some(ca);
            s.egress.allow_networks = vec![loopback, "::1/128".parse().unwrap()];
        })
        .start()
        .await;
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    good(&developer, &format!("localhost:{}/x:1", secure.address.port())).await;
    let told = refused(&developer, &format!("localhost:{}/out:1", secure.address.port())).await;
    assert!(told.contains("without encryption"), "{told}");
    assert!(plain.seen().is_empty());
}
