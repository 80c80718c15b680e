//! Puts staged rows into their tables.

use super::carried::Carried;
use super::guard::Deferred;
use super::links::Link;
use super::order::Circle;
use super::settle::located;
use super::sift::Sieve;
use super::site::Site;
use super::stage::{fate, staged};
use crate::error::Result;
use crate::postgres::qualified;

/// Rows `t` that wait and that nothing is known against.
fn ready() -> String {
    format!("t.fate = {} and t.reason is null", fate::WAITING)
}

impl Site<'_> {
    /// Puts the waiting rows of a circle of tables, in rounds: a row that failed is tried again
    /// after others have made room for it, or given it a parent. Those that wait in the end are
    /// left out.
    ///
    /// # Errors
    /// The server failed.
    pub(super) async fn put(
        &self,
        tables: &[Carried],
        circle: &Circle,
        deferred: &Deferred,
    ) -> Result<()> {
        let mut before = None;
        loop {
            let waiting = self.round(tables, circle, deferred).await?;
            if waiting == 0 || before.is_some_and(|b| b <= waiting) {
                break;
            }
            before = Some(waiting);
        }
        for at in &circle.tables {
            let rows = staged(*at);
            let (left_out, waiting) = (fate::LEFT_OUT, fate::WAITING);
            self.run(&format!(
                "update {rows} set fate = {left_out} where fate = {waiting}"
            ))
            .await?;
            self.fall_back(*at, &tables[*at]).await?;
        }
        Ok(())
    }

    /// Puts what can be put now; returns how many rows wait still.
    async fn round(&self, tables: &[Carried], circle: &Circle, deferred: &Deferred) -> Result<i64> {
        for at in &circle.tables {
            let (rows, waiting) = (staged(*at), fate::WAITING);
            self.run(&format!(
                "update {rows} set reason = null where fate = {waiting} and reason is not null"
            ))
            .await?;
        }
        self.hold(tables, circle, false).await?;
        if let Some(sql) = deferred.defer() {
            self.run(&sql).await?;
        }
        for at in &circle.tables {
            self.sift(&insertion(*at, &tables[*at])?).await?;
        }
        if circle.closed {
            self.take_back_orphans(tables, circle).await?;
            self.run("set constraints all immediate").await?;
        }
        self.hold(tables, circle, true).await?;
        for at in &circle.tables {
            if let Some(sieve) = replacement(*at, &tables[*at])? {
                self.sift(&sieve).await?;
            }
        }
        let mut waiting = 0;
        for at in &circle.tables {
            let (rows, fate) = (staged(*at), fate::WAITING);
            let sql = format!("select pg_catalog.count(*) from {rows} where fate = {fate}");
            let counted = self.rows(self.new, &sql, &[]).await?;
            waiting += counted.first().map_or(0, |row| row.get::<_, i64>(0));
        }
        Ok(waiting)
    }

    /// Holds rows back that have no parent. With `strict`, those that are to replace a row must
    /// have it in the database; otherwise one of the same circle that is ready to be put is one.
    async fn hold(&self, tables: &[Carried], circle: &Circle, strict: bool) -> Result<()> {
        loop {
            let mut held = 0;
            for at in &circle.tables {
                for link in &tables[*at].links {
                    held += self.hold_one(tables, circle, (*at, link), strict).await?;
                }
            }
            if held == 0 || strict {
                return Ok(());
            }
        }
    }

    async fn hold_one(
        &self,
        tables: &[Carried],
        circle: &Circle,
        (at, link): (usize, &Link),
        strict: bool,
    ) -> Result<u64> {
        let Some(from) = tables[at].places(&link.columns) else {
            return Ok(0);
        };
        let mut missing = no_parent(link, &from);
        for parent in link
            .parents
            .iter()
            .filter(|p| !strict && circle.tables.contains(p))
        {
            let to = tables[*parent]
                .places(&link.parent_columns)
                .unwrap_or_default();
            let pairs: Vec<String> = (to.iter().zip(&from).zip(&link.equals))
                .map(|((t, f), equals)| format!("p.v{t} {equals} t.v{f}"))
                .collect();
            missing.push_str(&format!(
                " and not exists (select from {} as p
                     where p.fate = {} and p.reason is null and {})",
                staged(*parent),
                fate::WAITING,
                pairs.join(" and ")
            ));
        }
        let which = if strict { " and t.matched" } else { "" };
        let sql = format!(
            "update {} as t set reason = $1 where {}{which} and {missing}",
            staged(at),
            ready()
        );
        self.change(&sql, &[&link.reason()]).await
    }

    /// Takes inserted rows out again whose parent could not be put, as long as there are any.
    async fn take_back_orphans(&self, tables: &[Carried], circle: &Circle) -> Result<()> {
        loop {
            let mut orphans = 0;
            for at in &circle.tables {
                let table = &tables[*at];
                for link in &table.links {
                    if !link.parents.iter().any(|p| circle.tables.contains(p)) {
                        continue;
                    }
                    let from = table.places(&link.columns).unwrap_or_default();
                    let orphan =
                        format!("t.fate = {} and {}", fate::INSERTED, no_parent(link, &from));
                    let sql = format!(
                        "with orphan as (
                             update {} as t set fate = {}, reason = $1 where {orphan} returning t.*)
                         delete from {} as r using orphan as t where {}",
                        staged(*at),
                        fate::WAITING,
                        table.new.own_rows()?,
                        located(table, table.locator())
                    );
                    orphans += self.change(&sql, &[&link.reason()]).await?;
                }
            }
            if orphans == 0 {
                return Ok(());
            }
        }
    }
}

/// That a staged row `t` refers to something, by its columns `from`, and it is not there.
fn no_parent(link: &Link, from: &[usize]) -> String {
    let join = if link.full { " or " } else { " and " };
    let refers: Vec<String> = from.iter().map(|f| format!("t.v{f} is not null")).collect();
    let pairs: Vec<String> = (link.parent_names.iter().zip(from).zip(&link.equals))
        .map(|((column, f), equals)| format!("r.{column} {equals} t.v{f}"))
        .collect();
    format!(
        "({}) and not exists (select from {} as r where {})",
        refers.join(join),
        link.parent_rows,
        pairs.join(" and ")
    )
}

/// Inserts rows that the source does not have.
fn insertion(at: usize, table: &Carried) -> Result<Sieve> {
    let rows = staged(at);
    let ready = format!("{} and not t.matched and t.n between $1 and $2", ready());
    let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    let values: Vec<String> = (0..names.len()).map(|c| format!("t.v{c}")).collect();
    let into = qualified(&table.new.table)?;
    Ok(Sieve {
        span: span(&rows, &ready),
        put: format!(
            "with put as (insert into {into} ({}) overriding system value
                          select {} from {rows} as t where {ready} order by t.n returning 1),
                  marked as (update {rows} as t set fate = {} where {ready} returning 1)
             select (select pg_catalog.count(*) from put),
                    (select pg_catalog.count(*) from marked)",
            names.join(", "),
            values.join(", "),
            fate::INSERTED
        ),
        parts: Vec::new(),
        refuse: vec![format!("update {rows} set reason = $2 where n = $1")],
    })
}

/// Gives the source's rows the target's values, unless all columns say that they are the same.
fn replacement(at: usize, table: &Carried) -> Result<Option<Sieve>> {
    let set: Vec<String> = (table.replaced().into_iter())
        .map(|c| format!("{} = t.v{c}", table.columns[c].name))
        .collect();
    if set.is_empty() {
        return Ok(None);
    }
    let rows = staged(at);
    let ready = format!("{} and t.matched and t.n between $1 and $2", ready());
    Ok(Some(Sieve {
        span: span(&rows, &ready),
        put: format!(
            "with put as (update {} as r set {} from {rows} as t where {ready} and {} returning 1),
                  marked as (update {rows} as t set fate = {} where {ready} returning 1)
             select (select pg_catalog.count(*) from put),
                    (select pg_catalog.count(*) from marked)",
            table.new.own_rows()?,
            set.join(", "),
            located(table, table.locator()),
            fate::REPLACED
        ),
        parts: Vec::new(),
        refuse: vec![format!("update {rows} set reason = $2 where n = $1")],
    }))
}

fn span(rows: &str, ready: &str) -> String {
    format!("select pg_catalog.min(t.n), pg_catalog.max(t.n) from {rows} as t where {ready}")
}
