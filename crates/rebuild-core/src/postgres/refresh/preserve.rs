//! Preserved rows: rows of the target that outlive a refresh, put back into the new database
//! with what they refer to.

mod carried;
mod guard;
mod links;
mod order;
mod put;
mod report;
mod sequences;
mod settle;
mod shape;
mod sift;
mod site;
mod stage;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::carried::{Survey, survey};
pub(crate) use self::report::{CsvLines, LeftOutRows};
use self::site::Site;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::TableName;
use crate::postgres::rows::RowOptions;
use crate::postgres::{Session, qualified, server_error};
use crate::spec::Keep;
use crate::traits::PutBack;

/// How long a transaction that failed may take to be taken back.
const TAKE_BACK_WITHIN: Duration = Duration::from_secs(30);

/// Rows of a table that outlive a refresh.
#[derive(Clone, Debug)]
pub(crate) struct Preserved {
    /// The table.
    pub table: TableName,
    /// Only the rows for which this SQL expression is true.
    pub condition: Option<String>,
    /// Whose row stays where both sides have it.
    pub keep: Keep,
    /// The columns by which rows are the same; without any, the primary key.
    pub key: Vec<String>,
}

/// What is known of preserved rows before any is touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PreserveOutline {
    /// What will happen.
    pub notes: Vec<String>,
    /// What stands against it.
    pub problems: Vec<String>,
}

/// Looks at the catalogs of both sides: what will happen to preserved rows, and what stands
/// against it. The new database will have the schema of `source`.
///
/// # Errors
/// A server could not be asked.
pub(crate) async fn look(
    old: &Session,
    source: &Session,
    rules: &[Preserved],
) -> Result<PreserveOutline> {
    let mut survey = survey(old, source, rules).await?;
    for table in &survey.tables {
        let Some(sql) = selected(&table.old.own_rows()?, table.rule.condition.as_deref()) else {
            continue;
        };
        // Preparing a statement tells what is wrong with it, and evaluates nothing.
        if let Err(e) = old.prepare(&sql).await {
            let e = server_error("", e);
            let why = std::error::Error::source(&e).map_or_else(String::new, ToString::to_string);
            survey.problems.push(format!(
                "the condition for rows of {} cannot be evaluated: {why}",
                table.rule.table
            ));
        }
    }
    demanded(old, &mut survey).await?;
    Ok(PreserveOutline {
        notes: survey.notes,
        problems: survey.problems,
    })
}

fn selected(rows: &str, condition: Option<&str>) -> Option<String> {
    condition.map(|c| format!("select from {rows} where ({c}\n) is true"))
}

/// New columns that demand a value which preserved rows do not have.
async fn demanded(old: &Session, survey: &mut Survey) -> Result<()> {
    for table in &survey.tables {
        let demands = |c: &&shape::Column| {
            c.not_null && !c.has_default && !c.generated && table.old.column(&c.name).is_none()
        };
        let names: Vec<&str> = (table.new.columns.iter().filter(demands))
            .map(|c| c.name.as_str())
            .collect();
        if names.is_empty() {
            continue;
        }
        let rows = qualified(&table.rule.table)?;
        let sql = format!("select exists (select from {rows})");
        let any = old.query_one(&sql, &[]).await;
        let any = any.map_err(|e| server_error(format!("could not look into {rows}"), e))?;
        if any.get(0) {
            survey.problems.push(format!(
                "rows of {} have no value for {}, which must not be null and has no default",
                table.rule.table,
                names.join(", ")
            ));
        }
    }
    Ok(())
}

/// Puts the rows of `rules` from `old` into `new`, in one transaction of each. `new` has the
/// source's rows, its indexes, foreign keys and triggers; no trigger and no rule fires, and
/// afterwards everything is as it was. Every row that is left out is told to `details`, before
/// the end is certain.
///
/// *Repeats:* what was put is found to be the same. *Destroys:* the values of the source's rows
/// where the target's are kept.
///
/// # Errors
/// A refusal for what [`look`] calls a problem; a server failed, or took too long; the operator
/// stopped. Nothing is changed then, but that sequences may have moved on, and the sessions may
/// be of no further use.
pub(crate) async fn put_back(
    ctx: &Ctx,
    old: &Session,
    new: &Session,
    rules: &[Preserved],
    details: &mut dyn LeftOutRows,
) -> Result<PutBack> {
    let site = Site {
        ctx,
        old,
        new,
        options: RowOptions::default(),
    };
    let done = in_transactions(&site, rules, details).await;
    if done.is_err() {
        // What is worth telling is the first failure; the server forgets unfinished work anyway.
        let back =
            async { tokio::join!(new.batch_execute("rollback"), old.batch_execute("rollback")) };
        let _ = tokio::time::timeout(TAKE_BACK_WITHIN, back).await;
    }
    done
}

async fn in_transactions(
    site: &Site<'_>,
    rules: &[Preserved],
    details: &mut dyn LeftOutRows,
) -> Result<PutBack> {
    site.on(site.old, &begin("repeatable read read only", &site.options))
        .await?;
    site.run(&begin("read committed read write", &site.options))
        .await?;
    let survey = site.patiently(survey(site.old, site.new, rules)).await?;
    if !survey.problems.is_empty() {
        return Err(Error::refused(format!(
            "rows cannot be preserved: {}",
            survey.problems.join("; ")
        )));
    }
    let done = put_all(site, &survey, details).await?;
    site.on(site.old, "commit").await?;
    site.run("commit").await?;
    Ok(done)
}

/// Begins a transaction that waits only so long for a lock.
fn begin(mode: &str, options: &RowOptions) -> String {
    format!(
        "begin isolation level {mode};
         select pg_catalog.set_config('lc_monetary', 'C', true),
                pg_catalog.set_config('lock_timeout', '{}', true)",
        options.lock_wait.as_millis()
    )
}

async fn put_all(
    site: &Site<'_>,
    survey: &Survey,
    details: &mut dyn LeftOutRows,
) -> Result<PutBack> {
    let tables = &survey.tables;
    let mut guard = site.guard(survey).await?;
    let deferred = site.make_deferrable(survey, &mut guard).await?;
    site.run("set constraints all immediate").await?;
    for (at, table) in tables.iter().enumerate() {
        site.advance(table).await?;
        site.stage(at, table).await?;
    }
    for (circle, deferred) in survey.circles.iter().zip(&deferred) {
        let own = &circle.tables;
        site.follow(tables, own, |parent| !own.contains(&parent))
            .await?;
        for at in own {
            site.match_rows(*at, &tables[*at]).await?;
        }
        site.follow(tables, own, |parent| own.contains(&parent))
            .await?;
        for at in own {
            site.keep(*at, &tables[*at]).await?;
        }
        site.put(tables, circle, deferred).await?;
    }
    site.unguard(guard).await?;
    let mut done = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        site.advance(table).await?;
        done.push(site.report(at, table, details).await?);
    }
    Ok(PutBack { tables: done })
}
