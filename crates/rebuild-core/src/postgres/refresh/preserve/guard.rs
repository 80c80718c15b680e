//! What must not act while rows are put, or must act later: triggers, rules, identity columns
//! that take no value, foreign keys of a circle.

use std::collections::BTreeSet;

use super::carried::Survey;
use super::links::declared;
use super::site::Site;
use crate::error::Result;
use crate::model::TableName;
use crate::postgres::{ident, qualified};

/// Triggers and rules that are enabled: of the tables, of their partitions, and of tables in
/// which a foreign key makes rows follow. Rules of views are not among them. Before 15, the
/// triggers that partitions have from their root are called internal; those of constraints are.
const ACTIVE: &str = "
    with recursive affected (oid) as (
        select pg_catalog.unnest($1::pg_catalog.oid[])
        union
        select more.oid from affected a cross join lateral (
            select t.relid::pg_catalog.oid from pg_catalog.pg_partition_tree(a.oid) t
            union all
            select c.conrelid from pg_catalog.pg_constraint c
             where c.contype = 'f' and c.confrelid = a.oid
               and (c.confupdtype in ('c', 'n', 'd') or c.confdeltype in ('c', 'n', 'd'))
            ) more (oid))
    select n.nspname::pg_catalog.text, c.relname::pg_catalog.text, found.*
      from affected a
      join pg_catalog.pg_class c on c.oid = a.oid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join (select tgrelid, 'trigger', tgname::pg_catalog.text, tgenabled::pg_catalog.text
              from pg_catalog.pg_trigger
             where not exists (select from pg_catalog.pg_constraint k
                                where k.oid = tgconstraint and k.contype <> 't')
            union all
            select ev_class, 'rule', rulename::pg_catalog.text, ev_enabled::pg_catalog.text
              from pg_catalog.pg_rewrite) found (rel, kind, name, state) on found.rel = a.oid
     where found.state <> 'D' and c.relkind in ('r', 'p')
     order by a.oid, found.kind, found.name collate \"C\"";

/// How everything comes to be as it was.
#[derive(Default)]
pub(super) struct Guard {
    undo: Vec<String>,
}

/// The foreign keys of a circle.
#[derive(Default)]
pub(super) struct Deferred(Vec<String>);

impl Deferred {
    /// The statement that makes them wait for the end.
    pub(super) fn defer(&self) -> Option<String> {
        let names = self.0.join(", ");
        (!self.0.is_empty()).then(|| format!("set constraints {names} deferred"))
    }
}

impl Site<'_> {
    /// Switches triggers and rules off, and makes identity columns take values.
    ///
    /// # Errors
    /// The server said no.
    pub(super) async fn guard(&self, survey: &Survey) -> Result<Guard> {
        let mut guard = Guard::default();
        let oids: Vec<u32> = survey.tables.iter().map(|t| t.new.oid).collect();
        for row in self.rows(self.new, ACTIVE, &[&oids]).await? {
            let table = TableName::new(row.get::<_, String>(0), row.get::<_, String>(1));
            let (kind, name): (&str, &str) = (row.get(3), row.get(4));
            // A rule has no partitions to be switched on and off in.
            let only = if kind == "trigger" { "only " } else { "" };
            let table = format!("alter table {only}{}", qualified(&table)?);
            let (name, enable) = (
                ident(name)?,
                match row.get(5) {
                    "A" => "enable always",
                    "R" => "enable replica",
                    _ => "enable",
                },
            );
            self.run(&format!("{table} disable {kind} {name}")).await?;
            guard.undo.push(format!("{table} {enable} {kind} {name}"));
        }
        for table in &survey.tables {
            let replaced = if table.keeps_target() {
                table.replaced()
            } else {
                Vec::new()
            };
            for at in replaced {
                let column = &table.columns[at];
                if !column.identity_always {
                    continue;
                }
                let name = qualified(&table.new.table)?;
                let alter = format!(
                    "alter table {name} alter column {} set generated",
                    column.name
                );
                self.run(&format!("{alter} by default")).await?;
                guard.undo.push(format!("{alter} always"));
            }
        }
        Ok(guard)
    }

    /// Makes the foreign keys within each circle such that they can wait; gives those of each.
    ///
    /// # Errors
    /// The server said no.
    pub(super) async fn make_deferrable(
        &self,
        survey: &Survey,
        guard: &mut Guard,
    ) -> Result<Vec<Deferred>> {
        let mut all = Vec::new();
        for circle in &survey.circles {
            let mut names = BTreeSet::new();
            for at in &circle.tables {
                for link in &survey.tables[*at].links {
                    if !link.parents.iter().any(|p| circle.tables.contains(p)) {
                        continue;
                    }
                    let declared = declared(self.new, link).await?;
                    let alter = format!(
                        "alter table {} alter constraint {}",
                        declared.table, declared.name
                    );
                    if names.insert(declared.qualified) && !declared.deferrable {
                        self.run(&format!("{alter} deferrable initially immediate"))
                            .await?;
                        guard.undo.push(format!("{alter} not deferrable"));
                    }
                }
            }
            all.push(Deferred(names.into_iter().collect()));
        }
        Ok(all)
    }

    /// Checks what waited, and makes everything as it was.
    ///
    /// # Errors
    /// A constraint does not hold, or the server said no.
    pub(super) async fn unguard(&self, guard: Guard) -> Result<()> {
        self.run("set constraints all immediate").await?;
        for sql in guard.undo.iter().rev() {
            self.run(sql).await?;
        }
        Ok(())
    }
}
