//! The room on the disks of a server of this machine, while rows go in.
//!
//! A server that cannot write its log ends at once, with every database on it
//! (<https://www.postgresql.org/docs/current/wal-configuration.html>). So the disks are looked at while
//! a load is under way, and the load is ended before there is nothing left.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Session, server_error};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::plan::{LEAST_LEFT, bytes};
use crate::store;
use crate::traits::Task;

/// How often a disk is looked at. A look is one call of the system, and what is kept free must be
/// more than a load can write until the next one.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is kept free where there is plenty: some seconds of the fastest load.
const KEPT: u64 = 1 << 30;

/// The part of what is free that is kept free where there is less. A plan asks for a fifth more than
/// the copy needs, which is this part of the whole.
const PART: u64 = 6;

/// Where the server has its files, how much its log may grow, and the tablespaces of the database.
const DISKS: &str = "
    select (select g.setting from pg_catalog.pg_settings g where g.name = 'data_directory'),
           pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size')),
           array(select distinct l.location
                   from (select d.dattablespace from pg_catalog.pg_database d
                          where d.datname = pg_catalog.current_database()
                         union select c.reltablespace from pg_catalog.pg_class c) as t (id),
                        pg_catalog.pg_tablespace_location(t.id) as l (location)
                  where l.location <> '')";

/// Ends what the load still does in this database. A statement goes on without its client for seconds.
const END: &str = "
    select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a
     where a.datname = pg_catalog.current_database() and a.pid <> pg_catalog.pg_backend_pid()
       and a.application_name = pg_catalog.current_setting('application_name')";

/// Tells how many bytes are free on the disk of a folder, if that can be seen.
#[derive(Clone)]
pub struct FreeSpace(Arc<Look>);

type Look = dyn Fn(&Path) -> Option<u64> + Send + Sync;

impl FreeSpace {
    /// As `look` says.
    pub fn told_by(look: impl Fn(&Path) -> Option<u64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }
}

impl Default for FreeSpace {
    /// As the system says, of a folder that this user may look into.
    fn default() -> Self {
        Self::told_by(|folder| store::free_bytes(folder).ok())
    }
}

impl fmt::Debug for FreeSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FreeSpace")
    }
}

/// The server's data directory, if the server runs on this machine.
pub(super) fn local_data(endpoint: &Endpoint, data_directory: Option<&str>) -> Option<PathBuf> {
    let path = PathBuf::from(data_directory?);
    (is_here(endpoint) && path.is_dir()).then_some(path)
}

/// True if the server of `endpoint` runs on this machine. What a forwarded port leads to does not.
fn is_here(endpoint: &Endpoint) -> bool {
    endpoint.is_local() && endpoint.via.is_none()
}

/// A disk, and what is kept free on it.
#[derive(Debug, PartialEq, Eq)]
struct Disk {
    folder: PathBuf,
    kept: u64,
}

/// What is kept free on a disk that has `free` bytes when a load begins. The log may grow by
/// `log` bytes until the server removes what it does not need any more.
fn kept(free: u64, log: u64) -> u64 {
    KEPT.max(log).min(free / PART).max(LEAST_LEFT)
}

/// The disks that a load fills, as far as they can be seen.
pub(super) struct Room {
    free: FreeSpace,
    disks: Vec<Disk>,
    /// In the database that is filled; without one nothing can be seen.
    session: Option<Session>,
}

impl Room {
    /// The disks of the server that has `db`, which is about to be filled. Of a server elsewhere, none.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(super) async fn of(
        ctx: &Ctx,
        endpoint: &Endpoint,
        db: &Identity,
        free: &FreeSpace,
    ) -> Result<Self> {
        let mut room = Self {
            free: free.clone(),
            disks: Vec::new(),
            session: None,
        };
        if !is_here(endpoint) {
            return Ok(room);
        }
        let session = Session::open_at(endpoint, db, ctx).await?;
        let row = session.query_one(DISKS, &[]).await;
        let row =
            row.map_err(|e| server_error("could not ask where the server has its files", e))?;
        let (data, log, tablespaces): (Option<String>, i64, Vec<String>) =
            (row.get(0), row.get(1), row.get(2));
        let Some(data) = local_data(endpoint, data.as_deref()) else {
            session.close().await;
            return Ok(room);
        };
        // The log may be a link to another disk.
        let folders = [data.join("pg_wal"), data].into_iter();
        let folders = folders.chain(tablespaces.into_iter().map(PathBuf::from));
        let log = u64::try_from(log).unwrap_or_default();
        let seen = folders.filter_map(|folder| {
            let kept = kept((room.free.0)(&folder)?, log);
            Some(Disk { folder, kept })
        });
        room.disks = seen.collect();
        room.session = Some(session);
        Ok(room)
    }

    /// Does `work`, which `what` names, as long as there is room.
    ///
    /// # Errors
    /// Those of `work`; a disk is about to be full. What the run still does in the database is ended
    /// then.
    pub(super) async fn keep<T>(
        self,
        what: impl Fn() -> String,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let ended = tokio::select! {
            // The first look comes before the first row.
            biased;
            low = self.low() => Err(low),
            done = work => Ok(done),
        };
        let done = match ended {
            Ok(done) => done,
            Err((disk, left)) => {
                self.end_the_load().await;
                Err(full(&what(), disk, left))
            }
        };
        if let Some(session) = self.session {
            session.close().await;
        }
        done
    }

    /// The first disk on which less is left than is kept free, and what is left.
    async fn low(&self) -> (&Disk, u64) {
        loop {
            let left = |disk: &Disk| (self.free.0)(&disk.folder);
            for disk in &self.disks {
                if let Some(left) = left(disk).filter(|left| *left < disk.kept) {
                    return (disk, left);
                }
            }
            if self.disks.is_empty() {
                return std::future::pending().await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn end_the_load(&self) {
        if let Some(session) = &self.session
            && let Err(e) = session.batch_execute(END).await
        {
            tracing::warn!("what the load still does goes on until its server notices: {e}");
        }
    }
}

fn full(what: &str, disk: &Disk, left: u64) -> Error {
    Error::new(
        ErrorKind::Server,
        format!(
            "{what} was ended: the server's disk of {} has {} left, and {} are kept free, for \
             a server whose disk is full stops with all of its databases",
            disk.folder.display(),
            bytes(left),
            bytes(disk.kept)
        ),
    )
    .hint(
        "make room there (rebuild purge RUN --now destroys what an earlier run retired; rebuild runs list has them), then give the same \
         command again",
    )
}

/// A task that fills the new database, for as long as there is room.
pub struct TaskWithRoom {
    /// The task.
    pub task: Arc<dyn Task>,
    /// The server, with any database.
    pub endpoint: Endpoint,
    /// How the free space is told.
    pub free: FreeSpace,
}

#[async_trait]
impl Task for TaskWithRoom {
    fn name(&self) -> String {
        self.task.name()
    }

    async fn run(&self, ctx: &Ctx, db: &Identity) -> Result<()> {
        let room = Room::of(ctx, &self.endpoint, db, &self.free).await?;
        let what = || self.name();
        room.keep(what, self.task.run(ctx, db)).await
    }
}

#[cfg(test)]
mod tests;
