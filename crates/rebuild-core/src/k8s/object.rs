//! Objects as people write them: `deployment/api`.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use kube::api::{ApiResource, DynamicObject};

use crate::error::Error;

/// A kind of object that runs programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `batch/v1` CronJob.
    CronJob,
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::CronJob => "cronjob",
        })
    }
}

/// A Deployment, StatefulSet or CronJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRef {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for WorkloadRef {
    type Err = Error;

    /// Reads `kind/name`, with the kind as `kubectl` takes it: `deployment`, `deployments` or
    /// `deploy`.
    ///
    /// # Errors
    /// It is not that, or not of such a kind.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::usage(format!("{text:?} is no workload of a cluster"))
                .hint("write deployment/NAME, statefulset/NAME or cronjob/NAME")
        };
        let (kind, name) = text.split_once('/').ok_or_else(bad)?;
        let kind = match &*kind.to_ascii_lowercase() {
            "deployment" | "deployments" | "deploy" => WorkloadKind::Deployment,
            "statefulset" | "statefulsets" | "sts" => WorkloadKind::StatefulSet,
            "cronjob" | "cronjobs" | "cj" => WorkloadKind::CronJob,
            _ => return Err(bad()),
        };
        if !is_name(name) {
            return Err(bad());
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

/// A kind of object that stands around a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// `batch/v1` Job.
    Job,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` Deployment.
    Deployment,
    /// `v1` Service.
    Service,
}

impl ObjectKind {
    /// The API that has it.
    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::Job => ApiResource::erase::<Job>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
        }
    }
}

/// A Job, StatefulSet, Deployment or Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// True if it runs pods that are there to stay.
    pub fn runs_pods(&self) -> bool {
        self.workload().is_some()
    }

    /// True if `object` is what this names.
    pub(super) fn names(&self, object: &DynamicObject) -> bool {
        let types = object.types.as_ref();
        object.metadata.name.as_deref() == Some(&self.name)
            && types.is_some_and(|types| types.kind == self.kind.resource().kind)
    }

    /// The same as something that runs pods which are there to stay.
    pub(super) fn workload(&self) -> Option<WorkloadRef> {
        let kind = match self.kind {
            ObjectKind::StatefulSet => WorkloadKind::StatefulSet,
            ObjectKind::Deployment => WorkloadKind::Deployment,
            ObjectKind::Job | ObjectKind::Service => return None,
        };
        let name = self.name.clone();
        Some(WorkloadRef { kind, name })
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ObjectKind::Job => "job",
            ObjectKind::StatefulSet => "statefulset",
            ObjectKind::Deployment => "deployment",
            ObjectKind::Service => "service",
        };
        write!(f, "{kind}/{}", self.name)
    }
}

impl FromStr for ObjectRef {
    type Err = Error;

    /// Reads `kind/name`, with the kind as `kubectl` takes it.
    ///
    /// # Errors
    /// It is not that, or not of such a kind.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::usage(format!("{text:?} is nothing that can be replaced"))
                .hint("write job/NAME, statefulset/NAME, deployment/NAME or service/NAME")
        };
        let (kind, name) = text.split_once('/').ok_or_else(bad)?;
        let kind = match &*kind.to_ascii_lowercase() {
            "job" | "jobs" => ObjectKind::Job,
            "statefulset" | "statefulsets" | "sts" => ObjectKind::StatefulSet,
            "deployment" | "deployments" | "deploy" => ObjectKind::Deployment,
            "service" | "services" | "svc" => ObjectKind::Service,
            _ => return Err(bad()),
        };
        if !is_name(name) {
            return Err(bad());
        }
        let name = name.to_owned();
        Ok(Self { kind, name })
    }
}

/// True for what may be the name of an object: a DNS subdomain
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names>).
pub(crate) fn is_name(text: &str) -> bool {
    let label = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty()
            && part.chars().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_written_as_kubectl_takes_them() {
        for (text, shown) in [
            ("deployment/api", "deployment/api"),
            ("deploy/a-1.b", "deployment/a-1.b"),
            ("StatefulSets/postgres", "statefulset/postgres"),
            ("cj/nightly", "cronjob/nightly"),
        ] {
            let read: WorkloadRef = text.parse().expect(text);
            assert_eq!(read.to_string(), shown);
        }
        for text in [
            "api",
            "pod/api",
            "deployment/",
            "deployment/A",
            "deployment/a/b",
            "sts/-a",
        ] {
            let error = text.parse::<WorkloadRef>().expect_err(text);
            assert_eq!(error.kind(), crate::ErrorKind::Usage);
        }
    }

    #[test]
    fn what_can_be_replaced_is_written_as_kubectl_takes_it() {
        for (text, shown) in [
            ("sts/db", "statefulset/db"),
            ("svc/db", "service/db"),
            ("jobs/migrate", "job/migrate"),
            ("deploy/pooler", "deployment/pooler"),
        ] {
            let read: ObjectRef = text.parse().expect(text);
            assert_eq!(read.to_string(), shown);
        }
        for text in ["db", "secret/db", "pvc/data-db-0", "sts/", "svc/A"] {
            let error = text.parse::<ObjectRef>().expect_err(text);
            assert_eq!(error.kind(), crate::ErrorKind::Usage);
        }
    }
}
