//! An issuer of JWTs that does what a test wants: it publishes keys, changes them, goes away, and says odd things.

use std::sync::{Arc, Mutex};

use airlock::config::OidcSection;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Response;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};

use super::{Body, Gate, Seen, Upstream, json as answer};

/// What tokens for the gateway are made for.
pub const AUDIENCE: &str = "airlock";

/// A key that signs tokens, ECDSA on P-256.
pub struct SigningKey {
    /// Its id.
    pub id: String,
    pair: EcdsaKeyPair,
}

impl SigningKey {
    /// A fresh one.
    pub fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let bytes = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes.as_ref(), &random).unwrap();
        Self { id: id.to_owned(), pair }
    }

    /// Its public half, as issuers publish it.
    pub fn public(&self) -> Value {
        let (x, y) = self.point().split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
            "x": BASE64_URL_SAFE_NO_PAD.encode(x), "y": BASE64_URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// Both coordinates, one behind the other.
    pub fn point(&self) -> &[u8] {
        &self.pair.public_key().as_ref()[1..]
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.id }), claims)
    }

    /// A token with this header.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Header and claims of a token, without a signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// Now, in Unix seconds.
pub fn unix_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

type Instead = Box<dyn Fn(&Seen) -> Option<Response<Body>> + Send>;

#[derive(Default)]
struct State {
    keys: Vec<Value>,
    instead: Option<Instead>,
    gate: Option<Gate>,
}

/// The issuer.
pub struct FakeIssuer {
    /// Where it listens.
    pub upstream: Upstream,
    state: Arc<Mutex<State>>,
}

impl FakeIssuer {
    /// One that publishes these keys.
    pub async fn start(keys: &[&SigningKey]) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let upstream = Upstream::start(move |seen| {
            let shared = Arc::clone(&shared);
            async move {
                let gate = shared.lock().unwrap().gate.clone();
                if let Some(gate) = gate {
                    gate.pass().await;
                }
                shared.lock().unwrap().answer(&seen)
            }
        })
        .await;
        let issuer = Self { upstream, state };
        issuer.publish(keys);
        issuer
    }

    /// Its address, as tokens have it.
    pub fn url(&self) -> String {
        format!("http://{}", self.upstream.address)
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: &[&SigningKey]) {
        self.state.lock().unwrap().keys = keys.iter().map(|key| key.public()).collect();
    }

    /// Answers something else, where the closure gives it.
    pub fn instead(&self, answer: impl Fn(&Seen) -> Option<Response<Body>> + Send + 'static) {
        self.state.lock().unwrap().instead = Some(Box::new(answer));
    }

    /// Fails, or does not any more.
    pub fn is_away(&self, away: bool) {
        self.instead(move |_| away.then(|| answer(500, &json!({}))));
    }

    /// Answers when the gate is open.
    pub fn hold(&self) -> Gate {
        let gate = Gate::new();
        self.state.lock().unwrap().gate = Some(gate.clone());
        gate
    }

    /// How often its keys were fetched.
    pub fn fetches(&self) -> usize {
        self.upstream.seen().iter().filter(|seen| seen.uri.path() == "/jwks").count()
    }

    /// What the gateway's settings say of it.
    pub fn section(&self) -> OidcSection {
        OidcSection {
            issuer: self.url(),
            audience: vec![AUDIENCE.into()],
            required_scopes: Vec::new(),
            groups_claim: "groups".into(),
            domain_claims: vec!["email".into()],
        }
    }

    /// What a token says of `ann`, who is in the group `physics`; further claims win.
    pub fn claims(&self, further: Value) -> Value {
        let now = unix_now();
        let mut claims = json!({
            "iss": self.url(), "sub": "ann-7", "aud": AUDIENCE, "iat": now, "exp": now + 600,
            "preferred_username": "ann", "name": "Ann Other", "email": "ann@anl.gov", "email_verified": true,
            "groups": ["physics"], "scope": "openid",
        });
        claims.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }
}

impl State {
    fn answer(&self, seen: &Seen) -> Response<Body> {
        if let Some(instead) = self.instead.as_ref().and_then(|instead| instead(seen)) {
            return instead;
        }
        let own = format!("http://{}", seen.headers["host"].to_str().unwrap());
        match seen.uri.path() {
            "/.well-known/openid-configuration" => {
                answer(200, &json!({ "issuer": own, "jwks_uri": format!("{own}/jwks") }))
            }
            "/jwks" => answer(200, &json!({ "keys": self.keys })),
            _ => answer(404, &json!({})),
        }
    }
}
