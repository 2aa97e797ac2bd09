//! The kinds of API call, and one table of what differs between them.

use http::HeaderMap;

use crate::{OutboundRequest, bindings::airlock::adaptor::common};

/// The kind of API call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "`path` says what each is")]
pub enum Operation {
    ChatCompletions,
    Completions,
    Embeddings,
    Responses,
    Messages,
    CountTokens,
    Moderations,
    Rerank,
    ImageGenerations,
}

/// Whose API an operation belongs to: what errors look like, and how a key may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// OpenAI, and what is served beside its API in the same manner.
    OpenAi,
    /// Anthropic.
    Anthropic,
}

/// What the events of an operation's streams look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Events {
    /// `data:` alone; the last one is `data: [DONE]`.
    Plain,
    /// `event: NAME`, and the same name as `type` in the JSON. A stream is complete with one of these names.
    Named(&'static [&'static str]),
}

/// One line of the table.
struct Row {
    path: &'static str,
    vendor: Vendor,
    /// None: it has no streams.
    events: Option<Events>,
    /// What a client says to the API itself, and not to the gateway.
    client_headers: &'static [&'static str],
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
        Self::Moderations,
        Self::Rerank,
        Self::ImageGenerations,
    ];

    /// Its line of the table.
    const fn row(self) -> Row {
        const fn openai(path: &'static str, events: Option<Events>) -> Row {
            Row { path, vendor: Vendor::OpenAi, events, client_headers: &[] }
        }
        const fn anthropic(path: &'static str, events: Option<Events>) -> Row {
            Row {
                path,
                vendor: Vendor::Anthropic,
                events,
                client_headers: &["anthropic-version", "anthropic-beta"],
            }
        }
        const RESPONSE: Events =
            Events::Named(&["response.completed", "response.failed", "response.incomplete"]);
        match self {
            Self::ChatCompletions => openai("chat/completions", Some(Events::Plain)),
            Self::Completions => openai("completions", Some(Events::Plain)),
            Self::Embeddings => openai("embeddings", None),
            Self::Responses => openai("responses", Some(RESPONSE)),
            Self::Messages => anthropic("messages", Some(Events::Named(&["message_stop"]))),
            Self::CountTokens => anthropic("messages/count_tokens", None),
            Self::Moderations => openai("moderations", None),
            Self::Rerank => openai("rerank", None),
            Self::ImageGenerations => {
                openai("images/generations", Some(Events::Named(&["image_generation.completed"])))
            }
        }
    }

    /// The path below `/v1/`.
    pub const fn path(self) -> &'static str {
        self.row().path
    }

    /// Whose API it belongs to.
    pub const fn vendor(self) -> Vendor {
        self.row().vendor
    }

    /// What its streams look like, where it has any.
    pub const fn events(self) -> Option<Events> {
        self.row().events
    }

    /// Of a client's headers, those that are meant for the API behind the gateway.
    pub fn client_headers(self, headers: &HeaderMap) -> HeaderMap {
        let mut passed = HeaderMap::new();
        for name in self.row().client_headers {
            for value in headers.get_all(*name) {
                passed.append(*name, value.clone());
            }
        }
        passed
    }

    /// Lets those headers go along with a request to the operation itself, where the adaptor has not set them. An
    /// adaptor that translates asks another API, which they mean nothing to.
    pub(crate) fn pass_on(self, headers: &HeaderMap, request: &mut OutboundRequest) {
        let asked = request.uri.path().trim_end_matches('/');
        if !asked.strip_suffix(self.path()).is_some_and(|base| base.ends_with('/')) {
            return;
        }
        for name in
            headers.keys().filter(|name| !request.headers.contains_key(*name)).cloned().collect::<Vec<_>>()
        {
            for value in headers.get_all(&name) {
                request.headers.append(name.clone(), value.clone());
            }
        }
    }
}

impl From<Operation> for common::Operation<'_> {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::ChatCompletions => Self::ChatCompletions,
            Operation::Completions => Self::Completions,
            Operation::Embeddings => Self::Embeddings,
            Operation::Responses => Self::Responses,
            Operation::Messages => Self::Messages,
            Operation::CountTokens
            | Operation::Moderations
            | Operation::Rerank
            | Operation::ImageGenerations => Self::Other(operation.path()),
        }
    }
}
