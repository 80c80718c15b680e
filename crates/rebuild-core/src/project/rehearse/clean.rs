//! The end of what a rehearsal made: looked for, removed, and looked for again.

use super::record::{Record, Shelf, Workspace};
use super::{Project, tool_of};
use crate::command::Leeway;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::RunId;
use crate::plan::{RehearsalName, deletes_only};
use crate::postgres::{DatabaseKey, Marked, Session, application, find_database};
use crate::spec::Spec;

/// What became of everything that a rehearsal made, a line each.
#[derive(Default)]
pub(super) struct Cleaned {
    /// What was there, and is not there any more.
    pub(super) gone: Vec<String>,
    /// What is still there, and why.
    pub(super) left: Vec<String>,
}

/// A rehearsal that is to leave nothing.
pub(super) struct Cleaning<'a> {
    pub(super) project: &'a Project,
    pub(super) name: &'a RehearsalName,
    /// The spec of the rehearsal.
    pub(super) alike: &'a Spec,
    pub(super) shelf: &'a Shelf,
    pub(super) record: &'a Record,
}

impl Cleaning<'_> {
    /// Removes whatever is there of the rehearsal. Nothing that fails keeps it from the rest.
    ///
    /// *Repeats:* goes on with what is left. *Destroys:* what executions of Cloud Run that it began would have
    /// done; the databases that carry the rehearsal's mark or
    /// that of one of its runs; what its workspaces manage, and the workspaces; its part of the store.
    pub(super) async fn clean(&self, ctx: &Ctx) -> Cleaned {
        let mut cleaned = Cleaned::default();
        // Those of one that was killed would go on in a database that goes.
        #[cfg(feature = "gcp")]
        match self.executions(ctx).await {
            Ok(ended) => cleaned.gone.extend(ended),
            Err(e) => cleaned
                .left
                .push(format!("executions of Cloud Run: {}", e.chain())),
        }
        if let Err(e) = self.databases(ctx, &mut cleaned).await {
            cleaned.left.push(format!("databases: {}", e.chain()));
        }
        for (place, workspace) in self.record.workspaces.iter().enumerate().rev() {
            let what = format!("workspace {} of {:?}", self.name, workspace.infrastructure);
            match self.workspace(ctx, place, workspace).await {
                Ok(true) => cleaned.gone.push(what),
                Ok(false) => {}
                Err(e) => cleaned.left.push(format!("{what}: {}", e.chain())),
            }
        }
        // Without it nobody would know what is left.
        if cleaned.left.is_empty() {
            match self.store().await {
                Ok(what) => cleaned.gone.push(what),
                Err(e) => cleaned
                    .left
                    .push(format!("{}: {}", self.shelf.describe(), e.chain())),
            }
        }
        cleaned
    }

    /// The rehearsal itself, and its runs.
    async fn runs(&self) -> Result<Vec<RunId>> {
        let mut runs = vec![self.record.id.clone()];
        runs.extend(self.shelf.runs().await?);
        Ok(runs)
    }

    #[cfg(feature = "gcp")]
    async fn executions(&self, ctx: &Ctx) -> Result<Vec<String>> {
        let runs = self.runs().await?;
        Box::pin(self.project.cancel_executions(ctx, self.alike, &runs)).await
    }

    async fn databases(&self, ctx: &Ctx, cleaned: &mut Cleaned) -> Result<()> {
        let marked = Marked {
            maintenance: self.project.maintenance(),
            mark: self.record.mark(),
            runs: self.runs().await?,
            name: self.record.database.clone(),
        };
        marked.end_sessions(ctx).await?;
        let found = marked.find(ctx).await?;
        let mut whys = Vec::new();
        for database in &found {
            if let Err(e) = marked.remove(ctx, database).await {
                whys.push((database, e));
            }
        }
        let still = marked.find(ctx).await?;
        for database in found.iter().filter(|d| !still.contains(d)) {
            cleaned.gone.push(format!("database {database}"));
        }
        for database in still {
            let why = whys.iter().find(|(of, _)| of.is_same_thing(&database));
            let why = why.map_or_else(|| "it came back".to_owned(), |(_, e)| e.chain());
            cleaned.left.push(format!("database {database}: {why}"));
        }
        self.name_is_free(ctx, cleaned).await
    }

    /// A database of the name that carries no mark is nobody's that is known here.
    async fn name_is_free(&self, ctx: &Ctx, cleaned: &mut Cleaned) -> Result<()> {
        let session = Session::open(&self.project.maintenance(), &application(ctx)).await?;
        let key = DatabaseKey::Name(&self.record.database);
        let there = find_database(&session, key).await?;
        session.close().await;
        if let Some(there) = there
            && !cleaned
                .left
                .iter()
                .any(|left| left.contains(&there.to_string()))
        {
            cleaned.left.push(format!(
                "database {there}: it does not carry the mark of the rehearsal"
            ));
        }
        Ok(())
    }

    /// Destroys what is managed in a workspace, and deletes it. False if there was none.
    async fn workspace(&self, ctx: &Ctx, place: usize, workspace: &Workspace) -> Result<bool> {
        let tool = tool_of(self.alike, &workspace.infrastructure)?;
        if !tool.workspace(ctx).await?.exists {
            return Ok(false);
        }
        if self.shelf.was_made(place).await? {
            self.destroy(ctx, &workspace.infrastructure).await?;
        }
        // One that was not noted as made holds nothing of ours; with anything in it, it stays.
        let before = workspace.selected.as_deref().unwrap_or("default");
        tool.leave_workspace(ctx, before).await?;
        tool.remove_workspace(ctx).await?;
        if tool.workspace(ctx).await?.exists {
            return Err(Error::refused("it was deleted, and is still there"));
        }
        Ok(true)
    }

    async fn destroy(&self, ctx: &Ctx, infrastructure: &str) -> Result<()> {
        let tool = tool_of(self.alike, infrastructure)?;
        let managed = tool.look(ctx).await?.addresses;
        if managed.is_empty() {
            return Ok(());
        }
        let removal = tool.removal()?;
        let changes = removal.plan(ctx).await?.changes;
        deletes_only(&changes, &managed)?;
        // What is left of it by then keeps the workspace from being deleted.
        removal.apply(ctx, &changes, Leeway::None).await.map(|_| ())
    }

    async fn store(&self) -> Result<String> {
        self.shelf.clear().await?;
        if self.shelf.is_clear().await? {
            return Ok(format!(
                "its backups and journals in {}",
                self.shelf.describe()
            ));
        }
        Err(Error::refused("something was written there meanwhile"))
    }
}
