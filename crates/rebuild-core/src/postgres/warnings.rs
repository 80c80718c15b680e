//! Warnings that the server sends beside its answers.

use std::error::Error as _;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::{AsyncMessage, Connection};

use crate::error::clean;

type Taker = Box<dyn Fn(&str) + Send>;

/// Who takes the warnings of a session; nobody at first.
#[derive(Clone, Default)]
pub(super) struct Warnings(Arc<Mutex<Option<Taker>>>);

impl Warnings {
    /// From now on `taker` is given each warning.
    pub(super) fn give_to(&self, taker: Taker) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(taker);
    }

    /// Only the message is passed on, without the detail, which may quote rows.
    fn pass(&self, notice: &DbError) {
        if notice.parsed_severity() != Some(Severity::Warning) {
            return;
        }
        let taker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taker) = taker.as_ref() {
            taker(&clean(notice.message()));
        }
    }
}

/// Whoever waits for an answer hears only that the connection is closed.
fn tell(e: &tokio_postgres::Error) {
    let unwanted = e
        .source()
        .and_then(|e| e.downcast_ref::<std::io::Error>())
        .filter(|e| e.kind() == std::io::ErrorKind::InvalidData);
    match unwanted {
        Some(why) => tracing::warn!("a connection was ended: {why}"),
        None => tracing::debug!("connection ended: {e}"),
    }
}

/// Lets the traffic of `connection` flow until its client is dropped.
pub(super) async fn flow<W, S>(mut connection: Connection<W, S>, warnings: Warnings)
where
    W: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => warnings.pass(&notice),
            Some(Ok(_)) => {}
            Some(Err(e)) => return tell(&e),
            None => return,
        }
    }
}
