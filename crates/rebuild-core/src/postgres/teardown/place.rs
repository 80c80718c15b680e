//! Where a database is now, by oid.

use crate::error::{Error, Result};
use crate::model::Identity;
use crate::postgres::{Session, server_error};

/// A database as `pg_database` has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The oid.
    pub(crate) oid: u32,
    /// The name it carries now.
    pub(crate) name: String,
    /// Whether it accepts connections.
    pub(crate) open: bool,
    /// Left over from an interrupted DROP DATABASE; only a DROP can clear it.
    pub(crate) invalid: bool,
    /// The comment.
    pub(crate) comment: Option<String>,
}

const COLUMNS: &str = "d.oid, d.datname::pg_catalog.text, d.datallowconn,
    d.datconnlimit operator(pg_catalog.=) -2,
    pg_catalog.shobj_description(d.oid, 'pg_database')";

/// The database of that oid, if it exists.
///
/// # Errors
/// The server could not be asked.
pub(crate) async fn by_oid(session: &Session, oid: u32) -> Result<Option<Place>> {
    let sql = format!(
        "select {COLUMNS} from pg_catalog.pg_database d where d.oid operator(pg_catalog.=) $1"
    );
    let row = session
        .query_opt(&sql, &[&oid])
        .await
        .map_err(|e| server_error(format!("could not look for database oid {oid}"), e))?;
    Ok(row.as_ref().map(place))
}

/// The database of that name, if it exists.
///
/// # Errors
/// The server could not be asked.
pub(crate) async fn by_name(session: &Session, name: &str) -> Result<Option<Place>> {
    let sql = format!(
        "select {COLUMNS} from pg_catalog.pg_database d
          where d.datname::pg_catalog.text operator(pg_catalog.=) $1"
    );
    let row = session
        .query_opt(&sql, &[&name])
        .await
        .map_err(|e| server_error(format!("could not look for database {name:?}"), e))?;
    Ok(row.as_ref().map(place))
}

fn place(row: &tokio_postgres::Row) -> Place {
    Place {
        oid: row.get(0),
        name: row.get(1),
        open: row.get(2),
        invalid: row.get(3),
        comment: row.get(4),
    }
}

/// What the database is, on this server.
pub(crate) async fn identity(session: &Session, place: Place) -> Result<Identity> {
    Ok(Identity {
        server: system_identifier(session).await?,
        name: place.name,
        uid: place.oid.to_string(),
    })
}

/// The system identifier of the cluster, which any role may read.
///
/// # Errors
/// The server could not be asked.
pub(crate) async fn system_identifier(session: &Session) -> Result<String> {
    let row = session
        .query_one(
            "select system_identifier::pg_catalog.text from pg_catalog.pg_control_system()",
            &[],
        )
        .await
        .map_err(|e| server_error("could not read the server's system identifier", e))?;
    Ok(row.get(0))
}

/// The oid of `identity`, after checking that the session's server is the one it lies on.
///
/// # Errors
/// A refusal if the server is another one.
pub(crate) async fn oid_here(session: &Session, identity: &Identity) -> Result<u32> {
    let here = system_identifier(session).await?;
    if here != identity.server {
        return Err(Error::refused(format!(
            "this server's system identifier is {here}, not {} as planned; nothing was touched",
            identity.server
        ))
        .hint("check the host and port in the spec: they lead to another server than before"));
    }
    identity.uid.parse().map_err(|e| {
        Error::corrupt(format!("{:?} is not a database oid", identity.uid)).caused_by(
            std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{e}")),
        )
    })
}
