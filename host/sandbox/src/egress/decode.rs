//! Answers that a backend compresses though nobody asked it to: adaptors and clients get what was meant, piece by piece
//! as it comes, and no limit counts what it was packed into.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_compression::{
    tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder},
    zstd::DParameter,
};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, header};
use http_body::{Body, Frame};
use tokio::io::{AsyncBufRead as _, AsyncRead, ReadBuf};
use tokio_util::io::{StreamReader, poll_read_buf};

use super::{EgressError, UpstreamBody, UpstreamResponse, error::own};

/// The largest window of zstd, as a power of two: 8 MiB, which RFC 9659 sets for HTTP. Brotli's is 16 MiB
/// (RFC 7932; streams that ask for a larger one are refused), that of the others 32 KiB. No decoder holds more than its window and a few tables.
const ZSTD_WINDOW: u32 = 23;
/// Most that comes out at once: what is packed well is handed on in many pieces.
const PIECE: usize = 16 << 10;
/// Pieces smaller than this are not begun.
const LEAST: usize = 2 << 10;

/// A coding that can be undone (RFC 9110, 8.4.1).
#[derive(Debug, Clone, Copy)]
pub(super) enum Coding {
    Gzip,
    /// In zlib's frame.
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// The one coding that these headers name; none where it is another, or there are several.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut named = headers.get_all(header::CONTENT_ENCODING).iter();
        let (Some(name), None) = (named.next(), named.next()) else { return None };
        match name.to_str().ok()?.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What undoes it. But for brotli one stream may follow the other.
    fn decoder(self, coded: StreamReader<Coded, Bytes>) -> Pin<Box<dyn AsyncRead + Send>> {
        macro_rules! boxed {
            ($decoder:expr) => {{
                let mut decoder = $decoder;
                decoder.multiple_members(true);
                Box::pin(decoder)
            }};
        }
        match self {
            Self::Gzip => boxed!(GzipDecoder::new(coded)),
            Self::Deflate => boxed!(ZlibDecoder::new(coded)),
            Self::Brotli => Box::pin(Single(BrotliDecoder::new(coded))),
            Self::Zstd => {
                boxed!(ZstdDecoder::with_params(coded, &[DParameter::window_log_max(ZSTD_WINDOW)]))
            }
        }
    }
}

/// One brotli stream, behind which nothing comes: another might ask for a larger window.
struct Single(BrotliDecoder<StreamReader<Coded, Bytes>>);

impl AsyncRead for Single {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (this, before) = (self.get_mut(), out.filled().len());
        ready!(Pin::new(&mut this.0).poll_read(cx, out))?;
        if out.filled().len() == before {
            let rest = ready!(Pin::new(this.0.get_mut()).poll_fill_buf(cx))?;
            if !rest.is_empty() {
                return Poll::Ready(Err(io::Error::other("something follows its end")));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl UpstreamResponse {
    /// The same with its body decoded. A coding that nobody here knows stays, and so does its name; where there is no body
    /// (`HEAD`, 204) its headers speak of one that would be.
    pub(super) fn decoded(mut self) -> Self {
        let Some(coding) = Coding::of(&self.headers).filter(|_| !self.body.is_end_stream()) else {
            return self;
        };
        self.headers.remove(header::CONTENT_ENCODING);
        self.headers.remove(header::CONTENT_LENGTH);
        Self { body: self.body.decoded(coding), ..self }
    }
}

/// What comes out of a decoder.
pub(super) struct Decoded {
    decoder: Pin<Box<dyn AsyncRead + Send>>,
    coding: Coding,
    out: BytesMut,
}

impl Decoded {
    pub(super) fn new(body: UpstreamBody, coding: Coding) -> Self {
        let coded = Coded { body, error: None, begins: matches!(coding, Coding::Brotli) };
        Self { decoder: coding.decoder(StreamReader::new(coded)), coding, out: BytesMut::new() }
    }

    fn failed(&self, error: &io::Error) -> EgressError {
        own(error).cloned().unwrap_or_else(|| EgressError::Undecodable(format!("{:?}: {error}", self.coding)))
    }
}

impl Body for Decoded {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let this = self.get_mut();
        if this.out.capacity() < LEAST {
            this.out.reserve(PIECE);
        }
        Poll::Ready(match ready!(poll_read_buf(this.decoder.as_mut(), cx, &mut this.out)) {
            Ok(0) => None,
            Ok(_) => Some(Ok(Frame::data(this.out.split().freeze()))),
            Err(error) => Some(Err(this.failed(&error))),
        })
    }
}

/// What goes into one.
struct Coded {
    body: UpstreamBody,
    error: Option<EgressError>,
    /// The first byte is to be looked at.
    begins: bool,
}

/// What brotli streams with a window above 16 MiB begin with, in the lowest seven bits; RFC 7932 has it reserved.
const LARGE_WINDOW: u8 = 0x11;

impl Stream for Coded {
    type Item = io::Result<Bytes>;

    /// An error comes a turn late: a decoder throws away what it has made in the turn in which it meets one.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = self.get_mut();
        if let Some(error) = this.error.take() {
            return Poll::Ready(Some(Err(io::Error::other(error))));
        }
        match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                if let (true, Some(first)) = (this.begins, data.first()) {
                    this.begins = false;
                    if first & 0x7f == LARGE_WINDOW {
                        let error = EgressError::Undecodable("Brotli: its window is above 16 MiB".into());
                        return Poll::Ready(Some(Err(io::Error::other(error))));
                    }
                }
                Poll::Ready(Some(Ok(data)))
            }
            Some(Err(error)) => {
                this.error = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    /// `text`, flushed, at the beginning of a gzip stream.
    const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x2a\x49\xad\x28\x01\x00\x00\x00\xff\xff";

    #[tokio::test]
    async fn a_large_window_of_brotli_is_refused() {
        let frames = [Ok(Frame::data(Bytes::from_static(b"\x11\x1e")))];
        let source = UpstreamBody::adopted(StreamBody::new(futures_util::stream::iter(frames)));
        let error = source.decoded(Coding::Brotli).frame().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("window"), "{error}");
    }

    /// Over HTTP/2 data and the end of the connection may both be there at once.
    #[tokio::test]
    async fn what_came_before_an_error_is_handed_on_before_it() {
        let broken = EgressError::Disconnected("reset".into());
        let frames = [Ok(Frame::data(Bytes::from_static(PACKED))), Err(broken)];
        let source = UpstreamBody::adopted(StreamBody::new(futures_util::stream::iter(frames)));
        let mut body = source.decoded(Coding::Gzip);
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "text");
        let end = body.frame().await.unwrap().unwrap_err();
        assert!(matches!(end, EgressError::Disconnected(_)), "{end}");
        assert!(body.frame().await.is_none());
    }
}
