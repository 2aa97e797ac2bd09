//! Forms, and a backend below HTTP that tells what it reads while it comes.

use std::sync::Arc;

use airlock_sandbox::Operation;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Mutex, mpsc},
};

use super::{Feed, GatewayBuilder, RawUpstream, TestGateway, feed, within};

/// The operations that take forms.
pub const FORMS: [Operation; 4] =
    [Operation::Transcriptions, Operation::Translations, Operation::ImageEdits, Operation::ImageVariations];
/// The content type of forms made of [`FORM_MODEL`], [`FORM_FILE`] and [`FORM_END`].
pub const FORM_TYPE: &str = "multipart/form-data; boundary=b0und";
/// The field `model`, which says `m`.
pub const FORM_MODEL: &str = "--b0und\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n";
/// A file.
pub const FORM_FILE: &str = "--b0und\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\ncontent-type: audio/mpeg\r\n\r\nsound\r\n";
/// The end.
pub const FORM_END: &str = "--b0und--\r\n";

/// The field `model` with another name.
pub fn form_model(name: &str) -> String {
    FORM_MODEL.replace("\r\nm\r\n", &format!("\r\n{name}\r\n"))
}

/// A form that the test sends piece by piece.
pub fn fed_form() -> (Feed, reqwest::Body) {
    let (feed, stream) = feed();
    (feed, reqwest::Body::wrap_stream(stream.map(Ok::<Bytes, std::io::Error>)))
}

impl TestGateway {
    /// One whose cluster takes forms.
    pub fn form_builder() -> GatewayBuilder {
        Self::builder().operations(&FORMS.map(Operation::path))
    }

    /// A POST of a form with the key.
    pub fn post_form(&self, path: &str, form: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.request("POST", path).header("content-type", FORM_TYPE).body(form)
    }
}

/// A backend below HTTP: the test sees what it reads as it comes, and says what it answers.
pub struct Tap {
    /// Where it listens.
    pub upstream: RawUpstream,
    read: mpsc::UnboundedReceiver<Vec<u8>>,
    answer: mpsc::UnboundedSender<&'static str>,
    /// All that it has read.
    pub seen: String,
}

impl Tap {
    /// One for a single connection.
    pub async fn new() -> Self {
        let (tell, read) = mpsc::unbounded_channel();
        let (answer, said) = mpsc::unbounded_channel::<&'static str>();
        let said = Arc::new(Mutex::new(said));
        let upstream = RawUpstream::start(move |mut stream| {
            let (tell, said) = (tell.clone(), Arc::clone(&said));
            async move {
                let (mut said, mut buffer) = (said.lock().await, vec![0; 64 << 10]);
                loop {
                    tokio::select! {
                        read = stream.read(&mut buffer) => match read {
                            Ok(length @ 1..) => drop(tell.send(buffer[..length].to_vec())),
                            _ => return drop(tell.send(Vec::new())),
                        },
                        Some(text) = said.recv() => stream.write_all(text.as_bytes()).await.unwrap(),
                    }
                }
            }
        })
        .await;
        Self { upstream, read, answer, seen: String::new() }
    }

    /// Waits until it has read this.
    pub async fn reads(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let piece = within(self.read.recv()).await.unwrap();
            assert!(!piece.is_empty(), "the connection closed: {}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    /// Waits until its connection is closed.
    pub async fn closes(&mut self) {
        loop {
            let piece = within(self.read.recv()).await.unwrap();
            if piece.is_empty() {
                return;
            }
            self.seen.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    /// Answers with this, as it is.
    pub fn say(&self, text: &'static str) {
        self.answer.send(text).unwrap();
    }
}
