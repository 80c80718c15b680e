//! The kinds that the server knows.

/// One kind of object and where it is served.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) short: &'static [&'static str],
    pub(crate) subresources: &'static [&'static str],
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods` or `deployments.apps`, as messages name it.
    pub(crate) fn qualified(&self) -> String {
        format!("{}{}", self.plural, self.dotted_group())
    }

    pub(crate) fn dotted_group(&self) -> String {
        if self.group.is_empty() {
            String::new()
        } else {
            format!(".{}", self.group)
        }
    }

    /// True for a review, which is answered and not stored.
    pub(crate) fn is_review(&self) -> bool {
        self.group == "authorization.k8s.io"
    }
}

const APPS: &str = "apps";
const BATCH: &str = "batch";
const STORAGE: &str = "storage.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
/// The group that a cluster can be without.
pub(crate) const SNAPSHOT: &str = "snapshot.storage.k8s.io";

macro_rules! resources {
    ($($constant:ident $group:expr, $plural:literal, $kind:literal, $namespaced:literal, $short:expr, $sub:expr;)*) => {
        $(pub(crate) static $constant: Resource = Resource {
            group: $group, version: "v1", plural: $plural, kind: $kind,
            namespaced: $namespaced, short: &$short, subresources: &$sub,
        };)*
        /// All of them, in the order of discovery.
        pub(crate) static ALL: &[&Resource] = &[$(&$constant),*];
    };
}

resources! {
    NAMESPACES "", "namespaces", "Namespace", false, ["ns"], ["status", "finalize"];
    PODS "", "pods", "Pod", true, ["po"], ["status", "log", "exec", "attach", "portforward", "eviction"];
    SERVICES "", "services", "Service", true, ["svc"], ["status"];
    ENDPOINTS "", "endpoints", "Endpoints", true, ["ep"], [];
    SECRETS "", "secrets", "Secret", true, [], [];
    CONFIGMAPS "", "configmaps", "ConfigMap", true, ["cm"], [];
    EVENTS "", "events", "Event", true, ["ev"], [];
    VOLUMES "", "persistentvolumes", "PersistentVolume", false, ["pv"], ["status"];
    CLAIMS "", "persistentvolumeclaims", "PersistentVolumeClaim", true, ["pvc"], ["status"];
    SERVICE_ACCOUNTS "", "serviceaccounts", "ServiceAccount", true, ["sa"], [];
    NODES "", "nodes", "Node", false, ["no"], ["status"];
    LIMIT_RANGES "", "limitranges", "LimitRange", true, ["limits"], [];
    QUOTAS "", "resourcequotas", "ResourceQuota", true, ["quota"], ["status"];
    DEPLOYMENTS APPS, "deployments", "Deployment", true, ["deploy"], ["status", "scale"];
    STATEFUL_SETS APPS, "statefulsets", "StatefulSet", true, ["sts"], ["status", "scale"];
    REPLICA_SETS APPS, "replicasets", "ReplicaSet", true, ["rs"], ["status", "scale"];
    CONTROLLER_REVISIONS APPS, "controllerrevisions", "ControllerRevision", true, [], [];
    JOBS BATCH, "jobs", "Job", true, [], ["status"];
    CRON_JOBS BATCH, "cronjobs", "CronJob", true, ["cj"], ["status"];
    LEASES "coordination.k8s.io", "leases", "Lease", true, [], [];
    STORAGE_CLASSES STORAGE, "storageclasses", "StorageClass", false, ["sc"], [];
    SNAPSHOTS SNAPSHOT, "volumesnapshots", "VolumeSnapshot", true, ["vs"], ["status"];
    SNAPSHOT_CONTENTS SNAPSHOT, "volumesnapshotcontents", "VolumeSnapshotContent", false, ["vsc"], ["status"];
    SNAPSHOT_CLASSES SNAPSHOT, "volumesnapshotclasses", "VolumeSnapshotClass", false, ["vsclass"], [];
    ROLES RBAC, "roles", "Role", true, [], [];
    ROLE_BINDINGS RBAC, "rolebindings", "RoleBinding", true, [], [];
    CLUSTER_ROLES RBAC, "clusterroles", "ClusterRole", false, [], [];
    CLUSTER_ROLE_BINDINGS RBAC, "clusterrolebindings", "ClusterRoleBinding", false, [], [];
    NEW_EVENTS "events.k8s.io", "events", "Event", true, ["ev"], [];
    ACCESS_REVIEWS "authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false, [], [];
}

/// The resource of a group by its plural name.
pub(crate) fn by_plural(group: &str, plural: &str) -> Option<&'static Resource> {
    ALL.iter()
        .copied()
        .find(|resource| resource.group == group && resource.plural == plural)
}

/// The resource with an `apiVersion` and a `kind`.
pub(crate) fn by_kind(api_version: &str, kind: &str) -> Option<&'static Resource> {
    ALL.iter()
        .copied()
        .find(|resource| resource.kind == kind && resource.api_version() == api_version)
}

/// The resource that a test names by its kind alone.
pub(crate) fn by_name(kind: &str) -> Option<&'static Resource> {
    ALL.iter()
        .copied()
        .find(|resource| resource.kind.eq_ignore_ascii_case(kind) || resource.plural == kind)
}
