//! Is a session one process of the server's, or does a pooler deal out processes?

use super::session::serving_pid;
use super::{Session, server_error};
use crate::error::Result;

/// Whose turn it is to ask, by session. Not in strict turns: a pooler that hands out two processes
/// in turn would give each session always the same.
const TURNS: [usize; 8] = [0, 0, 1, 0, 1, 1, 0, 1];

/// True if a pooler in transaction or statement mode stands between here and the server, where
/// locks, settings and snapshots of a session mean nothing.
///
/// It opens another connection like `session`, and both ask some times which process serves them.
/// A process of the server serves one connection for all its life
/// (<https://www.postgresql.org/docs/current/connect-estab.html>), so a connection that sees two,
/// or two connections that see the same one, are not the server's own. A pooler that gives every
/// connection a process of its own for the whole time (session mode) does no harm and is not
/// told apart, nor is one that happened to do so, while it has processes to spare.
///
/// *Repeats:* asks again. *Destroys:* nothing.
///
/// # Errors
/// The second connection could not be opened, or the server could not be asked.
pub async fn looks_pooled(session: &Session) -> Result<bool> {
    let other = session.open_another().await?;
    let mut seen = [None, None];
    let mut pooled = false;
    for turn in TURNS {
        let asked = if turn == 0 { session } else { &other };
        let pid = serving_pid(asked)
            .await
            .map_err(|e| server_error("could not ask which process serves the session", e))?;
        pooled |= seen[1 - turn] == pid || (seen[turn].is_some() && seen[turn] != pid);
        seen[turn] = pid;
    }
    other.close().await;
    Ok(pooled)
}

#[cfg(test)]
mod tests;
