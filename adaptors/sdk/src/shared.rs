//! One call for many requests: the loop around [`coalescing`](crate::coalescing) that most adaptors want.

use std::time::{Duration, Instant};

use crate::AdaptorError;
use crate::bindings::imports::airlock::adaptor::coalescing::{Member, Pace, Ticket, Turn};

/// What became of one item; `None`: it is not done, and comes again with the group's next call.
pub type Settled = Option<Result<Vec<u8>, AdaptorError>>;

/// Waits until `item` is done, and makes the call for the whole group whenever it is this instance's turn.
/// `call` gets the items of all and says what became of each, in their order. `None` after `timeout_ms`.
pub fn call(
    group: &str,
    item: &[u8],
    pace: &Pace,
    timeout_ms: u32,
    mut call: impl FnMut(&[Ticket]) -> Vec<Settled>,
) -> Result<Option<Vec<u8>>, AdaptorError> {
    let start = Instant::now();
    let timeout = Duration::from_millis(timeout_ms.into());
    let member = Member::join(group, item, pace)?;
    while let Some(left) = timeout.checked_sub(start.elapsed()) {
        match member.next(u32::try_from(left.as_millis()).unwrap_or(u32::MAX)) {
            Some(Turn::Settled(outcome)) => return outcome.map(Some),
            Some(Turn::Lead(tickets)) => {
                for (ticket, settled) in tickets.iter().zip(call(&tickets)) {
                    if let Some(outcome) = settled {
                        member.settle(ticket.id, outcome.as_deref());
                    }
                }
            }
            None => return Ok(None),
        }
    }
    Ok(None)
}
