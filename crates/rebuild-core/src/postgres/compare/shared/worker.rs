//! What a worker does.

use std::collections::BTreeSet;

use super::{DatabaseOfTask, Like, Place, VerifyResult, VerifyTask};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Endpoint;
use crate::postgres::backup::{Manifest, Shelf};
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::fingerprint::{AddingUp, Casts, PartSum, Wanted};
use crate::postgres::rows::tables::{LiveTable, refuse_unreadable};
use crate::postgres::rows::units::Unit;
use crate::store::Store;
use crate::work::Share;

/// Does `share` of a comparison that somebody else makes: adds up parts of its tables, and leaves the
/// sums. `endpoint_of` knows where the databases are. False if another attempt did so meanwhile.
///
/// *Repeats:* reads again. *Destroys:* nothing.
///
/// # Errors
/// The snapshot is gone, for the coordinator has ended; a server or a database is another one, or
/// shows this role less; a table could not be read; the store could not be written.
pub(crate) async fn add_up_share(
    ctx: &Ctx,
    share: &Share,
    store: &Store,
    endpoint_of: &(dyn Fn(Place) -> Result<Endpoint> + Send + Sync),
    options: &RowOptions,
) -> Result<bool> {
    let task: VerifyTask = share.task()?;
    let own = task.share(share.index())?;
    // Nothing is read before it is known where all of it is.
    let mut endpoints = Vec::new();
    for (database, units) in task.databases.iter().zip(own) {
        let needed = !units.is_empty();
        endpoints.push(needed.then(|| endpoint_of(database.place)).transpose()?);
    }
    let like = like_of(store, task.like.as_ref()).await?;
    let adding = task.databases.iter().zip(own).zip(endpoints);
    let adding = adding.map(|((database, units), endpoint)| {
        added(ctx, database, units, endpoint, like.as_ref(), options)
    });
    let sums = futures::future::try_join_all(adding).await?;
    share.leave(&VerifyResult { sums }).await
}

/// The manifest that the coordinator compares with.
async fn like_of(store: &Store, like: Option<&Like>) -> Result<Option<Manifest>> {
    let Some(like) = like else {
        return Ok(None);
    };
    let manifest = Shelf::new(store.clone()).manifest(&like.backup).await?;
    if manifest.digest()? == like.manifest {
        return Ok(Some(manifest));
    }
    Err(Error::refused(format!(
        "backup {} has another manifest here than for the coordinator",
        like.backup
    )))
}

/// The sums of `units`; `endpoint` is where the database is, if there are any.
async fn added(
    ctx: &Ctx,
    database: &DatabaseOfTask,
    units: &[Unit],
    endpoint: Option<Endpoint>,
    like: Option<&Manifest>,
    options: &RowOptions,
) -> Result<Vec<PartSum>> {
    let Some(endpoint) = endpoint else {
        return Ok(Vec::new());
    };
    let moment = &database.moment;
    let (tables, hold) = moment.enter(ctx, &endpoint).await?;
    let own: BTreeSet<usize> = units.iter().map(|unit| unit.table).collect();
    let read: Vec<LiveTable> = own.iter().map(|&at| tables[at].clone()).collect();
    refuse_unreadable(&read)?;
    let wanted = tables.into_iter().zip(&database.readings);
    let wanted = wanted.map(|(table, reading)| {
        let condition = match reading.entry {
            None => table.condition.clone(),
            Some(entry) => condition_in(like, entry)?,
        };
        Ok(Wanted {
            table,
            columns: reading.columns.clone(),
            casts: Casts::new(),
            form: reading.form,
            condition,
            entry: reading.entry,
        })
    });
    let adding = AddingUp {
        ctx: ctx.clone(),
        endpoint: endpoint.with_database(&moment.of.name),
        snapshot: moment.snapshot().to_owned(),
        encoding: database.encoding.clone(),
        wanted: wanted.collect::<Result<_>>()?,
        options: options.clone(),
        hold: Some(hold),
    };
    adding.run(units.to_vec()).await
}

/// Which rows of a table of the backup are in it.
fn condition_in(like: Option<&Manifest>, entry: usize) -> Result<Option<String>> {
    let entry = like.and_then(|manifest| manifest.tables.get(entry));
    let entry = entry.ok_or_else(|| Error::corrupt("the task names a table of no backup"))?;
    Ok(entry.condition.clone())
}
