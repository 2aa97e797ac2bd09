//! Runs adaptors: WebAssembly components from people whom nobody has to trust.
//!
//! [`Sandbox::load`] compiles and checks a component, [`Sandbox::load_chain`] several as one; an [`Endpoint`] is a component with a configuration
//! and a [`Grant`]; [`Endpoint::run`] runs one task in a fresh instance and gives back an [`Answer`].
//! This is the only crate that names wasmtime. It knows nothing of serving HTTP, of tenants' accounts or
//! of databases.

mod ahead;
mod batch;
mod bindings;
mod call;
mod callbacks;
mod coalesce;
mod compile;
mod counted;
pub mod egress;
mod endpoint;
mod engine;
mod fault;
mod form;
mod health;
mod host;
mod idle;
mod inspect;
mod lane;
mod limits;
mod loader;
mod meter;
mod operation;
mod spent;
mod tenant;
mod usage;
mod witness;

pub use batch::{BatchProgress, BatchRequest, BatchState, SubmittedBatch};
pub use call::EventStream;
pub use callbacks::{CallbackAddress, CallbackSettings, Callbacks, Message, Proof, Undelivered};
pub use compile::{CacheKey, CacheSettings, CompileLimits, CompilerSettings, ComponentCompiler};
pub use egress::{
    AddressPolicy, AwsKeys, ConnectSettings, Connector, Credential, Egress, EgressError, EgressLimits, Grant,
    OAuthClient, Origin, OutboundRequest, Resolve, Resolving, StandIn, UpstreamBody, UpstreamResponse,
    Waited,
};
pub use endpoint::{Answer, Cluster, ClusterModel, Endpoint, EndpointInfo, Job, Jobs, Task, User};
pub use engine::{Sandbox, SandboxSettings};
pub use fault::{AdaptorError, Fault};
pub use form::{ClientBody, Form, FormFault};
pub use health::Health;
pub use idle::IdleTimer;
pub use inspect::{AdaptorKind, Import, Inspection, inspect};
pub use lane::Pace;
pub use limits::Budgets;
pub use loader::{Adaptor, CONTRACT_VERSION, LoadError, MAX_CHAIN};
pub use meter::Meter;
pub use operation::{Answers, Events, Operation, Takes, Vendor};
pub use spent::{Costs, Spent};
pub use tenant::{Tenant, TenantLimits};
pub use usage::{Amounts, Usage};
pub use witness::{Chance, Clock, Data, Observer, ReplyKind, Step, Witness, body_difference};
