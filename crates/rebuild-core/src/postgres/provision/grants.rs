//! Grants on a database.

use tokio_postgres::Row;

use super::wanted::Wanted;
use crate::error::{Error, Result};
use crate::postgres::{Session, ident, server_error};

/// A grant that somebody wrote: `CONNECT, TEMPORARY TO app WITH GRANT OPTION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    privileges: Vec<String>,
    /// `None` is PUBLIC.
    roles: Vec<Option<String>>,
    with_option: bool,
}

/// What can be granted on a database
/// (<https://www.postgresql.org/docs/current/sql-grant.html>).
const PRIVILEGES: [&str; 6] = [
    "CONNECT",
    "CREATE",
    "TEMPORARY",
    "TEMP",
    "ALL",
    "ALL PRIVILEGES",
];
const WITH_OPTION: &str = " WITH GRANT OPTION";

impl Grant {
    /// Reads it.
    ///
    /// # Errors
    /// It is not of that form.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bad = || {
            Error::usage(format!("{text:?} is not a grant on a database")).hint(
                "write it like \"CONNECT, CREATE TO role\", with WITH GRANT OPTION if need be",
            )
        };
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // Upper case changes no byte positions when only ASCII letters change.
        let upper = words.to_ascii_uppercase();
        let end = if upper.ends_with(WITH_OPTION) {
            words.len() - WITH_OPTION.len()
        } else {
            words.len()
        };
        let to = upper.find(" TO ").ok_or_else(bad)?;
        let privileges: Vec<String> = upper[..to]
            .split(',')
            .map(|p| p.trim().to_owned())
            .collect();
        if !privileges.iter().all(|p| PRIVILEGES.contains(&p.as_str())) {
            return Err(bad());
        }
        let roles = words
            .get(to + " TO ".len()..end)
            .ok_or_else(bad)?
            .split(',')
            .map(|role| role_named(role.trim()).ok_or_else(bad))
            .collect::<Result<_>>()?;
        Ok(Self {
            privileges,
            roles,
            with_option: end < words.len(),
        })
    }

    fn sql(&self, database: &str) -> Result<String> {
        let roles = self
            .roles
            .iter()
            .map(|role| quoted(role.as_deref()))
            .collect::<Result<Vec<_>>>()?;
        Ok(format!(
            "grant {} on database {} to {}{}",
            self.privileges.join(", "),
            ident(database)?,
            roles.join(", "),
            if self.with_option { WITH_OPTION } else { "" }
        ))
    }
}

fn role_named(text: &str) -> Option<Option<String>> {
    if text.eq_ignore_ascii_case("public") {
        return Some(None);
    }
    let bare = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?.replace("\"\"", "\""),
        None => text.to_owned(),
    };
    (!bare.is_empty()).then_some(Some(bare))
}

fn quoted(role: Option<&str>) -> Result<String> {
    role.map_or_else(|| Ok("public".to_owned()), ident)
}

/// One privilege of an access list.
#[derive(Debug)]
struct Entry {
    grantor: String,
    grantee: Option<String>,
    privilege: String,
    grantable: bool,
}

const EXPLODED: &str = "
    select g.rolname::text, r.rolname::text, x.grantee, x.privilege_type, x.is_grantable
      from pg_catalog.unnest($1::text[]::pg_catalog.aclitem[]) with ordinality as i (item, at)
     cross join pg_catalog.aclexplode(array[i.item]) as x
      join pg_catalog.pg_roles g on g.oid = x.grantor
      left join pg_catalog.pg_roles r on r.oid = x.grantee
     order by i.at, x.privilege_type";

/// Gives `database` exactly the model's grants and then the given ones, in one transaction.
///
/// # Errors
/// The server refused; nothing was changed.
pub(super) async fn apply(session: &mut Session, database: &str, wanted: &Wanted) -> Result<()> {
    let what = || format!("could not grant rights on {database:?}");
    let mut statements = Vec::new();
    if let Some(acl) = &wanted.acl {
        statements.extend(revokes(session, database).await?);
        let rows = session
            .query(EXPLODED, &[acl])
            .await
            .map_err(|e| server_error("could not read the grants to copy", e))?;
        let entries = rows.iter().map(|row| entry(row, wanted)).collect();
        statements.extend(copies(database, entries, owner(session, database).await?)?);
    }
    for grant in &wanted.grants {
        statements.push(grant.sql(database)?);
    }
    let tx = session
        .transaction()
        .await
        .map_err(|e| server_error(what(), e))?;
    for statement in &statements {
        tx.batch_execute(statement)
            .await
            .map_err(|e| server_error(format!("{} ({statement})", what()), e))?;
    }
    tx.commit().await.map_err(|e| server_error(what(), e))
}

async fn owner(session: &Session, database: &str) -> Result<String> {
    session
        .query_one(
            "select pg_catalog.pg_get_userbyid(datdba)::text from pg_catalog.pg_database
              where datname = $1",
            &[&database],
        )
        .await
        .map(|row| row.get(0))
        .map_err(|e| server_error(format!("could not read the owner of {database:?}"), e))
}

/// Takes every right away that anybody has now.
async fn revokes(session: &Session, database: &str) -> Result<Vec<String>> {
    let rows = session
        .query(
            "select distinct r.rolname::text
               from pg_catalog.pg_database d
              cross join pg_catalog.aclexplode(
                    coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) as x
               left join pg_catalog.pg_roles r on r.oid = x.grantee
              where d.datname = $1 order by 1",
            &[&database],
        )
        .await
        .map_err(|e| server_error(format!("could not read the grants on {database:?}"), e))?;
    rows.iter()
        .map(|row| {
            Ok(format!(
                "revoke all on database {} from {} cascade",
                ident(database)?,
                quoted(row.get(0))?
            ))
        })
        .collect()
}

fn entry(row: &Row, wanted: &Wanted) -> Entry {
    // The new owner stands where the model's stood, as after ALTER DATABASE … OWNER TO.
    let mapped = |role: String| match (&wanted.acl_owner, &wanted.owner) {
        (Some(old), Some(new)) if *old == role => new.clone(),
        _ => role,
    };
    Entry {
        grantor: mapped(row.get(0)),
        grantee: row.get::<_, Option<String>>(1).map(mapped),
        privilege: row.get(3),
        grantable: row.get(4),
    }
}

/// The grants in the order in which they can be made, which is the list's own where possible:
/// each after the one that gave its grantor the option. The server records who granted, so they
/// are made as their grantors.
fn copies(database: &str, entries: Vec<Entry>, owner: String) -> Result<Vec<String>> {
    let mut may_grant = vec![(owner.clone(), None)];
    let mut waiting = entries;
    let mut statements = Vec::new();
    while !waiting.is_empty() {
        let next = waiting.iter().position(|e| {
            may_grant.iter().any(|(role, what)| {
                *role == e.grantor && what.as_ref().is_none_or(|w| *w == e.privilege)
            })
        });
        let Some(next) = next else {
            return Err(baseless(&waiting));
        };
        let e = waiting.remove(next);
        let grant = format!(
            "grant {} on database {} to {}{}",
            e.privilege,
            ident(database)?,
            quoted(e.grantee.as_deref())?,
            if e.grantable { WITH_OPTION } else { "" }
        );
        statements.push(if e.grantor == owner {
            grant
        } else {
            format!("set local role {}; {grant}; reset role", ident(&e.grantor)?)
        });
        if let (true, Some(role)) = (e.grantable, e.grantee) {
            may_grant.push((role, Some(e.privilege)));
        }
    }
    Ok(statements)
}

fn baseless(left: &[Entry]) -> Error {
    let left: Vec<String> = left
        .iter()
        .map(|e| format!("{} by {:?}", e.privilege, e.grantor))
        .collect();
    Error::refused(format!(
        "grants on the database come from roles that may not make them: {}",
        left.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read_and_nothing_else_is() {
        let sql = |text: &str| Grant::parse(text).and_then(|g| g.sql("db"));
        assert_eq!(
            sql("connect, temp  to App, \"a \"\"b\", public with grant option").expect("fine"),
            "grant CONNECT, TEMP on database \"db\" to \"App\", \"a \"\"b\", public WITH GRANT OPTION"
        );
        assert_eq!(
            sql("ALL PRIVILEGES TO x; drop database y").expect("a strange name"),
            "grant ALL PRIVILEGES on database \"db\" to \"x; drop database y\""
        );
        for bad in [
            "",
            "CONNECT",
            "CONNECT TO",
            "SELECT TO x",
            "CONNECT TO ,",
            "TO x",
        ] {
            assert!(Grant::parse(bad).is_err(), "{bad}");
        }
    }
}
