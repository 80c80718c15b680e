//! What the coordinator does.

use std::collections::BTreeSet;

use super::{DatabaseOfTask, Like, Place, ReadingOfTask, VERIFY, VerifyResult, VerifyTask};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::fingerprint::{PartSum, ToAddUp};
use crate::postgres::rows::moment::Moment;
use crate::postgres::rows::scan::Tally;
use crate::postgres::rows::units::Unit;
use crate::store::Store;
use crate::work::{Counted, Crew, Posting, share_out, shares};

/// What a part costs besides the bytes in it, in bytes.
const EACH_PART: u64 = 64 << 10;

/// Has `crew` add up the tables of each of `databases`; the sums are in their order.
///
/// # Errors
/// A worker failed, or its result is missing, damaged or not of its share; a database was let go
/// before the workers were done; the store failed.
pub(in crate::postgres::compare) async fn add_up_by<const N: usize>(
    ctx: &Ctx,
    crew: &dyn Crew,
    store: &Store,
    like: Option<Like>,
    databases: [(Place, &ToAddUp<'_>); N],
    options: &RowOptions,
) -> Result<[Vec<Tally>; N]> {
    let mut told = Vec::new();
    for (place, database) in databases {
        told.push(told_of(place, database).await?);
    }
    let parts = databases.map(|(_, database)| database.parts(options));
    let task = VerifyTask {
        like,
        databases: told,
        shares: dealt(&parts, crew),
    };
    let posting = Posting::new(VERIFY, databases.map(|(_, database)| database.of));
    let results = share_out::<VerifyResult>(ctx, crew, store, &posting, &task).await?;
    for (_, database) in databases {
        // Without it, nothing would have kept the tables from being emptied.
        database.snapshot.still_held("the comparison").await?;
    }
    let added = gathered(&task, results)?;
    let mut sums = databases.map(|_| Vec::new());
    for (at, (_, database)) in databases.into_iter().enumerate() {
        sums[at] = database.sums(&added[at]);
    }
    Ok(sums)
}

async fn told_of(place: Place, database: &ToAddUp<'_>) -> Result<DatabaseOfTask> {
    let wanted = &database.wanted;
    let tables = wanted.iter().map(|w| &w.table);
    Ok(DatabaseOfTask {
        place,
        moment: Moment::held_by(database.snapshot, database.of, tables).await?,
        encoding: database.encoding.to_owned(),
        readings: (wanted.iter())
            .map(|w| ReadingOfTask {
                columns: w.columns.clone(),
                form: w.form,
                entry: w.entry,
            })
            .collect(),
    })
}

/// Deals the parts of each database out.
fn dealt(parts: &[Vec<Unit>], crew: &dyn Crew) -> Vec<Vec<Vec<Unit>>> {
    let of = |(at, units): (usize, &Vec<Unit>)| {
        let units = units.iter().map(move |unit| (at, unit.clone()));
        units.collect::<Vec<_>>()
    };
    let all: Vec<(usize, Unit)> = parts.iter().enumerate().flat_map(of).collect();
    let weights: Vec<u64> = all.iter().map(|(_, u)| u.weight + EACH_PART).collect();
    let of_share = |share: Vec<usize>| {
        let mut own = vec![Vec::new(); parts.len()];
        for place in share {
            let (database, unit) = &all[place];
            own[*database].push(unit.clone());
        }
        own
    };
    let shares = shares(&weights, crew.size());
    shares.into_iter().map(of_share).collect()
}

/// The sums of each database, once it is sure that each part of every share was added up, and once.
///
/// # Errors
/// A result is not of its share.
fn gathered(task: &VerifyTask, results: Vec<Counted<VerifyResult>>) -> Result<Vec<Vec<PartSum>>> {
    let mut sums: Vec<Vec<PartSum>> = task.databases.iter().map(|_| Vec::new()).collect();
    for (index, (counted, share)) in results.into_iter().zip(&task.shares).enumerate() {
        let found = counted.result.sums;
        check(task, share, &found).map_err(|why| {
            Error::corrupt(format!(
                "the result of worker {index} is not of its share: {why}"
            ))
        })?;
        for (all, found) in sums.iter_mut().zip(found) {
            all.extend(found);
        }
    }
    Ok(sums)
}

/// Makes sure that a result is of exactly the parts of `share`.
fn check(task: &VerifyTask, share: &[Vec<Unit>], found: &[Vec<PartSum>]) -> Result<(), String> {
    if found.len() != share.len() {
        return Err(format!(
            "it is of {} databases, and not of {}",
            found.len(),
            share.len()
        ));
    }
    for ((found, units), database) in found.iter().zip(share).zip(&task.databases) {
        let wanted: BTreeSet<(usize, u32)> = units.iter().map(|u| (u.table, u.part)).collect();
        let there: BTreeSet<(usize, u32)> = found.iter().map(|s| (s.table, s.part)).collect();
        if wanted != there || found.len() != units.len() {
            return Err(format!(
                "it has {} parts of {}, and {} of the {} that it should have",
                found.len(),
                database.moment.of,
                there.intersection(&wanted).count(),
                units.len()
            ));
        }
        for sum in found {
            if sum.tally.non_null.len() != database.readings[sum.table].columns.len() {
                let table = &database.moment.tables[sum.table].table;
                return Err(format!("it has other columns of table {table}"));
            }
        }
    }
    Ok(())
}
