//! One run per namespace and target, for everybody who looks at the cluster.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Cluster;
use crate::error::{Error, Result, clean};
use crate::event::Ctx;
use crate::traits::Lock;

/// How long a Lease is good for after it was last renewed.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(15);

/// How long after it ran out a Lease may be taken from its holder. Clocks of machines differ, and
/// taking it too early is worse than waiting.
const GRACE: Duration = Duration::from_secs(60);

/// How long a Lease that has run out by this machine's clock must stay as it is before it is taken: a holder
/// whose clock is behind has renewed it by then.
const WATCHED_FOR: Duration = Duration::from_secs(2 * RENEW_EVERY.as_secs());

/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A [`Lock`] that is a `coordination.k8s.io/v1` Lease.
///
/// It stands besides the database's own lock, on whose connection everything destructive runs:
/// the Lease tells those who look at the cluster, and holds where the database is away.
pub struct LeaseLock {
    cluster: Cluster,
    name: String,
    held: Mutex<Option<Held>>,
}

/// What a try to take a Lease came to.
enum Try {
    Taken,
    HeldBy(String),
    /// Whoever held it has not renewed it in time, or a clock is wrong.
    RunOut {
        holder: String,
        version: String,
    },
}

struct Held {
    /// When it was last renewed, by this process's clock.
    renewed: Arc<std::sync::Mutex<Instant>>,
    holder: String,
    _renewing: AbortOnDropHandle<()>,
}

impl Held {
    fn is_good(&self) -> bool {
        let renewed = *self.renewed.lock().expect("no one panics with it");
        renewed.elapsed() < GOOD_FOR
    }
}

impl LeaseLock {
    /// The Lease called `name` in the cluster's namespace.
    pub fn new(cluster: Cluster, name: impl Into<String>) -> Self {
        Self {
            cluster,
            name: name.into(),
            held: Mutex::new(None),
        }
    }

    fn api(&self) -> Api<Lease> {
        self.cluster.api()
    }

    fn what(&self, verb: &str) -> String {
        format!("could not {verb} the Lease {:?}", self.name)
    }

    /// Writes the Lease as held by `holder`, over what `found` is.
    async fn write(&self, holder: &str, found: Option<Lease>) -> Result<(), kube::Error> {
        let api = self.api();
        let post = PostParams::default();
        let spec = |transitions| LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: i32::try_from(GOOD_FOR.as_secs()).ok(),
            acquire_time: Some(MicroTime(Timestamp::now())),
            renew_time: Some(MicroTime(Timestamp::now())),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        };
        match found {
            None => {
                let metadata = ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                };
                let spec = Some(spec(0));
                api.create(&post, &Lease { metadata, spec })
                    .await
                    .map(|_| ())
            }
            Some(mut lease) => {
                let before = lease.spec.as_ref().and_then(|s| s.lease_transitions);
                lease.spec = Some(spec(before.unwrap_or(0) + 1));
                // The resource version is that of what was read: a change since is a conflict.
                api.replace(&self.name, &post, &lease).await.map(|_| ())
            }
        }
    }

    fn keep(&self, holder: &str) -> Held {
        let renewed = Arc::new(std::sync::Mutex::new(Instant::now()));
        let task = renew(
            self.api(),
            self.name.clone(),
            holder.to_owned(),
            renewed.clone(),
        );
        Held {
            renewed,
            holder: holder.to_owned(),
            _renewing: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }
}

#[async_trait]
impl Lock for LeaseLock {
    async fn acquire(&self, ctx: &Ctx) -> Result<()> {
        let mut held = self.held.lock().await;
        if held.is_some() {
            return Ok(());
        }
        let holder = ctx.run.to_string();
        let what = self.what("take");
        let mut watched: Option<(String, Instant)> = None;
        loop {
            let unchanged = watched.as_ref();
            let unchanged = unchanged.filter(|(_, since)| since.elapsed() >= WATCHED_FOR);
            let unchanged = unchanged.map(|(version, _)| &**version);
            // A try whose answer was lost finds that it has the Lease.
            let take = || async { self.try_take(&holder, unchanged).await };
            let (other, version) = match self.cluster.ask(ctx, &what, take).await? {
                Try::Taken => break,
                Try::HeldBy(other) => return Err(self.taken(&other)),
                Try::RunOut { holder, version } => (holder, version),
            };
            match &watched {
                Some((before, _)) if *before != version => return Err(self.taken(&other)),
                Some(_) => {}
                None => {
                    ctx.events.info(format!(
                        "the Lease {:?} of {other} has run out; it is taken unless it is renewed within {WATCHED_FOR:?}",
                        self.name
                    ));
                    watched = Some((version, Instant::now()));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = ctx.stop.cancelled() => ctx.check_stop(&what)?,
            }
        }
        *held = Some(self.keep(&holder));
        Ok(())
    }

    async fn assert_held(&self, ctx: &Ctx) -> Result<()> {
        let held = self.held.lock().await;
        let lost = |why: &str| {
            Err(Error::refused(format!(
                "the Lease {:?} is no longer held: {why}",
                self.name
            )))
        };
        let Some(held) = held.as_ref() else {
            return lost("it was not taken");
        };
        let api = self.api();
        let what = self.what("read");
        let now = self.cluster.ask(ctx, &what, || api.get_opt(&self.name));
        match now.await {
            Ok(now) if now.as_ref().and_then(holder_of) == Some(&held.holder) => Ok(()),
            Ok(_) => lost("somebody has taken it away"),
            // Nobody may take it before it has run out.
            Err(_) if held.is_good() => Ok(()),
            Err(e) => Err(e),
        }
    }

    async fn release(&self, ctx: &Ctx) -> Result<()> {
        let Some(held) = self.held.lock().await.take() else {
            return Ok(());
        };
        let what = self.what("give back");
        let give = || async { self.try_release(&held.holder).await };
        self.cluster.ask(ctx, &what, give).await
    }
}

impl LeaseLock {
    /// Takes the Lease for `holder`, or says who else has it. One that has run out is taken if it still has
    /// the version `unchanged`.
    async fn try_take(&self, holder: &str, unchanged: Option<&str>) -> Result<Try, kube::Error> {
        let found = self.api().get_opt(&self.name).await?;
        if let Some(other) = found.as_ref().and_then(|lease| other_holder(lease, holder)) {
            return Ok(Try::HeldBy(other));
        }
        if let Some(run_out) = found.as_ref().and_then(|lease| run_out(lease, holder))
            && unchanged != Some(&run_out.1)
        {
            let (holder, version) = run_out;
            return Ok(Try::RunOut { holder, version });
        }
        match self.write(holder, found).await {
            // Somebody was faster, or this is the second try and the first one came through.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let now = self.api().get_opt(&self.name).await?;
                let other = now.as_ref().and_then(holder_of).map(|other| clean(other));
                let other = other.unwrap_or_else(|| "another run".to_owned());
                Ok(if other == holder {
                    Try::Taken
                } else {
                    Try::HeldBy(other)
                })
            }
            written => written.map(|()| Try::Taken),
        }
    }

    /// Deletes the Lease if it is `holder`'s.
    async fn try_release(&self, holder: &str) -> Result<(), kube::Error> {
        let found = self.api().get_opt(&self.name).await?;
        let ours = |lease: &Lease| holder_of(lease).is_some_and(|h| h == holder);
        let Some(lease) = found.filter(ours) else {
            return Ok(());
        };
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                resource_version: lease.metadata.resource_version,
                uid: lease.metadata.uid,
            }),
            ..DeleteParams::default()
        };
        match self.api().delete(&self.name, &params).await {
            // Somebody has taken it since, or it is gone.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            deleted => deleted.map(|_| ()),
        }
    }

    fn taken(&self, holder: &str) -> Error {
        Error::refused(format!("the Lease {:?} is held by {holder}", self.name)).hint(format!(
            "wait until that run has ended; `kubectl get lease {} -o yaml` shows it",
            self.name
        ))
    }
}

fn holder_of(lease: &Lease) -> Option<&String> {
    let holder = lease.spec.as_ref()?.holder_identity.as_ref();
    holder.filter(|holder| !holder.is_empty())
}

/// Who else held it when it ran out, by this machine's clock, and its version.
fn run_out(lease: &Lease, holder: &str) -> Option<(String, String)> {
    let other = holder_of(lease).filter(|other| *other != holder)?;
    let version = lease.metadata.resource_version.clone();
    Some((clean(other), version.unwrap_or_default()))
}

/// Who else holds it and has not let it run out.
fn other_holder(lease: &Lease, holder: &str) -> Option<String> {
    let other = holder_of(lease).filter(|other| *other != holder)?;
    let spec = lease.spec.as_ref()?;
    let seconds = spec.lease_duration_seconds.unwrap_or(0);
    let good_for = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) + GRACE;
    let renewed = spec.renew_time.as_ref()?.0;
    let age = Timestamp::now().duration_since(renewed);
    let good_for = jiff::SignedDuration::try_from(good_for).ok()?;
    (age < good_for).then(|| clean(other))
}

/// Renews the Lease until it is somebody else's.
async fn renew(
    api: Api<Lease>,
    name: String,
    holder: String,
    renewed: Arc<std::sync::Mutex<Instant>>,
) {
    let mut ticks = tokio::time::interval(RENEW_EVERY);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let asked = Instant::now();
        let write = async {
            let mut lease = api.get(&name).await?;
            if holder_of(&lease) != Some(&holder) {
                return Ok(false);
            }
            if let Some(spec) = &mut lease.spec {
                spec.renew_time = Some(MicroTime(Timestamp::now()));
            }
            api.replace(&name, &PostParams::default(), &lease).await?;
            Ok::<_, kube::Error>(true)
        };
        match tokio::time::timeout(RENEW_EVERY, write).await {
            Ok(Ok(true)) => *renewed.lock().expect("no one panics with it") = asked,
            Ok(Ok(false)) => return,
            // The next try comes soon; `assert_held` sees that the time runs out.
            Ok(Err(e)) => tracing::warn!(lease = name, error = %e, "could not renew"),
            Err(_) => tracing::warn!(lease = name, "could not renew in time"),
        }
    }
}

/// Two locks as one: all of the first, then the second.
pub struct BothLocks {
    /// Taken first and given back last.
    pub first: Arc<dyn Lock>,
    /// Taken second.
    pub second: Arc<dyn Lock>,
}

#[async_trait]
impl Lock for BothLocks {
    async fn acquire(&self, ctx: &Ctx) -> Result<()> {
        self.first.acquire(ctx).await?;
        let second = self.second.acquire(ctx).await;
        if second.is_err() {
            // What the second lock says counts; the first runs out by itself.
            let _ = self.first.release(ctx).await;
        }
        second
    }

    async fn assert_held(&self, ctx: &Ctx) -> Result<()> {
        self.first.assert_held(ctx).await?;
        self.second.assert_held(ctx).await
    }

    async fn release(&self, ctx: &Ctx) -> Result<()> {
        let second = self.second.release(ctx).await;
        let first = self.first.release(ctx).await;
        second.and(first)
    }
}
