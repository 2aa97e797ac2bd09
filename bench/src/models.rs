//! The models of the gateway where good and hostile requests meet.

use crate::backend::{DRIP, HOLD, SLOW};
use crate::rungs::{Model, guest, named};

/// Forwarded by the host.
pub const FORWARD: Model = named("forward", "direct-api");
/// Sent by the guest: complete answers are relayed, events rewritten one by one.
pub const REWRITE: Model = guest("rewrite", "rewrite.wasm");
/// Made by the guest, without a backend.
pub const EVENTS: Model = guest("events", "events.wasm");
/// Forwarded to a backend that takes its time.
pub const SLOW_FORWARD: Model = named("slow", "direct-api").at(SLOW);
/// Forwarded to a backend that does not answer.
pub const HELD_FORWARD: Model = named("held-forward", "direct-api").at(HOLD);
/// Sent by the guest to a backend that does not answer.
pub const HELD_REWRITE: Model = guest("held-rewrite", "rewrite.wasm").at(HOLD);
/// Forwarded to a backend whose stream does not end.
pub const DRIP_FORWARD: Model = named("drip-forward", "direct-api").at(DRIP);
/// A stream without an end, rewritten event by event.
pub const DRIP_REWRITE: Model = guest("drip-rewrite", "rewrite.wasm").at(DRIP);
/// Computes for ever; a stream does so after its first event.
pub const SPIN: Model = guest("spin", "spin.wasm");
/// Traps.
pub const TRAP: Model = guest("trap", "trap.wasm");
/// Takes all memory that it gets.
pub const GROW: Model = guest("grow", "grow.wasm");
