//! Somebody who changes a tenant over the admin API without end, and what must be there after each change.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use super::{tenant_cluster, tenant_endpoint};

/// Kind and name of a document.
pub type Id = (String, String);

/// A write: what is asked for, what the audit says of it, and what it does.
#[derive(Debug, Clone)]
pub struct Write {
    /// `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Below `/admin/v1`.
    pub path: String,
    /// What is sent.
    pub body: Body,
    /// Action, kind and name of its line of the audit.
    pub line: [String; 3],
    /// What is different afterwards.
    pub effect: Effect,
}

/// What is sent with a request.
#[derive(Debug, Clone)]
pub enum Body {
    /// Nothing.
    Nothing,
    /// JSON.
    Json(Value),
    /// The component with this number.
    Component(usize),
}

/// What a write does.
#[derive(Debug, Clone)]
pub enum Effect {
    /// These documents are there, and say at least this.
    There(Vec<(Id, Value)>),
    /// The documents of these kinds and names are gone, and those whose names begin with one and `/`.
    Gone(String, String),
    /// Nothing of the tenant is left.
    NothingLeft,
    /// A key of this name counts, for this member.
    Key(String, Option<String>),
    /// The key of this name counts no more.
    NoKey(String),
}

/// An active key.
#[derive(Debug, Clone)]
pub struct Key {
    /// The key itself; nobody knows it where its making was not acknowledged.
    pub secret: Option<String>,
    member: Option<String>,
}

/// A tenant, as somebody knows it.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// What each document says at least, and the number of the write that made it so.
    pub documents: BTreeMap<Id, (Value, i64)>,
    /// Its active keys.
    pub keys: BTreeMap<String, Key>,
    /// Keys that count no more.
    pub ended: Vec<String>,
}

impl World {
    /// Takes over a write with this number, which was answered like this.
    pub fn apply(&mut self, write: &Write, number: i64, answer: &Value) {
        match &write.effect {
            Effect::There(documents) => {
                for (id, said) in documents {
                    // What was acknowledged is known in full.
                    let told = if id.0 == "adaptor" { answer.get("rollout") } else { None };
                    let told = told.or_else(|| answer.get("spec").filter(|_| documents.len() == 1));
                    self.documents.insert(id.clone(), (told.unwrap_or(said).clone(), number));
                }
            }
            Effect::Gone(kind, name) => {
                let inside = format!("{name}/");
                self.documents.retain(|(a, b), _| !(a == kind && b == name || b.starts_with(&inside)));
                if kind == "member" {
                    self.end_keys(|_, key| key.member.as_ref() == Some(name));
                }
            }
            Effect::NothingLeft => {
                self.documents.clear();
                self.end_keys(|_, _| true);
            }
            Effect::Key(name, member) => {
                let secret = answer["key"].as_str().map(str::to_owned);
                self.keys.insert(name.clone(), Key { secret, member: member.clone() });
            }
            Effect::NoKey(name) => self.end_keys(|own, _| own == name),
        }
    }

    fn end_keys(&mut self, ends: impl Fn(&str, &Key) -> bool) {
        let ended = self.keys.extract_if(.., |name, key| ends(name, key));
        self.ended.extend(ended.filter_map(|(_, key)| key.secret));
    }

    /// What a document says.
    pub fn said(&self, kind: &str, name: &str) -> Option<&Value> {
        self.documents.get(&id(kind, name)).map(|(said, _)| said)
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.said(kind, name).is_some()
    }
}

fn id(kind: &str, name: &str) -> Id {
    (kind.to_owned(), name.to_owned())
}

/// Somebody who changes one tenant.
pub struct Changer {
    /// The tenant.
    pub tenant: String,
    /// The origin of its backend.
    pub backend: String,
    /// The digests of the versions of its adaptor.
    pub digests: [String; 2],
    /// What is chosen by.
    pub rng: Rng,
    /// So that no two writes say the same.
    pub count: u64,
}

impl Changer {
    /// A write that the gateway has to accept. Half of them lead to a model that can be asked.
    pub fn next(&mut self, world: &World) -> Write {
        self.count += 1;
        if !world.has("tenant", &self.tenant) {
            return self.make();
        }
        let parts = [("secret", "s"), ("cluster", "c"), ("adaptor", "mine"), ("endpoint", "c-api-m")];
        let missing = parts.iter().position(|(kind, name)| !world.has(kind, name));
        match missing {
            Some(part) if self.rng.bool() => self.part(world, part),
            Some(3) | None if self.rng.bool() => self.of_model(world),
            _ => self.beside(world),
        }
    }

    fn write(&self, method: &'static str, path: &str, body: Body, line: [&str; 3], effect: Effect) -> Write {
        let path = format!("/tenants/{}{path}", self.tenant);
        Write { method, path, body, line: line.map(str::to_owned), effect }
    }

    fn make(&self) -> Write {
        let said = json!({ "description": format!("no {}", self.count) });
        let mut body = said.clone();
        body["name"] = json!(self.tenant);
        let effect = Effect::There(vec![(id("tenant", &self.tenant), said)]);
        let line = ["create", "tenant", &self.tenant];
        Write { path: "/tenants".into(), ..self.write("POST", "", Body::Json(body), line, effect) }
    }

    fn put(&self, world: &World, path: &str, of: (&str, &str), body: Value, said: Value) -> Write {
        let (kind, name) = of;
        let action = match (kind, world.has(kind, name)) {
            ("secret", _) => "set",
            (_, true) => "replace",
            (_, false) => "create",
        };
        let effect = Effect::There(vec![(id(kind, name), said)]);
        self.write("PUT", path, Body::Json(body), [action, kind, name], effect)
    }

    fn delete(&self, list: &str, kind: &str, name: &str) -> Write {
        let effect = Effect::Gone(kind.to_owned(), name.to_owned());
        self.write("DELETE", &format!("/{list}/{name}"), Body::Nothing, ["delete", kind, name], effect)
    }

    /// A part of the model `m`. Its backend sees the numbers of two writes: in the path, and in header and key.
    fn part(&mut self, world: &World, part: usize) -> Write {
        let count = self.count;
        match part {
            0 => {
                let said = json!({ "origin": self.backend, "header": format!("x-key-{count}") });
                let mut body = said.clone();
                body["value"] = json!(format!("value-{count}"));
                self.put(world, "/secrets/s", ("secret", "s"), body, said)
            }
            1 => self.cluster(world, "c"),
            2 => self.push(),
            _ => {
                let url = format!("{}/v1/{count}", self.backend);
                let config = json!({ "api_url": url, "api_key_secret": "s" });
                let spec = tenant_endpoint("c", "m", "mine", config);
                self.put(world, "/endpoints/c-api-m", ("endpoint", "c-api-m"), spec.clone(), spec)
            }
        }
    }

    fn cluster(&self, world: &World, name: &str) -> Write {
        let mut spec = tenant_cluster(name);
        spec["frameworks"] = json!(["api", format!("v{}", self.count)]);
        self.put(world, &format!("/clusters/{name}"), ("cluster", name), spec.clone(), spec)
    }

    fn push(&mut self) -> Write {
        let number = self.rng.usize(0..2);
        let digest = &self.digests[number];
        let effect = Effect::There(vec![
            (id("version", &format!("mine/{digest}")), json!({ "digest": digest })),
            (id("adaptor", "mine"), json!({ "live": digest })),
        ]);
        let line = ["upload", "adaptor", "mine"];
        self.write("POST", "/adaptors/mine/versions", Body::Component(number), line, effect)
    }

    /// A change of the model, all of whose parts but the endpoint are there.
    fn of_model(&mut self, world: &World) -> Write {
        let is_asked = world.has("endpoint", "c-api-m");
        match self.rng.u8(0..6) {
            0 if is_asked => self.delete("endpoints", "endpoint", "c-api-m"),
            0 => self.delete("adaptors", "adaptor", "mine"),
            1 if !is_asked => self.delete("clusters", "cluster", "c"),
            2 if !is_asked => self.delete("secrets", "secret", "s"),
            3 => self.roll(world),
            _ => {
                let part = self.rng.usize(0..4);
                self.part(world, part)
            }
        }
    }

    /// To the other version, or back.
    fn roll(&mut self, world: &World) -> Write {
        let said = world.said("adaptor", "mine").unwrap();
        let other = self.digests.iter().find(|digest| said["live"] != json!(digest)).unwrap();
        if !world.has("version", &format!("mine/{other}")) {
            return self.push();
        }
        let effect = |live: &Value| Effect::There(vec![(id("adaptor", "mine"), json!({ "live": live }))]);
        if said["previous"].is_string() && self.rng.bool() {
            let line = ["rollback", "adaptor", "mine"];
            let effect = effect(&said["previous"]);
            return self.write("POST", "/adaptors/mine/rollback", Body::Nothing, line, effect);
        }
        let body = Body::Json(json!({ "version": other }));
        let line = ["rollout", "adaptor", "mine"];
        self.write("POST", "/adaptors/mine/rollout", body, line, effect(&json!(other)))
    }

    /// What has nothing to do with the model.
    fn beside(&mut self, world: &World) -> Write {
        let number = self.rng.u8(0..3);
        let (key, member, cluster) = (format!("k{number}"), format!("m{number}"), format!("d{number}"));
        match self.rng.u8(0..10) {
            0 => {
                let line = ["delete", "tenant", &self.tenant];
                self.write("DELETE", "", Body::Nothing, line, Effect::NothingLeft)
            }
            1 => {
                let said = json!({ "description": format!("no {}", self.count) });
                self.put(world, "", ("tenant", &self.tenant), said.clone(), said)
            }
            2 | 3 if world.has("member", &member) => self.delete("members", "member", &member),
            2 | 3 => {
                let spec = json!({ "role": "user", "email": format!("{}@example.org", self.count) });
                self.put(world, &format!("/members/{member}"), ("member", &member), spec.clone(), spec)
            }
            4 if world.has("cluster", &cluster) => self.delete("clusters", "cluster", &cluster),
            4 | 5 => self.cluster(world, &cluster),
            _ if world.keys.contains_key(&key) => {
                let (line, path) = (["revoke", "key", &key], format!("/keys/{key}"));
                self.write("DELETE", &path, Body::Nothing, line, Effect::NoKey(key.clone()))
            }
            _ => {
                let member = Some(member).filter(|member| world.has("member", member));
                let body = Body::Json(json!({ "name": key, "member": member }));
                self.write("POST", "/keys", body, ["create", "key", &key], Effect::Key(key.clone(), member))
            }
        }
    }
}
