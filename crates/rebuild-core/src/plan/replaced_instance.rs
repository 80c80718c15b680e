//! What it means for a plan that an instance of Cloud SQL is replaced. Pure.

use crate::model::ReplacedInstance;

/// The step that moves it aside.
pub(super) fn retire(instance: &ReplacedInstance) -> String {
    let name = &instance.name;
    let replicas = match &instance.replicas[..] {
        [] => String::new(),
        replicas => format!(", and its replicas {}", replicas.join(", ")),
    };
    format!(
        "take a backup of instance {name} that outlives it, then delete the instance{replicas}; clients \
         are shut out from here"
    )
}

/// The step that makes the new one.
pub(super) fn provision(instance: &ReplacedInstance, database: &str) -> String {
    let name = &instance.name;
    let how = match (instance.made_by_run, &instance.changes[..]) {
        (false, _) => {
            return format!(
                "wait for the new instance {name}, and make database {database:?} in it"
            );
        }
        (true, []) => "as it was".to_owned(),
        (true, changes) => format!("with {}", changes.join(", ")),
    };
    let users = match &instance.users[..] {
        [] => String::new(),
        users => format!(", its user {}", users.join(", ")),
    };
    format!("make instance {name} {how}{users}, and database {database:?} in it")
}

/// What goes out of service with it.
pub(super) fn losses(instance: &ReplacedInstance) -> Vec<String> {
    let name = &instance.name;
    let mut losses = vec![format!(
        "instance {name} is deleted, with its roles, passwords and the log of its point-in-time recovery; a \
         backup of it stays until `rebuild purge`"
    )];
    if instance.protected {
        losses.push(format!(
            "the protection against deletion is taken off instance {name}"
        ));
    }
    losses.extend(instance.databases.iter().map(|database| {
        format!(
            "database {database:?} of the same instance goes with it; it is in that backup, and not in the \
             new instance"
        )
    }));
    losses.extend((instance.replicas.iter()).map(|replica| {
        format!("replica {replica} is deleted, and made again with other addresses")
    }));
    losses
}

/// What the operator should know.
pub(super) fn warnings(instance: &ReplacedInstance) -> Vec<String> {
    let name = &instance.name;
    let mut warnings = vec![format!(
        "the new instance {name} has other addresses, another certificate authority and another service \
         account; to what the old account was granted, the new one has no right"
    )];
    if !instance.roles.is_empty() {
        warnings.push(format!(
            "the new instance must have role {} before the schema is applied: by \
             target.cloudsql.users, or an earlier step",
            instance.roles.join(", ")
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_name_everything_that_goes_and_comes() {
        let mut instance = ReplacedInstance {
            name: "shop:europe-west1:main".into(),
            made_by_run: true,
            ..ReplacedInstance::default()
        };
        assert_eq!(
            retire(&instance),
            "take a backup of instance shop:europe-west1:main that outlives it, then delete the instance; \
             clients are shut out from here"
        );
        assert_eq!(
            provision(&instance, "app"),
            "make instance shop:europe-west1:main as it was, and database \"app\" in it"
        );
        instance.changes = vec!["tier db-f1-micro".into()];
        instance.users = vec!["postgres".into()];
        instance.replicas = vec!["main-r1".into()];
        assert_eq!(
            provision(&instance, "app"),
            "make instance shop:europe-west1:main with tier db-f1-micro, its user postgres, and database \
             \"app\" in it"
        );
        assert!(retire(&instance).contains("and its replicas main-r1; clients"));
        assert_eq!(losses(&instance).len(), 2);
        instance.made_by_run = false;
        assert_eq!(
            provision(&instance, "app"),
            "wait for the new instance shop:europe-west1:main, and make database \"app\" in it"
        );
    }
}
