//! Which staged rows the source has, which primary keys they get, and what they refer to.

use super::carried::Carried;
use super::links::Link;
use super::sift::Sieve;
use super::site::Site;
use super::stage::{fate, staged};
use crate::error::Result;

/// Why a row is left out whose row the source keeps.
const KEPT: &str = "the source has this row";
/// Why a row is left out that another preserved row takes the place of.
const DOUBLE: &str = "another preserved row has the same key";
/// Why a row is left out that would need a new primary key, and none can be made.
const TAKEN: &str = "another row of the source has its primary key";

impl Site<'_> {
    /// Lets what the staged rows of the tables `children` refer to follow where it went: to the
    /// source's row with the same key, or to a new primary key. Rows whose parent is left out are
    /// as well, and first of all: an old number may be another row's now. `within` picks the
    /// tables that are referred to.
    ///
    /// # Errors
    /// The server failed.
    pub(super) async fn follow(
        &self,
        tables: &[Carried],
        children: &[usize],
        within: impl Fn(usize) -> bool,
    ) -> Result<()> {
        let mut pairs = Vec::new();
        for at in children {
            for link in &tables[*at].links {
                let parents = link.parents.iter().filter(|p| within(**p));
                pairs.extend(parents.map(|p| (*at, link, *p)));
            }
        }
        loop {
            let mut lost = 0;
            for (at, link, parent) in &pairs {
                lost += self.follow_one(tables, *at, link, *parent, false).await?;
            }
            if lost == 0 {
                break;
            }
        }
        for (at, link, parent) in pairs {
            self.follow_one(tables, at, link, parent, true).await?;
        }
        Ok(())
    }

    /// Leaves out the rows whose parent is, or, if `found`, lets the others follow theirs.
    async fn follow_one(
        &self,
        tables: &[Carried],
        at: usize,
        link: &Link,
        parent: usize,
        found: bool,
    ) -> Result<u64> {
        let from = tables[at].places(&link.columns).unwrap_or_default();
        let to = tables[parent]
            .places(&link.parent_columns)
            .unwrap_or_default();
        let (rows, others) = (staged(at), staged(parent));
        let mut pairs = Vec::new();
        let mut moved = Vec::new();
        let mut set = Vec::new();
        for ((f, t), equals) in from.iter().zip(&to).zip(&link.equals) {
            pairs.push(format!("p.o{t} {equals} c.o{f}"));
            moved.push(format!(
                "p.v{t}::pg_catalog.text is distinct from p.o{t}::pg_catalog.text"
            ));
            set.push(format!("v{f} = p.v{t}"));
        }
        let pairs = pairs.join(" and ");
        let there = format!("(p.matched or p.chosen and p.fate <> {})", fate::LEFT_OUT);
        if found {
            let sql = format!(
                "update {rows} as c set {} from {others} as p
                  where {pairs} and {there} and ({})",
                set.join(", "),
                moved.join(" or ")
            );
            return self.change(&sql, &[]).await;
        }
        // Every row of such a table is known; one that is not there never was.
        let parents = &tables[parent];
        let all_known = parents.moves
            && parents.rule.table == link.parent
            && (parents.needs_others() || parents.rule.condition.is_none());
        let lost = if all_known {
            let no_null: Vec<String> = from.iter().map(|f| format!("c.o{f} is not null")).collect();
            format!(
                "{} and not exists (select from {others} as p where {pairs} and {there})",
                no_null.join(" and ")
            )
        } else {
            format!("exists (select from {others} as p where {pairs} and not {there})")
        };
        self.change(
            &format!(
                "update {rows} as c set fate = {}, reason = $1
                  where c.fate = {} and {lost}",
                fate::LEFT_OUT,
                fate::WAITING
            ),
            &[&link.reason()],
        )
        .await
    }

    /// Finds the staged rows of table `at` that the source has, and gives the others a primary
    /// key that is free.
    ///
    /// # Errors
    /// The server failed.
    pub(super) async fn match_rows(&self, at: usize, table: &Carried) -> Result<()> {
        let rows = staged(at);
        let same_key: Vec<String> = (table.key.iter())
            .map(|(c, equals)| format!("e.v{c} {equals} t.v{c}"))
            .collect();
        self.change(
            &format!(
                "update {rows} as t set fate = {}, reason = $1
                  where t.fate = {waiting} and exists (
                        select from {rows} as e
                         where e.fate = {waiting} and e.n < t.n and {})",
                fate::LEFT_OUT,
                same_key.join(" and "),
                waiting = fate::WAITING,
            ),
            &[&DOUBLE],
        )
        .await?;
        let fixed = table.fixed();
        let mut set = String::new();
        for c in fixed.union(&table.referred) {
            let name = &table.columns[*c].name;
            let value = if !fixed.contains(c) && table.keeps_target() {
                format!(
                    "case when t.fate = {} then t.v{c} else r.{name} end",
                    fate::WAITING
                )
            } else {
                format!("r.{name}")
            };
            set.push_str(&format!(", v{c} = {value}"));
        }
        self.run(&format!(
            "update {rows} as t set matched = true{set} from {} as r where {}",
            table.new.own_rows()?,
            located(table, &table.key)
        ))
        .await?;
        self.match_nameless(at, table).await?;
        if table.moves {
            self.make_room(at, table).await?;
        }
        Ok(())
    }

    /// A row with null in its key is the same as no other. But if the very same is there already,
    /// but for the primary key, it is not put a second time.
    async fn match_nameless(&self, at: usize, table: &Carried) -> Result<()> {
        let primary: Vec<usize> = table.primary.iter().flatten().map(|(c, _)| *c).collect();
        let nameless: Vec<String> = (table.key.iter())
            .filter(|(c, _)| !primary.contains(c))
            .map(|(c, _)| format!("t.v{c} is null"))
            .collect();
        if nameless.is_empty() {
            return Ok(());
        }
        let mut same = String::new();
        let mut set = String::new();
        for c in 0..table.columns.len() {
            if primary.contains(&c) {
                set.push_str(&format!(", v{c} = r.{}", table.columns[c].name));
            } else {
                same.push_str(&alike(table, c, 'v'));
            }
        }
        self.run(&format!(
            "update {} as t set matched = true, fate = {}{set} from {} as r
              where t.fate = {} and not t.matched and ({}){same}",
            staged(at),
            fate::UNCHANGED,
            table.new.own_rows()?,
            fate::WAITING,
            nameless.join(" or ")
        ))
        .await
    }

    /// Gives a new primary key to rows whose own another row of the source has.
    async fn make_room(&self, at: usize, table: &Carried) -> Result<()> {
        let Some(primary) = &table.primary else {
            return Ok(());
        };
        let rows = staged(at);
        let taken = format!(
            "t.fate = {} and not t.matched
             and exists (select from {} as r where {})",
            fate::WAITING,
            table.new.own_rows()?,
            located(table, primary)
        );
        let leave_out = format!(
            "update {rows} as t set fate = {}, reason = $2",
            fate::LEFT_OUT
        );
        let Some((column, value)) = self.new_key(table).await? else {
            let sql = format!(
                "update {rows} as t set fate = {}, reason = $1 where {taken}",
                fate::LEFT_OUT
            );
            return self.change(&sql, &[&TAKEN]).await.map(|_| ());
        };
        self.sift(&Sieve {
            span: format!(
                "select pg_catalog.min(t.n), pg_catalog.max(t.n) from {rows} as t
                  where {taken} and t.n between $1 and $2"
            ),
            put: format!(
                "with moved as (update {rows} as t set v{column} = {value}
                                 where {taken} and t.n between $1 and $2 returning 1)
                 select pg_catalog.count(*), pg_catalog.count(*) from moved"
            ),
            parts: Vec::new(),
            refuse: vec![format!("{leave_out} where t.n = $1")],
        })
        .await
    }

    /// Leaves out the rows that the source keeps, and those that are the same on both sides.
    ///
    /// # Errors
    /// The server failed.
    pub(super) async fn keep(&self, at: usize, table: &Carried) -> Result<()> {
        let same: Vec<String> = (table.replaced().into_iter())
            .map(|c| {
                // What others refer to is the source's already, where that is to stay.
                let first = !table.keeps_target() && table.referred.contains(&c);
                alike(table, c, if first { 'o' } else { 'v' })
            })
            .collect();
        let rows = staged(at);
        self.run(&format!(
            "update {rows} as t set fate = {} from {} as r
              where t.fate = {} and t.matched and {}{}",
            fate::UNCHANGED,
            table.new.own_rows()?,
            fate::WAITING,
            located(table, table.locator()),
            same.concat()
        ))
        .await?;
        if table.keeps_target() {
            return Ok(());
        }
        let sql = format!(
            "update {rows} set fate = {}, reason = $1 where fate = {} and matched",
            fate::LEFT_OUT,
            fate::WAITING
        );
        self.change(&sql, &[&KEPT]).await.map(|_| ())
    }

    /// What refers to a row that was to be replaced and could not be, refers to the source's.
    ///
    /// # Errors
    /// The server failed.
    pub(super) async fn fall_back(&self, at: usize, table: &Carried) -> Result<()> {
        let fixed = table.fixed();
        let set: Vec<String> = (table.referred.difference(&fixed))
            .map(|c| format!("v{c} = r.{}", table.columns[*c].name))
            .collect();
        if set.is_empty() {
            return Ok(());
        }
        self.run(&format!(
            "update {} as t set {} from {} as r where t.fate = {} and t.matched and {}",
            staged(at),
            set.join(", "),
            table.new.own_rows()?,
            fate::LEFT_OUT,
            located(table, table.locator())
        ))
        .await
    }
}

/// And that a row `r` of the new table has the same value in column `c` as the staged row `t`,
/// its first one for `o`. Not every type can tell, but their texts can.
fn alike(table: &Carried, c: usize, which: char) -> String {
    format!(
        " and r.{}::pg_catalog.text collate \"C\"
           is not distinct from t.{which}{c}::pg_catalog.text collate \"C\"",
        table.columns[c].name
    )
}

/// That a row `r` of the new table has the values of the staged row `t`.
pub(super) fn located(table: &Carried, by: &[(usize, String)]) -> String {
    let pairs: Vec<String> = by
        .iter()
        .map(|(c, equals)| format!("r.{} {equals} t.v{c}", table.columns[*c].name))
        .collect();
    pairs.join(" and ")
}
