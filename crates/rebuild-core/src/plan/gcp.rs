//! What of Google Cloud a run would use, for people. Pure.

use super::{Survey, bytes};
use crate::model::{CloudRunJobFacts, GcpFacts};

/// What would be used, a line each.
pub fn gcp_lines(gcp: &GcpFacts) -> Vec<String> {
    let mut lines = vec![format!("project {} with {}", gcp.project, gcp.account)];
    lines.extend(gcp.endpoints.iter().cloned());
    for service in &gcp.services {
        let state = service.state.as_deref().unwrap_or("not there");
        let (name, region) = (&service.service, &service.region);
        lines.push(format!("service {name} in {region}: {state}"));
    }
    for job in &gcp.jobs {
        lines.extend(job_lines(job));
    }
    lines.extend(gcp.backfills.iter().map(|backfill| {
        let mut line = format!(
            "scheduled query {} in {}",
            backfill.config, backfill.location
        );
        if let Some(table) = &backfill.table {
            line.push_str(&format!(", which fills {table}"));
        }
        line
    }));
    let unseen = gcp.unseen.iter();
    lines.extend(unseen.map(|why| format!("not to be seen: {why}")));
    lines
}

/// What a job is, and what it may use up at most: every task for its whole time, each time it is tried.
fn job_lines(job: &CloudRunJobFacts) -> [String; 2] {
    let CloudRunJobFacts {
        tasks,
        tasks_wanted,
        attempts,
        ..
    } = job;
    let count = |n: u32, what: &str| match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    let mut what = format!(
        "job {} in {}, for {}: {}",
        job.job,
        job.region,
        job.step,
        count(*tasks, "task")
    );
    if tasks < tasks_wanted {
        what.push_str(&format!(" ({tasks_wanted} without the limit by groups)"));
    }
    let seconds = u128::from(*tasks) * u128::from(*attempts) * u128::from(job.task_seconds);
    let hours = |per_second: u64, unit: u64| {
        // In hundredths, so that small jobs do not come to nothing.
        let hundredths = seconds * u128::from(per_second) * 100 / u128::from(unit) / 3600;
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    };
    let mut most = format!(
        "  at most {} x {} of {} vCPU and {} for {}s: {} vCPU-hours, {} GiB-hours",
        count(*tasks, "task"),
        count(*attempts, "attempt"),
        thousandths(job.milli_vcpu),
        bytes(job.memory_bytes),
        job.task_seconds,
        hours(job.milli_vcpu, 1000),
        hours(job.memory_bytes, 1 << 30),
    );
    if let Some(cost) = &job.cost {
        most.push_str(&format!(", {cost}"));
    }
    [what, most]
}

fn thousandths(n: u64) -> String {
    let text = format!("{}.{:03}", n / 1000, n % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What goes for good, or out of service.
pub(super) fn losses(survey: &Survey) -> Vec<String> {
    let Some(gcp) = &survey.gcp else {
        return Vec::new();
    };
    let mut losses: Vec<String> = (gcp.services.iter())
        .filter(|service| service.deleted && service.state.is_some())
        .map(|service| {
            format!(
                "service {} is deleted with its revisions, and deployed again from its newest one",
                service.service
            )
        })
        .collect();
    losses.extend(gcp.backfills.iter().filter(|b| b.may_delete).filter_map(|b| {
        let table = b.table.as_ref()?;
        Some(format!(
            "table {table} of BigQuery is deleted if {} finds that its columns do not fit, and filled \
             again; it is not backed up",
            b.config
        ))
    }));
    losses
}

/// What the operator should know.
pub(super) fn warnings(survey: &Survey) -> Vec<String> {
    let Some(gcp) = &survey.gcp else {
        return Vec::new();
    };
    let missing = gcp.services.iter().filter(|s| s.state.is_none());
    let missing = missing.map(|s| format!("there is no service {} in {}", s.service, s.region));
    missing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_says_what_it_may_use_up() {
        let mut job = CloudRunJobFacts {
            step: "load/articles".into(),
            job: "load-articles".into(),
            region: "europe-west1".into(),
            tasks: 210,
            tasks_wanted: 300,
            milli_vcpu: 1500,
            memory_bytes: 2 << 30,
            task_seconds: 3600,
            attempts: 2,
            cost: None,
        };
        assert_eq!(
            job_lines(&job),
            [
                "job load-articles in europe-west1, for load/articles: 210 tasks (300 without the \
                 limit by groups)",
                "  at most 210 tasks x 2 attempts of 1.5 vCPU and 2.0 GiB for 3600s: 630.00 \
                 vCPU-hours, 840.00 GiB-hours",
            ]
        );
        (job.tasks, job.tasks_wanted, job.attempts) = (1, 1, 1);
        (job.task_seconds, job.cost) = (60, Some("0.01 EUR".into()));
        assert_eq!(
            job_lines(&job)[1],
            "  at most 1 task x 1 attempt of 1.5 vCPU and 2.0 GiB for 60s: 0.02 vCPU-hours, 0.03 \
             GiB-hours, 0.01 EUR"
        );
    }
}
