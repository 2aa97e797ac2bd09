//! A real OpenID provider for one test: npm's `oidc-provider` with `tests/oidc/server.mjs`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use airlock::config::OidcSection;
use serde_json::Value;

use super::{AUDIENCE, within};

/// The provider. Dropping it ends it, and so does the end of the process.
pub struct OidcProvider {
    /// Its address, as tokens have it.
    pub url: String,
    server: Child,
}

impl OidcProvider {
    /// Starts one that signs with RS256. `None`: there is none here, and that was said.
    pub fn start() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/oidc-provider");
        let found = Command::new(script).arg("--print").output().ok().filter(|found| found.status.success());
        let Some(found) = found else {
            missing();
            return None;
        };
        let folder = String::from_utf8(found.stdout).unwrap();
        let mut command = Command::new("node");
        command.arg("server.mjs").current_dir(folder.trim());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("url=").expect("the provider says where it is").to_owned();
        Some(Self { url, server })
    }

    /// What the gateway's settings say of it.
    pub fn section(&self) -> OidcSection {
        OidcSection {
            issuer: self.url.clone(),
            audience: vec![AUDIENCE.into()],
            required_scopes: Vec::new(),
            groups_claim: "groups".into(),
            domain_claims: vec!["email".into()],
        }
    }

    /// The access token of a grant.
    pub async fn token(&self, form: &[(&str, &str)]) -> String {
        let answer: Value = self.post("/token", form).await.json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    /// Changes the key, for one of this algorithm.
    pub async fn rotate(&self, algorithm: &str) {
        self.post(&format!("/rotate?algorithm={algorithm}"), &[]).await;
    }

    /// A form from the only client.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = reqwest::Client::new().post(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let answer = within(request.basic_auth("app", Some("app-secret")).send()).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// On CI it is a mistake that there is none; elsewhere it is said past libtest, which hides what passing tests say.
fn missing() {
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!ci, "there is no OpenID provider on this machine: run scripts/oidc-provider");
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: a test on an OpenID provider, which is missing: run scripts/oidc-provider"
    );
}
