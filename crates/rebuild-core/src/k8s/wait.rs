//! Waiting for a cluster to come to some state.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::MissedTickBehavior;

use super::Cluster;
use crate::error::Result;
pub(super) use crate::event::Seen;
use crate::event::{Ctx, Waiting};

/// How often one looks even though no watch says that anything changed. A watch may be cut, or may
/// not be allowed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Watches that wake whoever waits. They decide nothing: what counts is looked at anew.
#[derive(Default)]
pub(super) struct Wakes(SelectAll<BoxStream<'static, ()>>);

impl Wakes {
    /// Is woken, besides, by changes of these objects; `name` or `labels` narrow them.
    pub(super) fn on<K>(mut self, api: Api<K>, narrowed: watcher::Config) -> Self
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let changes = watcher(api, narrowed).default_backoff().map(|_| ());
        self.0.push(changes.boxed());
        self
    }

    /// Waits until something may have changed.
    async fn next(&mut self) {
        if self.0.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The object of that name.
pub(super) fn named(name: &str) -> watcher::Config {
    watcher::Config::default().fields(&format!("metadata.name={name}"))
}

/// The objects with these labels.
pub(super) fn labelled(labels: &str) -> watcher::Config {
    watcher::Config::default().labels(labels)
}

impl Cluster {
    /// Looks until `look` has seen what is waited for. Each new reason why it has not is told.
    ///
    /// # Errors
    /// `ErrorKind::Deadline` with the last reason; `look` failed, other than by not reaching the
    /// API server; the operator stopped.
    pub(super) async fn wait<T, F>(
        &self,
        ctx: &Ctx,
        what: &str,
        limit: Duration,
        mut wakes: Wakes,
        mut look: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<Seen<T>>>,
    {
        let mut waiting = Waiting::new(ctx, what, limit);
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some(done) = waiting.see(look().await)? {
                return Ok(done);
            }
            tokio::select! {
                () = wakes.next() => {}
                _ = ticks.tick() => {}
                () = ctx.stop.cancelled() => ctx.check_stop(what)?,
                () = tokio::time::sleep_until(waiting.deadline) => return Err(waiting.late()),
            }
        }
    }
}
