//! `coalescing`, with one member in every group: it leads until its own item is settled.

use std::cell::RefCell;

pub use crate::bindings::imports::airlock::adaptor::coalescing::{Budget, Pace, Ticket, Turn};

use crate::AdaptorError;

/// The only ticket of a group.
const OWN: u64 = 1;

/// A place in a group of one.
#[derive(Debug)]
pub struct Member {
    item: Vec<u8>,
    outcome: RefCell<Option<Result<Vec<u8>, AdaptorError>>>,
}

impl Member {
    /// Joins a group.
    pub fn join(_group: &str, item: &[u8], _pace: &Pace) -> Result<Self, AdaptorError> {
        Ok(Self { item: item.to_vec(), outcome: RefCell::new(None) })
    }

    /// To lead, as long as its item is not settled. Nothing is waited for.
    pub fn next(&self, _timeout_ms: u32) -> Option<Turn> {
        Some(match self.outcome.take() {
            Some(outcome) => Turn::Settled(outcome),
            None => Turn::Lead(vec![Ticket { id: OWN, item: self.item.clone() }]),
        })
    }

    /// Gives the item its outcome.
    pub fn settle(&self, ticket: u64, outcome: Result<&[u8], &AdaptorError>) -> bool {
        if ticket != OWN {
            return false;
        }
        self.outcome.replace(Some(outcome.map(<[u8]>::to_vec).map_err(Clone::clone)));
        true
    }
}
