//! The schema of a backup, up to the rows.

use async_trait::async_trait;

use super::Session;
use super::after::for_a_session;
use super::progress;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity};
use crate::postgres::backup::{Manifest, Shelf, layout, public_rights_sql};
use crate::postgres::inventory::extensions;
use crate::postgres::recorded;
use crate::postgres::schema::split;
use crate::store::Store;
use crate::traits::{BackupMode, SchemaApplied, SchemaApplier, SchemaState};

/// [`SchemaApplier`] that makes the schema a backup holds: everything that comes before the rows.
/// [`PgRestorer`](super::PgRestorer) makes the rest, if it restores rows at all.
pub struct PgBackupSchema {
    /// The server, at any database.
    pub endpoint: Endpoint,
    /// Where the backups are.
    pub store: Store,
    /// True if [`PgRestorer`](super::PgRestorer) restores the rows and makes what comes after
    /// them; otherwise that is made here.
    pub rows_follow: bool,
}

#[async_trait]
impl SchemaApplier for PgBackupSchema {
    async fn look(&self, ctx: &Ctx, db: &Identity) -> Result<SchemaState> {
        recorded(&self.endpoint, ctx, db).await
    }

    async fn apply(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<SchemaApplied> {
        self.apply_those(ctx, db, backup, |_| true).await
    }
}

impl PgBackupSchema {
    /// As [`apply`](SchemaApplier::apply), but for statements that are not `wanted`.
    pub(in crate::postgres) async fn apply_those(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<SchemaApplied> {
        let manifest = self.shelf().manifest(backup).await?;
        if manifest.mode == BackupMode::CountsOnly {
            return Err(Error::refused(format!("backup {backup} holds no schema")));
        }
        let mut statements = self.statements(&manifest).await?;
        statements.retain(|statement| wanted(statement));
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let made = async {
            let done = progress::run(ctx, &session, &statements).await?;
            tell_other_versions(ctx, &session, &manifest).await?;
            Ok::<_, Error>(done)
        };
        let made = made.await;
        session.close().await;
        Ok(SchemaApplied {
            statements: made?,
            ..SchemaApplied::default()
        })
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(self.store.clone())
    }

    /// Everything that makes the schema, in order.
    async fn statements(&self, manifest: &Manifest) -> Result<Vec<String>> {
        let mut all = self.section(manifest, layout::PRE_DATA).await?;
        if !self.rows_follow {
            all.extend(self.section(manifest, layout::POST_DATA).await?);
        }
        all.extend(public_rights_sql(manifest)?);
        Ok(all)
    }

    async fn section(&self, manifest: &Manifest, file: &str) -> Result<Vec<String>> {
        let sql = self.shelf().text(manifest, file).await?;
        let sql = for_a_session(&sql);
        let statements = split(&sql).map_err(|f| f.in_file(file))?;
        Ok(statements.iter().map(|s| s.text(&sql).to_owned()).collect())
    }
}

/// A dump says of an extension that there was one, and not of which version: it is made anew in the
/// server's default one (<https://www.postgresql.org/docs/current/sql-createextension.html>).
async fn tell_other_versions(ctx: &Ctx, session: &Session, manifest: &Manifest) -> Result<()> {
    let made = extensions(session).await?;
    for (name, was, _) in &manifest.extensions {
        let now = made.iter().find(|made| made.0 == *name).map(|made| &made.1);
        if let Some(now) = now.filter(|now| *now != was) {
            ctx.events.warn(format!(
                "the extension {name:?} is of version {now} in the new database, and was of {was}"
            ));
        }
    }
    Ok(())
}
