//! After the last row: materialised views and statistics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::error::Result;
use crate::event::{Ctx, Unit};
use crate::model::{Endpoint, Identity, TableName};
use crate::postgres::backup::Manifest;
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::units::{Queue, join_workers};
use crate::postgres::{Session, qualified, server_error};

/// Views and materialised views with what they read.
const VIEWS: &str = "
    select c.oid, n.nspname, c.relname, c.relkind = 'm', c.relispopulated,
           array(select distinct d.refobjid
                   from pg_catalog.pg_rewrite r
                   join pg_catalog.pg_depend d
                     on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
                    and d.objid = r.oid
                    and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  where r.ev_class = c.oid and d.refobjid <> c.oid)
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
     order by n.nspname, c.relname";

const ANALYZED: &str = "
    select n.nspname, c.relname
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where (c.relkind in ('r', 'p') or c.relkind = 'm' and c.relispopulated)
       and c.relpersistence <> 't'
       and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
     order by c.relkind = 'p', pg_catalog.pg_relation_size(c.oid) desc";

struct View {
    name: TableName,
    materialized: bool,
    populated: bool,
    reads: Vec<u32>,
}

/// Refreshes every materialised view that is populated, or was when the backup was taken, each
/// after those it reads.
///
/// # Errors
/// A view could not be refreshed.
pub(super) async fn refresh(
    ctx: &Ctx,
    session: &Session,
    manifest: &Manifest,
    options: &RowOptions,
) -> Result<()> {
    let rows = session
        .query(VIEWS, &[])
        .await
        .map_err(|e| server_error("could not read the materialised views", e))?;
    let views: BTreeMap<u32, View> = rows
        .iter()
        .map(|row| {
            let view = View {
                name: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
                materialized: row.get(3),
                populated: row.get(4),
                reads: row.get(5),
            };
            (row.get(0), view)
        })
        .collect();
    let was_populated = |name: &TableName| {
        let known = &manifest.materialized_views;
        known.iter().any(|m| m.view == *name && m.populated)
    };
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for oid in views.keys() {
        visit(*oid, &views, &mut seen, &mut order);
    }
    // What a view reads may well be worth compiling.
    let reset = session.batch_execute("reset jit").await;
    reset.map_err(|e| server_error("could not set the session up", e))?;
    for view in order {
        if !(view.populated || was_populated(&view.name)) {
            continue;
        }
        let sql = format!("refresh materialized view {}", qualified(&view.name)?);
        let what = format!("refreshing {}", view.name);
        ctx.within(options.statement_limit, &what, async {
            let refreshed = session.batch_execute(&sql).await;
            refreshed.map_err(|e| server_error(format!("could not refresh {}", view.name), e))
        })
        .await?;
    }
    Ok(())
}

/// Adds materialised views to `order`, each after those it reads, directly or through views.
fn visit<'a>(
    oid: u32,
    views: &'a BTreeMap<u32, View>,
    seen: &mut BTreeSet<u32>,
    order: &mut Vec<&'a View>,
) {
    let Some(view) = views.get(&oid) else {
        return;
    };
    if !seen.insert(oid) {
        return;
    }
    for read in &view.reads {
        visit(*read, views, seen, order);
    }
    if view.materialized {
        order.push(view);
    }
}

/// Gathers the planner's statistics of every table, on several sessions. A table that cannot be
/// analysed is a warning.
///
/// # Errors
/// The server could not be reached.
pub(in crate::postgres) async fn analyze(
    ctx: &Ctx,
    endpoint: &Endpoint,
    db: &Identity,
    session: &Session,
    options: &RowOptions,
) -> Result<()> {
    let rows = session
        .query(ANALYZED, &[])
        .await
        .map_err(|e| server_error("could not read the tables", e))?;
    let tables: Vec<TableName> = rows
        .iter()
        .map(|r| TableName::new(r.get::<_, String>(0), r.get::<_, String>(1)))
        .collect();
    let total = tables.len();
    let queue = Arc::new(Queue::new(tables));
    let mut workers = JoinSet::new();
    for _ in 0..options.jobs.get().min(total) {
        let (ctx, endpoint, db) = (ctx.clone(), endpoint.clone(), db.clone());
        let (queue, limit) = (queue.clone(), options.statement_limit);
        workers.spawn(async move {
            let session = Session::open_at(&endpoint, &db, &ctx).await?;
            while let Some(table) = queue.next() {
                let sql = format!("analyze {}", qualified(&table)?);
                ctx.within(limit, &format!("analysing {table}"), async {
                    // Missing statistics make queries slow and no row wrong: a foreign partition
                    // whose server is away must not stop a rebuild.
                    if let Err(e) = session.batch_execute(&sql).await {
                        let e = server_error(format!("could not analyse {table}"), e);
                        ctx.events.warn(e.chain());
                    }
                    Ok(())
                })
                .await?;
                let done = (total - queue.len()) as u64;
                ctx.events
                    .progress("analyze", done, Some(total as u64), Unit::Items);
            }
            session.close().await;
            Ok(())
        });
    }
    join_workers(workers).await?;
    Ok(())
}
