//! The making of a backup's schema, some statements at a time.
//!
//! Each statement locks what it makes until its transaction ends, and a server has only so many
//! locks: two thousand tables in one transaction are too much for most. How far it is lies in the
//! database itself and is written in the transaction that goes there, so that a making that was
//! killed goes on where it was.

use std::time::Duration;

use super::after::is_session_setting;
use super::work::SCHEMA;
use crate::error::Result;
use crate::event::Ctx;
use crate::postgres::{Session, server_error};

/// Statements in one transaction.
const TOGETHER: usize = 100;

/// How long some statements may take. They move no rows, but may wait for locks.
const LIMIT: Duration = Duration::from_secs(3600);

const WHAT: &str = "could not make the schema of the backup";

/// Anything that the pre-data section may make.
const ANYTHING: &str = "
    with made (class, oid, schema) as (
        select 'pg_catalog.pg_class'::pg_catalog.regclass, oid, relnamespace
          from pg_catalog.pg_class
        union all
        select 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, pronamespace
          from pg_catalog.pg_proc
        union all
        select 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typnamespace
          from pg_catalog.pg_type)
    select exists (
        select from made m join pg_catalog.pg_namespace n on n.oid = m.schema
         where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
           and not exists (select from pg_catalog.pg_depend d
                            where d.classid = m.class and d.objid = m.oid
                              and d.deptype in ('e', 'i')))";

/// Runs those of `statements` that are not done; returns how many those were.
///
/// *Repeats:* does what is left, which is nothing once all is done.
///
/// # Errors
/// A statement failed: it is in the error. The ones before it may stay done.
pub(super) async fn run(ctx: &Ctx, session: &Session, statements: &[String]) -> Result<u64> {
    let Some(done) = done(session).await? else {
        return Ok(0);
    };
    // They hold for the session, which is a new one.
    let settings = statements.iter().take(done);
    for setting in settings.filter(|s| is_session_setting(s.trim_start())) {
        execute(ctx, session, setting).await?;
    }
    let batches = statements.chunks(TOGETHER).enumerate();
    for (number, batch) in batches.filter(|(number, _)| number * TOGETHER >= done) {
        ctx.check_stop("the making of the schema")?;
        let now = number * TOGETHER + batch.len();
        let last = now == statements.len();
        make(ctx, session, batch, &remember(now, number == 0, last)).await?;
    }
    Ok((statements.len() - done) as u64)
}

/// Runs statements and then `remember` in one transaction.
async fn make(ctx: &Ctx, session: &Session, batch: &[String], remember: &str) -> Result<()> {
    // A setting may change how the server reads the text that follows it in one message.
    if !batch.iter().any(|s| is_session_setting(s.trim_start())) {
        let together = batch.join("\n;\n");
        let together = format!("begin;\n{together}\n;\n{remember};\ncommit");
        let made = async { Ok(session.batch_execute(&together).await.is_ok()) };
        if ctx.within(LIMIT, "making the schema", made).await? {
            return Ok(());
        }
        // One after the other tells which it is that fails.
        execute(ctx, session, "rollback").await?;
    }
    execute(ctx, session, "begin").await?;
    for statement in batch {
        execute(ctx, session, statement).await?;
    }
    execute(ctx, session, remember).await?;
    execute(ctx, session, "commit").await
}

/// How many are done; `None` if there is nothing more to do.
async fn done(session: &Session) -> Result<Option<usize>> {
    let table = format!("{SCHEMA}.schema");
    let begun: bool = session
        .query_one("select pg_catalog.to_regclass($1) is not null", &[&table])
        .await
        .map_err(|e| server_error(WHAT, e))?
        .get(0);
    if begun {
        let row = session
            .query_one(&format!("select done from {table}"), &[])
            .await
            .map_err(|e| server_error(WHAT, e))?;
        return Ok(usize::try_from(row.get::<_, i32>(0)).ok());
    }
    let row = session.query_one(ANYTHING, &[]).await;
    let there: bool = row.map_err(|e| server_error(WHAT, e))?.get(0);
    Ok((!there).then_some(0))
}

/// The statement that says how far it is; the last one forgets it.
fn remember(done: usize, first: bool, last: bool) -> String {
    match (first, last) {
        (true, true) => "select".to_owned(),
        (true, false) => format!(
            "create schema {SCHEMA};
             create table {SCHEMA}.schema as select {done}::pg_catalog.int4 as done"
        ),
        (false, false) => format!("update {SCHEMA}.schema set done = {done}"),
        (false, true) => format!("drop schema {SCHEMA} cascade"),
    }
}

async fn execute(ctx: &Ctx, session: &Session, sql: &str) -> Result<()> {
    let run = async {
        let done = session.batch_execute(sql).await;
        done.map_err(|e| server_error(format!("could not run {sql:.400?}"), e))
    };
    ctx.within(LIMIT, "making the schema", run).await
}
