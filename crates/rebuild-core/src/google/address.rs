//! Where the APIs are.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// An API of Google Cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GoogleApi {
    /// Cloud SQL Admin (<https://cloud.google.com/sql/docs/postgres/admin-api/rest>).
    Sql,
    /// Cloud Run Admin (<https://cloud.google.com/run/docs/reference/rest>).
    Run,
    /// BigQuery (<https://cloud.google.com/bigquery/docs/reference/rest>).
    BigQuery,
    /// BigQuery Data Transfer (<https://cloud.google.com/bigquery/docs/reference/datatransfer/rest>).
    Transfer,
    /// Cloud Logging (<https://cloud.google.com/logging/docs/reference/v2/rest>).
    Logging,
    /// Cloud Storage, its JSON API (<https://cloud.google.com/storage/docs/json_api>).
    Storage,
}

impl GoogleApi {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Sql,
        Self::Run,
        Self::BigQuery,
        Self::Transfer,
        Self::Logging,
        Self::Storage,
    ];

    /// Its name in a spec.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Run => "run",
            Self::BigQuery => "bigquery",
            Self::Transfer => "bigquery-transfer",
            Self::Logging => "logging",
            Self::Storage => "storage",
        }
    }

    const fn usual(self) -> &'static str {
        match self {
            Self::Sql => "https://sqladmin.googleapis.com",
            Self::Run => "https://run.googleapis.com",
            Self::BigQuery => "https://bigquery.googleapis.com",
            Self::Transfer => "https://bigquerydatatransfer.googleapis.com",
            Self::Logging => "https://logging.googleapis.com",
            Self::Storage => "https://storage.googleapis.com",
        }
    }
}

impl fmt::Display for GoogleApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sql => "the Cloud SQL Admin API",
            Self::Run => "the Cloud Run API",
            Self::BigQuery => "the BigQuery API",
            Self::Transfer => "the BigQuery Data Transfer API",
            Self::Logging => "the Cloud Logging API",
            Self::Storage => "the Cloud Storage API",
        })
    }
}

impl FromStr for GoogleApi {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|api| api.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::usage(format!(
                "there is no API {text:?}; those that are used are {names}"
            ))
        })
    }
}

/// Other addresses than the usual ones: a private endpoint, or a local server.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(BTreeMap<GoogleApi, String>);

impl Endpoints {
    /// Reads them, as a spec names them.
    ///
    /// # Errors
    /// There is no such API; an address is no URL, holds credentials, or would send the token
    /// unencrypted to another machine.
    pub fn parse<'a>(named: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut endpoints = BTreeMap::new();
        for (name, text) in named {
            let api: GoogleApi = name.parse()?;
            let address = checked(text).map_err(|e| e.context(format!("the address of {api}")))?;
            endpoints.insert(api, address);
        }
        Ok(Self(endpoints))
    }

    /// The address of `api`, without a slash at its end.
    pub fn of(&self, api: GoogleApi) -> &str {
        self.0.get(&api).map_or(api.usual(), String::as_str)
    }

    /// Those that are not the usual ones, for people.
    pub fn others(&self) -> impl Iterator<Item = (GoogleApi, &str)> {
        self.0.iter().map(|(api, address)| (*api, &**address))
    }
}

fn checked(text: &str) -> Result<String> {
    let bad = || Error::usage(format!("{text:?} is not the URL of a server"));
    let url = url::Url::parse(text).map_err(|_| Error::usage("that is not the URL of a server"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::usage("it holds a user or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
        return Err(bad());
    }
    let here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return Err(bad()),
    };
    match url.scheme() {
        "https" => {}
        "http" if here => {}
        _ => {
            return Err(
                Error::usage(format!("{text:?} would be sent the token unencrypted"))
                    .hint("give it as https://; plain http is for servers of this machine"),
            );
        }
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_nowhere_unencrypted() {
        let of = |text: &str| Endpoints::parse([("sql", text)]);
        for good in [
            "https://sqladmin.p.googleapis.com",
            "http://127.0.0.1:8080/",
            "http://[::1]:8080",
            "http://localhost:1",
        ] {
            let found = of(good).expect(good);
            assert_eq!(found.of(GoogleApi::Sql), good.trim_end_matches('/'));
            assert_eq!(found.of(GoogleApi::Run), "https://run.googleapis.com");
        }
        for bad in [
            "http://sqladmin.googleapis.com",
            "http://localhost.example.org",
            "https://user:hunter2@sqladmin.googleapis.com",
            "https://sqladmin.googleapis.com/v1",
            "ftp://127.0.0.1",
            "nonsense",
        ] {
            let e = of(bad).expect_err(bad);
            assert!(e.is_refusal(), "{e:?}");
            assert!(!e.chain().contains("hunter2"), "{e:?}");
        }
        let e = Endpoints::parse([("spanner", "https://x.example")]).expect_err("no such API");
        assert!(e.to_string().contains("bigquery-transfer"), "{e}");
    }
}
