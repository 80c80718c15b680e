//! Jobs.
//! See <https://kubernetes.io/docs/concepts/workloads/controllers/job/>.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::workload::{self, has_ended, is_ready, pods_of};
use crate::object::{
    self, condition, condition_is, finalizers, flag, is_deleting, items, map, name, namespace,
    number, set_condition, text,
};
use crate::resources::{JOBS, PODS};
use crate::store::{Key, Store};
use crate::write::{self, DeleteOptions};
use crate::{clock, events};

/// Keeps a pod until its job has counted it.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// How often the index of a pod has failed before.
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

/// Runs the pods of each job until the job has succeeded or failed.
pub(super) fn reconcile(store: &mut Store) {
    for job in store.snapshot(&JOBS, None) {
        let key = Key::of(&JOBS, &job);
        if is_deleting(&job) {
            continue;
        }
        if is_finished(&job) {
            expire(store, &key, &job);
            continue;
        }
        count(store, &key, &job);
        if let Some(job) = store.get(&key).cloned() {
            step(store, &key, &job);
        }
    }
    release_orphans(store);
}

fn is_finished(job: &Value) -> bool {
    condition_is(job, "Complete", "True") || condition_is(job, "Failed", "True")
}

/// Deletes a finished job when its time is over.
fn expire(store: &mut Store, key: &Key, job: &Value) {
    for pod in pods_of(store, job) {
        untrack(store, &pod);
    }
    let Some(ttl) = number(job, "/spec/ttlSecondsAfterFinished") else {
        return;
    };
    let ended = ["Complete", "Failed"]
        .iter()
        .find_map(|kind| condition(job, kind));
    let ended = ended.map_or("", |it| text(it, "/lastTransitionTime"));
    if clock::seconds_since(ended).is_some_and(|seconds| seconds >= ttl) {
        let _ = write::delete(store, key, &DeleteOptions::default());
    }
}

/// Pods whose job is gone are not kept for it.
fn release_orphans(store: &mut Store) {
    for pod in store.snapshot(&PODS, None) {
        if finalizers(&pod).contains(&TRACKING) {
            let owner = object::controller(&pod).map_or("", |owner| text(owner, "/name"));
            let job = store.get(&Key::new(&JOBS, namespace(&pod), owner));
            if job.is_none_or(|job| !object::is_controlled_by(&pod, job) || is_deleting(job)) {
                untrack(store, &pod);
            }
        }
    }
}

fn untrack(store: &mut Store, pod: &Value) {
    write::modify(store, &Key::of(&PODS, pod), |pod| {
        object::set_finalizer(pod, TRACKING, false);
    });
}

/// Counts pods that have ended since the last time, each of them once.
fn count(store: &mut Store, key: &Key, job: &Value) {
    for pod in pods_of(store, job) {
        if is_deleting(&pod) && text(&pod, "/spec/nodeName").is_empty() {
            // It never had a node that could say that it has ended.
            untrack(store, &pod);
        }
        if !has_ended(&pod) || !finalizers(&pod).contains(&TRACKING) {
            continue;
        }
        let succeeded = text(&pod, "/status/phase") == "Succeeded";
        let rule = if succeeded { None } else { rule_for(job, &pod) };
        if matches!(rule, Some(Rule::Ignore)) {
            if let Some(index) = index_of(&pod) {
                replace(store, key, index, failures_of(&pod));
            }
            untrack(store, &pod);
            continue;
        }
        let field = if succeeded { "succeeded" } else { "failed" };
        let index = index_of(&pod);
        write::modify(store, key, |job| {
            let mut indexes = completed(job);
            // The same index can succeed twice; it counts once.
            let fresh = index.is_none_or(|index| succeeded && indexes.insert(index)) || !succeeded;
            let before = number(job, &format!("/status/{field}")).unwrap_or(0);
            job["status"][field] = json!(before + i64::from(fresh));
            if !indexes.is_empty() {
                job["status"]["completedIndexes"] = json!(ranges(&indexes));
            }
        });
        if let Some(Rule::FailJob(message)) = rule {
            write::modify(store, key, |job| {
                set_condition(job, "FailureTarget", true, "PodFailurePolicy", &message);
            });
        }
        if !succeeded && let Some(index) = index {
            index_failed(store, key, &pod, index);
        }
        untrack(store, &pod);
    }
}

/// What the job says of a pod that failed like that, besides counting it
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy>).
enum Rule {
    Ignore,
    FailJob(String),
}

/// The first rule that fits.
fn rule_for(job: &Value, pod: &Value) -> Option<Rule> {
    let rules = items(job, "/spec/podFailurePolicy/rules")
        .iter()
        .enumerate();
    let (place, rule, code) = rules
        .filter_map(|(place, rule)| Some((place, rule, fits(rule, pod)?)))
        .next()?;
    match (text(rule, "/action"), code) {
        ("Ignore", _) => Some(Rule::Ignore),
        ("FailJob", code) => Some(Rule::FailJob(format!(
            "Pod {}/{} failed{} matching FailJob rule at index {place}",
            namespace(pod),
            name(pod),
            code.map_or_else(String::new, |code| format!(" with exit code {code}")),
        ))),
        _ => None,
    }
}

/// Whether a rule fits a pod, and the exit code if that is why.
fn fits(rule: &Value, pod: &Value) -> Option<Option<i64>> {
    let codes = &rule["onExitCodes"];
    if codes.is_object() {
        let listed = |code: &i64| {
            items(codes, "/values")
                .iter()
                .any(|v| v.as_i64() == Some(*code))
        };
        let negated = text(codes, "/operator") == "NotIn";
        let mut ended = items(pod, "/status/containerStatuses")
            .iter()
            .filter_map(|status| number(status, "/state/terminated/exitCode"))
            .filter(|code| *code != 0);
        return ended.find(|code| listed(code) != negated).map(Some);
    }
    let wanted = items(rule, "/onPodConditions");
    let holds = |wanted: &Value| condition_is(pod, text(wanted, "/type"), text(wanted, "/status"));
    wanted.iter().any(holds).then_some(None)
}

/// Where each index has a limit of its own: puts a pod in the place of one of `index`, which has
/// failed so often.
fn replace(store: &mut Store, key: &Key, index: i64, failures: i64) {
    let Some(job) = store.get(key).cloned() else {
        return;
    };
    let limited = number(&job, "/spec/backoffLimitPerIndex").is_some();
    let decided = ["SuccessCriteriaMet", "FailureTarget"];
    let over = decided.iter().any(|kind| condition_is(&job, kind, "True"));
    if limited && !over && !completed(&job).contains(&index) && !flag(&job, "/spec/suspend") {
        create(store, &job, Some(index), failures);
    }
}

/// Where each index has a limit of its own: puts another pod in the place of one that failed, or
/// gives the index up.
fn index_failed(store: &mut Store, key: &Key, pod: &Value, index: i64) {
    let Some(job) = store.get(key).cloned() else {
        return;
    };
    let Some(limit) = number(&job, "/spec/backoffLimitPerIndex") else {
        return;
    };
    let failures = failures_of(pod) + 1;
    if failures > limit {
        write::modify(store, key, |job| {
            let mut failed = failed(job);
            failed.insert(index);
            job["status"]["failedIndexes"] = json!(ranges(&failed));
        });
    } else {
        replace(store, key, index, failures);
    }
}

fn failures_of(pod: &Value) -> i64 {
    let said = pod["metadata"]["annotations"][FAILURES].as_str();
    said.and_then(|said| said.parse().ok()).unwrap_or(0)
}

fn index_of(pod: &Value) -> Option<i64> {
    pod["metadata"]["annotations"][INDEX].as_str()?.parse().ok()
}

/// The indexes that have succeeded.
fn completed(job: &Value) -> BTreeSet<i64> {
    indexes(job, "/status/completedIndexes")
}

/// The indexes that have failed for good.
fn failed(job: &Value) -> BTreeSet<i64> {
    indexes(job, "/status/failedIndexes")
}

fn indexes(job: &Value, field: &str) -> BTreeSet<i64> {
    let ranges = text(job, field).split(',');
    let ranges = ranges.filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<i64>().ok()?..=last.parse::<i64>().ok()?)
    });
    ranges.flatten().collect()
}

/// Numbers as `0,2-4`.
fn ranges(numbers: &BTreeSet<i64>) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let shown = ranges.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    shown.collect::<Vec<_>>().join(",")
}

/// Starts, stops and judges.
fn step(store: &mut Store, key: &Key, job: &Arc<Value>) {
    let pods = pods_of(store, job);
    let active: Vec<&Arc<Value>> = pods
        .iter()
        .filter(|pod| !has_ended(pod) && !is_deleting(pod))
        .collect();
    let leaving = pods
        .iter()
        .filter(|pod| !has_ended(pod) && is_deleting(pod))
        .count();
    let succeeded = number(job, "/status/succeeded").unwrap_or(0);
    let verdict = verdict(job, &pods, active.len(), succeeded);
    let suspended = flag(job, "/spec/suspend");
    if verdict.is_some() || suspended {
        for pod in &active {
            workload::delete(store, pod);
        }
    } else {
        start(store, job, &active, succeeded);
    }
    let over = active.is_empty() && leaving == 0;
    if let Some((complete, reason, message)) = &verdict
        && over
    {
        let kind = if *complete { "Normal" } else { "Warning" };
        let told = if *complete {
            "Completed"
        } else {
            reason.as_str()
        };
        events::record(store, job, kind, told, message);
    }
    let pods = pods_of(store, job);
    write::modify(store, key, |job| {
        report(job, &pods, verdict, suspended, over)
    });
}

type Verdict = (bool, String, String);

/// Whether the job has succeeded or failed, with reason and message, once that is decided.
fn verdict(job: &Value, pods: &[Arc<Value>], active: usize, succeeded: i64) -> Option<Verdict> {
    let of = |complete: bool, kind: &str| {
        let found = condition(job, kind).filter(|it| it["status"] == "True")?;
        Some((
            complete,
            text(found, "/reason").to_owned(),
            text(found, "/message").to_owned(),
        ))
    };
    if let Some(known) = of(true, "SuccessCriteriaMet").or_else(|| of(false, "FailureTarget")) {
        return Some(known);
    }
    let say = |complete, reason: &str, message: &str| {
        Some((complete, reason.to_owned(), message.to_owned()))
    };
    let enough = match number(job, "/spec/completions") {
        Some(wanted) => succeeded >= wanted,
        None => succeeded > 0 && active == 0,
    };
    if enough {
        return say(
            true,
            "CompletionsReached",
            "Reached expected number of succeeded pods",
        );
    }
    let (failed_indexes, wanted) = (failed(job).len(), number(job, "/spec/completions"));
    let failed_indexes = i64::try_from(failed_indexes).unwrap_or(i64::MAX);
    if number(job, "/spec/maxFailedIndexes").is_some_and(|most| failed_indexes > most) {
        return say(
            false,
            "MaxFailedIndexesExceeded",
            "Job has exceeded the specified maximal number of failed indexes",
        );
    }
    if failed_indexes > 0 && wanted.is_some_and(|wanted| succeeded + failed_indexes >= wanted) {
        return say(false, "FailedIndexes", "Job has failed indexes");
    }
    let limit = number(job, "/spec/backoffLimit").unwrap_or(6);
    let failed = number(job, "/status/failed").unwrap_or(0);
    let restarts: i64 = pods
        .iter()
        .flat_map(|pod| items(pod, "/status/containerStatuses"))
        .filter_map(|status| number(status, "/restartCount"))
        .sum();
    if failed > limit || (restarts > 0 && restarts >= limit) {
        return say(
            false,
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        );
    }
    let deadline = number(job, "/spec/activeDeadlineSeconds");
    let running = clock::seconds_since(text(job, "/status/startTime"));
    if deadline
        .zip(running)
        .is_some_and(|(deadline, running)| running >= deadline)
    {
        return say(
            false,
            "DeadlineExceeded",
            "Job was active longer than specified deadline",
        );
    }
    None
}

/// Creates the pods that are missing.
fn start(store: &mut Store, job: &Value, active: &[&Arc<Value>], succeeded: i64) {
    let parallelism = number(job, "/spec/parallelism").unwrap_or(1);
    let running = i64::try_from(active.len()).unwrap_or(0);
    let left = match number(job, "/spec/completions") {
        Some(completions) => {
            let given_up = i64::try_from(failed(job).len()).unwrap_or(0);
            completions - succeeded - given_up - running
        }
        // Without a number of completions no pod is added once one has succeeded.
        None if succeeded > 0 => 0,
        None => i64::MAX,
    };
    let missing = left.min(parallelism - running).max(0);
    let missing = usize::try_from(missing).unwrap_or(0);
    if text(job, "/spec/completionMode") != "Indexed" {
        for _ in 0..missing {
            create(store, job, None, 0);
        }
        return;
    }
    let mut taken = completed(job);
    taken.extend(failed(job));
    taken.extend(active.iter().filter_map(|pod| index_of(pod)));
    let all = 0..number(job, "/spec/completions").unwrap_or(0);
    for index in all.filter(|index| !taken.contains(index)).take(missing) {
        create(store, job, Some(index), 0);
    }
}

fn create(store: &mut Store, job: &Value, index: Option<i64>, failures: i64) {
    let mut pod = workload::pod_from(job, &job["spec"]["template"]);
    pod["metadata"]["finalizers"] = json!([TRACKING]);
    let own = name(job);
    let suffix = &Uuid::new_v4().simple().to_string()[..5];
    pod["metadata"]["name"] = json!(format!("{own}-{suffix}"));
    if let Some(index) = index {
        let index_text = index.to_string();
        pod["metadata"]["name"] = json!(format!("{own}-{index}-{suffix}"));
        pod["metadata"]["annotations"][INDEX] = json!(index_text);
        pod["metadata"]["labels"][INDEX] = json!(index_text);
        if number(job, "/spec/backoffLimitPerIndex").is_some() {
            pod["metadata"]["annotations"][FAILURES] = json!(failures.to_string());
        }
        pod["spec"]["hostname"] = json!(format!("{own}-{index}"));
        for list in ["initContainers", "containers"] {
            let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                let mut env = items(container, "/env").to_vec();
                env.push(json!({"name": "JOB_COMPLETION_INDEX", "value": index_text}));
                container["env"] = json!(env);
            }
        }
    }
    workload::create(store, job, pod);
}

fn report(
    job: &mut Value,
    pods: &[Arc<Value>],
    verdict: Option<Verdict>,
    suspended: bool,
    over: bool,
) {
    let count = |wanted: &dyn Fn(&Value) -> bool| pods.iter().filter(|pod| wanted(pod)).count();
    let active = count(&|pod| !has_ended(pod) && !is_deleting(pod));
    let numbers = [
        ("active", active),
        ("ready", count(&is_ready)),
        (
            "terminating",
            count(&|pod| !has_ended(pod) && is_deleting(pod)),
        ),
    ];
    let status = map(&mut job["status"]);
    for (field, value) in numbers {
        status.insert(field.into(), json!(value));
    }
    status
        .entry("uncountedTerminatedPods")
        .or_insert_with(|| json!({}));
    if suspended {
        status.remove("startTime");
    } else {
        status
            .entry("startTime")
            .or_insert_with(|| json!(clock::now()));
    }
    if suspended || condition(job, "Suspended").is_some() {
        let (reason, message) = if suspended {
            ("JobSuspended", "Job suspended")
        } else {
            ("JobResumed", "Job resumed")
        };
        set_condition(job, "Suspended", suspended, reason, message);
    }
    let Some((complete, reason, message)) = verdict else {
        return;
    };
    let (target, end) = if complete {
        ("SuccessCriteriaMet", "Complete")
    } else {
        ("FailureTarget", "Failed")
    };
    set_condition(job, target, true, &reason, &message);
    if over {
        set_condition(job, end, true, &reason, &message);
        if complete {
            job["status"]["completionTime"] = json!(clock::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{completed, ranges};

    #[test]
    fn indexes_are_written_as_ranges_and_read_back() {
        let numbers = [0, 2, 3, 4, 9].into();
        assert_eq!(ranges(&numbers), "0,2-4,9");
        let job = json!({"status": {"completedIndexes": "0,2-4,9"}});
        assert_eq!(completed(&job), numbers);
    }
}
