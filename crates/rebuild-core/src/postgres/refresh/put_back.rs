//! Rows of the target into the new database, and the list of those that do not go.

use std::fs::File;
use std::io::{BufWriter, Read, Seek};

use async_trait::async_trait;

use super::preserve::{CsvLines, Preserved, put_back};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{Identity, RunId};
use crate::postgres::{PgRestorer, Session};
use crate::store::{Name, Store};
use crate::traits::{Preserver, PutBack, PutBackTable};

/// Bytes of the list that are stored at a time.
const PIECE: usize = 64 * 1024;

/// [`Preserver`] by the rules of a spec. Each row that is left out is named, with the reason, in
/// `runs/<run>/not-put-back.csv` of the store.
pub struct PgPreserver {
    /// Opens the new database, and has the store.
    pub(crate) restorer: PgRestorer,
    pub(crate) rules: Vec<Preserved>,
}

#[async_trait]
impl Preserver for PgPreserver {
    async fn put_back(&self, ctx: &Ctx, old: &Identity, db: &Identity) -> Result<PutBack> {
        let old = Session::open_at(&self.restorer.endpoint, old, ctx).await?;
        let new = self.restorer.open(ctx, db).await?;
        let list = tempfile::tempfile()?;
        let mut lines = CsvLines::new(BufWriter::new(list));
        let done = put_back(ctx, &old, &new, &self.rules, &mut lines).await?;
        old.close().await;
        new.close().await;
        let list = lines.into_inner().into_inner();
        let list = list.map_err(|e| Error::from(e.into_error()))?;
        let stored = keep(&self.restorer.store, &ctx.run, list).await?;
        for table in &done.tables {
            tell(ctx, table, &stored);
        }
        Ok(done)
    }
}

fn tell(ctx: &Ctx, table: &PutBackTable, list: &Name) {
    let PutBackTable {
        table: name,
        selected,
        inserted,
        replaced,
        unchanged,
        left_out,
    } = table;
    ctx.events.info(format!(
        "{name}: of {selected} rows that outlive the refresh {inserted} were put back, {replaced} \
         replaced the source's, {unchanged} were there as they were"
    ));
    if left_out.is_empty() {
        return;
    }
    let rows: u64 = left_out.iter().map(|l| l.rows).sum();
    let reasons = left_out
        .iter()
        .map(|l| format!("{} ({})", l.reason, l.rows));
    let reasons: Vec<String> = reasons.collect();
    ctx.events.warn(format!(
        "{name}: {rows} of {selected} rows were not put back: {}; each is named in {list} of the \
         store, and they stay in the old database",
        reasons.join("; ")
    ));
}

/// Stores the list in the place of an earlier one.
async fn keep(store: &Store, run: &RunId, mut list: File) -> Result<Name> {
    let name = Name::new(format!("runs/{run}/not-put-back.csv"))?;
    store.delete(&name).await?;
    if list.metadata()?.len() == 0 {
        return Ok(name);
    }
    list.rewind()?;
    let mut writer = store.writer(&name);
    let mut piece = vec![0; PIECE];
    loop {
        match list.read(&mut piece)? {
            0 => break,
            length => writer.write(&piece[..length]).await?,
        }
    }
    writer.finish().await?;
    Ok(name)
}
