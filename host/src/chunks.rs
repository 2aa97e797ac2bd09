//! Bodies that are read whole, in both directions.

use bytes::{Bytes, BytesMut};

/// Chunks of a body; one chunk, the usual case, is not copied.
#[derive(Default)]
pub(crate) struct Chunks {
    first: Bytes,
    rest: BytesMut,
}

impl Chunks {
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = data;
            return;
        }
        if self.rest.is_empty() {
            self.rest.reserve(2 * (self.first.len() + data.len()));
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&data);
    }

    pub(crate) fn join(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}
