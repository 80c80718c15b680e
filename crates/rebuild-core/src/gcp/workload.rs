//! Services of Cloud Run that are stopped and brought back.

use std::time::Duration;

use async_trait::async_trait;
use google_cloud_iam_v1::model::Policy;
use google_cloud_run_v2::model::service_scaling::ScalingMode;
use google_cloud_run_v2::model::{Service, ServiceScaling, TrafficTargetAllocationType};
use serde::{Deserialize, Serialize};

use super::cloud_run::{CloudRun, short};
use super::service::{is_stopped, said};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::google::{Google, GoogleApi, Seen};
use crate::traits::{Workload, WorkloadState};

/// A [`Workload`] that is scaled to no instances and back
/// (<https://cloud.google.com/run/docs/configuring/services/manual-scaling>), or deleted and deployed
/// again.
pub struct ServiceWorkload {
    /// The project.
    pub google: Google,
    /// The region.
    pub region: String,
    /// Its name in the spec.
    pub name: String,
    /// Which service.
    pub service: String,
    /// Delete it in the place of scaling it.
    pub delete: bool,
    /// How long each thing that is waited for in stopping and starting may take.
    pub limit: Duration,
}

/// What is put down of a service before it is stopped.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Before {
    /// There was none.
    Absent,
    /// How it was scaled, and which revision was the newest.
    Scaled {
        scaling: Option<ServiceScaling>,
        revision: String,
    },
    /// All that it was told, its traffic too, as it is deployed again, and who may do what with it.
    Whole {
        service: Box<Service>,
        policy: Box<Policy>,
    },
}

impl Before {
    fn of(state: &WorkloadState) -> Result<Self> {
        serde_json::from_value(state.detail.clone()).map_err(|e| {
            Error::corrupt("the journal does not say what the service was like").caused_by(e)
        })
    }
}

/// The service without what Cloud Run itself says of it.
fn given(service: &Service) -> Service {
    let mut given = service.clone();
    given.uid.clear();
    (given.generation, given.observed_generation) = (0, 0);
    (given.create_time, given.update_time) = (None, None);
    (given.delete_time, given.expire_time) = (None, None);
    given.creator.clear();
    given.last_modifier.clear();
    given.terminal_condition = None;
    given.conditions.clear();
    given.latest_ready_revision.clear();
    given.latest_created_revision.clear();
    given.traffic_statuses.clear();
    given.uri.clear();
    given.urls.clear();
    (given.satisfies_pzs, given.reconciling) = (false, false);
    given
}

/// The service as it is deployed again once it was deleted. Where its traffic names a revision, the new
/// one gets that name.
fn anew(service: &Service) -> Service {
    let mut anew = given(service);
    anew.name.clear();
    anew.etag.clear();
    let named = pinned(service).map(ToOwned::to_owned);
    if let Some(template) = &mut anew.template {
        template.revision = named.unwrap_or_default();
    }
    anew
}

/// The revision that the traffic names, if it names one.
fn pinned(service: &Service) -> Option<&str> {
    let mut named = (service.traffic.iter()).map(|target| short(&target.revision));
    named.find(|revision| !revision.is_empty())
}

/// Makes sure that a service can be deployed again as it is: its revisions go with it.
///
/// # Errors
/// It cannot.
fn require_repeatable(service: &Service) -> Result<()> {
    let (newest, created) = (
        short(&service.latest_ready_revision),
        short(&service.latest_created_revision),
    );
    let name = short(&service.name);
    let why = if newest != created {
        format!("its newest revision, {created}, does not serve")
    } else if let Some(target) = (service.traffic.iter()).find(|target| {
        target.r#type == TrafficTargetAllocationType::Revision && short(&target.revision) != newest
    }) {
        format!(
            "its traffic goes to {}, an older revision",
            short(&target.revision)
        )
    } else {
        return Ok(());
    };
    Err(Error::refused(format!(
        "service {name} cannot be deleted and come back: {why}"
    ))
    .hint("send all traffic to the newest revision, or leave out delete = true"))
}

impl ServiceWorkload {
    async fn open(&self) -> Result<CloudRun> {
        CloudRun::open(&self.google, &self.region).await
    }

    async fn scale(
        &self,
        ctx: &Ctx,
        run: &CloudRun,
        now: &Service,
        to: Option<ServiceScaling>,
    ) -> Result<()> {
        let what = format!("could not scale the service {:?}", self.service);
        let stops = to.clone();
        let wanted = given(now).set_or_clear_scaling(to);
        let look = || async {
            let now = run.required(ctx, &self.service).await?;
            Ok((now.scaling == stops).then_some(()))
        };
        let begun = run.change(ctx, &what, &wanted, "scaling", look).await?;
        let what = format!("scaling service {}", self.service);
        run.settled(ctx, &what, &self.service, begun, self.limit)
            .await
    }

    /// Waits until it is in force that it is stopped, or that it is not.
    async fn wait_until_scaled(&self, ctx: &Ctx, run: &CloudRun, stopped: bool) -> Result<()> {
        let what = match stopped {
            true => format!("stopping service {}", self.service),
            false => format!("starting service {}", self.service),
        };
        let scaled = self.google.wait(ctx, &what, self.limit, || async {
            let now = run.required(ctx, &self.service).await?;
            let in_force = !now.reconciling && now.observed_generation >= now.generation;
            Ok(match in_force {
                true if is_stopped(&now) == stopped => Seen::Done(()),
                true => Seen::NotYet("it is scaled as it was before".to_owned()),
                false => Seen::NotYet(said(&now)),
            })
        });
        scaled.await
    }

    async fn delete(&self, ctx: &Ctx, run: &CloudRun) -> Result<()> {
        let name = run.service_name(&self.service);
        if let Some(now) = run.service(ctx, &self.service).await? {
            let revision = short(&now.latest_ready_revision);
            let service = &self.service;
            // The next one has another name.
            ctx.events.info(format!(
                "service {service}, which serves with revision {revision}, is deleted until it is deployed again"
            ));
        }
        let what = format!("could not delete the service {:?}", self.service);
        let request = || run.services.delete_service().set_name(&name).send();
        let google = &self.google;
        let begun = google
            .ask_maybe(ctx, GoogleApi::Run, &what, request)
            .await?;
        let what = format!("deleting service {}", self.service);
        run.settled(ctx, &what, &self.service, begun, self.limit)
            .await?;
        let gone = google.wait(ctx, &what, self.limit, || async {
            Ok(match run.service(ctx, &self.service).await? {
                None => Seen::Done(()),
                Some(now) => Seen::NotYet(said(&now)),
            })
        });
        gone.await
    }

    async fn create(&self, ctx: &Ctx, run: &CloudRun, before: &Service) -> Result<()> {
        let what = format!("could not deploy the service {:?}", self.service);
        let parent = run.parent();
        let look = || async { Ok(run.service(ctx, &self.service).await?.map(|_| None)) };
        let request = || async {
            let request = run.services.create_service().set_parent(&parent);
            let request = request.set_service_id(&self.service);
            request.set_service(before.clone()).send().await.map(Some)
        };
        let google = &self.google;
        let begun = google
            .ask_once(ctx, GoogleApi::Run, &what, look, request)
            .await?;
        let what = format!("deploying service {}", self.service);
        run.settled(ctx, &what, &self.service, begun, self.limit)
            .await?;
        // It need not be to be seen at once.
        let what = format!("service {}", self.service);
        let there = google.wait(ctx, &what, self.limit, || async {
            Ok(match look().await? {
                Some(_) => Seen::Done(()),
                None => Seen::NotYet("not to be found yet".to_owned()),
            })
        });
        there.await
    }

    async fn policy(&self, ctx: &Ctx, run: &CloudRun) -> Result<Policy> {
        let name = run.service_name(&self.service);
        let what = format!("could not read who may use the service {:?}", self.service);
        let request = || {
            let request = run.services.get_iam_policy().set_resource(&name);
            let options = google_cloud_iam_v1::model::GetPolicyOptions::new();
            // Bindings may have conditions.
            request
                .set_options(options.set_requested_policy_version(3))
                .send()
        };
        let google = &self.google;
        google.ask(ctx, GoogleApi::Run, &what, request).await
    }

    async fn set_policy(&self, ctx: &Ctx, run: &CloudRun, policy: &Policy) -> Result<()> {
        let name = run.service_name(&self.service);
        let what = format!("could not say who may use the service {:?}", self.service);
        let request = || {
            let request = run.services.set_iam_policy().set_resource(&name);
            request.set_policy(policy.clone()).send()
        };
        let google = &self.google;
        let set = google.ask(ctx, GoogleApi::Run, &what, request).await;
        set.map(|_| ())
    }
}

#[async_trait]
impl Workload for ServiceWorkload {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn look(&self, ctx: &Ctx) -> Result<WorkloadState> {
        let run = self.open().await?;
        let now = run.service(ctx, &self.service).await?;
        let running = now.as_ref().is_some_and(|now| !is_stopped(now));
        let before = match now {
            None => Before::Absent,
            // One that somebody has paused is left alone: it is not started again, so it must not go either.
            Some(now) if self.delete && running => {
                require_repeatable(&now)?;
                let policy = self.policy(ctx, &run).await?;
                let service = Box::new(anew(&now));
                Before::Whole {
                    service,
                    policy: Box::new(policy.set_etag(bytes::Bytes::new())),
                }
            }
            Some(now) => Before::Scaled {
                revision: short(&now.latest_ready_revision).to_owned(),
                scaling: now.scaling,
            },
        };
        let detail = serde_json::to_value(before)
            .map_err(|e| Error::internal("a service has no JSON form").caused_by(e))?;
        Ok(WorkloadState { running, detail })
    }

    async fn stop(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        let run = self.open().await?;
        if matches!(Before::of(before)?, Before::Whole { .. }) {
            return self.delete(ctx, &run).await;
        }
        let Some(now) = run.service(ctx, &self.service).await? else {
            return Ok(());
        };
        if !is_stopped(&now) {
            let none = ServiceScaling::new()
                .set_scaling_mode(ScalingMode::Manual)
                .set_manual_instance_count(0);
            self.scale(ctx, &run, &now, Some(none)).await?;
        }
        self.wait_until_scaled(ctx, &run, true).await
    }

    async fn start(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        if !before.running {
            return Ok(());
        }
        let run = self.open().await?;
        match Before::of(before)? {
            Before::Absent => return Ok(()),
            Before::Scaled { scaling, .. } => {
                let now = run.required(ctx, &self.service).await?;
                // Somebody may have scaled it up since, and knows better.
                if is_stopped(&now) {
                    self.scale(ctx, &run, &now, scaling).await?;
                    // One without instances is ready, too.
                    self.wait_until_scaled(ctx, &run, false).await?;
                }
            }
            Before::Whole { service, policy } => {
                if run.service(ctx, &self.service).await?.is_none() {
                    self.create(ctx, &run, &service).await?;
                }
                if !policy.bindings.is_empty() {
                    self.set_policy(ctx, &run, &policy).await?;
                }
            }
        }
        let limit = self.limit;
        let now = run.wait_until_serving(ctx, &self.service, limit).await?;
        let revision = short(&now.latest_ready_revision);
        let service = &self.service;
        ctx.events
            .info(format!("service {service} serves with revision {revision}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
