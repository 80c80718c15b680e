//! One rehearsal of a name at a time.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Endpoint;
use crate::postgres::{Session, application, server_error};

/// Sets our keys apart from those of applications, and of runs: "rbrh" in ASCII.
const CLASS: i32 = 0x7262_7268;

/// How long the session of a process that was killed may take to be gone.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// The lock on a rehearsal, which ends with its session. It is in the maintenance database, and says
/// nothing of the target, which other runs may have.
pub(super) struct Alone(Session);

impl Alone {
    /// Takes the lock on the rehearsal whose database is, or will be, called `database`.
    ///
    /// # Errors
    /// A refusal if another process has it; the server could not be asked.
    pub(super) async fn take(maintenance: &Endpoint, ctx: &Ctx, database: &str) -> Result<Self> {
        let session = Session::open(maintenance, &application(ctx)).await?;
        let hash = blake3::hash(database.as_bytes());
        let mut key = [0; 4];
        key.copy_from_slice(&hash.as_bytes()[..4]);
        let key = i32::from_be_bytes(key);
        let deadline = Instant::now() + LEAVE_WITHIN;
        loop {
            let taken: bool = session
                .query_one(
                    "select pg_catalog.pg_try_advisory_lock($1, $2)",
                    &[&CLASS, &key],
                )
                .await
                .map(|row| row.get(0))
                .map_err(|e| server_error("could not ask for the lock on the rehearsal", e))?;
            if taken {
                return Ok(Self(session));
            }
            if Instant::now() > deadline {
                session.close().await;
                return Err(Error::refused(format!(
                    "a rehearsal on {database:?} is going on in another process"
                ))
                .hint("wait until it has ended, or give this one another name"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gives it back.
    pub(super) async fn release(self) {
        self.0.close().await;
    }
}
