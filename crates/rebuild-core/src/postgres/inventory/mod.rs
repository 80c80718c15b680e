//! What is there: the server, the database, its tables, and who is in the way.

mod database;
mod obstacles;
mod rights;
mod server;
mod tables;

use crate::error::Result;
use crate::model::{DatabaseFacts, Inventory};
use crate::postgres::Session;

pub use database::{DatabaseKey, database_facts, find_database, neighbours};
pub use server::server_facts;
pub(crate) use tables::extensions;
pub use tables::{exact_counts, tables};

/// Reads everything about the database that `session` is connected to, changing nothing.
///
/// Sessions that carry the same `application_name` as `session` count as ours and are not
/// listed. The look takes a short lock on each table to learn its size; how long it waits for
/// one that somebody holds is up to the session's `lock_timeout`. For a moment there is a second
/// connection, by which a pooler is noticed.
///
/// *Repeats:* looks again. *Destroys:* nothing.
///
/// # Errors
/// The server could not be asked.
pub async fn inventory(session: &Session) -> Result<Inventory> {
    let database = database_facts(session, DatabaseKey::Current).await?;
    inventory_of(session, database).await
}

/// The same, where the facts of the session's `database` are known.
pub(super) async fn inventory_of(session: &Session, database: DatabaseFacts) -> Result<Inventory> {
    let server = server_facts(session).await?;
    let obstacles = obstacles::obstacles(session, &database).await?;
    Ok(Inventory {
        tables: tables::tables(session).await?,
        extensions: tables::extensions(session).await?,
        large_objects: tables::large_objects(session).await?,
        sessions: obstacles::sessions(session).await?,
        rights: rights::rights(session, server.major()).await?,
        obstacles,
        server,
        database,
    })
}

/// A count that the server gave as a signed number; it gives no negative ones.
fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

#[cfg(test)]
mod tests;
