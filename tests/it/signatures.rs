//! Whom a tenant trusts to make its adaptors, with keys and signatures that `openssl` makes.

use std::{path::PathBuf, process::Command};

use airlock::{
    auth::Role,
    store::{Change, Expect, NewAudit},
};
use airlock_tests::{
    Database, OciRegistry, Person, TestGateway, adaptor, error,
    oci::{Blob, component},
    on_both_databases,
};
use reqwest::Response;
use serde_json::{Value, json};
use tempfile::TempDir;

on_both_databases!(
    what_a_signer_signed_passes_and_its_version_says_whose_it_is,
    what_no_signer_of_the_tenant_signed_is_refused,
    a_signer_is_an_admins_to_change_and_is_checked,
    a_signer_that_cannot_be_read_lets_nobody_pass,
    what_is_pulled_is_signed_in_its_registry,
);

const PATH: &str = "/tenants/t/adaptors/mine/versions";
const EC: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const ED25519: [&str; 2] = ["-algorithm", "ED25519"];

/// A key pair of `openssl`.
struct Key {
    folder: TempDir,
    is_ec: bool,
}

fn openssl(arguments: &[&str], folder: &TempDir) -> Vec<u8> {
    let done = Command::new("openssl").current_dir(folder.path()).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

impl Key {
    fn new(kind: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        openssl(&[&["genpkey", "-out", "key"], kind].concat(), &folder);
        Self { folder, is_ec: kind == EC }
    }

    fn public(&self) -> Value {
        let pem = openssl(&["pkey", "-in", "key", "-pubout"], &self.folder);
        json!({ "public_key": String::from_utf8(pem).unwrap() })
    }

    /// A signature in base64.
    fn sign(&self, message: &[u8]) -> String {
        std::fs::write(self.path("message"), message).unwrap();
        if self.is_ec {
            openssl(&["dgst", "-sha256", "-sign", "key", "-out", "signature", "message"], &self.folder);
        } else {
            let order =
                ["pkeyutl", "-sign", "-rawin", "-inkey", "key", "-in", "message", "-out", "signature"];
            openssl(&order, &self.folder);
        }
        let text = openssl(&["base64", "-A", "-in", "signature"], &self.folder);
        String::from_utf8(text).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

async fn gateway(database: &Database) -> TestGateway {
    let loopback = "127.0.0.0/8".parse().unwrap();
    let gateway = TestGateway::builder()
        .database(database)
        .settings(move |s| s.egress.allow_networks = vec![loopback])
        .start()
        .await;
    for tenant in ["t", "u"] {
        gateway.tenant(tenant).await;
    }
    gateway
}

/// Makes a key a tenant's signer.
async fn trust(gateway: &TestGateway, tenant: &str, name: &str, key: &Key) {
    let admin = gateway.person(tenant, Role::Admin).await;
    let made = admin.put(&format!("/tenants/{tenant}/signers/{name}"), &key.public()).await;
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
}

fn direct() -> Vec<u8> {
    std::fs::read(adaptor("direct-api")).unwrap()
}

async fn push(person: &Person<'_>, component: Vec<u8>, signatures: &[&str]) -> Response {
    let request = person.request("POST", PATH).body(component);
    let request = signatures.iter().fold(request, |request, one| request.header("x-airlock-signature", *one));
    airlock_tests::within(request.send()).await.unwrap()
}

async fn good(done: Response) -> Value {
    let (status, text) = (done.status(), done.text().await.unwrap());
    assert_eq!(status, 201, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// What a refusal by the gate's first check says: nothing else was looked at.
async fn refused(done: Response) -> String {
    let refused: Value = done.json().await.unwrap();
    let refused = &refused["error"];
    assert_eq!(refused["code"], "adaptor_refused", "{refused}");
    let checks = refused["details"]["report"]["checks"].as_array().unwrap();
    assert_eq!((checks.len(), &checks[0]["name"]), (1, &json!("signature")), "{refused}");
    refused["message"].as_str().unwrap().to_owned()
}

async fn what_a_signer_signed_passes_and_its_version_says_whose_it_is(database: Database) {
    let gateway = gateway(&database).await;
    let developer = gateway.person("t", Role::Developer).await;
    let without = good(push(&developer, direct(), &[]).await).await;
    assert_eq!(without["report"]["checks"][0]["skipped"], true, "{without}");
    assert_eq!(without["report"]["signer"], Value::Null);
    let other = Key::new(&EC);
    for (name, key) in [("ada", Key::new(&EC)), ("bob", Key::new(&ED25519))] {
        trust(&gateway, "t", name, &key).await;
        let signature = key.sign(&direct());
        let pushed = good(push(&developer, direct(), &[&other.sign(&direct()), &signature]).await).await;
        assert_eq!(pushed["report"]["signer"], name, "{pushed}");
        let versions = developer.read(PATH).await;
        assert_eq!(versions["data"][0]["spec"]["report"]["signer"], name);
        let audit = developer.read("/tenants/t/audit?limit=1").await;
        assert_eq!(audit["data"][0]["detail"]["signer"], name, "{audit}");
    }
    let signers = developer.read("/tenants/t/signers").await;
    assert_eq!(signers["data"].as_array().unwrap().len(), 2, "developers see whom to ask: {signers}");
}

async fn what_no_signer_of_the_tenant_signed_is_refused(database: Database) {
    let gateway = gateway(&database).await;
    let developer = gateway.person("t", Role::Developer).await;
    let (own, other, theirs) = (Key::new(&EC), Key::new(&EC), Key::new(&ED25519));
    trust(&gateway, "t", "ada", &own).await;
    trust(&gateway, "u", "eve", &theirs).await;
    let missing = refused(push(&developer, direct(), &[]).await).await;
    assert!(missing.contains("there is none") && missing.contains("--signature"), "{missing}");
    let mut changed = direct();
    *changed.last_mut().unwrap() ^= 1;
    let signature = own.sign(&direct());
    for (component, signature) in [
        (direct(), &other.sign(&direct())),
        (direct(), &theirs.sign(&direct())),
        (direct(), &own.sign(&changed)),
        (changed, &signature),
    ] {
        let told = refused(push(&developer, component, &[signature]).await).await;
        assert!(told.contains("signer (ada)") && !told.contains("eve"), "{told}");
    }
    for bad in ["", "no base64!"] {
        error(push(&developer, direct(), &[bad]).await, 400, "invalid_value").await;
    }
    error(push(&developer, direct(), &[signature.as_str(); 5]).await, 400, "invalid_value").await;
    assert_eq!(developer.read("/tenants/t/adaptors").await["data"], json!([]));
    good(push(&developer, direct(), &[&signature]).await).await;
}

async fn a_signer_is_an_admins_to_change_and_is_checked(database: Database) {
    let gateway = gateway(&database).await;
    let key = Key::new(&EC);
    trust(&gateway, "t", "ada", &key).await;
    let developer = gateway.person("t", Role::Developer).await;
    let own = Key::new(&EC).public();
    for refused in [
        developer.put("/tenants/t/signers/me", &own).await,
        developer.put("/tenants/t/signers/ada", &own).await,
        developer.delete("/tenants/t/signers/ada").await,
    ] {
        error(refused, 403, "forbidden").await;
    }
    refused(push(&developer, direct(), &[]).await).await;
    let admin = gateway.person("t", Role::Admin).await;
    let pem = key.public()["public_key"].as_str().unwrap().to_owned();
    let rsa = Key::new(&["-algorithm", "RSA"]).public();
    let other_curve = Key::new(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]).public();
    // The last byte of the point is in the last whole group of letters.
    let lines: Vec<&str> = pem.lines().collect();
    let off_curve =
        format!("{}\n{}\n{}AA==\n{}\n", lines[0], lines[1], &lines[2][..lines[2].len() - 4], lines[3]);
    for bad in [
        json!({}),
        json!({ "public_key": "" }),
        json!({ "public_key": pem, "more": 1 }),
        json!({ "public_key": std::fs::read_to_string(key.path("key")).unwrap() }),
        json!({ "public_key": pem.repeat(2) }),
        json!({ "public_key": off_curve }),
        rsa,
        other_curve,
    ] {
        let told = error(admin.put("/tenants/t/signers/x", &bad).await, 400, "invalid_value").await;
        assert_eq!(told["param"], "public_key", "{bad}: {told}");
    }
    for n in 1..16 {
        trust(&gateway, "t", &format!("s{n}"), &key).await;
    }
    error(admin.put("/tenants/t/signers/more", &own).await, 403, "tenant_quota").await;
    assert_eq!(admin.put("/tenants/t/signers/ada", &own).await.status(), 200, "one of them is replaced");
    for n in 1..16 {
        assert_eq!(admin.delete(&format!("/tenants/t/signers/s{n}")).await.status(), 204);
    }
    assert_eq!(admin.delete("/tenants/t/signers/ada").await.status(), 204);
    good(push(&developer, direct(), &[]).await).await;
}

async fn a_signer_that_cannot_be_read_lets_nobody_pass(database: Database) {
    let gateway = gateway(&database).await;
    let text = |text: &str| text.to_owned();
    let (tenant, kind, name) = (text("t"), text("signer"), text("ada"));
    let audit = NewAudit {
        tenant: tenant.clone(),
        actor: text("x"),
        action: text("create"),
        kind: kind.clone(),
        name: name.clone(),
        detail: text("null"),
    };
    let change = Change::Put { tenant, kind, name, body: text("{}"), expect: Expect::Any };
    gateway.store.apply(&[change], &audit).await.unwrap();
    let developer = gateway.person("t", Role::Developer).await;
    let told = error(push(&developer, direct(), &[]).await, 422, "invalid_definition").await;
    assert!(told["message"].as_str().unwrap().contains("`ada` has to be stored again"), "{told}");
}

/// The layout of `cosign sign --key`: a tag beside the artifact, and in it the signed name of what is signed.
async fn what_is_pulled_is_signed_in_its_registry(database: Database) {
    let Some(registry) = OciRegistry::start() else { return };
    let gateway = gateway(&database).await;
    let developer = gateway.person("t", Role::Developer).await;
    let (own, other) = (Key::new(&EC), Key::new(&EC));
    trust(&gateway, "t", "ada", &own).await;
    let [config, layer] = component(direct());
    let pushed = registry.push("x", "1", &config, &[layer]).await;
    let tag = format!("{}.sig", pushed.replace(':', "-"));
    let payload = |digest: &str, kind: &str| {
        let critical = json!({
            "identity": { "docker-reference": "x" }, "image": { "docker-manifest-digest": digest }, "type": kind,
        });
        json!({ "critical": critical, "optional": null }).to_string()
    };
    let kind = "cosign container image signature";
    let signed = |key: &Key, payload: &str| {
        Blob::new("application/vnd.dev.cosign.simplesigning.v1+json", payload)
            .with("dev.cosignproject.cosign/signature", &key.sign(payload.as_bytes()))
    };
    let reference = json!({ "reference": registry.reference("x", "1") });
    let pull = async || developer.post(PATH, &reference).await;
    let told = refused(pull().await).await;
    assert!(told.contains(&tag), "{told}");
    let right = payload(&pushed, kind);
    let elsewhere = payload(&airlock_tests::oci::digest(b"another"), kind);
    let forged = signed(&own, &elsewhere);
    for (layer, says) in [
        (signed(&other, &right), "signer (ada)"),
        (forged, "another manifest"),
        (signed(&own, &payload(&pushed, "another kind")), "another manifest"),
    ] {
        registry.push("x", &tag, &config, &[layer]).await;
        let told = refused(pull().await).await;
        assert!(told.contains(says), "{told}");
    }
    registry.push("x", &tag, &config, &[signed(&other, &right), signed(&own, &right)]).await;
    assert_eq!(good(pull().await).await["report"]["signer"], "ada");
    // What comes along with the request is as good.
    registry.push("x", &tag, &config, &[signed(&other, &right)]).await;
    let request = developer.request("POST", PATH).header("x-airlock-signature", own.sign(&direct()));
    let done = airlock_tests::within(request.json(&reference).send()).await.unwrap();
    assert_eq!(good(done).await["report"]["signer"], "ada");
}
