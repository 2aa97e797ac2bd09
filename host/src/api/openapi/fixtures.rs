//! What clusters, endpoints and federated endpoints say. These types are descriptions alone: what reads entries is
//! `fixtures`, whose lists of fields a test holds against these.

#![expect(dead_code, reason = "only their schemas are used")]

use std::collections::HashMap;

use serde_json::Value;
use utoipa::ToSchema;

/// A cluster: a named place where models run.
#[derive(ToSchema)]
#[schema(as = Cluster)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ClusterFields {
    /// Its name, which is part of paths.
    #[schema(min_length = 1)]
    cluster_name: String,
    /// What reports its jobs: a bundled adaptor, or one that the tenant has uploaded.
    #[schema(min_length = 1, example = "static-cluster")]
    cluster_adapter: String,
    /// At least one; not in FIRST's old form, whose paths name them.
    frameworks: Option<Vec<String>>,
    /// Operations, such as `chat/completions`; in FIRST's old form paths, by any name.
    openai_endpoints: Operations,
    /// What becomes of requests with fields that OpenAI does not document: the backend gets them (`forward`, where nothing is
    /// said), or the client gets 400 (`reject`).
    unknown_fields: Option<UnknownFields>,
    /// What becomes of a request whose client goes away: the backend's connection is closed (`cancel`, where nothing is said),
    /// or its answer is read to the end, so that all of its usage is counted (`finish`).
    on_disconnect: Option<OnDisconnect>,
    /// What clients are told where it is down; nothing, where it is up.
    maintenance: Option<String>,
    /// Whether the ledger keeps what is asked and answered; where nothing is said it does not.
    log_content: Option<bool>,
    /// Who may use it; nobody named means everybody.
    allowed_groups: Option<Names>,
    /// The same.
    allowed_globus_groups: Option<Names>,
    /// Domains whose users may use it; none named means all.
    allowed_domains: Option<Names>,
    /// What its adaptor gets.
    config: Option<Config>,
}

/// An endpoint: one model under one framework on one cluster.
#[derive(ToSchema)]
#[schema(as = Endpoint)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct EndpointFields {
    /// Follows from cluster, framework and model.
    endpoint_slug: Option<String>,
    /// The name of its cluster.
    #[schema(min_length = 1)]
    cluster: String,
    /// One of the cluster's frameworks.
    #[schema(min_length = 1)]
    framework: String,
    /// As clients name it.
    #[schema(min_length = 1)]
    model: String,
    /// What runs its tasks; FIRST's oldest entries, which have a `function_uuid`, name none.
    endpoint_adapter: Option<Chain>,
    /// Who may use it; nobody named means everybody.
    allowed_groups: Option<Names>,
    /// The same.
    allowed_globus_groups: Option<Names>,
    /// Domains whose users may use it; none named means all.
    allowed_domains: Option<Names>,
    /// Tokens per minute for all users together; 0: no limit.
    tpm_model: Option<Count>,
    /// Tokens per minute for each user; 0: no limit.
    tpm_user: Option<Count>,
    /// How many requests it gets, beside others that serve the model; 1 where nothing is said.
    weight: Option<Weight>,
    /// Requests per minute for all users together; 0, and nothing: no limit.
    rpm_model: Option<Count>,
    /// Requests per minute for each user; 0, and nothing: no limit.
    rpm_user: Option<Count>,
    /// Requests at a time, of all users; 0, and nothing: no limit.
    max_concurrent: Option<Count>,
    /// Bytes of a body that is JSON; 0, and nothing: no limit but the gateway's.
    max_body_bytes: Option<Count>,
    /// Other tenants that may use it; `*`: all.
    shared_with: Option<Names>,
    /// What its adaptor gets.
    config: Option<Config>,
    /// FIRST's old place for what belongs into `config`.
    api_port: Option<Value>,
    /// The same.
    endpoint_uuid: Option<Value>,
    /// The same.
    function_uuid: Option<Value>,
    /// The same.
    batch_endpoint_uuid: Option<Value>,
    /// The same.
    batch_function_uuid: Option<Value>,
}

/// A federated endpoint: one model name in front of several endpoints.
#[derive(ToSchema)]
#[schema(as = Federated)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct FederatedFields {
    /// What people call it.
    #[schema(min_length = 1)]
    name: String,
    /// Follows from the name.
    slug: Option<String>,
    /// The model name that clients ask for.
    #[schema(min_length = 1)]
    target_model_name: String,
    /// For people.
    description: Option<String>,
    /// The endpoints behind it, in order.
    #[schema(min_items = 1)]
    targets: Vec<Target>,
}

/// One endpoint behind a federated endpoint. It may have further fields, which are FIRST's.
#[derive(ToSchema)]
struct Target {
    /// The name of its cluster.
    #[schema(min_length = 1)]
    cluster: String,
    /// Its framework.
    #[schema(min_length = 1)]
    framework: String,
    /// The federated endpoint's, where it has none.
    model: Option<String>,
    /// Follows from cluster, framework and model.
    endpoint_slug: Option<String>,
    /// Who may reach the endpoint this way; nobody named means everybody.
    allowed_groups: Option<Names>,
    /// The same.
    allowed_globus_groups: Option<Names>,
}

/// The operations of a cluster.
#[derive(ToSchema)]
#[serde(untagged)]
enum Operations {
    List(Vec<String>),
    /// `{"chat": "/vllm/v1/chat/completions/"}`
    Paths(HashMap<String, String>),
}

/// What becomes of fields that an operation does not know.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum UnknownFields {
    Forward,
    Reject,
}

/// What a cluster wants of a request whose client goes away.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum OnDisconnect {
    Cancel,
    Finish,
}

/// One adaptor, or middlewares and, last, the adaptor that they stand in front of.
#[derive(ToSchema)]
#[serde(untagged)]
enum Chain {
    One(String),
    Chain(Vec<String>),
}

/// Names as a list, or in one string with commas between them.
#[derive(ToSchema)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Text(String),
}

/// A whole number, 0 or more; also as text.
#[derive(ToSchema)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Text(String),
}

/// From 1 to 1000, also in quotes.
#[derive(ToSchema)]
#[serde(untagged)]
enum Weight {
    Number(u32),
    Text(String),
}

/// What an adaptor gets: an object, or a string that holds one. The gateway itself reads `api_url`, `allowed_hosts`,
/// `extra_headers`, `api_key_header` and all that ends with `_secret`.
#[derive(ToSchema)]
#[serde(untagged)]
enum Config {
    Object(serde_json::Map<String, Value>),
    Text(String),
}
