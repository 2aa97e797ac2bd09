//! The known fields of the operations beside the three oldest ones, as OpenAI and Anthropic document them; of `rerank`, as
//! Cohere, Jina and vLLM do. Where one of these backends takes more than another, more is taken.

use airlock_sandbox::Operation::{
    self, CountTokens, ImageGenerations, Messages, Moderations, Rerank, Responses,
};

use super::{
    fields::Field,
    validation::{Form, Kinds, METADATA, Rule, TEXTS},
};

const RESPONSES: &[Operation] = &[Responses];
const MESSAGES: &[Operation] = &[Messages];
const COUNTED: &[Operation] = &[Messages, CountTokens];
const IMAGES: &[Operation] = &[ImageGenerations];
const ANY_NUMBER: usize = usize::MAX;
const MAX: i64 = i64::MAX;

#[rustfmt::skip]
pub(super) const FIELDS: &[Field] = &[
    Field { name: "input", of: RESPONSES, rule: Rule::TextOr(&Rule::List(0, ANY_NUMBER, &ITEM)) },
    Field { name: "instructions", of: RESPONSES, rule: Rule::Text },
    Field { name: "previous_response_id", of: RESPONSES, rule: Rule::Text },
    Field { name: "conversation", of: RESPONSES, rule: Rule::TextOr(&IDENTIFIED) },
    Field { name: "prompt", of: RESPONSES, rule: IDENTIFIED },
    Field { name: "tools", of: RESPONSES, rule: Rule::List(0, ANY_NUMBER, &TOOL) },
    Field { name: "tool_choice", of: RESPONSES, rule: Rule::TextOr(&TYPED) },
    Field { name: "parallel_tool_calls", of: RESPONSES, rule: Rule::Bool },
    Field { name: "max_tool_calls", of: RESPONSES, rule: Rule::Int(0, MAX) },
    Field { name: "max_output_tokens", of: RESPONSES, rule: Rule::Int(1, MAX) },
    Field { name: "temperature", of: RESPONSES, rule: Rule::Number(0.0, 2.0) },
    Field { name: "top_p", of: RESPONSES, rule: Rule::Number(0.0, 1.0) },
    Field { name: "top_logprobs", of: RESPONSES, rule: Rule::Int(0, 20) },
    Field { name: "text", of: RESPONSES, rule: TEXT },
    Field { name: "reasoning", of: RESPONSES, rule: REASONING },
    Field { name: "include", of: RESPONSES, rule: TEXTS },
    Field { name: "stream_options", of: RESPONSES, rule: STREAM_OPTIONS },
    Field { name: "background", of: RESPONSES, rule: Rule::Bool },
    Field { name: "store", of: RESPONSES, rule: Rule::Bool },
    Field { name: "metadata", of: RESPONSES, rule: METADATA },
    Field { name: "truncation", of: RESPONSES, rule: Rule::Text },
    Field { name: "service_tier", of: &[Responses, Messages], rule: Rule::Text },
    Field { name: "user", of: &[Responses, ImageGenerations], rule: Rule::Text },
    Field { name: "safety_identifier", of: &[Responses, ImageGenerations], rule: Rule::Text },
    Field { name: "prompt_cache_key", of: RESPONSES, rule: Rule::Text },
    Field { name: "prompt_cache_retention", of: RESPONSES, rule: Rule::Text },
    Field { name: "prompt_cache_options", of: RESPONSES, rule: Rule::Object },
    Field { name: "context_management", of: RESPONSES, rule: Rule::List(0, ANY_NUMBER, &TYPED) },
    Field { name: "moderation", of: RESPONSES, rule: Rule::Object },
    Field { name: "image", of: RESPONSES, rule: Rule::Object },
    Field { name: "access_programs", of: RESPONSES, rule: Rule::Object },

    Field { name: "messages", of: COUNTED, rule: Rule::List(1, ANY_NUMBER, &MESSAGE) },
    Field { name: "system", of: COUNTED, rule: BLOCKS },
    Field { name: "tools", of: COUNTED, rule: Rule::List(0, ANY_NUMBER, &ANTHROPIC_TOOL) },
    Field { name: "tool_choice", of: COUNTED, rule: TOOL_CHOICE },
    Field { name: "thinking", of: COUNTED, rule: THINKING },
    Field { name: "cache_control", of: COUNTED, rule: TYPED },
    Field { name: "output_config", of: COUNTED, rule: Rule::Object },
    Field { name: "output_format", of: COUNTED, rule: Rule::Object },
    Field { name: "mcp_servers", of: COUNTED, rule: Rule::List(0, ANY_NUMBER, &Rule::Object) },
    Field { name: "context_management", of: COUNTED, rule: Rule::Object },
    Field { name: "speed", of: COUNTED, rule: Rule::Text },
    Field { name: "user_profile_id", of: COUNTED, rule: Rule::Text },
    Field { name: "workspace_id", of: COUNTED, rule: Rule::Text },
    Field { name: "max_tokens", of: MESSAGES, rule: Rule::Int(0, MAX) },
    Field { name: "temperature", of: MESSAGES, rule: Rule::Number(0.0, 2.0) },
    Field { name: "top_p", of: MESSAGES, rule: Rule::Number(0.0, 1.0) },
    Field { name: "top_k", of: MESSAGES, rule: Rule::Int(-1, MAX) },
    Field { name: "stop_sequences", of: MESSAGES, rule: TEXTS },
    Field { name: "metadata", of: MESSAGES, rule: Rule::Fields(&form(&[("user_id", Rule::Text)], &[])) },
    Field { name: "container", of: MESSAGES, rule: Rule::TextOr(&ANY_OBJECT) },
    Field { name: "inference_geo", of: MESSAGES, rule: Rule::Text },
    Field { name: "diagnostics", of: MESSAGES, rule: Rule::Object },

    Field { name: "input", of: &[Moderations], rule: Rule::TextOr(&Rule::List(1, ANY_NUMBER, &Rule::TextOr(&TYPED))) },

    Field { name: "query", of: &[Rerank], rule: Rule::TextOr(&ANY_OBJECT) },
    Field { name: "documents", of: &[Rerank], rule: Rule::Any },
    Field { name: "top_n", of: &[Rerank], rule: Rule::Int(0, MAX) },
    Field { name: "return_documents", of: &[Rerank], rule: Rule::Bool },
    Field { name: "max_tokens_per_doc", of: &[Rerank], rule: Rule::Int(1, MAX) },
    Field { name: "max_chunks_per_doc", of: &[Rerank], rule: Rule::Int(1, MAX) },
    Field { name: "rank_fields", of: &[Rerank], rule: TEXTS },

    Field { name: "prompt", of: IMAGES, rule: Rule::Text },
    Field { name: "n", of: IMAGES, rule: Rule::Int(1, 10) },
    Field { name: "size", of: IMAGES, rule: Rule::Text },
    Field { name: "quality", of: IMAGES, rule: Rule::Text },
    Field { name: "style", of: IMAGES, rule: Rule::Text },
    Field { name: "background", of: IMAGES, rule: Rule::Text },
    Field { name: "moderation", of: IMAGES, rule: Rule::Text },
    Field { name: "complexity", of: IMAGES, rule: Rule::Text },
    Field { name: "response_format", of: IMAGES, rule: Rule::Text },
    Field { name: "output_format", of: IMAGES, rule: Rule::Text },
    Field { name: "output_compression", of: IMAGES, rule: Rule::Int(0, 100) },
    Field { name: "partial_images", of: IMAGES, rule: Rule::Int(0, 3) },
    Field { name: "frame_count", of: IMAGES, rule: Rule::Int(1, MAX) },
    Field { name: "frame_duration_ms", of: IMAGES, rule: Rule::Int(1, MAX) },
    Field { name: "svg", of: IMAGES, rule: Rule::Object },
];

/// An object all of whose kinds need the same.
const fn form(fields: &'static [(&'static str, Rule)], needs: &'static [&'static str]) -> Form {
    Form { fields, needs, kinds: None }
}

const ANY_OBJECT: Rule = Rule::Fields(&form(&[], &[]));
/// An object whose kind decides what else is in it.
const TYPED: Rule = Rule::Fields(&form(&[("type", Rule::Text)], &["type"]));
const IDENTIFIED: Rule = Rule::Fields(&form(&[("id", Rule::Text)], &["id"]));

/// Of the Responses API: a message, a call, what a call came to, or one of many more. Messages may leave out their type.
const ITEM: Rule = Rule::Fields(&Form {
    fields: &[
        ("role", Rule::Text),
        ("content", Rule::TextOr(&Rule::List(0, ANY_NUMBER, &PART))),
        ("call_id", Rule::Text),
        ("name", Rule::Text),
        ("arguments", Rule::Any),
        ("output", Rule::Any),
    ],
    needs: &[],
    kinds: Some(Kinds {
        tag: "type",
        of: &[
            ("message", &["role", "content"]),
            ("function_call", &["call_id", "name", "arguments"]),
            ("function_call_output", &["call_id", "output"]),
        ],
        is_open: true,
    }),
});
const PART: Rule = Rule::Fields(&Form {
    fields: &[("text", Rule::Text), ("image_url", Rule::Text), ("refusal", Rule::Text)],
    needs: &["type"],
    kinds: Some(Kinds {
        tag: "type",
        of: &[("input_text", &["text"]), ("output_text", &["text"]), ("refusal", &["refusal"])],
        is_open: true,
    }),
});
const TOOL: Rule = Rule::Fields(&Form {
    fields: &[("name", Rule::Text), ("parameters", Rule::Object), ("strict", Rule::Bool)],
    needs: &["type"],
    kinds: Some(Kinds { tag: "type", of: &[("function", &["name"]), ("custom", &["name"])], is_open: true }),
});
const TEXT: Rule = Rule::Fields(&form(&[("format", FORMAT), ("verbosity", Rule::Text)], &[]));
const FORMAT: Rule = Rule::Fields(&Form {
    fields: &[("name", Rule::Text), ("schema", Rule::Object), ("strict", Rule::Bool)],
    needs: &["type"],
    kinds: Some(Kinds { tag: "type", of: &[("json_schema", &["name", "schema"])], is_open: true }),
});
const REASONING: Rule = Rule::Fields(&form(&[("effort", Rule::Text), ("summary", Rule::Text)], &[]));
const STREAM_OPTIONS: Rule = Rule::Fields(&form(&[("include_obfuscation", Rule::Bool)], &[]));

/// Of Anthropic's API. The last message may be an assistant's that says nothing yet.
const MESSAGE: Rule = Rule::Fields(&Form {
    fields: &[("content", BLOCKS)],
    needs: &["role"],
    kinds: Some(Kinds { tag: "role", of: &[("user", &["content"]), ("assistant", &[])], is_open: true }),
});
const BLOCKS: Rule = Rule::TextOr(&Rule::List(0, ANY_NUMBER, &BLOCK));
/// The source of a search result is a text, that of an image an object.
const BLOCK: Rule = Rule::Fields(&Form {
    fields: &[
        ("text", Rule::Text),
        ("source", Rule::TextOr(&ANY_OBJECT)),
        ("id", Rule::Text),
        ("name", Rule::Text),
        ("input", Rule::Any),
        ("tool_use_id", Rule::Text),
        ("thinking", Rule::Text),
    ],
    needs: &["type"],
    kinds: Some(Kinds {
        tag: "type",
        of: &[
            ("text", &["text"]),
            ("image", &["source"]),
            ("document", &["source"]),
            ("tool_use", &["id", "name", "input"]),
            ("tool_result", &["tool_use_id"]),
            ("thinking", &["thinking"]),
        ],
        is_open: true,
    }),
});
const ANTHROPIC_TOOL: Rule = Rule::Fields(&form(
    &[
        ("type", Rule::Text),
        ("name", Rule::Text),
        ("description", Rule::Text),
        ("input_schema", Rule::Object),
    ],
    &[],
));
const TOOL_CHOICE: Rule = Rule::Fields(&Form {
    fields: &[("name", Rule::Text), ("disable_parallel_tool_use", Rule::Bool)],
    needs: &["type"],
    kinds: Some(Kinds { tag: "type", of: &[("tool", &["name"])], is_open: true }),
});
const THINKING: Rule =
    Rule::Fields(&form(&[("type", Rule::Text), ("budget_tokens", Rule::Int(1, MAX))], &["type"]));
