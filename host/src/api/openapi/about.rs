//! What is said of one route.

use std::collections::BTreeMap;

use airlock_sandbox::Vendor;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    Components, Source, document,
    schemas::{headers, relayed_error},
};
use crate::api::error::{ErrorKind, Row};
use ErrorKind as E;

/// What the parameters of paths are.
const PATH_PARAMETERS: [(&str, &str); 6] = [
    ("tenant", "The name of a tenant."),
    ("name", "The name of the thing."),
    ("model", "A model's name; it may hold slashes."),
    ("cluster", "The name of a cluster."),
    ("framework", "One of the cluster's frameworks."),
    ("id", "What lists call `id`; it may hold slashes."),
];

/// What is said of one route.
pub(in crate::api) struct About {
    summary: &'static str,
    needs_key: bool,
    is_relayed: bool,
    parameters: Vec<Value>,
    /// In each of the forms that it may have.
    body: Vec<(&'static str, Source)>,
    answers: Vec<Answer>,
    errors: Vec<ErrorKind>,
    is_tagged: bool,
    /// Whose errors its errors look like.
    vendor: Vendor,
}

/// One answer that is no error.
struct Answer {
    status: StatusCode,
    what: &'static str,
    content: Vec<(&'static str, Source)>,
}

impl About {
    /// A route that asks for no key.
    pub(in crate::api) fn open(summary: &'static str) -> Self {
        Self {
            summary,
            needs_key: false,
            is_relayed: false,
            parameters: Vec::new(),
            body: Vec::new(),
            answers: Vec::new(),
            errors: Vec::new(),
            is_tagged: false,
            vendor: Vendor::OpenAi,
        }
    }

    /// A route for every key.
    pub(in crate::api) fn keyed(summary: &'static str) -> Self {
        let about = Self { needs_key: true, ..Self::open(summary) };
        about.fails(&[E::MissingKey, E::InvalidKey, E::StoreUnavailable, E::AuthUnavailable])
    }

    /// A route for keys with the scope `inference`.
    pub(in crate::api) fn inference(summary: &'static str) -> Self {
        Self::keyed(summary).fails(&[E::InsufficientScope])
    }

    /// A route of the admin API.
    pub(in crate::api) fn admin(summary: &'static str) -> Self {
        Self::keyed(summary).fails(&[E::Forbidden, E::InsufficientScope, E::ResourceNotFound])
    }

    /// It belongs to the API of this vendor.
    pub(in crate::api) fn of(self, vendor: Vendor) -> Self {
        let about = Self { vendor, ..self };
        match vendor {
            Vendor::OpenAi => about,
            Vendor::Anthropic => {
                let text = || json!({ "type": "string" });
                about.parameter("header", "anthropic-version", "Goes on to the backend.", text()).parameter(
                    "header",
                    "anthropic-beta",
                    "The same.",
                    text(),
                )
            }
        }
    }

    /// It takes this as JSON, at most so large.
    pub(in crate::api) fn takes(self, body: Source) -> Self {
        self.takes_as("application/json", body).fails(&[E::InvalidJson])
    }

    /// It takes this, or what was said before.
    pub(in crate::api) fn takes_as(mut self, media_type: &'static str, body: Source) -> Self {
        self.body.push((media_type, body));
        self.fails(&[E::UnreadableBody, E::BodyTooLarge])
    }

    /// It may answer this, as JSON.
    pub(in crate::api) fn answers(self, status: StatusCode, what: &'static str, schema: Source) -> Self {
        self.answers_as(status, what, &[("application/json", schema)])
    }

    /// It may answer this, in one of these forms; without a body where there is none.
    pub(in crate::api) fn answers_as(
        mut self,
        status: StatusCode,
        what: &'static str,
        content: &[(&'static str, Source)],
    ) -> Self {
        self.answers.push(Answer { status, what, content: content.to_vec() });
        self
    }

    /// It may fail so.
    pub(in crate::api) fn fails(mut self, errors: &[ErrorKind]) -> Self {
        self.errors.extend(errors);
        self
    }

    /// It may fail with any status and code above 400, as a backend or an adaptor chooses.
    pub(in crate::api) fn relayed(self) -> Self {
        Self { is_relayed: true, ..self }
    }

    /// It has a parameter that may be left out.
    pub(in crate::api) fn parameter(mut self, place: &str, name: &str, what: &str, schema: Value) -> Self {
        self.parameters.push(json!({ "in": place, "name": name, "description": what, "schema": schema }));
        self
    }

    /// It changes what is stored, which is tried first.
    pub(in crate::api) fn writes(self) -> Self {
        self.fails(&[E::InvalidValue, E::Conflict, E::InvalidDefinition, E::Overloaded])
    }

    /// It can be told what to expect.
    pub(in crate::api) fn conditional(self) -> Self {
        let tag = json!({ "type": "string", "pattern": "^\"[0-9]{1,18}\"$" });
        self.parameter(
            "header",
            "if-match",
            "The `etag` of what was read: 409 where that has changed since.",
            tag,
        )
        .parameter("header", "if-none-match", "`*`: 409 where it exists.", json!({ "const": "*" }))
    }

    /// Its answers carry their revision.
    pub(in crate::api) fn tagged(self) -> Self {
        Self { is_tagged: true, ..self }
    }

    /// It answers 304 to who has it.
    pub(in crate::api) fn unchanged(self) -> Self {
        let tag = json!({ "type": "string" });
        self.parameter("header", "if-none-match", "The `etag` of what the client has.", tag).answers_as(
            StatusCode::NOT_MODIFIED,
            "The client has it.",
            &[],
        )
    }

    /// The Operation Object of OpenAPI.
    pub(super) fn operation(self, method: &str, template: &str, components: &mut Components) -> Value {
        let words = template.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let id: Vec<&str> = [method].into_iter().chain(words).collect();
        let security = match (self.needs_key, self.vendor) {
            (false, _) => json!([]),
            (true, Vendor::OpenAi) => json!([{ "key": [] }]),
            (true, Vendor::Anthropic) => json!([{ "key": [] }, { "x-api-key": [] }]),
        };
        let parameters: Vec<Value> =
            path_parameters(template).chain(self.parameters.iter().cloned()).collect();
        let mut operation = json!({
            "operationId": id.join("_"),
            "summary": self.summary,
            "tags": [document::tag(template)],
            "security": security,
            "parameters": parameters,
            "responses": self.responses(components),
        });
        let forms = self.body.iter();
        let forms = forms.map(|(form, schema)| ((*form).to_owned(), json!({ "schema": schema(components) })));
        let content: Map<String, Value> = forms.collect();
        if let (false, Some(fields)) = (content.is_empty(), operation.as_object_mut()) {
            fields.insert("requestBody".into(), json!({ "required": true, "content": content }));
        }
        operation
    }

    fn responses(&self, components: &mut Components) -> Map<String, Value> {
        let mut responses = Map::new();
        for Answer { status, what, content } in &self.answers {
            let further: &[&str] = if self.is_tagged { &["etag"] } else { &[] };
            let headers = headers(self.vendor, self.is_relayed, further);
            let mut response = json!({ "description": what, "headers": headers });
            let forms = content
                .iter()
                .map(|(form, schema)| ((*form).to_owned(), json!({ "schema": schema(components) })));
            let forms: Map<String, Value> = forms.collect();
            if let (false, Some(response)) = (forms.is_empty(), response.as_object_mut()) {
                response.insert("content".into(), Value::Object(forms));
            }
            responses.insert(status.as_str().to_owned(), response);
        }
        // By status, in the order of the table.
        let mut errors: BTreeMap<u16, Vec<Row>> = BTreeMap::new();
        for kind in E::ALL.iter().filter(|kind| self.errors.contains(kind)) {
            errors.entry(kind.row().status.as_u16()).or_default().push(kind.row());
        }
        for (status, rows) in errors {
            // Nobody but the gateway tells a client that its key is wrong.
            let is_relayed = self.is_relayed && status != 401;
            responses.insert(status.to_string(), components.error(&rows, is_relayed, self.vendor));
        }
        if self.is_relayed {
            let what = "What the backend or its adaptor says.";
            let error = json!({ "application/json": { "schema": relayed_error(self.vendor) } });
            for range in ["4XX", "5XX"] {
                responses.insert(range.into(), json!({ "description": what, "content": error }));
            }
        }
        responses
    }
}

fn path_parameters(template: &str) -> impl Iterator<Item = Value> {
    template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(|name| {
        let what = PATH_PARAMETERS.iter().find(|(known, _)| *known == name).map_or("", |(_, what)| what);
        let schema = json!({ "type": "string", "minLength": 1 });
        json!({ "in": "path", "name": name, "required": true, "description": what, "schema": schema })
    })
}
