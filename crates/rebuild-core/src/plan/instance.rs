//! The managed instance around the database: for people, and what it means for a plan. Pure.

use super::guards::refusal;
use super::{Refusal, Rules, Survey, bytes};
use crate::model::{InstanceBackupFacts, InstanceFacts};

/// What is to be known of the instance, a line for each thing.
pub fn instance_lines(instance: &InstanceFacts) -> Vec<String> {
    let InstanceFacts {
        name,
        state,
        version,
        tier,
        edition,
        availability,
        ..
    } = instance;
    let disk = instance
        .disk_gb
        .map(|gb| format!(", {gb} GB"))
        .unwrap_or_default();
    let mut lines = vec![
        format!("{name}: {state}, {version}, {tier}{disk}, {edition}, {availability}"),
        format!(
            "deletion protection: {}",
            on_or_off(instance.deletion_protection)
        ),
        automated(instance),
        recovery(instance),
    ];
    let kept = match instance.backups_outlive_it {
        true => "stay when the instance is deleted",
        false => "go with the instance when it is deleted",
    };
    lines.push(format!("its backups {kept}"));
    lines.extend(instance.addresses.iter().map(|a| format!("address {a}")));
    lines.extend(instance.replicas.iter().map(|r| format!("replica {r}")));
    let missing = instance.missing_users.iter();
    lines.extend(missing.map(|user| format!("user {user} is not there yet")));
    lines.extend(
        instance
            .operations
            .iter()
            .map(|o| format!("{o} is being done to it")),
    );
    lines.extend(instance.backups.iter().map(backup));
    lines
}

fn on_or_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn automated(instance: &InstanceFacts) -> String {
    match (instance.automated_backups, instance.kept_backups) {
        (true, Some(kept)) => format!("automated backups: on, {kept} kept"),
        (on, _) => format!("automated backups: {}", on_or_off(on)),
    }
}

fn recovery(instance: &InstanceFacts) -> String {
    match (instance.point_in_time_recovery, instance.log_days) {
        (true, Some(days)) => format!("point-in-time recovery: on, {days} days"),
        (on, _) => format!("point-in-time recovery: {}", on_or_off(on)),
    }
}

fn backup(backup: &InstanceBackupFacts) -> String {
    let InstanceBackupFacts {
        id, status, kind, ..
    } = backup;
    let mut line = format!("backup {id}: {status}, {kind}");
    if let Some(began) = &backup.began {
        line.push_str(&format!(", of {began}"));
    }
    if let Some(size) = backup.bytes.and_then(|b| u64::try_from(b).ok()) {
        line.push_str(&format!(", {} at most", bytes(size)));
    }
    if !backup.description.is_empty() {
        line.push_str(&format!(", {:?}", backup.description));
    }
    line
}

/// What does not let anything be done in it.
pub(super) fn guard(_: &Rules<'_>, survey: &Survey) -> Vec<Refusal> {
    refusals(survey)
}

fn refusals(survey: &Survey) -> Vec<Refusal> {
    let Some(instance) = &survey.instance else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let name = &instance.name;
    if instance.state != "RUNNABLE" {
        found.push(refusal(
            "instance",
            format!("instance {name} is {}", instance.state),
            "wait until it is RUNNABLE: rebuild status",
        ));
    }
    if let Some(primary) = &instance.replica_of {
        found.push(refusal(
            "instance",
            format!("instance {name} is a replica of {primary}, which cannot be changed"),
            "name the primary in target.cloudsql.instance",
        ));
    }
    found
}

/// What a backup step makes besides the rows.
pub(super) fn besides(survey: &Survey) -> String {
    let wanted = survey.instance.iter().flat_map(|i| &i.besides);
    wanted.map(|what| format!("; {what}")).collect()
}

/// What is made in the instance before the database.
pub(super) fn users_first(survey: &Survey) -> String {
    let missing = survey.instance.iter().flat_map(|i| &i.missing_users);
    match &missing.map(|user| format!("{user:?}")).collect::<Vec<_>>()[..] {
        [] => String::new(),
        missing => format!("make user {} of the instance, then ", missing.join(", ")),
    }
}

/// What the operator should know.
pub(super) fn warnings(survey: &Survey) -> Vec<String> {
    let Some(instance) = &survey.instance else {
        return Vec::new();
    };
    let name = &instance.name;
    let mut warnings = Vec::new();
    if !instance.deletion_protection {
        warnings.push(format!(
            "deletion protection of instance {name} is off: one command deletes it, and with it \
             every database in it"
        ));
    }
    if !instance.automated_backups {
        warnings.push(format!("instance {name} has no automated backups"));
    }
    if !instance.replicas.is_empty() {
        warnings.push(format!(
            "the replicas of the instance receive the whole new database: {}",
            instance.replicas.join(", ")
        ));
    }
    for operation in &instance.operations {
        warnings.push(format!(
            "{operation} is being done to instance {name}; the run waits for it where it has to"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_what_protects_the_instance_and_what_does_not() {
        let mut instance = InstanceFacts {
            name: "shop:europe-west1:main".into(),
            state: "RUNNABLE".into(),
            version: "POSTGRES_15".into(),
            tier: "db-custom-2-7680".into(),
            edition: "ENTERPRISE".into(),
            availability: "ZONAL".into(),
            disk_gb: Some(10),
            automated_backups: true,
            kept_backups: Some(7),
            replicas: vec!["main-r1".into()],
            operations: vec!["UPDATE".into()],
            ..InstanceFacts::default()
        };
        instance.backups.push(InstanceBackupFacts {
            id: 17,
            status: "SUCCESSFUL".into(),
            kind: "ON_DEMAND".into(),
            began: Some("2026-11-22T02:00:00Z".into()),
            bytes: Some(2048),
            description: "before the move".into(),
        });
        assert_eq!(
            instance_lines(&instance),
            [
                "shop:europe-west1:main: RUNNABLE, POSTGRES_15, db-custom-2-7680, 10 GB, ENTERPRISE, ZONAL",
                "deletion protection: off",
                "automated backups: on, 7 kept",
                "point-in-time recovery: off",
                "its backups go with the instance when it is deleted",
                "replica main-r1",
                "UPDATE is being done to it",
                "backup 17: SUCCESSFUL, ON_DEMAND, of 2026-11-22T02:00:00Z, 2.0 KiB at most, \
                 \"before the move\"",
            ]
        );
    }

    #[test]
    fn an_instance_that_cannot_be_changed_is_refused() {
        let identity = crate::model::Identity {
            server: "7".into(),
            name: "app".into(),
            uid: "1".into(),
        };
        let mut survey = crate::testing::survey::survey(identity);
        let refused = |survey: &Survey| {
            let found = refusals(survey);
            found.into_iter().map(|r| r.message).collect::<Vec<_>>()
        };
        assert!(refused(&survey).is_empty());
        let mut instance = InstanceFacts {
            name: "shop:europe-west1:main".into(),
            state: "RUNNABLE".into(),
            ..InstanceFacts::default()
        };
        survey.instance = Some(Box::new(instance.clone()));
        assert!(refused(&survey).is_empty());
        instance.state = "MAINTENANCE".into();
        instance.replica_of = Some("first".into());
        survey.instance = Some(Box::new(instance));
        assert_eq!(
            refused(&survey),
            [
                "instance shop:europe-west1:main is MAINTENANCE",
                "instance shop:europe-west1:main is a replica of first, which cannot be changed",
            ]
        );
    }
}
