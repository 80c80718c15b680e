//! One database: what `CREATE DATABASE` and `ALTER DATABASE` set.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{server_facts, unsigned};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{DatabaseFacts, Identity, ServerFacts};
use crate::postgres::provision::SCRATCH_MARK;
use crate::postgres::{Session, server_error};

/// Which database of the server is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKey<'a> {
    /// The one the session is connected to.
    Current,
    /// The one of that name.
    Name(&'a str),
    /// The one with that oid, whatever it is called now.
    Oid(u32),
}

impl DatabaseKey<'_> {
    /// A condition on `pg_database d` with at most one parameter.
    fn condition(&self) -> &'static str {
        match self {
            Self::Current => "d.datname = pg_catalog.current_database()",
            Self::Name(_) => "d.datname = $1",
            Self::Oid(_) => "d.oid = $1",
        }
    }

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        match self {
            Self::Current => Vec::new(),
            Self::Name(name) => vec![name],
            Self::Oid(oid) => vec![oid],
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Current => "the current database".to_owned(),
            Self::Name(name) => format!("database {name:?}"),
            Self::Oid(oid) => format!("the database with oid {oid}"),
        }
    }
}

/// What carries the key now, if anything does. Works from any database of the server.
///
/// # Errors
/// The server could not be asked.
pub async fn find_database(session: &Session, key: DatabaseKey<'_>) -> Result<Option<Identity>> {
    let sql = format!(
        "select d.datname::text, d.oid::text, s.system_identifier::text
           from pg_catalog.pg_database d, pg_catalog.pg_control_system() s
          where {}",
        key.condition()
    );
    let row = session
        .query_opt(&sql, &key.parameters())
        .await
        .map_err(|e| server_error(format!("could not look for {}", key.describe()), e))?;
    Ok(row.map(|row| Identity {
        name: row.get(0),
        uid: row.get(1),
        server: row.get(2),
    }))
}

/// The other databases of the server that people may connect to, by name. What a look at a schema
/// made and left behind is none of them.
///
/// # Errors
/// The server could not be asked.
pub async fn neighbours(session: &Session) -> Result<Vec<String>> {
    let rows = session
        .query(
            "select datname::pg_catalog.text from pg_catalog.pg_database
              where not datistemplate and datname <> pg_catalog.current_database()
                and not coalesce(pg_catalog.starts_with(
                        pg_catalog.shobj_description(oid, 'pg_database'), $1), false)
              order by 1",
            &[&SCRATCH_MARK],
        )
        .await
        .map_err(|e| server_error("could not list the databases of the server", e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Reads the facts of a database of the server; works from any database of it.
///
/// # Errors
/// There is no such database, the role may not learn its size (it needs CONNECT on it or
/// `pg_read_all_stats`), or the server could not be asked.
pub async fn database_facts(session: &Session, key: DatabaseKey<'_>) -> Result<DatabaseFacts> {
    let what = || format!("could not read the facts of {}", key.describe());
    let server = server_facts(session).await?;
    let row = session
        .query_opt(&facts_sql(&server, key), &key.parameters())
        .await
        .map_err(|e| server_error(what(), e))?
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                format!("{} does not exist", key.describe()),
            )
        })?;
    let settings = session
        .query(
            "select r.rolname::text, unnest(s.setconfig)
               from pg_catalog.pg_db_role_setting s
               left join pg_catalog.pg_roles r on r.oid = s.setrole
              where s.setdatabase = $1
              order by 1 nulls first, 2",
            &[&row.get::<_, u32>("oid")],
        )
        .await
        .map_err(|e| server_error(what(), e))?;
    Ok(facts(
        &server,
        &row,
        settings.iter().map(|s| (s.get(0), s.get(1))).collect(),
    ))
}

/// The catalog gained the locale provider with 15, the rules with 16, and renamed the locale's
/// column with 17 (<https://www.postgresql.org/docs/current/catalog-pg-database.html>).
fn facts_sql(server: &ServerFacts, key: DatabaseKey<'_>) -> String {
    let (provider, recorded, actual) = if server.major() >= 15 {
        (
            "d.datlocprovider::text",
            "d.datcollversion",
            "pg_catalog.pg_database_collation_actual_version(d.oid)",
        )
    } else {
        ("'c'", "null::text", "null::text")
    };
    let locale = match server.major() {
        ..15 => "null::text",
        15 | 16 => "d.daticulocale",
        _ => "d.datlocale",
    };
    let rules = if server.major() >= 16 {
        "d.daticurules"
    } else {
        "null::text"
    };
    format!(
        "select d.oid, d.datname::text as name, r.rolname::text as owner,
                pg_catalog.pg_encoding_to_char(d.encoding)::text as encoding,
                d.datcollate::text as collate, d.datctype::text as ctype,
                case {provider} when 'c' then 'libc' when 'i' then 'icu' else 'builtin' end as provider,
                {locale} as locale, {rules} as rules, {recorded} as recorded, {actual} as actual,
                t.spcname::text as tablespace, d.datconnlimit as connection_limit,
                d.datistemplate as is_template,
                pg_catalog.shobj_description(d.oid, 'pg_database') as comment,
                d.datacl::text[] as acl,
                coalesce(pg_catalog.pg_database_size(d.oid), 0) as bytes
           from pg_catalog.pg_database d
           join pg_catalog.pg_roles r on r.oid = d.datdba
           join pg_catalog.pg_tablespace t on t.oid = d.dattablespace
          where {}",
        key.condition()
    )
}

fn facts(
    server: &ServerFacts,
    row: &Row,
    settings: Vec<(Option<String>, String)>,
) -> DatabaseFacts {
    DatabaseFacts {
        identity: Identity {
            server: server.system_identifier.clone(),
            name: row.get("name"),
            uid: row.get::<_, u32>("oid").to_string(),
        },
        owner: row.get("owner"),
        encoding: row.get("encoding"),
        collate: row.get("collate"),
        ctype: row.get("ctype"),
        locale_provider: row.get("provider"),
        locale: row.get("locale"),
        icu_rules: row.get("rules"),
        collation_versions: (row.get("recorded"), row.get("actual")),
        tablespace: row.get("tablespace"),
        connection_limit: row.get("connection_limit"),
        is_template: row.get("is_template"),
        comment: row.get("comment"),
        acl: row.get("acl"),
        settings,
        bytes: unsigned(row.get("bytes")),
    }
}
