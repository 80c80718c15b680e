//! A database in an instance of Cloud SQL.

mod backups;
mod fallback;
mod purge;
mod reach;
mod replace;
mod replace_killed;
mod restore;
mod trouble;

use rebuild_testgoogle::{Failure, Fault, OperationFault, Strike};

use crate::testing::google::{PROJECT, World};
