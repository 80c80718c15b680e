//! Works that many workers share: who does them, and what each worker does.

mod addresses;
mod verbs;

use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Project, compose};
use crate::Environment;
use crate::error::{Error, Result};
use crate::event::{Ctx, Events};
use crate::postgres::compare::{Place, VERIFY, add_up_share};
use crate::postgres::{BACKUP, CHECK, COPY, PgRestorer, RESTORE, RestoreChoice};
use crate::spec::Spec;
use crate::work::{AwaitedCrew, Crew, MOST_WORKERS, Share, WorkFolder, WorkId, index_from};

pub use addresses::Addresses;
use addresses::{Named, for_pods};

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

    /// Does the share of one worker: of the work that is named, or that REBUILD_WORK names. `index`
    /// is its number, or else the number that the engine gave it in its environment. The work is
    /// waited for as long as `wait`, if it is not there yet. Databases that the spec does not name are
    /// where `addresses` says.
    ///
    /// *Repeats:* a share that was done is not done again. *Destroys:* nothing.
    ///
    /// # Errors
    /// There is no such work or share; the work is one of another version or server; nothing says where
    /// a database of it is; what is done in it failed.
    pub async fn work(
        &self,
        work: Option<WorkId>,
        index: Option<u32>,
        wait: Duration,
        addresses: &Addresses,
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
        let counts = !share.is_done().await? && self.work_on(&ctx, &share, addresses).await?;
        Ok(ShareDone {
            work,
            index,
            counts,
        })
    }

    async fn work_on(&self, ctx: &Ctx, share: &Share, addresses: &Addresses) -> Result<bool> {
        let title = format!("share {} of {}", share.index(), share.kind());
        let work = self.doing(ctx, share, addresses);
        ctx.step("share", &title, Box::pin(work)).await
    }

    async fn doing(&self, ctx: &Ctx, share: &Share, addresses: &Addresses) -> Result<bool> {
        let named = |named| addresses.endpoint(named, &self.environment);
        match share.kind() {
            BACKUP => self.pg_backup().take_share(ctx, share).await,
            CHECK => self.pg_backup().check_share(ctx, share).await,
            RESTORE => self.restorer(true)?.restore_share(ctx, share).await,
            VERIFY => {
                let endpoint_of = |place| match place {
                    Place::Target => Ok(self.endpoint.clone()),
                    Place::With => named(Named::VerifyWith),
                };
                let options = compose::row_options(&self.spec);
                add_up_share(ctx, share, &self.store, &endpoint_of, &options).await
            }
            COPY => {
                let source = named(Named::CopySource)?;
                let restorer = PgRestorer {
                    endpoint: named(Named::CopyTarget)?,
                    choice: RestoreChoice::default(),
                    ..self.restorer(true)?
                };
                restorer.stream_share(ctx, share, &source).await
            }
            other => Err(Error::corrupt(format!(
                "there is no work of kind {other:?}"
            ))),
        }
    }

    /// Who does a work. `databases` are those that the command names and the spec does not.
    fn crew(
        &self,
        ctx: &Ctx,
        sharing: &Sharing,
        databases: &[(Named, &str)],
    ) -> Result<Arc<dyn Crew>> {
        let work = sharing.work.clone().unwrap_or_else(WorkId::generate);
        match sharing.workers {
            Workers::Tasks(size) => Ok(Arc::new(AwaitedCrew {
                size,
                work,
                limit: sharing.limit.unwrap_or(LIMIT),
            })),
            Workers::Kubernetes(size) => {
                let told = for_pods(databases)?;
                self.crew_of_cluster(ctx, size, work, sharing.limit, told)
            }
        }
    }

    #[cfg(not(feature = "k8s"))]
    fn crew_of_cluster(
        &self,
        _: &Ctx,
        _: NonZeroU32,
        _: WorkId,
        _: Option<Duration>,
        _: Vec<(String, String)>,
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
        mut variables: Vec<(String, String)>,
    ) -> Result<Arc<dyn Crew>> {
        if self.store.folder().is_some() {
            ctx.events.warn(
                "the store is a folder: the workers share it only if it is a volume that is \
                 mounted in their pods, too",
            );
        }
        variables.push((WORK.to_owned(), work.to_string()));
        let (job, said) = self.job_of_workers(variables)?;
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
