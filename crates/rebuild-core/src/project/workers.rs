//! Verbs whose work many workers share, and what each of them does.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Project;
use crate::Environment;
use crate::error::{Error, Result};
use crate::event::{Ctx, Events};
use crate::model::{BackupId, Identity, Verdict};
use crate::postgres::{BACKUP, CHECK, PgSharedBackup, RESTORE};
use crate::spec::Spec;
use crate::traits::BackupSummary;
use crate::work::{AwaitedCrew, Crew, MOST_WORKERS, Share, WorkFolder, WorkId, index_from};

/// The variable that names the work to a worker.
const WORK: &str = "REBUILD_WORK";

/// How long workers may take that no spec says it of.
const LIMIT: Duration = Duration::from_secs(12 * 3600);

/// Who starts the workers, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// The pods of the Job that `[kubernetes.workers]` names.
    Kubernetes(NonZeroU32),
    /// Tasks that somebody else starts, with numbers from 0.
    Tasks(NonZeroU32),
}

impl FromStr for Workers {
    type Err = Error;

    /// Reads `k8s:N` and `tasks:N`.
    fn from_str(text: &str) -> Result<Self> {
        let number = |count: &str| {
            let count = count.parse::<NonZeroU32>().ok();
            count.filter(|count| count.get() <= MOST_WORKERS)
        };
        let read = text.split_once(':').and_then(|(who, count)| match who {
            "k8s" => Some(Self::Kubernetes(number(count)?)),
            "tasks" => Some(Self::Tasks(number(count)?)),
            _ => None,
        });
        read.ok_or_else(|| {
            Error::usage(format!(
                "{text:?} is neither k8s:N nor tasks:N, with N from 1 to {MOST_WORKERS}"
            ))
        })
    }
}

/// How a work is shared.
#[derive(Clone, Debug)]
pub struct Sharing {
    /// Who does it.
    pub workers: Workers,
    /// Its name, which is used once; without it a new one is made.
    pub work: Option<WorkId>,
    /// How long all of them may take; without it what the spec says, or 12 hours.
    pub limit: Option<Duration>,
}

/// What a worker did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ShareDone {
    /// The work.
    pub work: WorkId,
    /// The number of the worker, from 0.
    pub index: u32,
    /// False if another attempt had done the share, so that nothing was left to do.
    pub counts: bool,
}

impl Project {
    /// Opens what a worker needs: the store, and the target by its URL and libpq's variables alone.
    /// Nothing is asked of a cluster: a worker in it is next to the database.
    ///
    /// # Errors
    /// As [`open_store`](Self::open_store).
    pub async fn open_worker(
        spec: Spec,
        environment: &Environment,
        events: Events,
        stop: CancellationToken,
    ) -> Result<Self> {
        Self::assemble(spec, environment, events, stop).await
    }

    /// Takes a backup of the target as [`backup`](Self::backup) does, with rows that workers read,
    /// store and read back, each its share.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// As `backup`; the spec has another mode than a full backup, or names no workers; a worker
    /// failed for good, or left no whole result.
    pub async fn backup_shared(&self, sharing: &Sharing) -> Result<(BackupSummary, Verdict)> {
        let ctx = self.ctx();
        let crew = self.crew(&ctx, sharing)?;
        let title = format!("back up schema and rows, by {} workers", crew.size());
        let backup = Arc::new(PgSharedBackup::new(self.pg_backup(), crew));
        let backup = self.backup_with(backup)?;
        self.backup_by(&ctx, &*backup, &title).await
    }

    /// Reads a backup back as [`check_backup`](Self::check_backup) does, with chunks that workers
    /// read, each its share.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// As `check_backup`; the spec names no workers; a worker failed for good, or left no whole
    /// result.
    pub async fn check_backup_shared(
        &self,
        id: &BackupId,
        sharing: &Sharing,
    ) -> Result<(BackupSummary, Verdict)> {
        let ctx = self.ctx();
        let crew = self.crew(&ctx, sharing)?;
        let backup = PgSharedBackup::new(self.pg_backup(), crew);
        self.backup_with(Arc::new(backup))?.check(&ctx, id).await
    }

    /// Restores a backup as [`restore`](Self::restore) does, with rows that workers load, each its
    /// share. They are compared by this process.
    ///
    /// *Repeats:* a database of that name is a refusal. *Destroys:* nothing.
    ///
    /// # Errors
    /// As `restore`; the spec names no workers; a worker failed for good, or left no whole result.
    pub async fn restore_shared(
        &self,
        id: &BackupId,
        into: &str,
        tables: &[String],
        sharing: &Sharing,
    ) -> Result<(Identity, Verdict)> {
        let ctx = self.ctx();
        let crew = self.crew(&ctx, sharing)?;
        self.restore_by(&ctx, id, into, tables, Some(&*crew)).await
    }

    /// Does the share of one worker: of the work that is named, or that REBUILD_WORK names. `index`
    /// is its number, or else the number that the engine gave it in its environment. The work is
    /// waited for as long as `wait`, if it is not there yet.
    ///
    /// *Repeats:* a share that was done is not done again. *Destroys:* nothing.
    ///
    /// # Errors
    /// There is no such work or share; the work is one of another version or server; what is done
    /// in it failed.
    pub async fn work(
        &self,
        work: Option<WorkId>,
        index: Option<u32>,
        wait: Duration,
    ) -> Result<ShareDone> {
        let work = match (work, self.environment.get(WORK)) {
            (Some(work), _) => work,
            (None, Some(named)) => named.parse().map_err(|e: Error| e.context(WORK))?,
            (None, None) => {
                return Err(Error::usage("nothing says which work this is a worker of")
                    .hint(format!("give --work, or set {WORK}")));
            }
        };
        let index = index_from(index, &self.environment)?;
        let ctx = self.ctx();
        let folder = WorkFolder::new(self.store.clone(), work.clone());
        let share = Share::find(&ctx, folder, index, wait).await?;
        let ctx = Ctx {
            run: share.run().clone(),
            ..ctx
        };
        let counts = !share.is_done().await? && self.work_on(&ctx, &share).await?;
        Ok(ShareDone {
            work,
            index,
            counts,
        })
    }

    async fn work_on(&self, ctx: &Ctx, share: &Share) -> Result<bool> {
        let title = format!("share {} of {}", share.index(), share.kind());
        match share.kind() {
            BACKUP => {
                let backup = self.pg_backup();
                let taking = backup.take_share(ctx, share);
                ctx.step("share", &title, taking).await
            }
            CHECK => {
                let backup = self.pg_backup();
                let checking = backup.check_share(ctx, share);
                ctx.step("share", &title, checking).await
            }
            RESTORE => {
                let restorer = self.restorer(true)?;
                let restoring = restorer.restore_share(ctx, share);
                ctx.step("share", &title, restoring).await
            }
            other => Err(Error::corrupt(format!(
                "there is no work of kind {other:?}"
            ))),
        }
    }

    fn crew(&self, ctx: &Ctx, sharing: &Sharing) -> Result<Arc<dyn Crew>> {
        let work = sharing.work.clone().unwrap_or_else(WorkId::generate);
        match sharing.workers {
            Workers::Tasks(size) => Ok(Arc::new(AwaitedCrew {
                size,
                work,
                limit: sharing.limit.unwrap_or(LIMIT),
            })),
            Workers::Kubernetes(size) => self.crew_of_cluster(ctx, size, work, sharing.limit),
        }
    }

    #[cfg(not(feature = "k8s"))]
    fn crew_of_cluster(
        &self,
        _: &Ctx,
        _: NonZeroU32,
        _: WorkId,
        _: Option<Duration>,
    ) -> Result<Arc<dyn Crew>> {
        Err(Error::usage(
            "this program was built without the Kubernetes backend",
        ))
    }

    #[cfg(feature = "k8s")]
    fn crew_of_cluster(
        &self,
        ctx: &Ctx,
        size: NonZeroU32,
        work: WorkId,
        limit: Option<Duration>,
    ) -> Result<Arc<dyn Crew>> {
        if self.store.folder().is_some() {
            ctx.events.warn(
                "the store is a folder: the workers share it only if it is a volume that is \
                 mounted in their pods, too",
            );
        }
        let variable = (WORK.to_owned(), work.to_string());
        let (job, said) = self.job_of_workers(variable)?;
        Ok(Arc::new(crate::k8s::ClusterCrew {
            size,
            work,
            job: crate::k8s::ClusterJob {
                indexed: Some(size),
                limit: limit.unwrap_or(said),
                ..job
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_workers_is_sane() {
        let three = const { NonZeroU32::new(3).expect("3 is not 0") };
        let read = |text: &str| text.parse::<Workers>();
        assert_eq!(read("k8s:3").expect("good"), Workers::Kubernetes(three));
        assert_eq!(read("tasks:3").expect("good"), Workers::Tasks(three));
        for bad in [
            "", "3", "k8s", "k8s:", "k8s:0", "k8s:1001", "tasks:-1", "argo:3",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn workers_are_made_from_one_thing() {
        let folder = std::path::Path::new(".");
        let read = |workers: &str| {
            let text = format!(
                "version = 1\nstore.url = \"store\"\ntarget.url = \"postgresql:///app\"\n\
                 [kubernetes]\ncontext = \"c\"\nnamespace = \"n\"\nworkers = {workers}\n"
            );
            crate::spec::parse(&text, "rebuild.toml", folder, &|_| None)
        };
        let spec = read("{ cronjob = \"a\" }").expect("a spec");
        let workers = spec.kubernetes.and_then(|k| k.workers).expect("workers");
        assert_eq!(workers.timeout.0, LIMIT);
        for bad in ["{}", "{ job = \"a.yaml\", cronjob = \"a\" }"] {
            let error = read(bad).expect_err(bad);
            assert!(
                error.to_string().contains("exactly one of job and cronjob"),
                "{error:?}"
            );
        }
    }

    /// The page shows a spec and a manifest that are taken.
    #[cfg(feature = "k8s")]
    #[test]
    fn what_the_page_shows_can_be_used() {
        let page = include_str!("../../../../docs/WORKERS.md");
        let shown = |language: &str| {
            let from = page.split(&format!("```{language}\n")).nth(1);
            from.and_then(|rest| rest.split("```").next())
                .expect("shown")
        };
        let folder = tempfile::TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("worker.yaml"), shown("yaml")).expect("written");
        let text = format!(
            "version = 1\ntarget.url = \"postgresql:///app\"\n{}",
            shown("toml")
        );
        let spec = crate::spec::parse(&text, "rebuild.toml", folder.path(), &|_| None);
        super::super::kubernetes::check(&spec.expect("a spec")).expect("a Job");
    }
}
