//! What a schema refers to and a database does not hold: roles and tablespaces.

use std::collections::BTreeSet;

use super::Manifest;
use super::layout::{POST_DATA, PRE_DATA, ROLES, ROLES_SQL};
use super::roles::{RoleEntry, make_roles};
use super::shelf::Shelf;
use crate::error::{Error, Result};
use crate::postgres::{Session, ident, server_error};
use crate::store::Store;
use crate::traits::BackupMode;

/// The tablespace that every server has.
const DEFAULT: &str = "pg_default";

/// How pg_dump says in which tablespace the next tables and indexes are.
const IN_TABLESPACE: &str = "SET default_tablespace = ";

/// Makes the roles and tablespaces that the backup of `manifest` refers to, on a throwaway server
/// of its own: the roles have no passwords, and the tablespaces are folders in the server's data
/// directory (<https://www.postgresql.org/docs/current/runtime-config-developer.html>).
///
/// # Errors
/// The store could not be read; the server said no.
///
/// *Repeats*: what is there already is left as it is.
pub(crate) async fn make_surroundings(
    session: &Session,
    store: &Store,
    manifest: &Manifest,
) -> Result<()> {
    let shelf = Shelf::new(store.clone());
    make_roles(session, &roles(&shelf, manifest).await?).await?;
    let mut wanted = BTreeSet::from([manifest.database.tablespace.clone()]);
    for file in [PRE_DATA, POST_DATA] {
        wanted.extend(tablespaces(&shelf.text(manifest, file).await?));
    }
    let there = "select spcname::pg_catalog.text from pg_catalog.pg_tablespace";
    let rows = session.query(there, &[]).await;
    let rows = rows.map_err(|e| server_error("could not list the tablespaces", e))?;
    for row in &rows {
        wanted.remove(row.get::<_, &str>(0));
    }
    for name in wanted.iter().filter(|name| *name != DEFAULT) {
        let create = format!("create tablespace {} location ''", ident(name)?);
        for sql in ["set allow_in_place_tablespaces = on", &create] {
            let made = session.batch_execute(sql).await;
            made.map_err(|e| server_error(format!("could not make tablespace {name:?}"), e))?;
        }
    }
    Ok(())
}

/// Makes sure that the server has the roles that own something in the backup of `manifest` or may
/// do something there. A role that others are members of need not be one of them, so it is left
/// to the server to miss it.
///
/// # Errors
/// A refusal that names the roles; the store could not be read, or the server not be asked.
pub(crate) async fn require_roles(
    session: &Session,
    store: &Store,
    manifest: &Manifest,
) -> Result<()> {
    if manifest.mode == BackupMode::CountsOnly {
        return Ok(());
    }
    let roles = roles(&Shelf::new(store.clone()), manifest).await?;
    let groups: BTreeSet<&str> = roles
        .iter()
        .flat_map(|role| role.member_of.iter().map(|m| m.role.as_str()))
        .collect();
    let rows = session
        .query(
            "select rolname::pg_catalog.text from pg_catalog.pg_roles",
            &[],
        )
        .await
        .map_err(|e| server_error("could not list the roles", e))?;
    let there: BTreeSet<&str> = rows.iter().map(|row| row.get(0)).collect();
    let missing: Vec<String> = roles
        .iter()
        .map(|role| role.name.as_str())
        .filter(|name| !there.contains(name) && !groups.contains(name))
        .map(|name| format!("{name:?}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the server has no role {}, which backup {} needs",
        missing.join(", "),
        manifest.id
    ))
    .hint(format!(
        "make them first; {ROLES_SQL} in the backup is a psql script that does, without passwords"
    )))
}

async fn roles(shelf: &Shelf, manifest: &Manifest) -> Result<Vec<RoleEntry>> {
    let text = shelf.text(manifest, ROLES).await?;
    serde_json::from_str(&text)
        .map_err(|e| Error::corrupt(format!("{ROLES} cannot be read")).caused_by(e))
}

/// The tablespaces that a script of pg_dump names.
fn tablespaces(sql: &str) -> BTreeSet<String> {
    let set = sql.lines().filter_map(|line| {
        let value = line.strip_prefix(IN_TABLESPACE)?.strip_suffix(';')?;
        match value.strip_prefix('"') {
            Some(quoted) => Some(quoted.strip_suffix('"')?.replace("\"\"", "\"")),
            None => Some(value.to_owned()),
        }
    });
    // Empty is the database's own.
    set.filter(|name| !name.is_empty() && name != "''")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tablespaces_are_found_in_what_pg_dump_writes() {
        let sql = "SET default_tablespace = '';\nCREATE TABLE a ();\n\
                   SET default_tablespace = fast;\nSET default_tablespace = \"a \"\"b\";\n";
        let found: Vec<String> = tablespaces(sql).into_iter().collect();
        assert_eq!(found, ["a \"b", "fast"]);
    }
}
