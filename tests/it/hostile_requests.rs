//! Requests that say one thing and mean another. Nobody but the granted backend is contacted, and it sees its own
//! name and no header that the host did not check.

use airlock_tests::{
    Authority, Body, GatewayBuilder, TestGateway, Upstream, chat_with, completion, error, guest, json, within,
};
use http::{HeaderValue, Response};
use serde_json::{Value, json};

/// What happens to a request. Where it may be sent or not, the backend has to see its own name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Sent,
    Refused,
    Either,
}
use Fate::{Either, Refused, Sent};

/// A granted backend, one that is not, and a gateway with the guest `requests`.
struct Scene {
    upstream: Upstream,
    canary: Upstream,
    gateway: TestGateway,
    own: String,
}

impl Scene {
    async fn new() -> Self {
        let upstream = Upstream::json(completion()).await;
        let own = upstream.address.to_string();
        Self::with(upstream, own, |builder| builder, "http").await
    }

    async fn with(
        upstream: Upstream,
        own: String,
        change: impl FnOnce(GatewayBuilder) -> GatewayBuilder,
        scheme: &str,
    ) -> Self {
        let config = json!({ "api_url": format!("{scheme}://{own}/v1") });
        let builder = TestGateway::builder()
            .beside_a_good_one()
            .endpoint("m", guest("requests"), config)
            .settings(|s| s.sandbox.outbound_calls = 1_000);
        let gateway = change(builder).start().await;
        Self { upstream, canary: Upstream::json(completion()).await, gateway, own }
    }

    /// `{own}`, `{port}` and `{canary}` in place.
    fn fill(&self, text: &str) -> String {
        let port = self.upstream.address.port().to_string();
        let canary = self.canary.address.port().to_string();
        text.replace("{own}", &self.own).replace("{port}", &port).replace("{canary}", &canary)
    }

    /// Sends all of them in one call of the guest and compares what came of each.
    async fn send(&self, cases: &[(Value, Fate)]) {
        let filled: Vec<Value> = cases
            .iter()
            .map(|(request, _)| serde_json::from_str(&self.fill(&request.to_string())).unwrap())
            .collect();
        let mut body = chat_with("m");
        body["requests"] = json!(filled);
        let response = within(self.gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
        let told: Value = response.json().await.unwrap();
        let outcomes = told["outcomes"].as_array().unwrap_or_else(|| panic!("{told}"));
        let (mut wrong, mut sent) = (Vec::new(), 0);
        for ((_, fate), (request, outcome)) in cases.iter().zip(filled.iter().zip(outcomes)) {
            let is_sent = outcome["status"] == 200;
            let is_told = request["authority"].is_string() || outcome["code"] == "egress_denied";
            if (is_sent && *fate == Refused) || (!is_sent && (*fate == Sent || !is_told)) {
                wrong.push(format!("{request} {outcome}"));
            }
            sent += usize::from(is_sent);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(self.check(), sent);
        self.gateway.is_well().await;
    }

    /// Forwards each of them.
    async fn forward(&self, cases: &[(Value, Fate)]) {
        let mut sent = 0;
        for (request, fate) in cases {
            let request: Value = serde_json::from_str(&self.fill(&request.to_string())).unwrap();
            let mut body = chat_with("m");
            body["forward"] = json!(true);
            body["requests"] = json!([request]);
            let response = within(self.gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
            if *fate == Sent || (*fate == Either && response.status() == 200) {
                assert_eq!(response.status(), 200, "{request}");
                sent += 1;
            } else {
                error(response, 502, "egress_denied").await;
            }
        }
        assert_eq!(self.check(), sent);
        self.gateway.is_well().await;
    }

    /// What the backend saw is in order; how much it was.
    fn check(&self) -> usize {
        assert_eq!(self.canary.accepted_connections(), 0, "somebody else was contacted");
        let seen = self.upstream.seen();
        for one in &seen {
            let hosts: Vec<_> = one.headers.get_all("host").iter().collect();
            let authority = one.uri.authority().map(http::uri::Authority::as_str);
            if one.version == http::Version::HTTP_2 {
                assert!(hosts.is_empty(), "{one:?}");
                assert_eq!(authority, Some(self.own.as_str()), "{one:?}");
            } else {
                assert_eq!(hosts, [self.own.as_str()], "{one:?}");
                assert_eq!(authority, None, "{one:?}");
            }
            assert!(!one.headers.contains_key("x-injected"), "{one:?}");
        }
        seen.len()
    }
}

fn urls() -> Vec<(Value, Fate)> {
    let cases = [
        ("http://{own}/", Sent),
        ("HTTP://{own}/", Sent),
        ("http://{own}", Sent),
        ("http://{own}?x", Sent),
        ("http://{own}?@127.0.0.1:{canary}/", Sent),
        ("http://{own}#@127.0.0.1:{canary}/", Sent),
        ("http://{own}/#frag", Sent),
        ("http://{own}//127.0.0.1:{canary}/", Sent),
        ("http://{own}/http://127.0.0.1:{canary}/", Sent),
        ("http://{own}/@127.0.0.1:{canary}", Sent),
        ("http://{own}/../../x", Sent),
        ("http://{own}/%0d%0ax-injected:%201%0d%0a", Sent),
        ("http://{own}/\\127.0.0.1:{canary}", Sent),
        ("http://{own}/x HTTP/1.1\r\nx-injected: 1\r\n\r\n", Refused),
        ("http://{own}/x\r\nx-injected: 1", Refused),
        ("http://{own}/x\nx-injected: 1", Refused),
        ("http://{own}/x\0", Refused),
        ("http://{own}/x y", Refused),
        ("http://127.0.0.1:{canary}/", Refused),
        ("http://{own}@127.0.0.1:{canary}/", Refused),
        ("http://user:pass@{own}/", Refused),
        ("http://@{own}/", Refused),
        ("http://127.0.0.1:{canary}@{own}/", Refused),
        ("http://{own}\\@127.0.0.1:{canary}/", Refused),
        ("http://127.0.0.1:{canary}\\@{own}/", Refused),
        ("http://{own}:{canary}/", Refused),
        ("http://127.0.0.1%3A{port}/", Refused),
        ("http://{own}%40127.0.0.1:{canary}/", Refused),
        ("http://{own}.evil.example/", Refused),
        ("http://127.0.0.1/", Refused),
        ("http://127.0.0.1:/", Refused),
        ("http://127.0.0.1:0{port}/", Either),
        ("http://127.0.0.1:+{port}/", Either),
        ("http://127.0.0.1:{port}x/", Refused),
        ("http://127.0.0.1:-1/", Refused),
        ("http://127.0.0.1:999999/", Refused),
        ("http://127.0.0.1 :{port}/", Refused),
        ("http:// {own}/", Refused),
        ("http://2130706433:{port}/", Refused),
        ("http://0177.0.0.1:{port}/", Refused),
        ("http://0x7f.0.0.1:{port}/", Refused),
        ("http://0x7f000001:{port}/", Refused),
        ("http://127.1:{port}/", Refused),
        ("http://127.0.0.2:{port}/", Refused),
        ("http://127.0.0.1.:{port}/", Refused),
        ("http://0.0.0.0:{port}/", Refused),
        ("http://[::ffff:127.0.0.1]:{port}/", Refused),
        ("http://[::ffff:7f00:1]:{port}/", Refused),
        ("http://[::1]:{port}/", Refused),
        ("http://[127.0.0.1]:{port}/", Refused),
        ("http://[::1%25lo]:{port}/", Refused),
        ("http://localhost:{port}/", Refused),
        ("http://LOCALHOST.:{port}/", Refused),
        ("http://①②⑦.0.0.1:{port}/", Refused),
        ("http://127。0。0。1:{port}/", Refused),
        ("http://xn--127-.0.0.1:{port}/", Refused),
        ("https://{own}/", Refused),
        ("ftp://{own}/", Refused),
        ("http+unix://{own}/", Refused),
        ("file:///etc/passwd", Refused),
        ("//{own}/", Refused),
        ("/v1", Refused),
        ("http:/{own}/", Refused),
        ("http:{own}/", Refused),
        ("http:\\\\{own}\\", Refused),
        ("http:///{own}/", Refused),
        ("{own}", Refused),
        ("http://", Refused),
        ("*", Refused),
        ("", Refused),
        ("http://169.254.169.254/latest/meta-data", Refused),
        ("http://metadata.google.internal/", Refused),
    ];
    cases.iter().map(|(url, fate)| (json!({ "url": url }), *fate)).collect()
}

#[tokio::test]
async fn a_url_leads_to_the_granted_backend_or_nowhere() {
    Scene::new().await.send(&urls()).await;
}

#[tokio::test]
async fn a_forwarded_url_leads_to_the_granted_backend_or_nowhere() {
    Scene::new().await.forward(&urls()).await;
}

#[tokio::test]
async fn parts_of_a_wasi_request_lead_to_the_granted_backend_or_nowhere() {
    let paths = [
        ("/", Sent),
        ("", Sent),
        ("?x", Sent),
        ("//127.0.0.1:{canary}/", Sent),
        ("/@127.0.0.1:{canary}", Sent),
        ("/http://127.0.0.1:{canary}/", Sent),
        ("http://127.0.0.1:{canary}/", Refused),
        ("@127.0.0.1:{canary}/", Refused),
        (":{canary}/", Refused),
        (".evil.example/", Refused),
        ("\\\\127.0.0.1:{canary}\\", Refused),
        ("/x HTTP/1.1\r\nx-injected: 1\r\n\r\n", Refused),
        ("/x\nx-injected: 1", Refused),
        ("/x y", Refused),
        ("*", Refused),
    ];
    let authorities = [
        ("127.0.0.1:{canary}", Refused),
        ("{own}@127.0.0.1:{canary}", Refused),
        ("127.0.0.1:{canary}@{own}", Refused),
        ("user@{own}", Refused),
        ("{own}/", Refused),
        ("{own}\r\nx-injected: 1", Refused),
        ("{own}\\@127.0.0.1:{canary}", Refused),
        ("{own}:{canary}", Refused),
        ("127.0.0.1:0{port}", Either),
        ("127.0.0.1:+{port}", Either),
        ("127.0.0.1", Refused),
        ("2130706433:{port}", Refused),
        ("0x7f.1:{port}", Refused),
        ("[::ffff:127.0.0.1]:{port}", Refused),
        ("[::1]:{port}", Refused),
        ("127.0.0.1.:{port}", Refused),
        ("localhost:{port}", Refused),
        ("①②⑦.0.0.1:{port}", Refused),
        ("", Refused),
    ];
    let schemes =
        [("http", Sent), ("HTTP", Refused), ("https", Refused), ("none", Refused), ("file", Refused)];
    let cases: Vec<(Value, Fate)> =
        paths
            .iter()
            .map(|(path, fate)| (json!({ "authority": "{own}", "path": path }), *fate))
            .chain(authorities.iter().map(|(a, fate)| (json!({ "authority": a, "path": "/" }), *fate)))
            .chain(schemes.iter().map(|(scheme, fate)| {
                (json!({ "scheme": scheme, "authority": "{own}", "path": "/" }), *fate)
            }))
            .collect();
    Scene::new().await.send(&cases).await;
}

/// The same methods and headers by both ways out.
fn described(method: &str, name: &str, value: &str, body: &str, fate: Fate) -> [(Value, Fate); 2] {
    let headers = if name.is_empty() && value.is_empty() { json!([]) } else { json!([[name, value]]) };
    let by_upstream = json!({ "url": "http://{own}/", "method": method, "headers": headers, "body": body });
    let by_wasi =
        json!({ "authority": "{own}", "path": "/", "method": method, "headers": headers, "body": body });
    [(by_upstream, fate), (by_wasi, fate)]
}

/// `TRACE` asks for the request itself, with the credential that the host adds.
#[tokio::test]
async fn a_method_is_a_method_and_shows_no_credential() {
    let cases: Vec<_> = [
        ("GET", Sent),
        ("OPTIONS", Sent),
        ("get", Sent),
        ("X-OWN", Sent),
        ("CONNECT", Refused),
        ("TRACE", Refused),
        ("", Refused),
        ("G ET", Refused),
        ("GET / HTTP/1.1\r\nx-injected: 1\r\n\r\nGET", Refused),
        ("GET\0", Refused),
        ("GÉT", Refused),
    ]
    .iter()
    .flat_map(|(method, fate)| described(method, "", "", "", *fate))
    .collect();
    Scene::new().await.send(&cases).await;
}

#[tokio::test]
async fn a_header_is_one_header_and_not_the_hosts() {
    let cases: Vec<_> = [
        ("x-own", "1", Sent),
        ("x-own", "tab\tand é", Sent),
        ("x-forwarded-host", "evil.example", Sent),
        ("host", "evil.example", Refused),
        ("HOST", "evil.example", Refused),
        ("Host", "{own}", Refused),
        ("host ", "evil.example", Refused),
        (":authority", "evil.example", Refused),
        (":path", "/evil", Refused),
        ("authorization", "Bearer x", Refused),
        ("Proxy-Authorization", "x", Refused),
        ("transfer-encoding", "chunked", Refused),
        ("Connection", "close, authorization", Refused),
        ("upgrade", "websocket", Refused),
        ("te", "trailers", Refused),
        ("trailer", "authorization", Refused),
        ("http2-settings", "x", Refused),
        ("x-own", "1\r\nx-injected: 1", Refused),
        ("x-own", "1\nx-injected: 1", Refused),
        ("x-own", "1\rx-injected: 1", Refused),
        ("x-own", "\0", Refused),
        ("x-own\r\nx-injected", "1", Refused),
        ("x-own: 1", "1", Refused),
        ("x own", "1", Refused),
        ("é", "1", Refused),
        ("", "1", Refused),
    ]
    .iter()
    .flat_map(|(name, value, fate)| described("POST", name, value, "body", *fate))
    .collect();
    Scene::new().await.send(&cases).await;
}

/// Over HTTP/2 the name is a part of the request that a guest describes.
#[tokio::test]
async fn over_http2_a_backend_sees_its_own_name_too() {
    let authority = Authority::new();
    let upstream = Upstream::start_tls(&authority, &["h2"], |_| async { json(200, &completion()) }).await;
    let own = format!("localhost:{}", upstream.address.port());
    let file = authority.ca_file().to_path_buf();
    let trusting = |b: GatewayBuilder| b.settings(|s| s.egress.ca_file = Some(file));
    let scene = Scene::with(upstream, own, trusting, "https").await;
    let cases = [
        ("{own}", Sent),
        ("LocalHost:{port}", Sent),
        ("localhost:0{port}", Either),
        ("localhost:+{port}", Either),
        ("user@{own}", Refused),
        ("localhost.:{port}", Refused),
        ("127.0.0.1:{port}", Refused),
        ("localhost:{canary}", Refused),
    ];
    let all: Vec<_> = cases
        .iter()
        .flat_map(|(authority, fate)| {
            let url = json!({ "url": format!("https://{authority}/x") });
            let parts = json!({ "scheme": "https", "authority": authority, "path": "/x" });
            [(url, *fate), (parts, *fate)]
        })
        .collect();
    scene.send(&all).await;
}

/// With the length wrong, what follows the body would be taken for another request.
#[tokio::test]
async fn a_length_is_the_bodys_or_the_request_is_not_sent() {
    let body = "12345GET /evil HTTP/1.1\r\nhost: x\r\nx-injected: 1\r\n\r\n";
    let one = |length: &str| {
        let headers = json!([["content-length", length]]);
        json!({ "authority": "{own}", "path": "/", "method": "POST", "headers": headers, "body": body })
    };
    let twice = json!([["content-length", "5"], ["content-length", "5"]]);
    let cases = [
        (one(&body.len().to_string()), Sent),
        // The backend may get the five bytes that were announced, and nothing of the rest.
        (one("5"), Either),
        (one("1000"), Refused),
        (one("+5"), Refused),
        (one("5, 5"), Refused),
        (one("0x5"), Refused),
        (one("-1"), Refused),
        (one(""), Refused),
        (json!({ "authority": "{own}", "path": "/", "headers": twice, "body": body }), Refused),
        (json!({ "url": "http://{own}/", "headers": twice, "body": body }), Sent),
    ];
    let scene = Scene::new().await;
    scene.send(&cases).await;
    for seen in scene.upstream.seen() {
        assert!(seen.uri.path() == "/" && (seen.body == body || seen.body == "12345"), "{seen:?}");
    }
}

#[tokio::test]
async fn no_status_and_no_spelling_of_a_redirect_is_followed() {
    let other = Upstream::json(completion()).await;
    // It answers with the status and the location that the task names.
    let upstream = Upstream::start(|seen| {
        let asked = seen.json();
        let status = asked["status"].as_u64().unwrap().try_into().unwrap();
        let mut response: Response<Body> = json(status, &completion());
        let location = HeaderValue::from_str(asked["location"].as_str().unwrap()).unwrap();
        response.headers_mut().insert("location", location);
        async move { response }
    })
    .await;
    let config = json!({ "api_url": upstream.url(), "allowed_hosts": [format!("http://{}", other.address)] });
    let gateway = TestGateway::builder()
        .beside_a_good_one()
        .endpoint("direct", "direct-api", config.clone())
        .endpoint("wasi", "direct-api-wasi", config.clone())
        .endpoint("rewrite", guest("rewrite"), config)
        .start()
        .await;
    let mut asked = 0;
    for status in [301, 302, 303, 307, 308] {
        for location in [format!("http://{}/x", other.address), format!("//{}/x", other.address)] {
            for (model, stream) in ["direct", "wasi", "rewrite"].iter().flat_map(|m| [(m, false), (m, true)])
            {
                let mut body = chat_with(model);
                body["stream"] = json!(stream);
                (body["status"], body["location"]) = (json!(status), json!(location));
                let response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
                assert!(!response.headers().contains_key("location"), "{model} {status}");
                error(response, 502, "upstream_bad_response").await;
                asked += 1;
            }
        }
    }
    assert_eq!(upstream.seen().len(), asked);
    assert_eq!(other.accepted_connections(), 0);
    gateway.is_well().await;
}
