//! `CREATE DATABASE`, and finding again what a killed run left of it.

use tokio_postgres::error::SqlState;

use super::untouched::is_untouched;
use super::wanted::Wanted;
use super::{PgProvision, discard, place};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{Identity, RunId};
use crate::plan::Names;
use crate::postgres::sessions::EndSessions;
use crate::postgres::{Session, bounded, ident, literal, made_by, server_error, server_facts};

/// Encoding and locale of a database; what is `None` is the template's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Locale {
    pub(super) encoding: Option<String>,
    pub(super) collate: Option<String>,
    pub(super) ctype: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) provider_locale: Option<String>,
    pub(super) rules: Option<String>,
}

impl Locale {
    /// The clauses of `CREATE DATABASE`. Providers can be chosen since 15, the builtin one and
    /// rules came with 17 and 16
    /// (<https://www.postgresql.org/docs/current/sql-createdatabase.html>).
    fn clauses(&self, major: u32) -> Result<String> {
        let mut sql = String::new();
        let mut add = |word: &str, value: &Option<String>| -> Result<()> {
            if let Some(value) = value {
                sql.push_str(&format!(" {word} {}", literal(value)?));
            }
            Ok(())
        };
        add("encoding", &self.encoding)?;
        add("lc_collate", &self.collate)?;
        add("lc_ctype", &self.ctype)?;
        let (word, since) = match self.provider.as_deref() {
            None | Some("libc") => ("", 13),
            Some("icu") => ("icu_locale", 15),
            Some("builtin") => ("builtin_locale", 17),
            Some(other) => {
                return Err(Error::usage(format!(
                    "{other:?} is not a locale provider; there are libc, icu and builtin"
                )));
            }
        };
        if major < since {
            return Err(Error::usage(format!(
                "a server of version {major} has no locale provider {:?} for databases",
                self.provider.as_deref().unwrap_or_default()
            )));
        }
        if !word.is_empty() {
            add(word, &self.provider_locale)?;
        }
        add("icu_rules", &self.rules)?;
        if let (Some(provider), true) = (&self.provider, major >= 15) {
            sql.push_str(&format!(" locale_provider {provider}"));
        }
        Ok(sql)
    }
}

/// `CREATE DATABASE name` from `template`, open to connections.
pub(super) fn create_sql(
    major: u32,
    name: &str,
    template: &str,
    locale: &Locale,
) -> Result<String> {
    Ok(format!(
        "create database {} template {} allow_connections true{}",
        ident(name)?,
        ident(template)?,
        locale.clauses(major)?
    ))
}

/// The name under which `run` first makes the database that is to be called `name`.
pub(super) fn first_name(run: &RunId, name: &str) -> String {
    if is_first_name(run, name) {
        name.to_owned()
    } else {
        Names::of(run, name).staged
    }
}

/// True for names that only `run` gives, and only to a database that it makes.
pub(super) fn is_first_name(run: &RunId, name: &str) -> bool {
    name.ends_with(&format!("_new_{}", run.short()))
}

/// Makes the database, or finds what this run made of it before, and leaves it with its mark
/// and under its name.
pub(super) async fn create(
    provision: &PgProvision,
    session: &mut Session,
    ctx: &Ctx,
    name: &str,
    wanted: &Wanted,
) -> Result<Identity> {
    let mark = made_by(&ctx.run);
    let first = first_name(&ctx.run, name);
    if first != name {
        match place::by_name(session, name).await? {
            Some(p) if p.comment.as_deref() == Some(&mark) => {
                return place::identity(session, p).await;
            }
            Some(p) if provision.over_empty => {
                make_room(provision, session, ctx, p, &mark).await?;
            }
            Some(_) => return Err(taken(name)),
            None => {}
        }
    }
    let found = match place::by_name(session, &first).await? {
        Some(found) => found,
        None => {
            create_now(session, &first, wanted).await?;
            place::by_name(session, &first).await?.ok_or_else(|| {
                Error::refused(format!("database {first:?} was made, and is gone again"))
            })?
        }
    };
    if found.invalid {
        return Err(Error::refused(format!(
            "database {first:?} is left over from an interrupted DROP DATABASE"
        ))
        .hint("roll the run back, which removes it"));
    }
    match found.comment.as_deref() {
        Some(comment) if comment == mark => {}
        None if is_untouched(provision, session, ctx, &found).await? => {}
        _ => return Err(taken(&first)),
    }
    mark_and_rename(session, &found, name, &mark).await?;
    let place = place::Place {
        name: name.to_owned(),
        ..found
    };
    place::identity(session, place).await
}

/// Removes a database that a new server made for itself and that nobody has touched.
///
/// It is renamed and marked first, so that nobody finds it any more, and looked into then.
async fn make_room(
    provision: &PgProvision,
    session: &mut Session,
    ctx: &Ctx,
    found: place::Place,
    mark: &str,
) -> Result<()> {
    let name = found.name.clone();
    if found.invalid || found.comment.is_some() {
        return Err(taken(&name));
    }
    let apart = format!("rebuild_empty_{}", found.oid);
    mark_and_rename(session, &found, &apart, mark).await?;
    let renamed = place::Place {
        name: apart,
        comment: Some(mark.to_owned()),
        ..found
    };
    if !is_untouched(provision, session, ctx, &renamed).await? {
        unmark(session, &renamed, &name).await?;
        return Err(taken(&name).hint(
            "it has something in it: let the new server make an empty one, or none; or drop it, and \
             go on",
        ));
    }
    ctx.events.info(format!(
        "the new server has made an empty database {name:?}; it makes room"
    ));
    discard::remove(session, &renamed, mark, &EndSessions::All).await
}

async fn unmark(session: &Session, found: &place::Place, name: &str) -> Result<()> {
    let (apart, name) = (ident(&found.name)?, ident(name)?);
    session
        .batch_execute(&format!(
            "comment on database {apart} is null; alter database {apart} rename to {name}"
        ))
        .await
        .map_err(|e| server_error(format!("could not rename {apart} back to {name}"), e))
}

fn taken(name: &str) -> Error {
    Error::refused(format!(
        "there is a database called {name:?} already, which this run did not make"
    ))
    .hint("rename it or drop it, if it is not needed")
}

pub(super) async fn create_now(session: &Session, name: &str, wanted: &Wanted) -> Result<()> {
    let major = server_facts(session).await?.major();
    let mut sql = create_sql(major, name, &wanted.template, &wanted.locale)?;
    let default = tablespace_of(session, &wanted.template).await?;
    if let Some(tablespace) = wanted.tablespace.as_ref().filter(|t| **t != default) {
        sql.push_str(&format!(" tablespace {}", ident(tablespace)?));
    }
    bounded(session, &sql).await.map_err(|e| {
        if e.code() == Some(&SqlState::DUPLICATE_DATABASE) {
            taken(name)
        } else {
            server_error(format!("could not create database {name:?}"), e)
        }
    })
}

/// Where databases from `template` go by themselves. To name a tablespace, even that one, takes
/// a right on it that few roles have
/// (<https://www.postgresql.org/docs/current/sql-createdatabase.html>).
async fn tablespace_of(session: &Session, template: &str) -> Result<String> {
    let what = || format!("could not read the tablespace of {template:?}");
    session
        .query_opt(
            "select t.spcname::text from pg_catalog.pg_database d
               join pg_catalog.pg_tablespace t on t.oid = d.dattablespace
              where d.datname = $1",
            &[&template],
        )
        .await
        .map_err(|e| server_error(what(), e))?
        .map(|row| row.get(0))
        .ok_or_else(|| Error::refused(format!("there is no database {template:?} to copy")))
}

/// Marks the database, and gives it its name, in one transaction that checks by oid that it was
/// this one.
pub(super) async fn mark_and_rename(
    session: &mut Session,
    found: &place::Place,
    name: &str,
    mark: &str,
) -> Result<()> {
    let what = || format!("could not mark database {:?}", found.name);
    let mut sql = format!(
        "set local lock_timeout = '30s'; comment on database {} is {}",
        ident(&found.name)?,
        literal(mark)?
    );
    if found.name != name {
        sql.push_str(&format!(
            "; alter database {} rename to {}",
            ident(&found.name)?,
            ident(name)?
        ));
    }
    let tx = session
        .transaction()
        .await
        .map_err(|e| server_error(what(), e))?;
    tx.batch_execute(&sql).await.map_err(|e| {
        if e.code() == Some(&SqlState::DUPLICATE_DATABASE) {
            taken(name)
        } else {
            server_error(what(), e)
        }
    })?;
    let right: bool = tx
        .query_one(
            "select exists (select from pg_catalog.pg_database d
               where d.oid = $1 and d.datname = $2
                 and pg_catalog.shobj_description(d.oid, 'pg_database') = $3)",
            &[&found.oid, &name, &mark],
        )
        .await
        .map(|row| row.get(0))
        .map_err(|e| server_error(what(), e))?;
    if !right {
        return Err(Error::refused(format!(
            "{:?} is no longer database oid {}; nothing was marked",
            found.name, found.oid
        )));
    }
    tx.commit().await.map_err(|e| server_error(what(), e))
}

/// What `ALTER DATABASE` sets besides settings and grants.
pub(super) async fn complete(session: &Session, name: &str, wanted: &Wanted) -> Result<()> {
    let database = ident(name)?;
    let mut sql = format!("alter database {database} with allow_connections true");
    if let Some(limit) = wanted.connection_limit {
        sql.push_str(&format!(" connection limit {limit}"));
    }
    if let Some(owner) = &wanted.owner {
        sql.push_str(&format!(
            "; alter database {database} owner to {}",
            ident(owner)?
        ));
    }
    session
        .batch_execute(&sql)
        .await
        .map_err(|e| server_error(format!("could not set the owner and limits of {name:?}"), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_where_the_server_knows_providers() {
        let locale = |provider: &str| Locale {
            collate: Some("C".into()),
            provider: Some(provider.into()),
            provider_locale: Some("x".into()),
            ..Locale::default()
        };
        let clauses = |major, provider| locale(provider).clauses(major);
        assert_eq!(clauses(14, "libc").expect("known"), " lc_collate 'C'");
        assert_eq!(
            clauses(15, "libc").expect("known"),
            " lc_collate 'C' locale_provider libc"
        );
        assert_eq!(
            clauses(15, "icu").expect("known"),
            " lc_collate 'C' icu_locale 'x' locale_provider icu"
        );
        assert_eq!(
            clauses(17, "builtin").expect("known"),
            " lc_collate 'C' builtin_locale 'x' locale_provider builtin"
        );
        for (major, provider) in [(14, "icu"), (16, "builtin"), (18, "libc; drop")] {
            assert!(clauses(major, provider).is_err(), "{provider} on {major}");
        }
    }
}
