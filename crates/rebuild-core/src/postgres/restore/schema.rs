//! The schema of a backup, up to the rows.

use async_trait::async_trait;

use super::Session;
use super::after::without_restriction;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity};
use crate::postgres::backup::{Manifest, Shelf, layout};
use crate::postgres::schema::split;
use crate::postgres::{migration_version, server_error};
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

/// Anything that the pre-data section may make.
const ANYTHING: &str = "
    with made (class, oid, schema) as (
        select 'pg_catalog.pg_class'::pg_catalog.regclass, oid, relnamespace
          from pg_catalog.pg_class
        union all
        select 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, pronamespace
          from pg_catalog.pg_proc
        union all
        select 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typnamespace
          from pg_catalog.pg_type)
    select exists (
        select from made m join pg_catalog.pg_namespace n on n.oid = m.schema
         where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
           and not exists (select from pg_catalog.pg_depend d
                            where d.classid = m.class and d.objid = m.oid
                              and d.deptype in ('e', 'i')))";

#[async_trait]
impl SchemaApplier for PgBackupSchema {
    async fn look(&self, ctx: &Ctx, db: &Identity) -> Result<SchemaState> {
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let session = session.only_read().await?;
        let migration = migration_version(&session).await?;
        session.close().await;
        Ok(SchemaState {
            migration,
            ..SchemaState::default()
        })
    }

    async fn apply(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<SchemaApplied> {
        let manifest = self.shelf().manifest(backup).await?;
        if manifest.mode == BackupMode::CountsOnly {
            return Err(Error::refused(format!("backup {backup} holds no schema")));
        }
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let what = format!("could not make the schema of backup {backup}");
        let there: bool = session
            .query_one(ANYTHING, &[])
            .await
            .map_err(|e| server_error(&what, e))?
            .get(0);
        let mut applied = SchemaApplied::default();
        // It is made in one transaction: there is all of it or nothing.
        if !there {
            let begun = session.batch_execute("begin").await;
            begun.map_err(|e| server_error(&what, e))?;
            applied.statements = self
                .section(ctx, &session, &manifest, layout::PRE_DATA)
                .await?;
            if !self.rows_follow {
                let count = self
                    .section(ctx, &session, &manifest, layout::POST_DATA)
                    .await?;
                applied.statements += count;
            }
            let forgotten = manifest.public_rights.as_ref();
            if let Some(rights) = forgotten.filter(|_| manifest.server_version < 150_000) {
                let sql = public_rights_sql(rights)?;
                let set = session.batch_execute(&sql).await;
                set.map_err(|e| server_error(&what, e))?;
            }
            let done = session.batch_execute("commit").await;
            done.map_err(|e| server_error(&what, e))?;
        }
        session.close().await;
        Ok(applied)
    }
}

impl PgBackupSchema {
    fn shelf(&self) -> Shelf {
        Shelf::new(self.store.clone())
    }

    /// Runs the statements of one section; returns how many.
    async fn section(
        &self,
        ctx: &Ctx,
        session: &Session,
        manifest: &Manifest,
        file: &str,
    ) -> Result<u64> {
        let sql = self.shelf().text(manifest, file).await?;
        let sql = without_restriction(&sql);
        let statements = split(&sql).map_err(|f| f.in_file(file))?;
        for statement in &statements {
            ctx.check_stop("the making of the schema")?;
            let text = statement.text(&sql);
            session
                .batch_execute(text)
                .await
                .map_err(|e| server_error(format!("could not run {text:.400?}"), e))?;
        }
        Ok(statements.len() as u64)
    }
}

/// Newer versions of pg_dump leave this out for older servers.
fn public_rights_sql(rights: &[String]) -> Result<String> {
    let known = ["CREATE", "USAGE"];
    if let Some(other) = rights.iter().find(|r| !known.contains(&r.as_str())) {
        return Err(Error::corrupt(format!("{other:?} is no right on a schema")));
    }
    let mut sql = "revoke all on schema public from public".to_owned();
    if !rights.is_empty() {
        sql.push_str(&format!(
            "; grant {} on schema public to public",
            rights.join(", ")
        ));
    }
    Ok(sql)
}
