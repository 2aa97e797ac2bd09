//! How streams end when somebody leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::super::model_server::serve;
use super::super::stream::{self, Event};
use super::{chat, config};

/// Reads until the text has come.
async fn read_until(client: &mut TcpStream, text: &str) {
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(text) {
        assert_ne!(client.read_buf(&mut got).await.unwrap(), 0, "closed too early");
    }
}

#[tokio::test]
async fn a_shutdown_ends_open_streams_with_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let shutdown = CancellationToken::new();
    // At this pace no stream ends by itself.
    let server = tokio::spawn(serve(listener, config(Duration::from_secs(60)), shutdown.clone()));
    let body = chat(json!({ "stream": true })).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: demo\r\nauthorization: Bearer key\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    read_until(&mut client, "\"role\":\"assistant\"").await;
    shutdown.cancel();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("server_error") && !rest.contains("[DONE]"), "{rest}");
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap().unwrap();
}

/// Endless events that tell when they are dropped.
struct Noted(Arc<AtomicBool>);

impl Iterator for Noted {
    type Item = Event;
    fn next(&mut self) -> Option<Event> {
        Some(Event { waits: true, data: Value::Null })
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_stream_with_it() {
    let gone = Arc::new(AtomicBool::new(false));
    let noted = gone.clone();
    let answer = move || {
        let events = Noted(noted.clone());
        std::future::ready(stream::respond(events, Duration::from_millis(5), CancellationToken::new()))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let app = Router::new().route("/", get(answer));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    client.write_all(b"GET / HTTP/1.1\r\nhost: demo\r\n\r\n").await.unwrap();
    read_until(&mut client, "data: null").await;
    assert!(!gone.load(Ordering::SeqCst));
    drop(client);
    let waited = tokio::time::timeout(Duration::from_secs(2), async {
        while !gone.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("the stream is gone soon after its client");
    server.abort();
}
