//! Who adds up the rows that are compared.

use super::shared::{Like, Place, add_up_by};
use crate::error::Result;
use crate::event::Ctx;
use crate::postgres::backup::Manifest;
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::fingerprint::ToAddUp;
use crate::postgres::rows::scan::Tally;
use crate::store::Store;
use crate::work::Crew;

/// Who adds up the rows that are compared.
#[derive(Clone, Copy)]
pub(crate) enum Adders<'a> {
    /// This process.
    Here,
    /// Workers, each its share, that find their work in the store.
    Crew(&'a dyn Crew, &'a Store),
}

impl Adders<'_> {
    /// Adds up tables of two databases: the one that a spec calls its target, and another.
    ///
    /// # Errors
    /// A table could not be read; a worker failed, or its result is not of its share.
    pub(super) async fn of_both(
        self,
        ctx: &Ctx,
        databases: [&ToAddUp<'_>; 2],
        options: &RowOptions,
    ) -> Result<[Vec<Tally>; 2]> {
        let [first, second] = databases;
        let Self::Crew(crew, store) = self else {
            let sums = tokio::try_join!(first.add_up(ctx, options), second.add_up(ctx, options));
            return sums.map(|(first, second)| [first, second]);
        };
        let databases = [(Place::Target, first), (Place::With, second)];
        add_up_by(ctx, crew, store, None, databases, options).await
    }

    /// Adds up tables of a database like those of the backup that `like` is the manifest of.
    ///
    /// # Errors
    /// As [`of_both`](Self::of_both).
    pub(in crate::postgres) async fn of_one(
        self,
        ctx: &Ctx,
        database: &ToAddUp<'_>,
        like: &Manifest,
        options: &RowOptions,
    ) -> Result<Vec<Tally>> {
        let Self::Crew(crew, store) = self else {
            return database.add_up(ctx, options).await;
        };
        let like = Some(Like::of(like)?);
        let database = [(Place::Target, database)];
        let [sums] = add_up_by(ctx, crew, store, like, database, options).await?;
        Ok(sums)
    }
}
