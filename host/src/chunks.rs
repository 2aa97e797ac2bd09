//! Bodies that are read whole, in both directions.

use bytes::{Bytes, BytesMut};

/// Smaller pieces are put together, so that a body in crumbs is not held as crumbs.
const CRUMB: usize = 16 << 10;
/// As much as that at a time.
const LOAF: usize = 64 << 10;

/// A body, piece by piece. Large pieces are not copied: fresh memory for many megabytes costs the kernel more than all that is
/// done with them.
#[derive(Default)]
pub(crate) struct Chunks {
    pieces: Vec<Bytes>,
    crumbs: BytesMut,
    len: usize,
}

impl Chunks {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        let is_first = self.len == 0;
        self.len += data.len();
        if data.len() < CRUMB && !is_first {
            self.crumbs.extend_from_slice(&data);
            if self.crumbs.len() >= LOAF {
                self.gather();
            }
        } else {
            self.gather();
            self.pieces.push(data);
        }
    }

    fn gather(&mut self) {
        if !self.crumbs.is_empty() {
            self.pieces.push(self.crumbs.split().freeze());
        }
    }

    /// The pieces, in order.
    pub(crate) fn into_pieces(mut self) -> Vec<Bytes> {
        self.gather();
        self.pieces
    }

    /// All in one; a single piece, the usual case, is not copied.
    pub(crate) fn join(self) -> Bytes {
        let len = self.len;
        let mut pieces = self.into_pieces();
        if pieces.len() <= 1 {
            return pieces.pop().unwrap_or_default();
        }
        let mut whole = BytesMut::with_capacity(len);
        for piece in pieces {
            whole.extend_from_slice(&piece);
        }
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(sizes: &[usize]) -> Chunks {
        let mut chunks = Chunks::default();
        for (number, size) in sizes.iter().enumerate() {
            chunks.push(vec![number as u8; *size].into());
        }
        chunks
    }

    #[test]
    fn nothing_is_lost_or_moved() {
        for sizes in [&[][..], &[5], &[0, 5, 0], &[5, 20_000, 3, 3, 70_000], &[20_000; 9], &[1000; 200]] {
            let wanted: Vec<u8> =
                sizes.iter().enumerate().flat_map(|(n, size)| vec![n as u8; *size]).collect();
            assert_eq!(chunks(sizes).len(), wanted.len());
            assert_eq!(chunks(sizes).join(), wanted);
            assert_eq!(chunks(sizes).into_pieces().concat(), wanted);
        }
    }

    #[test]
    fn crumbs_are_put_together_and_large_pieces_are_not_copied() {
        assert!(chunks(&[1; 200_000]).into_pieces().len() <= 5);
        let large = Bytes::from(vec![1; 50_000]);
        let mut both = Chunks::default();
        both.push(large.clone());
        both.push(large.clone());
        assert!(both.into_pieces().iter().all(|piece| piece.as_ptr() == large.as_ptr()));
        let mut one = Chunks::default();
        one.push(large.clone());
        assert_eq!(one.join().as_ptr(), large.as_ptr());
    }
}
