//! `upstream`: requests go to the backend of the test.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::super::state::current;
use crate::{AdaptorError, UpstreamRequest};

/// The response to a request.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    pieces: RefCell<VecDeque<Result<Vec<u8>, AdaptorError>>>,
}

impl Response {
    /// A response whose body comes in these pieces. Empty ones are left out, as no host gives any.
    pub(crate) fn new(
        status: u16,
        headers: Vec<(String, String)>,
        pieces: Vec<Result<Vec<u8>, AdaptorError>>,
    ) -> Self {
        let pieces = pieces.into_iter().filter(|piece| !matches!(piece, Ok(bytes) if bytes.is_empty()));
        Self { status, headers, pieces: RefCell::new(pieces.collect()) }
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Headers in the order received, names in lower case.
    pub fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }

    /// The next piece of the body; none at its end.
    pub fn read(&self) -> Result<Option<Vec<u8>>, AdaptorError> {
        self.pieces.borrow_mut().pop_front().transpose()
    }
}

/// Sends a request to the test's backend.
pub fn send(request: &UpstreamRequest) -> Result<Response, AdaptorError> {
    current().send(request)
}
