//! The cluster around the database, for people.

use crate::model::ClusterFacts;

/// What is in the namespace, a line for each object.
pub fn cluster_lines(cluster: &ClusterFacts) -> Vec<String> {
    let ClusterFacts {
        context, namespace, ..
    } = cluster;
    let mut lines = vec![format!("namespace {namespace} of context {context}")];
    if !cluster.verified {
        let why = "insecure-skip-tls-verify in the kubeconfig";
        lines.push(format!(
            "the API server's certificate is not verified: {why}"
        ));
    }
    let workloads = cluster.workloads.iter();
    lines.extend(workloads.map(|w| format!("{}: {}", w.name, w.state)));
    lines.extend(cluster.pods.iter().map(|pod| {
        let ready = if pod.ready { "ready" } else { "not ready" };
        let mut line = format!("pod/{}: {}, {ready}", pod.name, pod.phase);
        if pod.restarts > 0 {
            line.push_str(&format!(", started again {} times", pod.restarts));
        }
        if let Some(trouble) = &pod.trouble {
            line.push_str(&format!(" ({trouble})"));
        }
        line
    }));
    lines.extend(cluster.claims.iter().map(|claim| {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        let mut line = format!(
            "claim/{}: {}, {} of class {}, volume {} with reclaim policy {}",
            claim.name,
            claim.phase,
            known(&claim.size),
            known(&claim.class),
            known(&claim.volume),
            known(&claim.reclaim_policy),
        );
        if !claim.mounted_by.is_empty() {
            line.push_str(&format!(", mounted by {}", claim.mounted_by.join(", ")));
        }
        for (of, finalizers) in [
            ("finalizers", &claim.finalizers),
            ("finalizers of the volume", &claim.volume_finalizers),
        ] {
            let telling = finalizers.iter().filter(|f| !is_usual(f));
            let telling: Vec<&str> = telling.map(|f| &**f).collect();
            if !telling.is_empty() {
                line.push_str(&format!(", {of} {}", telling.join(", ")));
            }
        }
        line
    }));
    lines.extend(cluster.services.iter().map(|service| {
        let ports: Vec<String> = service.ports.iter().map(ToString::to_string).collect();
        format!(
            "service/{}: {}, port {}",
            service.name,
            service.kind,
            ports.join(", ")
        )
    }));
    let jobs = cluster.jobs.iter();
    lines.extend(jobs.map(|job| format!("job/{}: {}", job.name, job.state)));
    let unseen = cluster.unseen.iter();
    lines.extend(unseen.map(|why| format!("not to be seen: {why}")));
    lines
}

/// True for a finalizer that only says that something is in use.
fn is_usual(finalizer: &str) -> bool {
    matches!(
        finalizer,
        "kubernetes.io/pvc-protection" | "kubernetes.io/pv-protection"
    )
}
