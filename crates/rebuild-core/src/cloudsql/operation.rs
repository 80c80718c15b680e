//! Operations on an instance: what the API does after it has answered.
//!
//! An operation that was begun goes on whoever waits for it. Before one is begun, those of the instance
//! are looked through for it, so that an answer that was lost begins nothing twice
//! (<https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/operations>).

use std::time::Duration;

use google_cloud_gax::error::Error as ApiError;
use google_cloud_sql_v1::model::Operation;
use google_cloud_sql_v1::model::operation::{SqlOperationStatus as Status, SqlOperationType};
use tokio::time::Instant;

use super::CloudSql;
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::google::{GoogleApi, Seen};

/// How soon a request is made again that found the instance held, at first and in the end.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(10);

/// How an operation ended.
enum Ended {
    Well(Box<Operation>),
    Badly(String),
    NotYet(String),
}

/// What is said of it. An error counts whatever the status is, and a status that is not known is not the
/// end.
fn ended(operation: Operation) -> Ended {
    let errors = operation.error.iter().flat_map(|e| &e.errors);
    let said: Vec<String> = errors
        .map(|e| match (&*e.code, &*e.message) {
            (code, "") => clean(code),
            ("", message) => clean(message),
            (code, message) => format!("{}: {}", clean(code), clean(message)),
        })
        .collect();
    if operation.error.is_some() {
        let said = said.join("; ");
        return Ended::Badly(if said.is_empty() {
            "it does not say why".to_owned()
        } else {
            said
        });
    }
    match &operation.status {
        Status::Done => Ended::Well(Box::new(operation)),
        status => Ended::NotYet(
            status
                .name()
                .unwrap_or("in an unknown state")
                .to_lowercase(),
        ),
    }
}

impl CloudSql {
    /// The newest operations on the instance.
    ///
    /// # Errors
    /// The API could not be asked.
    pub(super) async fn operations(&self, ctx: &Ctx) -> Result<Vec<Operation>> {
        let what = format!("could not list the operations on instance {}", self.name());
        let list = || self.newest_operations();
        self.google().ask(ctx, GoogleApi::Sql, &what, list).await
    }

    /// The same in one request. On an instance that is not there, none are known.
    pub(super) async fn newest_operations(&self) -> Result<Vec<Operation>, ApiError> {
        let list = self.operations.list();
        let list = list.set_project(&self.name().project);
        let list = list.set_instance(&self.name().instance);
        match list.set_max_results(50_u32).send().await {
            Err(e) if e.http_status_code() == Some(404) => Ok(Vec::new()),
            listed => listed.map(|listed| listed.items),
        }
    }

    /// Makes a request that begins something, as soon as no other operation holds the instance. `tries` is
    /// called again where the answer was lost, so it looks first whether it was begun.
    ///
    /// # Errors
    /// The API refused; the instance was not free within `limit`.
    pub(super) async fn when_free<T, F>(
        &self,
        ctx: &Ctx,
        what: &str,
        limit: Duration,
        tries: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let deadline = Instant::now() + limit;
        let google = self.google();
        let mut pause = SOONEST;
        loop {
            match google.asked(ctx, GoogleApi::Sql, what, &tries).await? {
                Err(e) if is_busy(&e) && Instant::now() < deadline => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.wait_until_free(ctx, left).await?;
                    // What held it may be in no list.
                    tokio::select! {
                        () = tokio::time::sleep(pause.min(left)) => {}
                        () = ctx.stop.cancelled() => ctx.check_stop(what)?,
                    }
                    pause = (pause * 2).min(LATEST);
                }
                Err(e) => return Err(google.refusal(GoogleApi::Sql, what, &e)),
                Ok(begun) => return Ok(begun),
            }
        }
    }

    /// Waits until nothing is being done to the instance.
    ///
    /// # Errors
    /// That took longer than `limit`; the API could not be asked.
    pub(super) async fn wait_until_free(&self, ctx: &Ctx, limit: Duration) -> Result<()> {
        self.wait_while(ctx, limit, |o| !is_done(o)).await
    }

    /// The same, but for what only reads the instance.
    ///
    /// # Errors
    /// That took longer than `limit`; the API could not be asked.
    pub(super) async fn wait_until_it_stays(&self, ctx: &Ctx, limit: Duration) -> Result<()> {
        self.wait_while(ctx, limit, |o| !is_done(o) && !only_reads(o))
            .await
    }

    async fn wait_while(
        &self,
        ctx: &Ctx,
        limit: Duration,
        holds: impl Fn(&Operation) -> bool,
    ) -> Result<()> {
        let what = format!("instance {} is busy", self.name());
        let look = || async {
            let operations = self.operations(ctx).await?;
            let Some(held) = operations.iter().find(|o| holds(o)) else {
                return Ok(Seen::Done(()));
            };
            let now = self.ask_for(ctx, &held.name).await?;
            Ok(Seen::NotYet(format!("{} is being done", kind(&now))))
        };
        self.google().wait(ctx, &what, limit, look).await
    }

    async fn ask_for(&self, ctx: &Ctx, name: &str) -> Result<Operation> {
        let what = format!("could not ask for operation {name}");
        let get = || {
            let get = self.operations.get().set_project(&self.name().project);
            get.set_operation(name).send()
        };
        self.google().ask(ctx, GoogleApi::Sql, &what, get).await
    }

    /// Waits for the end of an operation.
    ///
    /// # Errors
    /// It failed, with its own words; it did not end within `limit`, and goes on.
    pub(super) async fn wait_for(
        &self,
        ctx: &Ctx,
        what: &str,
        name: &str,
        limit: Duration,
    ) -> Result<Operation> {
        let look = || async {
            match ended(self.ask_for(ctx, name).await?) {
                Ended::Well(operation) => Ok(Seen::Done(*operation)),
                Ended::NotYet(how) => Ok(Seen::NotYet(how)),
                Ended::Badly(said) => Err(Error::new(ErrorKind::Server, format!("{what}: failed"))
                    .caused_by(Error::new(ErrorKind::Server, said))),
            }
        };
        let waited = self.google().wait(ctx, what, limit, look).await;
        let project = &self.name().project;
        let look = format!("gcloud sql operations describe {name} --project {project}");
        waited.map_err(|e| goes_on(e, &look))
    }
}

/// The error of a wait. What was waited for and not awaited goes on, and `look` is the command that looks at it.
pub(super) fn goes_on(e: Error, look: &str) -> Error {
    match e.kind() {
        ErrorKind::Deadline | ErrorKind::Interrupted => {
            e.hint(format!("it goes on by itself: {look}"))
        }
        _ => e,
    }
}

/// True if it has ended, well or badly.
pub(super) fn is_done(operation: &Operation) -> bool {
    operation.status == Status::Done
}

/// What kind of operation it is, as the API writes it.
pub(super) fn kind(operation: &Operation) -> String {
    let name = operation.operation_type.name();
    clean(name.unwrap_or("an operation of an unknown kind"))
}

/// True if it takes nothing from the instance.
fn only_reads(operation: &Operation) -> bool {
    matches!(
        operation.operation_type,
        SqlOperationType::BackupVolume | SqlOperationType::Export
    )
}

/// True if another operation holds the instance.
fn is_busy(e: &ApiError) -> bool {
    e.http_status_code() == Some(409)
}

#[cfg(test)]
mod tests {
    use google_cloud_sql_v1::model::{OperationError, OperationErrors};

    use super::*;

    #[test]
    fn an_error_counts_whatever_the_status_is() {
        let failed = OperationErrors::new().set_errors([OperationError::new()
            .set_code("INTERNAL")
            .set_message("no space left")]);
        for status in [
            Status::Done,
            Status::Running,
            Status::Pending,
            Status::Unspecified,
        ] {
            let bad = Operation::new()
                .set_status(status.clone())
                .set_error(failed.clone());
            assert!(matches!(ended(bad), Ended::Badly(why) if why == "INTERNAL: no space left"));
            let silent = Operation::new()
                .set_status(status.clone())
                .set_error(OperationErrors::new());
            assert!(matches!(ended(silent), Ended::Badly(_)));
            let plain = Operation::new().set_status(status.clone());
            assert_eq!(
                matches!(ended(plain), Ended::Well(_)),
                status == Status::Done
            );
        }
        let new = Operation::new().set_status("SOMETHING_NEW");
        assert!(matches!(ended(new), Ended::NotYet(_)));
    }
}
