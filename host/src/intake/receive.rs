//! A component as it comes, piece by piece, into a file without a name: whatever ends the request, or the process, ends it.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Read as _, Seek as _},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::Slot;

/// Longest silence, and longest time altogether: who sends a little now and then holds a place no longer than that.
const IDLE: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(300);

/// A component that has come whole. Its file and its place go with it.
pub struct Received {
    file: File,
    digest: String,
    size: u64,
    _slot: Slot,
}

/// Why a component has not come.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It is larger than this.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// Nothing more came.
    #[error("nothing more of it came for {IDLE:?}")]
    Silent,
    /// It comes too slowly.
    #[error("it had not come whole after {LONGEST:?}")]
    TooSlow,
    /// What it comes over broke.
    #[error("the connection broke before the whole of it had come: {0}")]
    Broken(String),
    /// The file cannot be written.
    #[error("the data folder cannot be written: {0}")]
    Disk(#[from] io::Error),
}

impl Slot {
    /// Takes a component from where it comes, of at most `limit` bytes. What is left of `body` is the caller's.
    pub async fn receive<B>(self, body: &mut B, limit: u64) -> Result<Received, ReceiveError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let folder = self.intake.0.folder.clone();
        let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
        let mut file = tokio::fs::File::from_std(file.map_err(io::Error::other)??);
        let (digest, size) = match tokio::time::timeout(LONGEST, copy(body, &mut file, limit)).await {
            Ok(copied) => copied?,
            Err(_) => return Err(ReceiveError::TooSlow),
        };
        Ok(Received { file: file.into_std().await, digest, size, _slot: self })
    }
}

/// Writes a body to a file; its digest and its size.
async fn copy<B>(body: &mut B, file: &mut tokio::fs::File, limit: u64) -> Result<(String, u64), ReceiveError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let (mut hash, mut size) = (Sha256::new(), 0_u64);
    loop {
        let frame = match tokio::time::timeout(IDLE, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(ReceiveError::Broken(error.to_string())),
            Err(_) => return Err(ReceiveError::Silent),
        };
        let Ok(data) = frame.into_data() else { continue };
        size = size.saturating_add(data.len() as u64);
        if size > limit {
            return Err(ReceiveError::TooLarge(limit));
        }
        hash.update(&data);
        file.write_all(&data).await?;
    }
    file.flush().await?;
    Ok((hex::encode(hash.finalize()), size))
}

impl Received {
    /// SHA-256 of what has come, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many bytes have come.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// All of it, in memory.
    pub async fn read(&self) -> io::Result<Bytes> {
        let (mut file, size) = (self.file.try_clone()?, self.size);
        let reading = tokio::task::spawn_blocking(move || {
            file.rewind()?;
            let mut whole = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            file.read_to_end(&mut whole)?;
            Ok(whole.into())
        });
        reading.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::{super::Intake, *};

    /// A byte each so many seconds, without end.
    fn drip(every: u64) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let drops = stream::repeat(()).then(move |()| async move {
            tokio::time::sleep(Duration::from_secs(every)).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        StreamBody::new(drops.boxed())
    }

    fn slot(intake: &Intake) -> Slot {
        intake.enter("t").unwrap()
    }

    #[tokio::test]
    async fn what_comes_is_what_is_read() {
        let intake = Intake::new(std::env::temp_dir());
        let pieces = ["one", "", "two"].map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))));
        let mut body = StreamBody::new(stream::iter(pieces));
        let received = slot(&intake).receive(&mut body, 6).await.unwrap();
        assert_eq!((received.size(), received.digest()), (6, &*hex::encode(Sha256::digest("onetwo"))));
        for _ in 0..2 {
            assert_eq!(received.read().await.unwrap(), "onetwo");
        }
        assert_eq!(intake.under_way(), 1);
        drop(received);
        assert_eq!(intake.under_way(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_slowly_gives_the_place_back() {
        let intake = Intake::new(std::env::temp_dir());
        let silent = slot(&intake).receive(&mut drip(IDLE.as_secs() + 1), 1 << 20).await;
        assert!(matches!(silent, Err(ReceiveError::Silent)));
        let slow = slot(&intake).receive(&mut drip(IDLE.as_secs() - 1), 1 << 20).await;
        assert!(matches!(slow, Err(ReceiveError::TooSlow)));
        let large = slot(&intake).receive(&mut drip(0), 10).await;
        assert!(matches!(large, Err(ReceiveError::TooLarge(10))));
        assert_eq!(intake.under_way(), 0);
    }
}
