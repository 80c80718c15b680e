//! Operations of Cloud Run: what it does after it has answered
//! (<https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.operations>).

use std::time::Duration;

use google_cloud_longrunning::model::Operation;
use google_cloud_longrunning::model::operation::Result as Ended;
use google_cloud_run_v2::model::Service;

use super::cloud_run::{CloudRun, short};
use super::service::said;
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::google::{GoogleApi, Seen};

/// What it says of how it failed, if it did.
pub(super) fn failure(operation: &Operation) -> Option<String> {
    let Some(Ended::Error(status)) = &operation.result else {
        return None;
    };
    Some(match status.message.trim() {
        "" => "it does not say why".to_owned(),
        message => clean(message),
    })
}

/// How it stands, while it goes on.
fn standing(operation: &Operation) -> String {
    let metadata = operation.metadata.as_ref();
    let service = metadata.and_then(|any| any.to_msg::<Service>().ok());
    service.map_or(String::new(), |service| said(&service))
}

impl CloudRun {
    /// Waits for the end of the operation that a request has begun on a service; without one, its answer
    /// was lost, and the service itself has shown what it came to.
    ///
    /// # Errors
    /// It failed, with its own words; it did not end within `limit`, and goes on.
    pub(super) async fn settled(
        &self,
        ctx: &Ctx,
        what: &str,
        service: &str,
        begun: Option<Operation>,
        limit: Duration,
    ) -> Result<()> {
        let Some(begun) = begun else { return Ok(()) };
        let look = self.by_hand(&format!("services describe {service}"));
        let ended = match begun.done || begun.result.is_some() {
            true => begun,
            false => {
                let ended = self.end_of(ctx, what, &begun.name, limit).await;
                ended.map_err(|e| match e.kind() {
                    ErrorKind::Deadline | ErrorKind::Interrupted => {
                        let name = short(&begun.name);
                        e.hint(format!("operation {name} goes on by itself: {look}"))
                    }
                    _ => e,
                })?
            }
        };
        match failure(&ended) {
            None => Ok(()),
            Some(why) => Err(Error::new(ErrorKind::Server, format!("{what}: failed"))
                .caused_by(Error::new(ErrorKind::Server, why))
                .hint(format!("see more of it: {look}"))),
        }
    }

    async fn end_of(
        &self,
        ctx: &Ctx,
        what: &str,
        name: &str,
        limit: Duration,
    ) -> Result<Operation> {
        let asking = format!("could not ask for operation {}", short(name));
        let ended = self.google.wait(ctx, what, limit, || async {
            let request = || self.services.get_operation().set_name(name).send();
            let asked = self.google.ask(ctx, GoogleApi::Run, &asking, request);
            let now = asked.await?;
            Ok(match now.done || now.result.is_some() {
                true => Seen::Done(now),
                false => Seen::NotYet(standing(&now)),
            })
        });
        ended.await
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_run_v2::model::Condition;

    use super::*;

    #[test]
    fn an_operation_says_why_it_failed_and_how_it_stands() {
        let operation = |text: &str| -> Operation { serde_json::from_str(text).expect("one") };
        let failed = r#"{"done": true, "error": {"code": 8, "message": " no quota "}}"#;
        assert_eq!(failure(&operation(failed)).as_deref(), Some("no quota"));
        let silent = r#"{"error": {"code": 8}}"#;
        let why = failure(&operation(silent));
        assert_eq!(why.as_deref(), Some("it does not say why"));
        assert_eq!(failure(&operation(r#"{"done": true}"#)), None);
        let condition = Condition::new().set_message("Deploying Revision.");
        let service = Service::new().set_terminal_condition(condition);
        let metadata = google_cloud_wkt::Any::from_msg(&service).expect("metadata");
        let going = Operation::new().set_metadata(metadata);
        assert_eq!(standing(&going), "Deploying Revision.");
        assert_eq!(standing(&Operation::new()), "");
    }
}
