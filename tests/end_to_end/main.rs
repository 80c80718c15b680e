//! The `rebuild` program as its users meet it: the real binary, a real server, files on disk.

#![allow(clippy::unwrap_used)]

mod chaos;
mod commands;
mod dumps;
mod evicted;
mod exit_codes;
mod hooks;
mod hostile;
mod in_cluster;
mod infrastructure;
mod instance;
mod killed;
mod killed_refresh;
mod refusals;
mod rehearse;
mod secrets;
mod stores;
mod workers;

use rebuild_chaos::world;
