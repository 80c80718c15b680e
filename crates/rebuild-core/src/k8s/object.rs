//! Objects as people write them: `deployment/api`.

use std::fmt;
use std::str::FromStr;

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
}
