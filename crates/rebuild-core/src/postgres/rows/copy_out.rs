//! Reading rows: from the server's messages to pieces that are worked on beside the reading.

use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use tokio_postgres::CopyOutStream;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::postgres::{Session, server_error};

/// A piece is handed on once it has this many bytes. Large enough to make the hand-over cheap,
/// small enough that two of them for each worker do not matter.
const PIECE: usize = 512 * 1024;

/// The work on a piece of no more bytes is over before another thread would have begun it.
const AT_ONCE: usize = 64 * 1024;

/// What is done with the pieces of a COPY stream, on a thread of its own.
pub(crate) trait PieceWork: Send + 'static {
    /// What becomes ready now and then.
    type Ready: Send + 'static;

    /// Takes the next piece, which may be handed on as it is.
    ///
    /// # Errors
    /// The bytes are not what they should be.
    fn take(&mut self, piece: BytesMut) -> Result<Option<Self::Ready>>;
}

/// Gives up on a stream that stands still.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    /// The act that waits.
    pub ctx: &'a Ctx,
    /// How long nothing may arrive.
    pub stall: Duration,
}

/// Runs a `COPY … TO STDOUT` and gives every piece to `work`, reading the next piece while the
/// last one is worked on. What becomes ready goes to `ready`, which holds the reading up when it
/// is full: nothing piles up.
///
/// # Errors
/// The server failed, or sent nothing for too long; the work failed; nobody takes what is ready.
pub(crate) async fn copy_out<W: PieceWork>(
    patience: &Patience<'_>,
    session: &Session,
    sql: &str,
    what: &str,
    mut work: W,
    ready: &tokio::sync::mpsc::Sender<W::Ready>,
) -> Result<W> {
    let stream = patience
        .ctx
        .within(patience.stall, what, async {
            session
                .copy_out(sql)
                .await
                .map_err(|e| server_error(format!("could not read {what}"), e))
        })
        .await?;
    let mut reader = PieceReader {
        stream: Some(Box::pin(stream)),
        what,
    };
    let mut piece = reader.next(patience).await?;
    while let Some(bytes) = piece {
        let (next, done);
        if bytes.len() <= AT_ONCE {
            done = work.take(bytes);
            next = reader.next(patience).await;
        } else {
            let working = tokio::task::spawn_blocking(move || {
                let done = work.take(bytes);
                (work, done)
            });
            let worked;
            (next, worked) = tokio::join!(reader.next(patience), working);
            (work, done) =
                worked.map_err(|e| Error::internal("the work on rows ended early").caused_by(e))?;
        }
        if let Some(item) = done.map_err(|e| e.context(format!("could not read {what}")))? {
            ready.send(item).await.map_err(|_| {
                Error::new(
                    ErrorKind::Interrupted,
                    format!("nobody takes the rows of {what}"),
                )
            })?;
        }
        piece = next?;
    }
    Ok(work)
}

struct PieceReader<'a> {
    /// None once it has ended; the driver must not be asked again.
    stream: Option<Pin<Box<CopyOutStream>>>,
    what: &'a str,
}

impl PieceReader<'_> {
    async fn next(&mut self, patience: &Patience<'_>) -> Result<Option<BytesMut>> {
        patience
            .ctx
            .within(patience.stall, self.what, self.collect())
            .await
    }

    async fn collect(&mut self) -> Result<Option<BytesMut>> {
        let mut piece = BytesMut::new();
        while let Some(stream) = &mut self.stream {
            let Some(message) = stream.next().await else {
                self.stream = None;
                break;
            };
            let message =
                message.map_err(|e| server_error(format!("could not read {}", self.what), e))?;
            if piece.is_empty() {
                piece.reserve(message.len().max(PIECE + PIECE / 8));
            }
            piece.extend_from_slice(&message);
            if piece.len() >= PIECE {
                break;
            }
        }
        Ok((!piece.is_empty()).then_some(piece))
    }
}
