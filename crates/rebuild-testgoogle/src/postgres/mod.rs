//! The PostgreSQL servers behind instances.

mod copy;
mod programs;
mod server;
mod setup;
mod tls;

pub(crate) use self::copy::{put_back, size, take};
pub(crate) use self::programs::{Programs, run_with};
pub(crate) use self::server::{Home, Server, Settings, admin};
pub(crate) use self::setup::init;
pub(crate) use self::tls::Authority;

/// The only superuser, and the database that nobody else can enter.
pub(crate) const ADMIN: &str = "cloudsqladmin";
