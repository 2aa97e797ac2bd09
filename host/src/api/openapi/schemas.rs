//! The schemas that descriptions refer to, each under one name.

use std::{borrow::Cow, marker::PhantomData};

use airlock_sandbox::Vendor;
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::api::error::{ErrorKind, Row};

/// What stands under `components`.
#[derive(Default)]
pub(in crate::api) struct Components {
    schemas: Map<String, Value>,
    responses: Map<String, Value>,
}

/// A schema, or the reference to one that this puts among the components.
pub(in crate::api) type Source = fn(&mut Components) -> Value;

/// The reference to a type's schema.
pub(in crate::api) fn named<T: ToSchema>(components: &mut Components) -> Value {
    let mut inner = Vec::new();
    T::schemas(&mut inner);
    inner.push((T::name().into_owned(), T::schema()));
    for (name, schema) in inner {
        components.schema(&name, json!(schema));
    }
    reference("schemas", &T::name())
}

/// The headers of an answer: those that all have, those of an endpoint's, and further ones.
pub(super) fn headers(vendor: Vendor, is_relayed: bool, further: &[&str]) -> Value {
    let every: &[&str] = &["x-request-id", "openai-processing-ms"];
    let relayed: &[&str] = if is_relayed { &["x-airlock-endpoint", "x-airlock-overhead-ms"] } else { &[] };
    let names = every.iter().chain(relayed).chain(further);
    let mut headers: Map<_, _> = names.map(|name| ((*name).to_owned(), reference("headers", name))).collect();
    if vendor == Vendor::Anthropic {
        headers.insert("request-id".into(), reference("headers", "x-request-id"));
    }
    headers.into()
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

impl Components {
    /// A schema under a name, which is no other's.
    pub(super) fn schema(&mut self, name: &str, schema: Value) -> Value {
        let is_own = self.schemas.get(name).is_none_or(|before| *before == schema);
        debug_assert!(is_own, "two schemas are called {name}");
        self.schemas.insert(name.to_owned(), schema);
        reference("schemas", name)
    }

    /// The answer with one of these errors, which have one status.
    pub(super) fn error(&mut self, errors: &[Row], is_relayed: bool, vendor: Vendor) -> Value {
        let mut codes: Vec<&str> = errors.iter().map(|row| row.code).collect();
        codes.dedup();
        let whens = errors.iter().map(|row| format!("- `{}`: {}", row.code, row.when));
        let mut when: Vec<String> = whens.collect();
        let mut name = codes.join(".");
        if is_relayed {
            when.push("- or what the backend or its adaptor says.".into());
        }
        let schema = if vendor == Vendor::Anthropic {
            name = format!("{name}.anthropic");
            reference("schemas", "AnthropicError")
        } else if is_relayed {
            name = format!("{name}.relayed");
            reference("schemas", "RelayedError")
        } else {
            let code = json!({ "properties": { "code": { "enum": codes } } });
            json!({ "allOf": [reference("schemas", "Error")], "properties": { "error": code } })
        };
        let further: &[&str] = match errors.first().map_or(0, |row| row.status.as_u16()) {
            429 | 503 => &["retry-after", "retry-after-ms", "x-should-retry"],
            401 => &["www-authenticate"],
            500.. => &["x-should-retry"],
            _ => &[],
        };
        let headers = headers(vendor, is_relayed, further);
        let response = json!({
            "description": when.join("\n"), "headers": headers, "content": { "application/json": { "schema": schema } },
        });
        self.responses.insert(name.clone(), response);
        reference("responses", &name)
    }

    /// All of them, with what no route has to name.
    pub(super) fn finish(mut self) -> Value {
        let mut codes: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.row().code).collect();
        codes.sort_unstable();
        codes.dedup();
        let details = named::<Details>(&mut self);
        self.schema("ErrorCode", json!({ "type": "string", "enum": codes }));
        self.schema("Error", error(reference("schemas", "ErrorCode"), &details));
        let open = json!({ "type": "string", "description": "One of `ErrorCode`, or the backend's own." });
        self.schema("RelayedError", error(open, &details));
        self.schema("AnthropicError", anthropic_error());
        json!({
            "schemas": self.schemas,
            "responses": self.responses,
            "headers": {
                "x-request-id": header("The client's own, where it sent a well-formed one."),
                "www-authenticate": header("`Bearer`"),
                "etag": header("The revision: what `if-match` takes."),
                "retry-after": number("Seconds to wait.", 1, Some(120)),
                "retry-after-ms": number("The same in milliseconds.", 1, Some(120_000)),
                "x-should-retry": header("Whether the same request may fare better: `true` or `false`."),
                "openai-processing-ms": number("Milliseconds from the request's head to the answer's.", 0, None),
                "x-airlock-endpoint": header("The slug of the endpoint that answered, where it is the tenant's own."),
                "x-airlock-overhead-ms": header("Milliseconds from the end of the request's body to the answer's head, without \
                    what was waited for backends."),
            },
            "securitySchemes": {
                "key": {
                    "type": "http", "scheme": "bearer", "description": "An API key; `airlock keys create` makes one.",
                },
                "x-api-key": {
                    "type": "apiKey", "in": "header", "name": "x-api-key",
                    "description": "The same key, as Anthropic's clients send it.",
                },
            },
        })
    }
}

/// What a backend's errors look like once they are handed on.
pub(super) fn relayed_error(vendor: Vendor) -> Value {
    match vendor {
        Vendor::OpenAi => reference("schemas", "RelayedError"),
        Vendor::Anthropic => reference("schemas", "AnthropicError"),
    }
}

/// Anthropic's error.
fn anthropic_error() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["type", "error", "request_id"],
        "properties": {
            "type": { "const": "error" },
            "error": {
                "type": "object",
                "required": ["type", "message", "details"],
                "properties": {
                    "type": text,
                    "message": text,
                    "details": {
                        "type": "object",
                        "required": ["error_code"],
                        "properties": { "error_code": text },
                    },
                },
            },
            "request_id": text,
        },
    })
}

fn header(description: &str) -> Value {
    json!({ "description": description, "schema": { "type": "string" } })
}

fn number(description: &str, minimum: u32, maximum: Option<u32>) -> Value {
    let mut schema = json!({ "type": "integer", "minimum": minimum });
    if let (Some(maximum), Some(schema)) = (maximum, schema.as_object_mut()) {
        schema.insert("maximum".into(), maximum.into());
    }
    json!({ "description": description, "schema": schema })
}

/// OpenAI's error.
fn error(code: Value, details: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": { "type": "string" },
                "type": { "type": "string" },
                "param": { "type": ["string", "null"], "description": "The field that is wrong." },
                "code": code,
                "details": details,
            },
        } },
    })
}

/// More on an error, beside OpenAI's fields.
#[derive(ToSchema)]
#[schema(as = ErrorDetails)]
#[expect(dead_code, reason = "its schema is used")]
struct Details {
    /// With `invalid_definition`.
    mistakes: Option<Vec<Mistake>>,
    /// With `adaptor_refused`.
    report: Option<crate::gate::Report>,
}

/// One mistake in a definition.
#[derive(ToSchema)]
#[expect(dead_code, reason = "its schema is used")]
struct Mistake {
    /// The kind and name of what it is in.
    r#where: String,
    message: String,
    remedy: String,
}

/// A thing of a tenant, as clients see it, with what its kind says of it.
pub(in crate::api) struct Thing<S>(PhantomData<S>);

/// A list, or a page of one.
pub(in crate::api) struct List<T>(PhantomData<T>);

impl<S: ToSchema> PartialSchema for Thing<S> {
    fn schema() -> RefOr<Schema> {
        /// A thing of a tenant.
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "its schema is used")]
        struct Thing {
            /// Its kind.
            object: String,
            name: String,
            tenant: String,
            /// What `if-match` takes: it grows with every change.
            #[schema(minimum = 0)]
            revision: i64,
            /// RFC 3339, in UTC; `null` for what has always been there.
            #[schema(required = true)]
            created_at: Option<String>,
            /// The same.
            #[schema(required = true)]
            updated_at: Option<String>,
        }
        with(Thing::schema(), "spec", reference("schemas", &S::name()))
    }
}

impl<T: ToSchema> PartialSchema for List<T> {
    fn schema() -> RefOr<Schema> {
        /// A page of a list.
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "its schema is used")]
        struct List {
            /// `list`
            object: String,
            /// Whether there is more behind it.
            has_more: bool,
            /// What `after` takes to get it.
            #[schema(required = true)]
            next: Option<String>,
        }
        let items = json!({ "type": "array", "items": reference("schemas", &T::name()) });
        with(List::schema(), "data", items)
    }
}

/// An object's schema with one more property, which is always there.
fn with(schema: RefOr<Schema>, name: &str, property: Value) -> RefOr<Schema> {
    let property: Option<RefOr<Schema>> = serde_json::from_value(property).ok();
    match (schema, property) {
        (RefOr::T(Schema::Object(mut object)), Some(property)) => {
            object.properties.insert(name.to_owned(), property);
            object.required.push(name.to_owned());
            RefOr::T(Schema::Object(object))
        }
        (schema, _) => schema,
    }
}

impl<S: ToSchema> ToSchema for Thing<S> {
    fn name() -> Cow<'static, str> {
        format!("{}Thing", S::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((S::name().into_owned(), S::schema()));
        S::schemas(schemas);
    }
}

impl<T: ToSchema> ToSchema for List<T> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}
