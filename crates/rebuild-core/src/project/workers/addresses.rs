//! Where workers find databases that their spec does not name.

use crate::Environment;
use crate::error::{Error, Result};
use crate::model::Endpoint;
use crate::postgres::says_password;
use crate::project::compose::endpoint_at;
use crate::secret::Secret;

/// A database that the command of a coordinator names, and not the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The one that the target is compared with.
    VerifyWith,
    /// The one that is copied.
    CopySource,
    /// The one that is made of it.
    CopyTarget,
}

impl Named {
    /// The variable that says to a worker where it is. The same with `_PASSWORD` has the password.
    fn variable(self) -> &'static str {
        match self {
            Self::VerifyWith => "REBUILD_VERIFY_WITH",
            Self::CopySource => "REBUILD_COPY_SOURCE",
            Self::CopyTarget => "REBUILD_COPY_TARGET",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::VerifyWith => "--with",
            Self::CopySource => "--source",
            Self::CopyTarget => "--target",
        }
    }
}

/// Where a worker finds databases that its spec does not name, as URLs or conninfo strings. What is
/// not said is looked for in the environment: in REBUILD_VERIFY_WITH, REBUILD_COPY_SOURCE and
/// REBUILD_COPY_TARGET. A password that is not in them is in the variable of that name with
/// `_PASSWORD`, or where libpq looks for one.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// The database that the target is compared with.
    pub verify_with: Option<Secret>,
    /// The database that is copied.
    pub copy_source: Option<Secret>,
    /// The database that is made of it.
    pub copy_target: Option<Secret>,
}

impl Addresses {
    fn given(&self, named: Named) -> Option<&Secret> {
        match named {
            Named::VerifyWith => self.verify_with.as_ref(),
            Named::CopySource => self.copy_source.as_ref(),
            Named::CopyTarget => self.copy_target.as_ref(),
        }
    }

    /// Where that database is.
    ///
    /// # Errors
    /// Nobody says it; what is said cannot be understood.
    pub(super) fn endpoint(&self, named: Named, environment: &Environment) -> Result<Endpoint> {
        let variable = named.variable();
        let said = || environment.get(variable).map(Secret::new);
        let Some(url) = self.given(named).cloned().or_else(said) else {
            return Err(Error::usage(
                "nothing says where a database of this work is, which the spec does not name",
            )
            .hint(format!("give {}, or set {variable}", named.option())));
        };
        let password = environment.get(&format!("{variable}_PASSWORD"));
        let password = password.map(Secret::new);
        endpoint_at(environment, &url, password.as_ref(), false).map_err(|e| e.context(variable))
    }
}

/// The variables that tell the pods of a Job where these databases are: whoever may read the Job reads
/// them, so they hold no password.
///
/// # Errors
/// One of them has a password in it.
pub(super) fn for_pods(databases: &[(Named, &str)]) -> Result<Vec<(String, String)>> {
    let told = |(named, text): &(Named, &str)| {
        let variable = named.variable();
        if says_password(text) {
            return Err(Error::usage(format!(
                "the Job would show the password in the address for {variable}"
            ))
            .hint(format!(
                "leave it out; the workers' manifest gives it to them as {variable}_PASSWORD, from a \
                 Secret"
            )));
        }
        Ok((variable.to_owned(), (*text).to_owned()))
    };
    databases.iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let all = [("HOME", "/nonexistent"), ("PGPASSFILE", "/nonexistent")];
        Environment::of(all.iter().chain(variables).copied())
    }

    #[test]
    fn what_is_given_comes_before_what_is_set_and_each_has_its_password() {
        let set = environment(&[
            ("REBUILD_VERIFY_WITH", "postgresql://u@127.0.0.1:1/set"),
            ("REBUILD_VERIFY_WITH_PASSWORD", "own"),
            ("REBUILD_COPY_SOURCE", "postgresql://u@127.0.0.1:2/source"),
            ("PGPASSWORD", "any"),
        ]);
        let mut addresses = Addresses::default();
        let with = addresses.endpoint(Named::VerifyWith, &set).expect("set");
        assert_eq!((with.port, &*with.database), (1, "set"));
        let password = |endpoint: Endpoint| endpoint.password.map(|p| p.expose().to_owned());
        assert_eq!(password(with).as_deref(), Some("own"));
        let source = addresses.endpoint(Named::CopySource, &set).expect("set");
        assert_eq!(password(source).as_deref(), Some("any"));
        addresses.verify_with = Some(Secret::new("postgresql://u@127.0.0.1:3/given"));
        let with = addresses.endpoint(Named::VerifyWith, &set).expect("given");
        assert_eq!((with.port, &*with.database), (3, "given"));
        let nobody = addresses.endpoint(Named::CopyTarget, &set);
        let nobody = nobody.expect_err("nobody says it");
        let hint = nobody.advice().unwrap_or_default();
        assert!(hint.contains("REBUILD_COPY_TARGET"), "{nobody:?}");
    }

    #[test]
    fn pods_are_told_no_password() {
        let with = |text| for_pods(&[(Named::VerifyWith, text)]);
        let told = with("postgresql://u@db.example/app").expect("told");
        let expected = ("REBUILD_VERIFY_WITH", "postgresql://u@db.example/app");
        assert_eq!(told, [(expected.0.to_owned(), expected.1.to_owned())]);
        for text in [
            "postgresql://u:hunter2@db.example/app",
            "postgresql://u@db.example/app?password=hunter2",
            "host=db.example user=u password = 'hunter2'",
        ] {
            let refused = with(text).expect_err(text);
            let shown = format!("{refused:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
            let hint = refused.advice().unwrap_or_default();
            assert!(hint.contains("REBUILD_VERIFY_WITH_PASSWORD"), "{shown}");
        }
    }
}
