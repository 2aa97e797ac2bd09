//! What messages, tools and the like look like, as OpenAI documents them; looser where other backends take more.

use super::rule::{Form, Kinds, Rule};

const ANY_NUMBER: usize = usize::MAX;

/// An object of one kind, all of whose fields are known by name.
const fn fields(fields: &'static [(&'static str, Rule)], needs: &'static [&'static str]) -> Form {
    Form { fields, needs, kinds: None }
}

/// At least one message.
pub(in crate::api::openai) const MESSAGES: Rule = Rule::List(1, ANY_NUMBER, &MESSAGE);

/// A user has to say something. What an assistant said may be empty, and a tool may have had nothing to say.
const MESSAGE: Rule = Rule::Fields(&Form {
    fields: &[
        ("content", CONTENT),
        ("name", Rule::Text),
        ("tool_calls", Rule::List(0, ANY_NUMBER, &TOOL_CALL)),
        ("tool_call_id", Rule::Text),
        ("refusal", Rule::Text),
        ("audio", Rule::Fields(&fields(&[("id", Rule::Text)], &[]))),
        ("function_call", Rule::Fields(&fields(CALLED, &["name"]))),
    ],
    needs: &["role"],
    kinds: Some(Kinds {
        tag: "role",
        of: &[
            ("system", &["content"]),
            ("developer", &["content"]),
            ("user", &["content"]),
            ("assistant", &[]),
            ("tool", &["tool_call_id"]),
            ("function", &["name"]),
        ],
        is_open: false,
    }),
});

const CONTENT: Rule = Rule::TextOr(&Rule::List(0, ANY_NUMBER, &PART));

/// Backends know more kinds than OpenAI, such as `video_url`, and some take the address of an image as a string.
const PART: Rule = Rule::Fields(&Form {
    fields: &[
        ("text", Rule::Text),
        ("image_url", Rule::TextOr(&Rule::Fields(&fields(IMAGE_URL, &["url"])))),
        ("input_audio", Rule::Fields(&fields(INPUT_AUDIO, &["data", "format"]))),
        ("file", Rule::Fields(&fields(FILE, &[]))),
        ("refusal", Rule::Text),
    ],
    needs: &["type"],
    kinds: Some(Kinds {
        tag: "type",
        of: &[
            ("text", &["text"]),
            ("image_url", &["image_url"]),
            ("input_audio", &["input_audio"]),
            ("file", &["file"]),
            ("refusal", &["refusal"]),
        ],
        is_open: true,
    }),
});
const IMAGE_URL: &[(&str, Rule)] = &[("url", Rule::Text), ("detail", Rule::Text)];
const INPUT_AUDIO: &[(&str, Rule)] = &[("data", Rule::Text), ("format", Rule::Text)];
const FILE: &[(&str, Rule)] = &[("file_data", Rule::Text), ("file_id", Rule::Text), ("filename", Rule::Text)];

/// Some backends leave out the type, and some the arguments where there are none.
const TOOL_CALL: Rule = Rule::Fields(&Form {
    fields: &[
        ("id", Rule::Text),
        ("function", Rule::Fields(&fields(CALLED, &["name"]))),
        ("custom", Rule::Fields(&fields(&[("name", Rule::Text), ("input", Rule::Text)], &["name"]))),
    ],
    needs: &["id"],
    kinds: Some(Kinds {
        tag: "type",
        of: &[("function", &["function"]), ("custom", &["custom"])],
        is_open: true,
    }),
});
const CALLED: &[(&str, Rule)] = &[("name", Rule::Text), ("arguments", Rule::Text)];

pub(in crate::api::openai) const TOOLS: Rule = Rule::List(0, ANY_NUMBER, &TOOL);

const TOOL: Rule = Rule::Fields(&Form {
    fields: &[
        ("function", Rule::Fields(&fields(FUNCTION, &["name"]))),
        ("custom", Rule::Fields(&fields(CUSTOM, &["name"]))),
    ],
    needs: &["type"],
    kinds: Some(Kinds {
        tag: "type",
        of: &[("function", &["function"]), ("custom", &["custom"])],
        is_open: true,
    }),
});
const FUNCTION: &[(&str, Rule)] = &[
    ("name", Rule::Name),
    ("description", Rule::Text),
    ("parameters", Rule::Object),
    ("strict", Rule::Bool),
];
const CUSTOM: &[(&str, Rule)] =
    &[("name", Rule::Name), ("description", Rule::Text), ("format", Rule::Object)];

/// What came before tools.
pub(in crate::api::openai) const FUNCTIONS: Rule =
    Rule::List(0, ANY_NUMBER, &Rule::Fields(&fields(FUNCTION, &["name"])));
pub(in crate::api::openai) const FUNCTION_CALL: Rule = Rule::TextOr(&NAMED);
const NAMED: Rule = Rule::Fields(&fields(&[("name", Rule::Name)], &["name"]));

pub(in crate::api::openai) const TOOL_CHOICE: Rule = Rule::TextOr(&Rule::Fields(&Form {
    fields: &[("function", NAMED), ("custom", NAMED), ("allowed_tools", Rule::Fields(&ALLOWED_TOOLS))],
    needs: &["type"],
    kinds: Some(Kinds {
        tag: "type",
        of: &[("function", &["function"]), ("custom", &["custom"]), ("allowed_tools", &["allowed_tools"])],
        is_open: true,
    }),
}));
const ALLOWED_TOOLS: Form =
    fields(&[("mode", Rule::Text), ("tools", Rule::List(0, ANY_NUMBER, &Rule::Object))], &["mode", "tools"]);

pub(in crate::api::openai) const RESPONSE_FORMAT: Rule = Rule::Fields(&Form {
    fields: &[("json_schema", Rule::Fields(&fields(JSON_SCHEMA, &["name"])))],
    needs: &["type"],
    kinds: Some(Kinds {
        tag: "type",
        of: &[("text", &[]), ("json_object", &[]), ("json_schema", &["json_schema"])],
        is_open: true,
    }),
});
const JSON_SCHEMA: &[(&str, Rule)] =
    &[("name", Rule::Name), ("description", Rule::Text), ("schema", Rule::Object), ("strict", Rule::Bool)];

pub(in crate::api::openai) const STREAM_OPTIONS: Rule =
    Rule::Fields(&fields(&[("include_usage", Rule::Bool), ("include_obfuscation", Rule::Bool)], &[]));
pub(in crate::api::openai) const PREDICTION: Rule =
    Rule::Fields(&fields(&[("type", Rule::Text), ("content", CONTENT)], &["type", "content"]));
/// Who speaks: a name, or a voice of one's own.
pub(in crate::api::openai) const VOICE: Rule =
    Rule::TextOr(&Rule::Fields(&fields(&[("id", Rule::Text)], &["id"])));

pub(in crate::api::openai) const AUDIO: Rule = Rule::Fields(&fields(&[("format", Rule::Text)], &[]));

pub(in crate::api::openai) const STOP: Rule = Rule::TextOr(&Rule::List(1, 4, &Rule::Text));
pub(in crate::api::openai) const TEXTS: Rule = Rule::List(0, ANY_NUMBER, &Rule::Text);
/// By token.
pub(in crate::api::openai) const LOGIT_BIAS: Rule =
    Rule::Map(ANY_NUMBER, ANY_NUMBER, &Rule::Number(-100.0, 100.0));
pub(in crate::api::openai) const METADATA: Rule = Rule::Map(16, 64, &Rule::Chars(0, 512));
