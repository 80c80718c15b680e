//! Services of Cloud Run: how they are, and deploying one again.

use std::time::Duration;

use google_cloud_longrunning::model::Operation;
use google_cloud_run_v2::model::condition::State;
use google_cloud_run_v2::model::service_scaling::ScalingMode;
use google_cloud_run_v2::model::{Service, TrafficTargetAllocationType as Allocation};
use google_cloud_wkt::FieldMask;

use super::cloud_run::{CloudRun, short};
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::google::{GoogleApi, Seen};

/// The annotation of a template that was deployed to start new instances.
const RESTARTED: &str = "rebuild-db.github.io/restarted";

/// How a service is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its newest revision is ready.
    Ready,
    /// It is on its way, and how it stands.
    NotYet(String),
    /// It does not get there by itself, and why.
    Failed(String),
}

/// What the service's fields say together
/// (<https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services#Service.FIELDS.reconciling>).
pub(super) fn standing(service: &Service) -> Standing {
    let ready = service.terminal_condition.clone().unwrap_or_default();
    let said = said(service);
    if service.reconciling || service.observed_generation < service.generation {
        return Standing::NotYet(said);
    }
    match ready.state {
        State::ConditionSucceeded if is_newest_ready(service) => Standing::Ready,
        State::ConditionSucceeded => Standing::NotYet(format!(
            "revision {} is not ready",
            short(&service.latest_created_revision)
        )),
        State::ConditionFailed => Standing::Failed(said),
        _ => Standing::NotYet(said),
    }
}

fn is_newest_ready(service: &Service) -> bool {
    service.latest_ready_revision == service.latest_created_revision
}

/// What Cloud Run says of how it stands.
pub(super) fn said(service: &Service) -> String {
    let condition = service.terminal_condition.as_ref();
    condition.map_or(String::new(), |it| clean(it.message.trim()))
}

/// True if it is scaled to no instances.
pub(super) fn is_stopped(service: &Service) -> bool {
    let scaling = service.scaling.as_ref();
    scaling.is_some_and(|s| {
        s.scaling_mode == ScalingMode::Manual && s.manual_instance_count == Some(0)
    })
}

/// True if requests go to the newest revision.
pub(super) fn newest_serves(service: &Service) -> bool {
    let newest = short(&service.latest_ready_revision);
    let statuses = &service.traffic_statuses;
    statuses.is_empty()
        || statuses.iter().any(|target| {
            let is_newest =
                target.r#type == Allocation::Latest || short(&target.revision) == newest;
            target.percent > 0 && is_newest
        })
}

impl CloudRun {
    /// The service, if it is there.
    ///
    /// # Errors
    /// It could not be asked.
    pub(super) async fn service(&self, ctx: &Ctx, service: &str) -> Result<Option<Service>> {
        let name = self.service_name(service);
        let what = format!("could not read the service {service:?}");
        let request = || self.services.get_service().set_name(&name).send();
        self.google
            .ask_maybe(ctx, GoogleApi::Run, &what, request)
            .await
    }

    /// The service, which must be there.
    pub(super) async fn required(&self, ctx: &Ctx, service: &str) -> Result<Service> {
        self.service(ctx, service).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::Server,
                format!("there is no service {service:?} in {}", self.region),
            )
        })
    }

    /// Waits until the newest revision of the service is ready, and says so if the traffic goes to
    /// another one.
    ///
    /// # Errors
    /// It is not within `limit`, or failed, with what Cloud Run says; there is no such service.
    pub(super) async fn wait_until_serving(
        &self,
        ctx: &Ctx,
        service: &str,
        limit: Duration,
    ) -> Result<Service> {
        let what = format!("service {service}");
        let ready = self.google.wait(ctx, &what, limit, || async {
            let now = self.required(ctx, service).await?;
            Ok(match standing(&now) {
                Standing::Ready => Seen::Done(now),
                Standing::NotYet(how) => Seen::NotYet(how),
                Standing::Failed(why) => {
                    let message = format!("{what} is not ready: {why}");
                    return Err(Error::new(ErrorKind::Server, message));
                }
            })
        });
        let ready = ready.await?;
        if !newest_serves(&ready) {
            let newest = short(&ready.latest_ready_revision);
            ctx.events.warn(format!(
                "the traffic of service {service} does not go to its newest revision, {newest}"
            ));
        }
        Ok(ready)
    }

    /// Deploys the service again as it is, and waits for the end of that. `mark` tells this deployment from
    /// others.
    ///
    /// *Repeats:* what was deployed with this mark is not deployed again.
    ///
    /// # Errors
    /// It may not be changed, or somebody else changes it at the moment; it failed, with what Cloud Run
    /// says, or did not end within `limit`.
    pub(super) async fn redeploy(
        &self,
        ctx: &Ctx,
        service: &str,
        mark: &str,
        limit: Duration,
    ) -> Result<()> {
        let what = format!("could not deploy the service {service:?} again");
        let marked = |service: &Service| {
            let template = service.template.as_ref();
            template.is_some_and(|t| t.annotations.get(RESTARTED).is_some_and(|m| m == mark))
        };
        let mut wanted = self.required(ctx, service).await?;
        if marked(&wanted) {
            return Ok(());
        }
        let mut template = wanted.template.take().unwrap_or_default();
        // A name would be that of the revision there is.
        template.revision.clear();
        let annotations = &mut template.annotations;
        annotations.insert(RESTARTED.to_owned(), mark.to_owned());
        let wanted = wanted.set_template(template);
        let look = || async {
            let now = self.required(ctx, service).await?;
            Ok(marked(&now).then_some(()))
        };
        let begun = self.change(ctx, &what, &wanted, "template", look).await?;
        let what = format!("deploying service {service} again");
        self.settled(ctx, &what, service, begun, limit).await
    }

    /// Changes the field `field` of a service to what it is in `wanted`, unless somebody else has changed
    /// it since. The answer is the operation that was begun; nothing where `look` has seen the effect of
    /// one whose answer was lost.
    pub(super) async fn change<L>(
        &self,
        ctx: &Ctx,
        what: &str,
        wanted: &Service,
        field: &str,
        look: impl Fn() -> L,
    ) -> Result<Option<Operation>>
    where
        L: Future<Output = Result<Option<()>>>,
    {
        let look = || async { Ok(look().await?.map(|()| None)) };
        let request = || async {
            let request = self.services.update_service().set_service(wanted.clone());
            let mask = FieldMask::default().set_paths([field]);
            request.set_update_mask(mask).send().await.map(Some)
        };
        self.google
            .ask_once(ctx, GoogleApi::Run, what, look, request)
            .await
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_run_v2::model::{Condition, TrafficTargetStatus};

    use super::*;

    #[test]
    fn a_service_is_ready_once_its_newest_revision_is() {
        let condition = |state: State| Condition::new().set_state(state).set_message("because");
        let service = Service::new()
            .set_generation(2)
            .set_observed_generation(2)
            .set_latest_created_revision("projects/p/locations/l/services/s/revisions/s-2")
            .set_latest_ready_revision("projects/p/locations/l/services/s/revisions/s-2")
            .set_terminal_condition(condition(State::ConditionSucceeded));
        assert_eq!(standing(&service), Standing::Ready);
        let older = service.clone().set_observed_generation(1);
        assert_eq!(standing(&older), Standing::NotYet("because".to_owned()));
        let created = service.clone().set_latest_created_revision("s-3");
        assert!(matches!(standing(&created), Standing::NotYet(why) if why.contains("s-3")));
        let failed = condition(State::ConditionFailed);
        let failed = service.clone().set_terminal_condition(failed);
        assert_eq!(standing(&failed), Standing::Failed("because".to_owned()));
        assert!(newest_serves(&service));
        let pinned = TrafficTargetStatus::new()
            .set_type(Allocation::Revision)
            .set_revision("s-1")
            .set_percent(100);
        assert!(!newest_serves(&service.set_traffic_statuses([pinned])));
    }
}
