//! How rows are carried.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::postgres::FreeSpace;

/// How many workers read or write rows, how rows are packed, and how long to wait.
#[derive(Clone, Debug)]
pub struct RowOptions {
    /// Sessions that work at the same time.
    pub jobs: NonZeroUsize,
    /// zstd's level, -7 (fast) to 22 (small).
    pub level: i32,
    /// Bytes of rows in one chunk before compression. A chunk holds whole rows, so one may be
    /// larger by one row.
    pub chunk_bytes: u64,
    /// Bytes of a table that one worker reads at a time; a larger table is read by several.
    pub split_bytes: u64,
    /// Bytes of a backup's rows of a table that one worker loads, in one transaction, which can write them as
    /// frozen. A table that has more, and more than a worker's share of them all, is loaded by several.
    pub whole_bytes: u64,
    /// How long the server may send or take nothing in the middle of a COPY.
    pub stall: Duration,
    /// How long a table may be locked by somebody else.
    pub lock_wait: Duration,
    /// How long one statement that works on a whole table may take: building an index, checking
    /// a foreign key, refreshing a materialised view.
    pub statement_limit: Duration,
    /// How the free space of a disk is told, which is looked at while rows go in.
    pub free_space: FreeSpace,
}

impl Default for RowOptions {
    /// A worker for each core, up to 8; fast compression.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            jobs: cores.min(const { NonZeroUsize::new(8).expect("8 is not 0") }),
            level: 1,
            chunk_bytes: 16 << 20,
            split_bytes: 128 << 20,
            whole_bytes: 64 << 20,
            stall: Duration::from_secs(600),
            lock_wait: Duration::from_secs(30),
            statement_limit: Duration::from_secs(12 * 3600),
            free_space: FreeSpace::default(),
        }
    }
}
