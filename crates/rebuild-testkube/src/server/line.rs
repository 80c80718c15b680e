//! A connection that can be cut.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// What the parts of one connection share.
pub(crate) struct Line {
    cut: CancellationToken,
    streaming: AtomicBool,
    /// How many bytes it may still carry.
    left: AtomicU64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            cut: CancellationToken::new(),
            streaming: AtomicBool::new(false),
            left: AtomicU64::new(u64::MAX),
        }
    }
}

impl Line {
    /// Says that the connection carries a stream from here on.
    pub(crate) fn set_streaming(&self) {
        self.streaming.store(true, Ordering::SeqCst);
    }

    pub(crate) fn cut_if_streaming(&self) {
        if self.streaming.load(Ordering::SeqCst) {
            self.cut.cancel();
        }
    }

    /// Ends when the connection is cut.
    pub(crate) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Cuts the connection once it has carried so many more bytes.
    pub(crate) fn allow_only(&self, bytes: u64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// The connection with its bytes counted.
    pub(crate) fn meter<S>(self: &Arc<Self>, stream: S) -> Metered<S> {
        Metered {
            stream,
            line: self.clone(),
        }
    }

    fn carried(&self, bytes: usize) {
        let left = self.left.load(Ordering::SeqCst);
        // Without a limit nothing is counted.
        if left != u64::MAX {
            self.left
                .store(left.saturating_sub(bytes as u64), Ordering::SeqCst);
        }
    }

    fn check(&self) -> io::Result<usize> {
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 || self.cut.is_cancelled() {
            self.cut.cancel();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(usize::try_from(left).unwrap_or(usize::MAX))
    }
}

pub(crate) struct Metered<S> {
    stream: S,
    line: Arc<Line>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.check()?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.line.carried(buffer.filled().len() - before);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = self.line.check()?.min(bytes.len());
        let written = Pin::new(&mut self.stream).poll_write(context, &bytes[..allowed]);
        if let Poll::Ready(Ok(count)) = written {
            self.line.carried(count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
