//! What a verification compares with: the rows that were restored, and no others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;

use super::PgRestorer;
use super::changed::casts;
use super::placement::{Placement, Placements, describe};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, TableName};
use crate::postgres::Session;
use crate::postgres::backup::{Compared, Manifest, TableEntry, add_up, compare_rows, homes};
use crate::postgres::compare::Adders;
use crate::postgres::rows::fingerprint::Casts;
use crate::postgres::rows::tables::{LiveTable, list_tables};
use crate::postgres::verify::{BackedUp, ContentReport, Picks};
use crate::work::Crew;

#[async_trait]
impl BackedUp for PgRestorer {
    async fn counts(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
    ) -> Result<Vec<(TableName, u64)>> {
        let manifest = self.manifest(backup).await?;
        self.choice.require_some(&manifest)?;
        let restored = manifest.tables.iter().filter(|e| {
            let table = &e.table;
            let chosen = self.choice.takes(e);
            // Of an extension's tables only the user's rows are known.
            let counted = e.condition.is_none();
            let ours = self.own_schema || !super::placement::is_a_migrators(table);
            chosen && counted && ours && !self.choice.may_drop.matches(table)
        });
        let restored: Vec<&TableEntry> = restored.collect();
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let listed = list_tables(&session).await?;
        session.close().await;
        let there: BTreeMap<&TableName, &LiveTable> = listed
            .iter()
            .filter(|t| t.takes_rows())
            .map(|t| (&t.table, t))
            .collect();
        let homes = homes(restored.iter().copied(), |table| there.get(table).copied());
        let mut counts: BTreeMap<&TableName, u64> = BTreeMap::new();
        for (home, entry) in homes.into_iter().zip(&restored) {
            *counts.entry(home).or_default() += entry.rows;
        }
        let counts = counts
            .into_iter()
            .map(|(table, rows)| (table.clone(), rows));
        Ok(counts.collect())
    }

    async fn differences(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        except: Picks<'_>,
    ) -> Result<ContentReport> {
        let how = How {
            adders: Adders::Here,
            name_rows: false,
            name_unknown: false,
        };
        self.differences_by(ctx, db, backup, except, how).await
    }
}

/// A [`PgRestorer`] as what a verification compares with, where that is to do more than it does alone: where the
/// schema is the backup's own, tables and columns that the backup does not have are told too.
pub struct PgComparison {
    /// What everything else is done by.
    pub restorer: PgRestorer,
    /// Who adds up rows, if not this process. A crew does one work, so content is compared once.
    pub crew: Option<Arc<dyn Crew>>,
    /// Name the rows that differ by their primary keys. For that the rows of tables that differ are loaded
    /// into temporary tables beside those of the database.
    pub name_rows: bool,
}

#[async_trait]
impl BackedUp for PgComparison {
    async fn counts(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
    ) -> Result<Vec<(TableName, u64)>> {
        self.restorer.counts(ctx, db, backup).await
    }

    async fn differences(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        except: Picks<'_>,
    ) -> Result<ContentReport> {
        let adders = match &self.crew {
            Some(crew) => Adders::Crew(&**crew, &self.restorer.store),
            None => Adders::Here,
        };
        let how = How {
            adders,
            name_rows: self.name_rows,
            name_unknown: true,
        };
        self.restorer
            .differences_by(ctx, db, backup, except, how)
            .await
    }
}

/// How a database is compared with a backup.
struct How<'a> {
    adders: Adders<'a>,
    name_rows: bool,
    /// Name what the backup does not have.
    name_unknown: bool,
}

impl PgRestorer {
    async fn differences_by(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        except: Picks<'_>,
        how: How<'_>,
    ) -> Result<ContentReport> {
        let manifest = self.manifest(backup).await?;
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let placements = self.placements(&session, &manifest).await?;
        let objects = self.large_objects_differ(ctx, &session, &manifest, except);
        let objects = objects.await?;
        let tables = tables_of(&session, &manifest, &placements, except).await?;
        let unknown = match how.name_unknown {
            true => {
                self.unknown(&session, &manifest, &placements, except)
                    .await?
            }
            false => Vec::new(),
        };
        session.close().await;
        let (mut compared, mut differing) = self
            .compare_tables(ctx, db, &manifest, &tables, how.adders)
            .await?;
        let placed: Vec<&Placement> = tables.values().flat_map(|t| t.placed.clone()).collect();
        self.pick_columns(ctx, &manifest, &placed, &mut compared)
            .await?;
        for one in &compared {
            let table = tables.get(&one.then.table);
            let table = table.ok_or_else(|| Error::internal("a table was compared unasked"))?;
            let Some(mut difference) = difference(one, &table.casts) else {
                continue;
            };
            if how.name_rows && one.now.is_some() {
                let keys = self.keys_that_differ(ctx, db, &manifest, &table.placed);
                // Whatever stands in the way, that they differ is known.
                let keys = match keys.await {
                    Ok(Some(keys)) => keys.describe("the backup", "the database"),
                    Ok(None) => "it has no primary key that both have".to_owned(),
                    Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
                    Err(e) => format!("its rows could not be named: {}", e.chain()),
                };
                let _ = write!(difference, " ({keys})");
            }
            differing.push(difference);
        }
        let lost = placements.unplaced.iter();
        let lost = lost.filter(|u| !except(&u.table) && !self.choice.may_leave(u));
        differing.extend(lost.map(|u| match u.why {
            None => format!("{} is not there", describe(u)),
            Some(_) => format!("{} cannot be compared", describe(u)),
        }));
        differing.extend(objects);
        differing.extend(unknown);
        Ok(ContentReport {
            tables: compared.len() as u64,
            rows: compared.iter().map(|c| c.then.rows).sum(),
            differing,
        })
    }

    /// What the tables add up to, and what is to be said of those that cannot be read as they were.
    async fn compare_tables(
        &self,
        ctx: &Ctx,
        db: &Identity,
        manifest: &Manifest,
        tables: &Tables<'_>,
        adders: Adders<'_>,
    ) -> Result<(Vec<Compared>, Vec<String>)> {
        let at = (&self.endpoint, db);
        let same = tables.values().filter(|t| t.casts.is_empty());
        let same: Vec<&TableEntry> = same.flat_map(|t| t.entries(manifest)).collect();
        let none = Casts::new();
        let rows = (&*same, &none);
        let mut compared = compare_rows(ctx, at, manifest, rows, &self.options, adders).await?;
        let mut differing = Vec::new();
        for (name, table) in tables.iter().filter(|(_, t)| !t.casts.is_empty()) {
            let entries = table.entries(manifest);
            let rows = (&*entries, &table.casts);
            let one = compare_rows(ctx, at, manifest, rows, &self.options, Adders::Here);
            match one.await {
                Ok(one) => compared.extend(one),
                Err(e) if e.kind() == ErrorKind::Server => differing.push(format!(
                    "{name} cannot be read{}: {}",
                    as_they_were(&table.casts),
                    e.chain()
                )),
                Err(e) => return Err(e),
            }
        }
        Ok((compared, differing))
    }

    /// Whether the large objects that were restored are others than those of the backup. They are
    /// left out of a comparison by the name of the table that the server keeps them in.
    async fn large_objects_differ(
        &self,
        ctx: &Ctx,
        session: &Session,
        manifest: &Manifest,
        except: Picks<'_>,
    ) -> Result<Option<String>> {
        let then = manifest.large_objects;
        let some_tables = !self.choice.tables.is_empty();
        let kept_in = TableName::new("pg_catalog", "pg_largeobject");
        if then.count == 0 || some_tables || except(&kept_in) {
            return Ok(None);
        }
        let now = add_up(ctx, session, &self.options).await?;
        let differs = || {
            format!(
                "the {} large objects of {} bytes in all are others than in the backup, which has {} of {}",
                now.count, now.bytes, then.count, then.bytes
            )
        };
        Ok((now != then).then(differs))
    }
}

/// The tables that are compared, by their names in the database. What is summed up together is compared
/// together or not at all.
type Tables<'a> = BTreeMap<&'a TableName, Table<'a>>;

struct Table<'a> {
    /// Whose rows it has.
    placed: Vec<&'a Placement>,
    /// Its columns of other types than in the backup, and as which they are read.
    casts: Casts,
}

impl Table<'_> {
    fn entries<'m>(&self, manifest: &'m Manifest) -> Vec<&'m TableEntry> {
        let placed = self.placed.iter();
        placed.map(|p| &manifest.tables[p.entry]).collect()
    }
}

async fn tables_of<'a>(
    session: &Session,
    manifest: &Manifest,
    placements: &'a Placements,
    except: Picks<'_>,
) -> Result<Tables<'a>> {
    let mut tables: BTreeMap<&TableName, Vec<&Placement>> = BTreeMap::new();
    for placement in &placements.placed {
        tables.entry(&placement.target).or_default().push(placement);
    }
    let excepted = |p: &&Placement| except(&p.target) || except(&manifest.tables[p.entry].table);
    tables.retain(|_, placed| !placed.iter().any(excepted));
    let mut found = Tables::new();
    for (name, placed) in tables {
        let casts = casts(session, manifest, &placed).await?;
        found.insert(name, Table { placed, casts });
    }
    Ok(found)
}

fn difference(Compared { then, now }: &Compared, casts: &Casts) -> Option<String> {
    let table = &then.table;
    let Some(now) = now else {
        return Some(format!("{table} is not there"));
    };
    if now.rows != then.rows {
        return Some(format!(
            "{table} has {} rows, and the backup {}",
            now.rows, then.rows
        ));
    }
    (now.hash != then.hash).then(|| {
        let read = as_they_were(casts);
        format!("{table} has other rows than the backup{read}")
    })
}

/// For people: how columns of other types are read.
fn as_they_were(casts: &Casts) -> String {
    if casts.is_empty() {
        return String::new();
    }
    let each = casts
        .iter()
        .map(|(c, type_name)| format!("{c} as {type_name}"));
    let each: Vec<String> = each.collect();
    format!(" with {}, as it was", each.join(", "))
}
