//! Where what backends post to the gateway reaches the instance that waits for it. `wit/callbacks.wit` says what adaptors
//! see of it.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;
use uuid::Uuid;

/// What one inbox keeps for a client that reads slowly, and all of them together.
const MAX_INBOX_BYTES: usize = 8 << 20;
const MAX_BYTES: usize = 128 << 20;
/// What a message counts beside its text.
const MESSAGE_COST: usize = 64;

/// Where backends reach the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackAddress {
    /// `https` or `http`.
    pub protocol: String,
    /// Name or address, without a port.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Callbacks, as the operator allows them.
#[derive(Clone)]
pub struct CallbackSettings {
    /// Where backends reach the gateway.
    pub address: CallbackAddress,
    /// What they show there: one secret for all of them.
    pub secret: String,
}

impl fmt::Debug for CallbackSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackSettings({:?})", self.address)
    }
}

/// What a backend posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Lines of server-sent events.
    Data(String),
    /// The backend failed.
    Error(String),
    /// There is nothing more to come.
    Done,
}

/// What a backend shows: the gateway's secret, the inbox and its token.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// The secret.
    pub secret: &'a [u8],
    /// The inbox.
    pub id: Uuid,
    /// The inbox's token.
    pub token: &'a [u8],
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered {
    /// The secret is wrong, or there is none because the operator allows no callbacks.
    Secret,
    /// There is no such inbox, or its token is another one.
    Token,
    /// More came than is kept.
    Overflow,
}

type Digest = [u8; 32];

/// All inboxes. The lock is held for one step, never while somebody waits.
#[derive(Clone)]
pub struct Callbacks(Arc<Shared>);

struct Shared {
    address: Option<CallbackAddress>,
    secret: Option<Digest>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inboxes: HashMap<Uuid, Queue>,
    bytes: usize,
}

struct Queue {
    token: Digest,
    messages: VecDeque<Message>,
    bytes: usize,
    /// Why nothing more is taken.
    end: Option<Undelivered>,
    changed: Arc<Notify>,
}

/// One inbox, until it is dropped.
pub struct Inbox {
    callbacks: Callbacks,
    id: Uuid,
    token: String,
    changed: Arc<Notify>,
}

impl Callbacks {
    pub(crate) fn new(settings: Option<&CallbackSettings>) -> Self {
        Self(Arc::new(Shared {
            address: settings.map(|settings| settings.address.clone()),
            secret: settings.map(|settings| digest(settings.secret.as_bytes())),
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens an inbox; `None` where the operator allows no callbacks.
    pub(crate) fn open(&self) -> Option<Inbox> {
        self.0.address.as_ref()?;
        let token = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let (id, changed) = (Uuid::new_v4(), Arc::new(Notify::new()));
        let queue = Queue {
            token: digest(token.as_bytes()),
            messages: VecDeque::new(),
            bytes: 0,
            end: None,
            changed: Arc::clone(&changed),
        };
        self.state().inboxes.insert(id, queue);
        Some(Inbox { callbacks: self.clone(), id, token, changed })
    }

    /// Hands a message to who waits for it. Whoever knows an inbox and shows a wrong secret or token ends it: a backend
    /// that is set up wrongly is told from one that is silent.
    pub fn deliver(&self, proof: Proof<'_>, message: Message) -> Result<(), Undelivered> {
        let is_trusted = self.0.secret.is_some_and(|secret| is_equal(secret, proof.secret));
        let mut state = self.state();
        let State { inboxes, bytes } = &mut *state;
        let Some(queue) = inboxes.get_mut(&proof.id) else {
            return Err(if is_trusted { Undelivered::Token } else { Undelivered::Secret });
        };
        let cost = message.cost();
        let taken = if !is_trusted {
            Err(Undelivered::Secret)
        } else if !is_equal(queue.token, proof.token) {
            Err(Undelivered::Token)
        } else if queue.bytes + cost > MAX_INBOX_BYTES || *bytes + cost > MAX_BYTES {
            Err(Undelivered::Overflow)
        } else {
            Ok(())
        };
        match (taken, queue.end) {
            (Ok(()), None) => {
                queue.messages.push_back(message);
                queue.bytes += cost;
                *bytes += cost;
            }
            (Err(why), None) => queue.end = Some(why),
            (_, Some(_)) => {}
        }
        queue.changed.notify_one();
        taken
    }

    /// Whether this is the gateway's secret.
    pub fn is_secret(&self, secret: &[u8]) -> bool {
        self.0.secret.is_some_and(|own| is_equal(own, secret))
    }

    /// Number of inboxes that are open.
    pub fn open_inboxes(&self) -> usize {
        self.state().inboxes.len()
    }
}

impl Inbox {
    /// Where backends reach the gateway.
    pub(crate) fn address(&self) -> Option<&CallbackAddress> {
        self.callbacks.0.address.as_ref()
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The next message.
    pub(crate) async fn receive(&self) -> Result<Message, Undelivered> {
        loop {
            // A permit that was given before this is kept: nothing that comes in between is missed.
            if let Some(taken) = self.take() {
                return taken;
            }
            self.changed.notified().await;
        }
    }

    fn take(&self) -> Option<Result<Message, Undelivered>> {
        let mut state = self.callbacks.state();
        let State { inboxes, bytes } = &mut *state;
        let queue = inboxes.get_mut(&self.id)?;
        if let Some(why) = queue.end {
            return Some(Err(why));
        }
        let message = queue.messages.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(message.cost());
        *bytes = bytes.saturating_sub(message.cost());
        Some(Ok(message))
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut state = self.callbacks.state();
        if let Some(queue) = state.inboxes.remove(&self.id) {
            state.bytes = state.bytes.saturating_sub(queue.bytes);
        }
    }
}

impl Message {
    fn cost(&self) -> usize {
        let (Self::Data(text) | Self::Error(text)) = self else { return MESSAGE_COST };
        text.len() + MESSAGE_COST
    }
}

fn digest(text: &[u8]) -> Digest {
    Sha256::digest(text).into()
}

/// Compares all of it, in a time that tells nothing of where it differs, nor of its length.
fn is_equal(own: Digest, shown: &[u8]) -> bool {
    own.ct_eq(&digest(shown)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret for tests";

    fn callbacks() -> Callbacks {
        let address = CallbackAddress { protocol: "https".into(), host: "gateway".into(), port: 443 };
        Callbacks::new(Some(&CallbackSettings { address, secret: SECRET.into() }))
    }

    fn proof(inbox: &Inbox) -> Proof<'_> {
        Proof { secret: SECRET.as_bytes(), id: inbox.id(), token: inbox.token().as_bytes() }
    }

    #[tokio::test]
    async fn messages_come_in_their_order_and_an_inbox_goes_with_its_owner() {
        let callbacks = callbacks();
        let inbox = callbacks.open().unwrap();
        assert_eq!(inbox.token().len(), 43, "as FIRST's");
        for message in [Message::Data("a".into()), Message::Data("b".into()), Message::Done] {
            callbacks.deliver(proof(&inbox), message.clone()).unwrap();
        }
        for expected in [Message::Data("a".into()), Message::Data("b".into()), Message::Done] {
            assert_eq!(inbox.receive().await, Ok(expected));
        }
        let (id, token) = (inbox.id(), inbox.token().to_owned());
        drop(inbox);
        let late = Proof { secret: SECRET.as_bytes(), id, token: token.as_bytes() };
        assert_eq!(callbacks.deliver(late, Message::Done), Err(Undelivered::Token));
        assert_eq!((callbacks.open_inboxes(), callbacks.state().bytes), (0, 0));
    }

    #[tokio::test]
    async fn a_wrong_secret_or_token_ends_the_inbox_that_it_names() {
        let callbacks = callbacks();
        for (secret, token_end, expected) in [
            ("another secret", "", Undelivered::Secret),
            ("", "", Undelivered::Secret),
            (SECRET, "x", Undelivered::Token),
        ] {
            let (inbox, other) = (callbacks.open().unwrap(), callbacks.open().unwrap());
            let token = format!("{}{token_end}", inbox.token());
            let wrong = Proof { secret: secret.as_bytes(), id: inbox.id(), token: token.as_bytes() };
            assert_eq!(callbacks.deliver(wrong, Message::Done), Err(expected));
            assert_eq!(inbox.receive().await, Err(expected));
            callbacks.deliver(proof(&other), Message::Done).unwrap();
            assert_eq!(other.receive().await, Ok(Message::Done));
        }
        let off = Callbacks::new(None);
        assert!(off.open().is_none());
        assert!(!off.is_secret(b""));
    }

    #[tokio::test]
    async fn more_than_is_kept_ends_the_inbox_and_takes_no_memory_from_others() {
        let callbacks = callbacks();
        let inbox = callbacks.open().unwrap();
        let piece = || Message::Data("x".repeat(1 << 20));
        for _ in 0..7 {
            callbacks.deliver(proof(&inbox), piece()).unwrap();
        }
        assert_eq!(inbox.receive().await, Ok(piece()), "what is read makes room");
        callbacks.deliver(proof(&inbox), piece()).unwrap();
        assert_eq!(callbacks.deliver(proof(&inbox), piece()), Err(Undelivered::Overflow));
        assert_eq!(inbox.receive().await, Err(Undelivered::Overflow));
        let full: Vec<_> = (0..40)
            .map(|_| callbacks.open().unwrap())
            .take_while(|inbox| (0..7).all(|_| callbacks.deliver(proof(inbox), piece()).is_ok()))
            .collect();
        assert!(full.len() < 20, "all together have a limit too: {}", full.len());
        drop((full, inbox));
        assert_eq!(callbacks.state().bytes, 0);
    }
}
