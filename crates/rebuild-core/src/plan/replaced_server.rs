//! What it means for a plan that a server of a cluster is replaced with its volumes. Pure.

use crate::model::ReplacedServer;

/// The step that moves it aside.
pub(super) fn retire(server: &ReplacedServer) -> String {
    let volumes: Vec<&str> = server.volumes.iter().map(|v| &*v.volume).collect();
    let claims = server.volumes.iter().map(|v| format!("claim/{}", v.claim));
    let goes: Vec<String> = server.objects.iter().cloned().chain(claims).collect();
    format!(
        "move the server aside: keep volume {}, then delete {}; clients are shut out from here",
        volumes.join(", "),
        goes.join(", ")
    )
}

/// The step that makes the new one.
pub(super) fn provision(server: &ReplacedServer, name: &str) -> String {
    match &server.manifests[..] {
        [] => format!("wait for the new server, and make database {name:?} in it"),
        made => format!(
            "apply {}, wait for the server, and make database {name:?} in it",
            made.join(", ")
        ),
    }
}

/// What it is kept on.
pub(super) fn kept(server: &ReplacedServer) -> String {
    let volumes: Vec<&str> = server.volumes.iter().map(|v| &*v.volume).collect();
    format!("volume {}", volumes.join(", "))
}

/// What goes out of service with it.
pub(super) fn losses(server: &ReplacedServer) -> Vec<String> {
    let mut losses: Vec<String> = server
        .databases
        .iter()
        .map(|database| {
            format!(
                "database {database:?} of the same server goes with it, and is not backed up; it \
                 stays on the volumes that are kept"
            )
        })
        .collect();
    losses.extend(server.changed.iter().map(|object| {
        format!("{object} is changed by the manifests; a rollback does not change it back")
    }));
    losses
}

/// What the operator should know.
pub(super) fn warnings(server: &ReplacedServer) -> Vec<String> {
    let mut warnings: Vec<String> = server
        .volumes
        .iter()
        .map(|v| {
            format!(
                "volume {} ({}, reclaim policy {}) is set to Retain and kept until `rebuild purge`",
                v.volume, v.size, v.reclaim_policy
            )
        })
        .collect();
    warnings.extend(
        (server.addresses.iter())
            .map(|service| format!("{service} is made anew and may get another address")),
    );
    if !server.roles.is_empty() {
        warnings.push(format!(
            "the new server must have role {} before the schema is applied: by its image, its \
             manifests, or an earlier step",
            server.roles.join(", ")
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KeptVolumeFacts;

    #[test]
    fn titles_name_everything_that_goes_and_comes() {
        let mut server = ReplacedServer {
            objects: vec!["statefulset/db".into(), "service/db".into()],
            volumes: vec![KeptVolumeFacts {
                claim: "data-db-0".into(),
                volume: "pv-1".into(),
                size: "1Gi".into(),
                reclaim_policy: "Delete".into(),
            }],
            ..ReplacedServer::default()
        };
        assert_eq!(
            retire(&server),
            "move the server aside: keep volume pv-1, then delete statefulset/db, service/db, \
             claim/data-db-0; clients are shut out from here"
        );
        assert_eq!(
            provision(&server, "app"),
            "wait for the new server, and make database \"app\" in it"
        );
        server.manifests = vec!["service/db".into()];
        assert_eq!(
            provision(&server, "app"),
            "apply service/db, wait for the server, and make database \"app\" in it"
        );
    }
}
