//! Counts what is sent to backends, and ends it where the tenant's day is used up.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Tenant;

/// A connection of one tenant.
pub(super) struct Counted<T> {
    io: T,
    tenant: Arc<Tenant>,
}

impl<T> Counted<T> {
    pub(super) fn new(io: T, tenant: &Arc<Tenant>) -> Self {
        Self { io, tenant: Arc::clone(tenant) }
    }

    /// How many bytes may be written still.
    fn left(&self) -> io::Result<usize> {
        let left = self.tenant.egress_left().map_err(io::Error::other)?;
        Ok(usize::try_from(left).unwrap_or(usize::MAX))
    }

    fn charge(&self, written: usize) -> Poll<io::Result<usize>> {
        self.tenant.usage().charge_egress(written as u64);
        Poll::Ready(Ok(written))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let left = self.left()?;
        let from = from.get(..left).unwrap_or(from);
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, from))?;
        self.charge(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.left()? < from.iter().map(|part| part.len()).sum() {
            let first = from.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
            return self.poll_write(cx, first);
        }
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, from))?;
        self.charge(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
