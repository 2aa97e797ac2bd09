//! The rungs of the ladder: what stands between the load and the mock upstream.

use crate::error::Fallible;

/// What a rung's requests pass through.
#[derive(Clone, Copy, PartialEq)]
pub enum Via {
    /// Nothing: the load meets the mock.
    Mock,
    /// nginx.
    Nginx,
    /// The gateway, by the model with this name.
    Gateway(Model),
}

/// A model of the gateway under test.
#[derive(Clone, Copy, PartialEq)]
pub struct Model {
    /// The name requests ask for.
    pub name: &'static str,
    /// What answers for it.
    pub adaptor: Adaptor,
    /// Where the upstream answers it: the path of `api_url`.
    pub base: &'static str,
}

impl Model {
    /// With another path at the upstream.
    pub const fn at(self, base: &'static str) -> Self {
        Self { base, ..self }
    }
}

/// The adaptor of a model.
#[derive(Clone, Copy, PartialEq)]
pub enum Adaptor {
    /// One the gateway knows by name.
    Named(&'static str),
    /// A test guest: a file in the directory given by `--guests`.
    Guest(&'static str),
    /// A test guest in front of one that the gateway knows by name.
    Chain(&'static str, &'static str),
}

/// One thing that is measured.
pub struct Rung {
    /// The name in reports and in `--only`.
    pub name: &'static str,
    /// What it is, in a few words.
    pub what: &'static str,
    /// What its requests pass through.
    pub via: Via,
    /// Whether answers are streams of events.
    pub streamed: bool,
}

impl Rung {
    /// The rung that sets the scale: nginx with the same kind of answer.
    pub fn nginx(&self) -> &'static str {
        if self.streamed { "nginx-stream" } else { "nginx" }
    }

    /// The gateway's own path without a sandbox, with the same kind of answer.
    pub fn native(&self) -> &'static str {
        if self.streamed { "native-stream" } else { "native" }
    }

    /// The cheapest way through a sandbox, with the same kind of answer.
    pub fn forward(&self) -> &'static str {
        if self.streamed { "forward-stream" } else { "forward" }
    }

    /// Whether it is ours and has a sandbox, rather than something to compare with.
    pub fn is_sandboxed(&self) -> bool {
        matches!(self.via, Via::Gateway(model) if model != NATIVE)
    }
}

/// A model that an adaptor of the gateway answers for.
pub const fn named(name: &'static str, adaptor: &'static str) -> Model {
    Model { name, adaptor: Adaptor::Named(adaptor), base: "/v1" }
}

/// A model that a test guest answers for.
pub const fn guest(name: &'static str, file: &'static str) -> Model {
    Model { name, adaptor: Adaptor::Guest(file), base: "/v1" }
}

/// A model that a test guest answers for with an adaptor behind it.
pub const fn chain(name: &'static str, front: &'static str, adaptor: &'static str) -> Model {
    Model { name, adaptor: Adaptor::Chain(front, adaptor), base: "/v1" }
}

const fn whole(name: &'static str, via: Via, what: &'static str) -> Rung {
    Rung { name, what, via, streamed: false }
}

const fn stream(name: &'static str, via: Via, what: &'static str) -> Rung {
    Rung { name, what, via, streamed: true }
}

const NATIVE: Model = named("native", "native");
const FORWARD: Model = named("forward", "direct-api");
const PYTHON: Model = guest("forward-python", "python-forward.wasm");
const JAVASCRIPT: Model = guest("forward-js", "js-forward.wasm");
const CHAIN: Model = chain("chain", "front.wasm", "direct-api");
const RELAY: Model = guest("relay", "rewrite.wasm");
const RELAY_WASI: Model = named("relay-wasi", "direct-api-wasi");
const BODY: Model = guest("body", "body-upstream.wasm");
const EVENTS: Model = guest("events", "rewrite.wasm");

/// Every rung, bottom first.
pub static ALL: [Rung; 14] = [
    whole("mock", Via::Mock, "the load meets the upstream, nothing between"),
    whole("nginx", Via::Nginx, "nginx proxy_pass, keep-alive, access log"),
    whole("native", Via::Gateway(NATIVE), "the gateway without a sandbox"),
    whole("forward", Via::Gateway(FORWARD), "the sandbox decides, the host forwards"),
    whole("forward-js", Via::Gateway(JAVASCRIPT), "forward, decided by an adaptor in JavaScript"),
    whole("forward-python", Via::Gateway(PYTHON), "forward, decided by an adaptor in Python"),
    whole("chain", Via::Gateway(CHAIN), "forward, with a middleware in front that does nothing"),
    whole("relay", Via::Gateway(RELAY), "the guest calls upstream.send and relays"),
    whole("relay-wasi", Via::Gateway(RELAY_WASI), "the guest calls over wasi:http and relays"),
    whole("body", Via::Gateway(BODY), "the answer's bytes pass through the guest"),
    stream("nginx-stream", Via::Nginx, "nginx, streamed, buffering off"),
    stream("native-stream", Via::Gateway(NATIVE), "the gateway without a sandbox, streamed"),
    stream("forward-stream", Via::Gateway(FORWARD), "the host forwards the stream"),
    stream("events", Via::Gateway(EVENTS), "the guest parses and rewrites every event"),
];

/// The rungs named in `only`, or all of them.
pub fn select(only: &[String]) -> Fallible<Vec<&'static Rung>> {
    let known = |name: &String| ALL.iter().any(|rung| rung.name == name);
    if let Some(name) = only.iter().find(|name| !known(name)) {
        let names: Vec<_> = ALL.iter().map(|rung| rung.name).collect();
        return Err(format!("no rung is called {name}; there are {}", names.join(", ")).into());
    }
    let chosen = |rung: &&Rung| only.is_empty() || only.iter().any(|name| name == rung.name);
    Ok(ALL.iter().filter(chosen).collect())
}
