//! Following an execution to its end.

use std::time::Duration;

use google_cloud_run_v2::model::Execution;
use google_cloud_run_v2::model::condition::State;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{CloudRunJob, ended};
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::{Ctx, Unit};
use crate::gcp::cloud_run::short;
use crate::gcp::logs::Logs;
use crate::google::{GoogleApi, Seen};

/// How long an execution that was cancelled may take to end.
const CANCELLED_WITHIN: Duration = Duration::from_secs(120);

/// How long an execution that was begun a moment ago may not be found.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

/// How often it is told how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(60);

impl CloudRunJob {
    /// Waits for the end of the execution `name`.
    pub(super) async fn follow(&self, ctx: &Ctx, name: &str, deadline: Instant) -> Result<()> {
        let run = &self.run;
        let redaction = self.redaction.clone();
        let logs = Logs::open(&run.google, &run.region, &self.job, name, redaction).await?;
        let logs = Mutex::new(logs);
        let pace = Mutex::new(Pace::default());
        let what = format!("execution {}", short(name));
        let limit = deadline.saturating_duration_since(Instant::now());
        let began = Instant::now();
        let ended = run.google.wait(ctx, &what, limit, || async {
            let mut pace = pace.lock().await;
            let Some(execution) = self.look(ctx, name).await? else {
                if pace.from.is_none() && began.elapsed() < FOUND_WITHIN {
                    return Ok(Seen::NotYet("not to be found yet".to_owned()));
                }
                return Err(Error::new(ErrorKind::Server, format!("{what} was deleted")));
            };
            logs.lock().await.follow(ctx).await;
            pace.tell(ctx, &self.job, &execution);
            Ok(match ended(&execution) {
                Some(well) => Seen::Done((well, execution)),
                None => Seen::NotYet(pace.standing.clone()),
            })
        });
        let (well, execution) = match ended.await {
            // Past its deadline, with what it said last.
            Err(e) if e.kind() == ErrorKind::Deadline => {
                let limit = self.limit;
                let last = logs.into_inner().tail(ctx).await;
                let mut message = format!(
                    "{what} of the job {:?} took longer than {limit:?}",
                    self.job
                );
                let standing = pace.into_inner().standing;
                if !standing.is_empty() {
                    message.push_str(&format!(" ({standing})"));
                }
                return Err(Error::new(ErrorKind::Deadline, with_lines(message, &last)));
            }
            ended => ended?,
        };
        let last = logs.into_inner().drain(ctx).await;
        if well {
            return Ok(());
        }
        Err(self.failed(&execution, &last))
    }

    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Execution>> {
        let run = &self.run;
        let what = format!("could not read the execution {}", short(name));
        let request = || run.executions.get_execution().set_name(name).send();
        let google = &run.google;
        google.ask_maybe(ctx, GoogleApi::Run, &what, request).await
    }

    fn failed(&self, execution: &Execution, last: &str) -> Error {
        let name = short(&execution.name);
        let message = format!(
            "execution {name} of the job {:?} failed: {}",
            self.job,
            standing(execution)
        );
        let by_hand = format!("jobs executions describe {name}");
        Error::new(ErrorKind::Program, with_lines(message, last))
            .hint(format!("see more of it: {}", self.run.by_hand(&by_hand)))
    }

    /// Ends an execution that nobody waits for any more; `why` says why, and then that it was ended.
    pub(super) async fn cancelled(&self, ctx: &Ctx, name: &str, why: Error) -> Error {
        // The operator's stop must not stop the stopping.
        let anew = Ctx::new(ctx.run.clone(), ctx.events.clone());
        match self.cancel(&anew, name).await {
            Ok(true) => {
                let cancelled = format!("execution {} was cancelled", short(name));
                ctx.events.warn(cancelled.clone());
                also(why, &cancelled)
            }
            Ok(false) => why,
            Err(left) => {
                let by_hand = format!("jobs executions cancel {}", short(name));
                let left = left.chain();
                let by_hand = self.run.by_hand(&by_hand);
                also(
                    why,
                    &format!("the execution may go on ({left}); `{by_hand}` ends it"),
                )
            }
        }
    }

    /// True if it was cancelled, and false if it had ended before.
    pub(super) async fn cancel(&self, ctx: &Ctx, name: &str) -> Result<bool> {
        let run = &self.run;
        let what = format!("could not cancel the execution {}", short(name));
        let request = || run.executions.cancel_execution().set_name(name).send();
        let asked = run.google.ask(ctx, GoogleApi::Run, &what, request).await;
        if let Err(e) = asked {
            // One that has ended by now cannot be cancelled.
            let now = self.look(ctx, name).await;
            return match now.map(|execution| execution.is_none_or(|e| ended(&e).is_some())) {
                Ok(true) => Ok(false),
                _ => Err(e),
            };
        }
        let what = format!("the end of the execution {}", short(name));
        let gone = run.google.wait(ctx, &what, CANCELLED_WITHIN, || async {
            let execution = self.look(ctx, name).await?;
            Ok(match execution.is_none_or(|e| ended(&e).is_some()) {
                true => Seen::Done(()),
                false => Seen::NotYet(String::new()),
            })
        });
        gone.await.map(|()| true)
    }
}

/// The error with one more thing to know.
fn also(error: Error, more: &str) -> Error {
    match error.advice().map(ToOwned::to_owned) {
        Some(advice) => error.hint(format!("{advice}; {more}")),
        None => error.hint(more),
    }
}

fn with_lines(mut message: String, last: &str) -> String {
    if !last.is_empty() {
        message.push_str("; its last lines:\n");
        message.push_str(last);
    }
    message
}

/// How it stands, apart from how much is done: what went wrong, and what its conditions say.
fn standing(execution: &Execution) -> String {
    let total = execution.task_count;
    let counts = [
        (execution.failed_count, "failed"),
        (execution.cancelled_count, "were cancelled"),
        (execution.retried_count, "were tried again"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let mut said: Vec<String> = counts
        .map(|(count, what)| format!("{count} of {total} tasks {what}"))
        .collect();
    for condition in &execution.conditions {
        let message = clean(condition.message.trim());
        if condition.state != State::ConditionSucceeded
            && !message.is_empty()
            && !said.contains(&message)
        {
            said.push(message);
        }
    }
    said.join("; ")
}

/// How fast tasks end, as far as it was seen.
#[derive(Default)]
struct Pace {
    /// When it was first seen, and how many were done then.
    from: Option<(Instant, u32)>,
    told: Option<Instant>,
    /// How it stands, apart from that.
    standing: String,
}

impl Pace {
    fn tell(&mut self, ctx: &Ctx, job: &str, execution: &Execution) {
        self.standing = standing(execution);
        let done = u32::try_from(execution.succeeded_count).unwrap_or(0);
        let total = u32::try_from(execution.task_count).unwrap_or(0);
        let of = format!("tasks of {job}");
        ctx.events
            .progress(&of, done.into(), Some(total.into()), Unit::Items);
        let now = Instant::now();
        let (began, at_first) = *self.from.get_or_insert((now, done));
        if done == 0 || done >= total || self.told.is_some_and(|at| at + TOLD_EVERY > now) {
            return;
        }
        self.told = Some(now);
        let running = execution.running_count;
        let mut line = format!("{of}: {done} of {total} done, {running} running");
        if let Some(left) = left(now - began, done - at_first.min(done), total - done) {
            line.push_str(&format!(", about {left} left"));
        }
        ctx.events.info(line);
    }
}

/// How long the rest takes, if it goes on as it went.
fn left(took: Duration, done: u32, rest: u32) -> Option<String> {
    let each = took.checked_div(done)?;
    let left = each.checked_mul(rest)?.as_secs();
    Some(match left {
        0..60 => format!("{left}s"),
        60..3600 => format!("{}m", left.div_ceil(60)),
        _ => format!("{}h {}m", left / 3600, left % 3600 / 60),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_the_tasks_so_far() {
        let minute = Duration::from_secs(60);
        assert_eq!(left(minute, 0, 10), None);
        assert_eq!(left(minute, 60, 10).as_deref(), Some("10s"));
        assert_eq!(left(minute, 6, 10).as_deref(), Some("2m"));
        assert_eq!(left(30 * minute, 3, 20).as_deref(), Some("3h 20m"));
    }

    #[test]
    fn what_went_wrong_is_said_once() {
        use google_cloud_run_v2::model::Condition;
        let condition =
            |state: State, message: &str| Condition::new().set_state(state).set_message(message);
        let execution = Execution::new()
            .set_task_count(5)
            .set_failed_count(2)
            .set_retried_count(1)
            .set_conditions([
                condition(State::ConditionFailed, "Task a failed with exit code 1."),
                condition(
                    State::ConditionReconciling,
                    "Task a failed with exit code 1.",
                ),
                condition(State::ConditionSucceeded, "Started."),
            ]);
        assert_eq!(
            standing(&execution),
            "2 of 5 tasks failed; 1 of 5 tasks were tried again; Task a failed with exit code 1."
        );
    }
}
