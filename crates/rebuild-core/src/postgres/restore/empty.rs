//! Taking everything out of a database that a run has made, and that is to be filled in another way.

use std::time::Duration;

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::{Session, server_error};

/// How much goes in one transaction: each thing is locked until it ends.
const TOGETHER: i64 = 100;

/// How long some of it may take. Nobody else is in the database.
const LIMIT: Duration = Duration::from_secs(600);

const WHAT: &str = "could not empty the new database";

/// Statements that drop relations, but for those that go with others.
const RELATIONS: &str = "
    select pg_catalog.format('drop %s if exists %I.%I cascade',
             case c.relkind when 'v' then 'view' when 'm' then 'materialized view'
                            when 'f' then 'foreign table' when 'S' then 'sequence' else 'table' end,
             n.nspname, c.relname)
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
       and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          and d.objid = c.oid and d.refobjid <> c.oid
                          and d.deptype in ('a', 'e', 'i'))
     order by c.oid limit $1";

/// The same for what is left then. What has no schema goes by itself; what is an extension's, or a part
/// of something else, goes with that.
/// The schema public comes back as a new database has it. A subscription goes without a word to the
/// server that it is to: this database was never one that it knows.
const REST: &str = "
    with mine (class, oid) as (
        select tableoid, oid from pg_catalog.pg_transform
        union all select tableoid, oid from pg_catalog.pg_cast where oid >= 16384
        union all select tableoid, oid from pg_catalog.pg_foreign_server
        union all select tableoid, oid from pg_catalog.pg_foreign_data_wrapper
        union all select tableoid, oid from pg_catalog.pg_am where oid >= 16384
        union all select tableoid, oid from pg_catalog.pg_language where oid >= 16384
        except
        select classid, objid from pg_catalog.pg_depend where deptype in ('e', 'i'))
    select sql from (
        select 0, pg_catalog.format('alter subscription %1$I disable;
                                     alter subscription %1$I set (slot_name = none);
                                     drop subscription %1$I', subname)
          from pg_catalog.pg_subscription s join pg_catalog.pg_database d on d.oid = s.subdbid
         where d.datname = pg_catalog.current_database()
        union all
        select 1, pg_catalog.format('drop publication if exists %I', pubname)
          from pg_catalog.pg_publication
        union all
        select 2, pg_catalog.format('drop event trigger if exists %I', evtname)
          from pg_catalog.pg_event_trigger
        union all
        select 3, pg_catalog.format('drop transform if exists for %s language %I cascade',
                                    pg_catalog.format_type(t.trftype, null), l.lanname)
          from pg_catalog.pg_transform t join pg_catalog.pg_language l on l.oid = t.trflang
          join mine on (class, mine.oid) = (t.tableoid, t.oid)
        union all
        select 3, pg_catalog.format('drop cast if exists (%s as %s) cascade',
                                    pg_catalog.format_type(c.castsource, null),
                                    pg_catalog.format_type(c.casttarget, null))
          from pg_catalog.pg_cast c join mine on (class, mine.oid) = (c.tableoid, c.oid)
        union all
        select 4, pg_catalog.format('drop server if exists %I cascade', srvname)
          from pg_catalog.pg_foreign_server s join mine on (class, mine.oid) = (s.tableoid, s.oid)
        union all
        select 5, pg_catalog.format('drop foreign data wrapper if exists %I cascade', fdwname)
          from pg_catalog.pg_foreign_data_wrapper f
          join mine on (class, mine.oid) = (f.tableoid, f.oid)
        union all
        select 5, pg_catalog.format('drop access method if exists %I cascade', amname)
          from pg_catalog.pg_am a join mine on (class, mine.oid) = (a.tableoid, a.oid)
        union all
        select 5, pg_catalog.format('drop language if exists %I cascade', lanname)
          from pg_catalog.pg_language l join mine on (class, mine.oid) = (l.tableoid, l.oid)
        union all
        select 6, pg_catalog.format('drop extension if exists %I cascade', extname)
          from pg_catalog.pg_extension where extname <> 'plpgsql'
        union all
        select 7, pg_catalog.format('drop schema if exists %I cascade', nspname)
          from pg_catalog.pg_namespace
         where nspname !~ '^pg_' and nspname <> 'information_schema'
        union all
        select 8, 'create schema public'
        union all
        select 9, pg_catalog.format('alter schema public owner to %I', pg_catalog.pg_get_userbyid(nspowner))
          from pg_catalog.pg_namespace where nspname = 'public'
        union all
        select 9, case when pg_catalog.current_setting('server_version_num')::int4 >= 150000
                       then 'grant usage on schema public to public'
                       else 'grant create, usage on schema public to public' end
    ) as rest (place, sql) order by place, sql";

/// Takes everything out of `db`, which nobody but this run has seen.
///
/// *Repeats:* goes on where it was cut. *Destroys:* everything in `db`.
///
/// # Errors
/// The server failed; something in it is somebody else's.
pub(crate) async fn empty_database(ctx: &Ctx, endpoint: &Endpoint, db: &Identity) -> Result<()> {
    let session = Session::open_at(endpoint, db, ctx).await?;
    let emptied = empty(ctx, &session).await;
    session.close().await;
    emptied
}

async fn empty(ctx: &Ctx, session: &Session) -> Result<()> {
    while run(
        ctx,
        session,
        &asked(session, RELATIONS, &[&TOGETHER]).await?,
    )
    .await?
    {}
    let objects = "select pg_catalog.lo_unlink(oid) from (
                     select oid from pg_catalog.pg_largeobject_metadata limit $1) as those";
    while unlink(ctx, session, objects).await? > 0 {}
    run(ctx, session, &asked(session, REST, &[]).await?).await?;
    Ok(())
}

async fn asked(
    session: &Session,
    query: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<Vec<String>> {
    let rows = session.query(query, parameters).await;
    let rows = rows.map_err(|e| server_error(WHAT, e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Runs statements in one transaction. False if there are none.
async fn run(ctx: &Ctx, session: &Session, statements: &[String]) -> Result<bool> {
    if statements.is_empty() {
        return Ok(false);
    }
    ctx.check_stop("the emptying of the new database")?;
    let together = statements.join(";\n");
    let ran = async {
        let ran = session.batch_execute(&together).await;
        ran.map_err(|e| server_error(WHAT, e))
    };
    ctx.within(LIMIT, "the emptying of the new database", ran)
        .await?;
    Ok(true)
}

async fn unlink(ctx: &Ctx, session: &Session, query: &str) -> Result<u64> {
    ctx.check_stop("the emptying of the new database")?;
    let unlinked = session.execute(query, &[&TOGETHER]).await;
    unlinked.map_err(|e| server_error(WHAT, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{DatabaseKey, database_facts};
    use crate::testing::{cluster, load_kitchen_sink, scratch_database};

    #[tokio::test]
    async fn nothing_is_left_and_all_of_it_can_be_made_again() {
        let cluster = cluster().await.expect("a server");
        let endpoint = scratch_database(&cluster).await.expect("a database");
        load_kitchen_sink(&endpoint).await.expect("filled");
        let session = Session::open(&endpoint, "test").await.expect("a session");
        let facts = database_facts(&session, DatabaseKey::Current).await;
        let db = facts.expect("facts").identity;
        for _ in 0..2 {
            empty_database(&Ctx::quiet(), &endpoint, &db)
                .await
                .expect("emptied");
        }
        let left = "select (select count(*) from pg_catalog.pg_namespace
                             where nspname !~ '^pg_' and nspname <> 'information_schema')
                         + (select count(*) from pg_catalog.pg_class
                             where relnamespace = 'public'::regnamespace)
                         + (select count(*) from pg_catalog.pg_largeobject_metadata)
                         + (select count(*) from pg_catalog.pg_publication)
                         + (select count(*) from pg_catalog.pg_subscription s
                             join pg_catalog.pg_database d on d.oid = s.subdbid
                            where d.datname = pg_catalog.current_database())";
        let found = session.query_one(left, &[]).await.expect("counted");
        assert_eq!(found.get::<_, i64>(0), 1, "the schema public alone");
        session.close().await;
        load_kitchen_sink(&endpoint).await.expect("filled again");
    }
}
