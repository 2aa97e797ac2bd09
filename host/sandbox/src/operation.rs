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
    ImageEdits,
    ImageVariations,
    Speech,
    Transcriptions,
    Translations,
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
    /// As backends differ: with names or without; complete with one of these names or with `[DONE]`.
    Either(&'static [&'static str]),
}

/// What an operation's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// One JSON object.
    Json,
    /// A form (`multipart/form-data`), with the model in the field `model`.
    Form,
}

/// What an operation's complete answers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// One JSON object.
    Json,
    /// The same, or text.
    Text,
    /// Sound, which is played while it comes.
    Audio,
}

/// One line of the table.
struct Row {
    path: &'static str,
    vendor: Vendor,
    /// None: it has no streams.
    events: Option<Events>,
    takes: Takes,
    answers: Answers,
    /// What a client says to the API itself, and not to the gateway.
    client_headers: &'static [&'static str],
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
        Self::Moderations,
        Self::Rerank,
        Self::ImageGenerations,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Speech,
        Self::Transcriptions,
        Self::Translations,
    ];

    /// Its line of the table.
    const fn row(self) -> Row {
        const fn openai(path: &'static str, events: Option<Events>) -> Row {
            let (takes, answers) = (Takes::Json, Answers::Json);
            Row { path, vendor: Vendor::OpenAi, events, takes, answers, client_headers: &[] }
        }
        const fn form(path: &'static str, events: Option<Events>, answers: Answers) -> Row {
            Row { takes: Takes::Form, answers, ..openai(path, events) }
        }
        const fn anthropic(path: &'static str, events: Option<Events>) -> Row {
            Row {
                path,
                vendor: Vendor::Anthropic,
                events,
                takes: Takes::Json,
                answers: Answers::Json,
                client_headers: &["anthropic-version", "anthropic-beta"],
            }
        }
        const RESPONSE: Events =
            Events::Named(&["response.completed", "response.failed", "response.incomplete"]);
        /// OpenAI's; vLLM streams chunks without names and `[DONE]`, of translations too.
        const TRANSCRIPT: Events = Events::Either(&["transcript.text.done"]);
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
            Self::ImageEdits => {
                form("images/edits", Some(Events::Named(&["image_edit.completed"])), Answers::Json)
            }
            Self::ImageVariations => form("images/variations", None, Answers::Json),
            Self::Speech => Row {
                answers: Answers::Audio,
                ..openai("audio/speech", Some(Events::Either(&["speech.audio.done"])))
            },
            Self::Transcriptions => form("audio/transcriptions", Some(TRANSCRIPT), Answers::Text),
            Self::Translations => form("audio/translations", Some(TRANSCRIPT), Answers::Text),
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

    /// What its body is.
    pub const fn takes(self) -> Takes {
        self.row().takes
    }

    /// What its complete answers are.
    pub const fn answers(self) -> Answers {
        self.row().answers
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
            | Operation::ImageGenerations
            | Operation::ImageEdits
            | Operation::ImageVariations
            | Operation::Speech
            | Operation::Transcriptions
            | Operation::Translations => Self::Other(operation.path()),
        }
    }
}
