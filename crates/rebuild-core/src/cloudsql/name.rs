//! The connection name of an instance.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// `PROJECT:REGION:INSTANCE`
/// (<https://cloud.google.com/sql/docs/postgres/instance-settings#instance-connection-name>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceName {
    /// The project's id; it may begin with a domain and a colon.
    pub project: String,
    /// The region.
    pub region: String,
    /// The instance's id.
    pub instance: String,
}

impl FromStr for InstanceName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::usage(format!(
                "{text:?} is no connection name of an instance: PROJECT:REGION:INSTANCE"
            ))
        };
        let mut parts = text.rsplitn(3, ':');
        let mut part = || parts.next().filter(|p| !p.is_empty()).map(str::to_owned);
        let (instance, region, project) = (part(), part(), part());
        let (Some(project), Some(region), Some(instance)) = (project, region, instance) else {
            return Err(bad());
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let plain = |text: &str| text.chars().all(fits);
        let domain = |text: &str| text.split(':').count() <= 2 && text.split(':').all(plain);
        if domain(&project) && plain(&region) && plain(&instance) {
            return Ok(Self {
                project,
                region,
                instance,
            });
        }
        Err(bad())
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.project, self.region, self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_may_have_a_domain() {
        for (text, project) in [
            ("shop:europe-west1:main", "shop"),
            ("example.com:shop:europe-west1:main", "example.com:shop"),
        ] {
            let name: InstanceName = text.parse().expect(text);
            assert_eq!((&*name.project, &*name.instance), (project, "main"));
            assert_eq!(name.to_string(), text);
        }
        for bad in [
            "main",
            "shop:main",
            "shop::main",
            ":europe-west1:main",
            "shop:europe-west1:../x",
            "a:b:shop:europe-west1:main",
        ] {
            assert!(bad.parse::<InstanceName>().is_err(), "{bad}");
        }
    }
}
