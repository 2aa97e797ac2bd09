//! One call for many requests: the loop around [`coalescing`](crate::coalescing) that most adaptors want.
//!
//! ```
//! use airlock_adaptor::{coalescing::Pace, shared, testing::{Answer, Backend}};
//!
//! // A call at most every two seconds, for whoever waits then.
//! let pace = Pace { gather_ms: 10, interval_ms: 2_000, max_items: 100, budget: None };
//! let backend = Backend::new(|_| Answer::unreachable());
//! let state = backend.within(|| {
//!     shared::call("states", b"job-7", &pace, 60_000, |tickets| {
//!         // One request for all of them; whatever is not done yet is `None`, and comes again.
//!         tickets.iter().map(|ticket| Some(Ok([&ticket.item, &b" runs"[..]].concat()))).collect()
//!     })
//! });
//! assert_eq!(state?.as_deref(), Some(&b"job-7 runs"[..]));
//! # Ok::<(), airlock_adaptor::AdaptorError>(())
//! ```

use std::time::{Duration, Instant};

use crate::AdaptorError;
use crate::calls::coalescing::{Member, Pace, Ticket, Turn};

/// What became of one item; `None`: it is not done, and comes again with the group's next call.
pub type Settled = Option<Result<Vec<u8>, AdaptorError>>;

/// Waits until `item` is done, and makes the call for the whole group whenever it is this instance's turn.
/// `call` gets the items of all and says what became of each, in their order. `None` after `timeout_ms`.
pub fn call(
    group: &str,
    item: &[u8],
    pace: &Pace,
    timeout_ms: u32,
    call: impl FnMut(&[Ticket]) -> Vec<Settled>,
) -> Result<Option<Vec<u8>>, AdaptorError> {
    Shared::join(group, item, pace)?.wait(timeout_ms, call)
}

/// A place in a group, for an adaptor that does something else beside waiting.
pub struct Shared(Member);

impl Shared {
    /// Joins a group with an item.
    pub fn join(group: &str, item: &[u8], pace: &Pace) -> Result<Self, AdaptorError> {
        Member::join(group, item, pace).map(Self)
    }

    /// As [`call`]; after `None` it can be called again. With 0 it makes the call if that is due at this moment, and
    /// does not wait for anything else.
    pub fn wait(
        &self,
        timeout_ms: u32,
        mut call: impl FnMut(&[Ticket]) -> Vec<Settled>,
    ) -> Result<Option<Vec<u8>>, AdaptorError> {
        let start = Instant::now();
        let timeout = Duration::from_millis(timeout_ms.into());
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            match self.0.next(u32::try_from(left.as_millis()).unwrap_or(u32::MAX)) {
                Some(Turn::Settled(outcome)) => return outcome.map(Some),
                Some(Turn::Lead(tickets)) => {
                    for (ticket, settled) in tickets.iter().zip(call(&tickets)) {
                        if let Some(outcome) = settled {
                            self.0.settle(ticket.id, outcome.as_deref());
                        }
                    }
                }
                None => return Ok(None),
            }
            if start.elapsed() > timeout {
                return Ok(None);
            }
        }
    }
}
