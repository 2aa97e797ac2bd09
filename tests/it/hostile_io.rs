//! Guests that call out too often, for too long, or with nothing in it: others are served meanwhile.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use airlock_tests::{
    Authority, Body, Feed, Gate, GatewayBuilder, RawUpstream, TestGateway, Upstream, chat_with, completion,
    error, eventually, guest, json, sse, stream_error, within,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn of_a_thousand_requests_at_once_sixteen_leave() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |seen| {
        let held = held.clone();
        async move {
            if seen.body.is_empty() {
                held.pass().await;
            }
            json(200, &completion())
        }
    })
    .await;
    let gateway = TestGateway::builder()
        .beside_a_good_one()
        .endpoint("m", guest("fan-out"), json!({ "api_url": upstream.url(), "count": 1_000 }))
        .endpoint("other", "direct-api", json!({ "api_url": upstream.url() }))
        .start()
        .await;
    let asking = tokio::spawn(gateway.chat().send());
    eventually(|| upstream.seen().len() == 16).await;
    for _ in 0..3 {
        gateway.answer("good").await;
        assert_eq!(gateway.answer("other").await, completion());
    }
    assert_eq!(upstream.seen().len(), 16 + 3);
    gate.open();
    let told: Value = within(asking).await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(told, json!({ "200": 16, "ConnectionLimitReached": 984 }));
    assert!(upstream.accepted_connections() <= 17, "{}", upstream.accepted_connections());
    gateway.is_well().await;
}

/// A backend that reads for ever and says nothing. The gate opens when its client is gone; then the last bytes are
/// known.
async fn reader() -> (RawUpstream, Gate, Arc<Mutex<Vec<u8>>>) {
    let (gone, last) = (Gate::new(), Arc::<Mutex<Vec<u8>>>::default());
    let (telling, keeping) = (gone.clone(), last.clone());
    let upstream = RawUpstream::start(move |mut stream| {
        let (telling, keeping) = (telling.clone(), keeping.clone());
        async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                let mut last = keeping.lock().unwrap();
                last.extend_from_slice(&buffer[..length]);
                let old = last.len().saturating_sub(5);
                last.drain(..old);
            }
            telling.open();
        }
    })
    .await;
    (upstream, gone, last)
}

#[tokio::test]
async fn an_upload_without_end_ends_with_the_guests_time() {
    for (cpu_ms, wall_seconds, code) in [(60_000, 1, "adaptor_timeout"), (300, 60, "adaptor_cpu_limit")] {
        let (upstream, gone, last) = reader().await;
        let gateway = TestGateway::builder()
            .beside_a_good_one()
            .endpoint("m", guest("upload"), json!({ "api_url": upstream.url() }))
            .settings(|s| {
                (s.sandbox.cpu_ms, s.sandbox.wall_seconds) = (cpu_ms, wall_seconds);
                s.max_body_bytes = 1 << 30; // the limit on bytes follows it
            })
            .start()
            .await;
        error(within(gateway.chat().send()).await.unwrap(), 504, code).await;
        within(gone.pass()).await;
        assert_ne!(*last.lock().unwrap(), b"0\r\n\r\n", "what was cut off looks complete");
        gateway.is_well().await;
    }
}

#[tokio::test]
async fn an_upload_without_end_is_cut_at_the_limit() {
    let (upstream, gone, last) = reader().await;
    let gateway = TestGateway::builder()
        .beside_a_good_one()
        .endpoint("m", guest("upload"), json!({ "api_url": upstream.url() }))
        .settings(|s| {
            s.sandbox.cpu_ms = 60_000;
            s.max_body_bytes = 1 << 20; // and 16 MiB more
        })
        .start()
        .await;
    let answer = within(gateway.chat().send()).await.unwrap().text().await.unwrap();
    assert!(answer.contains("Closed"), "the guest is told: {answer}");
    within(gone.pass()).await;
    assert_ne!(*last.lock().unwrap(), b"0\r\n\r\n", "what was cut off looks complete");
    gateway.is_well().await;
}

#[tokio::test]
async fn an_upload_that_nobody_reads_ends_with_the_wall_time() {
    let upstream = RawUpstream::start(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = TestGateway::builder()
        .beside_a_good_one()
        .endpoint("m", guest("upload"), json!({ "api_url": upstream.url() }))
        .settings(|s| s.sandbox.wall_seconds = 1)
        .start()
        .await;
    error(within(gateway.chat().send()).await.unwrap(), 504, "adaptor_timeout").await;
    gateway.is_well().await;
}

fn tls_url(upstream: &Upstream) -> String {
    format!("https://localhost:{}/v1", upstream.address.port())
}

/// Serves from a process of its own that trusts this authority.
async fn process(builder: GatewayBuilder, authority: &Authority) -> airlock_tests::GatewayProcess {
    let file = authority.ca_file().display().to_string();
    let env = [("AIRLOCK_EGRESS__CA_FILE", file.as_str()), ("AIRLOCK_SANDBOX__CPU_MS", "60000")];
    builder.beside_a_good_one().start_process(&env).await
}

#[tokio::test]
async fn empty_pieces_of_a_request_cost_no_memory_and_change_nothing() {
    let authority = Authority::new();
    for protocol in ["h2", "http/1.1"] {
        let upstream =
            Upstream::start_tls(&authority, &[protocol], |_| async { json(200, &completion()) }).await;
        let config =
            |count| json!({ "api_url": tls_url(&upstream), "bytes": 0, "count": count, "last": "the end" });
        let builder = TestGateway::builder().endpoint("few", guest("upload"), config(10)).endpoint(
            "m",
            guest("upload"),
            config(50_000),
        );
        let gateway = process(builder, &authority).await;
        gateway.answer("few").await;
        let (answer, grown) = gateway.growth(gateway.answer("m")).await;
        eprintln!("50 000 empty pieces over {protocol}: {} KiB", grown >> 10);
        assert_eq!(answer, (200, json!({ "status": 200 })), "{protocol}");
        assert!(grown < 4 * MIB, "{protocol}: {grown}");
        assert!(upstream.seen().iter().all(|seen| seen.body == "the end"), "{:?}", upstream.seen());
    }
}

/// A backend whose answers begin with many empty DATA frames.
async fn hollow(authority: &Authority, frames: usize) -> Upstream {
    Upstream::start_tls(authority, &["h2"], move |_| async move {
        let empty = stream::repeat(Bytes::new()).take(frames);
        sse(empty.chain(stream::iter(["data: {}\n\n", "data: [DONE]\n\n"].map(Bytes::from))))
    })
    .await
}

/// A hundred of them are put up with; of more, the connection is cut.
#[tokio::test]
async fn empty_frames_of_an_answer_cost_no_memory() {
    let authority = Authority::new();
    let (few, many) = (hollow(&authority, 30).await, hollow(&authority, 200_000).await);
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite")] {
        let builder = TestGateway::builder()
            .endpoint("few", &adaptor, json!({ "api_url": tls_url(&few) }))
            .endpoint("m", &adaptor, json!({ "api_url": tls_url(&many) }));
        let gateway = process(builder, &authority).await;
        let ask = async |model: &str| {
            let request = gateway.ask(model).json(&streamed(model));
            within(request.send()).await.unwrap().text().await.unwrap()
        };
        assert_eq!(ask("few").await, "data: {}\n\ndata: [DONE]\n\n");
        let (text, grown) = gateway.growth(ask("m")).await;
        eprintln!("200 000 empty frames, {}: {} KiB", adaptor.display(), grown >> 10);
        stream_error(&text, "upstream_disconnected");
        assert!(grown < 8 * MIB, "{}: {grown}", adaptor.display());
        assert_eq!(ask("few").await, "data: {}\n\ndata: [DONE]\n\n");
    }
}

fn streamed(model: &str) -> Value {
    let mut body = chat_with(model);
    body["stream"] = json!(true);
    body
}

/// Opens its gate when it is gone.
struct Opens(Gate);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// An answer of the same piece a million times over, and a gate that opens when no more of it is wanted.
fn endless(piece: &Bytes, over: &Gate) -> http::Response<Body> {
    let opens = Opens(over.clone());
    let pieces = stream::repeat(piece.clone()).take(1_000_000);
    sse(pieces.inspect(move |_| {
        let _ = &opens;
    }))
}

/// A guest and its backend in one hand: the one sends, the other does not read.
#[tokio::test]
async fn frames_that_a_guest_does_not_read_are_not_hoarded() {
    let authority = Authority::new();
    for piece in
        ["", "x", "a hundred of these fit into ten kilobytes, more or less, and so many are harmless"]
    {
        let (piece, over) = (Bytes::from(piece), Gate::new());
        let (sent, telling) = (piece.clone(), over.clone());
        let upstream = Upstream::start_tls(&authority, &["h2"], move |_| {
            let answer = endless(&sent, &telling);
            async move { answer }
        })
        .await;
        let config = json!({ "api_url": tls_url(&upstream), "hold": "responses" });
        let gateway = process(TestGateway::builder().endpoint("m", guest("hold"), config), &authority).await;
        gateway.answer("good").await;
        let hold = async {
            let mut response = within(gateway.ask("m").json(&streamed("m")).send()).await.unwrap();
            within(response.chunk()).await.unwrap().unwrap();
            let _ = tokio::time::timeout(Duration::from_secs(5), over.pass()).await;
            gateway.answer("good").await;
            response
        };
        let (_response, grown) = gateway.growth(hold).await;
        eprintln!("unread frames of {} bytes: {} KiB", piece.len(), grown >> 10);
        // A window of 64 KiB holds as many frames of one byte; each costs less than 300 bytes to keep.
        assert!(grown < 24 * MIB, "{piece:?}: {grown}");
    }
}

/// A backend that answers before it has read a request's body, and goes on reading.
async fn hasty() -> RawUpstream {
    RawUpstream::start(|mut stream| async move {
        let body = completion().to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            if buffer[..length].windows(4).any(|w| w == b"\r\n\r\n") {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_request_that_never_ends_holds_up_no_other() {
    let upstream = hasty().await;
    let gateway = TestGateway::builder()
        .beside_a_good_one()
        .endpoint("m", guest("hold"), json!({ "api_url": upstream.url(), "hold": "requests" }))
        .endpoint("other", "direct-api", json!({ "api_url": upstream.url() }))
        .start()
        .await;
    let mut holding = within(gateway.chat_stream().send()).await.unwrap();
    assert_eq!(within(holding.chunk()).await.unwrap().unwrap(), "data: {\"held\":1}\n\n");
    for _ in 0..10 {
        let answer = tokio::time::timeout(Duration::from_secs(5), gateway.answer("other")).await;
        assert_eq!(answer.expect("an answer while another request is open"), completion());
    }
    drop(holding);
    gateway.is_well().await;
}

#[tokio::test]
async fn answers_that_are_not_read_hold_up_no_other_on_the_same_connection() {
    let authority = Authority::new();
    let upstream = Upstream::start_tls(&authority, &["h2"], |seen| async move {
        if seen.body == "{}" {
            return sse(stream::repeat(Bytes::from(vec![b'x'; 64 << 10])).take(1_024));
        }
        json(200, &completion())
    })
    .await;
    let file = authority.ca_file().to_path_buf();
    let url = tls_url(&upstream);
    let gateway = TestGateway::builder()
        .beside_a_good_one()
        .endpoint("m", guest("hold"), json!({ "api_url": url, "hold": "responses", "count": 16 }))
        .endpoint("other", "direct-api", json!({ "api_url": url }))
        .settings(|s| s.egress.ca_file = Some(file))
        .start()
        .await;
    let mut holding = within(gateway.chat_stream().send()).await.unwrap();
    assert_eq!(within(holding.chunk()).await.unwrap().unwrap(), "data: {\"held\":16}\n\n");
    for _ in 0..10 {
        let answer = tokio::time::timeout(Duration::from_secs(5), gateway.answer("other")).await;
        assert_eq!(answer.expect("an answer while others are not read"), completion());
    }
    drop(holding);
    gateway.is_well().await;
}

/// A backend over HTTP/2: a body of `{}` and a chat with `endless` get small pieces without end, another chat gets
/// what the test feeds.
async fn two_faced(authority: &Authority, over: &Gate) -> (Upstream, Feed) {
    let (feed, fed) = airlock_tests::feed();
    let (fed, over) = (Mutex::new(Some(fed)), over.clone());
    let piece = Bytes::from(format!("data: {{\"choices\":[],\"x\":\"{}\"}}\n\n", "x".repeat(50)));
    let upstream = Upstream::start_tls(authority, &["h2"], move |seen| {
        let answer = if seen.body == "{}" || seen.json()["user"] == "endless" {
            endless(&piece, &over)
        } else {
            sse(fed.lock().unwrap().take().expect("one stream"))
        };
        async move { answer }
    })
    .await;
    (upstream, feed)
}

/// Of two streams on one connection, one has begun. It ends well, whatever becomes of the other.
async fn ends_well(gateway: &TestGateway, feed: Feed, over: &Gate, other: impl Future<Output = Response>) {
    let request = gateway.post("/v1/chat/completions", &streamed("good-too")).send();
    feed.send("data: {}\n\n");
    let mut mine = within(request).await.unwrap();
    assert_eq!(within(mine.chunk()).await.unwrap().unwrap(), "data: {}\n\n");
    let mut other = other.await;
    within(other.chunk()).await.unwrap().unwrap();
    // Either its connection is cut, or it has to wait.
    let _ = tokio::time::timeout(Duration::from_secs(3), over.pass()).await;
    feed.send("data: [DONE]\n\n");
    drop(feed);
    assert_eq!(within(mine.text()).await.unwrap(), "data: [DONE]\n\n");
    drop(other);
    gateway.is_well().await;
}

async fn with_two(upstream: &Upstream, authority: &Authority) -> TestGateway {
    let file = authority.ca_file().to_path_buf();
    let url = tls_url(upstream);
    TestGateway::builder()
        .beside_a_good_one()
        .endpoint("m", guest("hold"), json!({ "api_url": url, "hold": "responses" }))
        .endpoint("good-too", "direct-api", json!({ "api_url": url }))
        .settings(|s| s.egress.ca_file = Some(file))
        .start()
        .await
}

/// Many small pieces that nobody reads look like an attack, and the connection is cut.
#[tokio::test]
async fn a_guest_that_does_not_read_breaks_no_other_stream() {
    let (authority, over) = (Authority::new(), Gate::new());
    let (upstream, feed) = two_faced(&authority, &over).await;
    let gateway = with_two(&upstream, &authority).await;
    let holding = async { within(gateway.chat_stream().send()).await.unwrap() };
    ends_well(&gateway, feed, &over, holding).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_breaks_no_other_stream() {
    let (authority, over) = (Authority::new(), Gate::new());
    let (upstream, feed) = two_faced(&authority, &over).await;
    let gateway = with_two(&upstream, &authority).await;
    let mut body = streamed("good-too");
    body["user"] = json!("endless");
    let stalling = async { within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap() };
    ends_well(&gateway, feed, &over, stalling).await;
}
