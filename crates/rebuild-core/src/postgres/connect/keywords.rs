//! The connection parameters that libpq has, and what becomes of each here.
//!
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>

use crate::error::{Error, Result};

/// A connection parameter.
pub(super) struct Keyword {
    /// Its name in a connection string.
    pub(super) name: &'static str,
    /// The environment variable that it is taken from otherwise.
    pub(super) variable: Option<&'static str>,
    fate: Fate,
}

/// What becomes of a parameter. None that changes what is connected to, or what is proven about
/// it, passes in silence.
enum Fate {
    /// Any value.
    Any,
    /// Nothing but these values, which are what happens here anyway; the text says why.
    Only(&'static [&'static str], &'static str),
}

use Fate::{Any, Only};

const fn keyword(name: &'static str, variable: &'static str, fate: Fate) -> Keyword {
    Keyword {
        name,
        variable: Some(variable),
        fate,
    }
}

const fn unexported(name: &'static str, fate: Fate) -> Keyword {
    Keyword {
        name,
        variable: None,
        fate,
    }
}

const KERBEROS: &str = "Kerberos is not supported";
const OAUTH: &str = "OAuth is not supported";
const CRL: &str = "revocation lists are not supported";
const NO: &[&str] = &["0", "f", "false", "off", "no"];

/// Every parameter of libpq 18.
pub(super) const KEYWORDS: &[Keyword] = &[
    keyword("host", "PGHOST", Any),
    keyword("hostaddr", "PGHOSTADDR", Any),
    keyword("port", "PGPORT", Any),
    keyword("dbname", "PGDATABASE", Any),
    keyword("user", "PGUSER", Any),
    keyword("password", "PGPASSWORD", Any),
    keyword("passfile", "PGPASSFILE", Any),
    keyword("service", "PGSERVICE", Any),
    keyword("servicefile", "PGSERVICEFILE", Any),
    keyword("connect_timeout", "PGCONNECT_TIMEOUT", Any),
    keyword("sslmode", "PGSSLMODE", Any),
    keyword("sslrootcert", "PGSSLROOTCERT", Any),
    keyword("sslcert", "PGSSLCERT", Any),
    keyword("sslkey", "PGSSLKEY", Any),
    keyword("channel_binding", "PGCHANNELBINDING", Any),
    keyword("require_auth", "PGREQUIREAUTH", Any),
    keyword("requirepeer", "PGREQUIREPEER", Any),
    // These have no say: sessions carry the run's name, talk UTF-8, have keepalives of their own,
    // and there is one host.
    keyword("application_name", "PGAPPNAME", Any),
    unexported("fallback_application_name", Any),
    keyword("client_encoding", "PGCLIENTENCODING", Any),
    unexported("keepalives", Any),
    unexported("keepalives_idle", Any),
    unexported("keepalives_interval", Any),
    unexported("keepalives_count", Any),
    unexported("tcp_user_timeout", Any),
    keyword("load_balance_hosts", "PGLOADBALANCEHOSTS", Any),
    keyword(
        "options",
        "PGOPTIONS",
        Only(
            &[],
            "a session's settings are pinned, so that nothing bends what is read and written; set what the role needs with ALTER ROLE ... SET",
        ),
    ),
    keyword(
        "target_session_attrs",
        "PGTARGETSESSIONATTRS",
        Only(
            &["any"],
            "name the one server to work on; a standby is refused as a target anyway",
        ),
    ),
    unexported(
        "replication",
        Only(NO, "a replication connection cannot do this work"),
    ),
    keyword(
        "sslnegotiation",
        "PGSSLNEGOTIATION",
        Only(
            &["postgres"],
            "TLS starts with PostgreSQL's own request, which every server understands",
        ),
    ),
    keyword(
        "sslcompression",
        "PGSSLCOMPRESSION",
        Only(&["0"], "compressed TLS is unsafe and not supported"),
    ),
    unexported(
        "sslpassword",
        Only(
            &[],
            "an encrypted client key is not supported; name an unencrypted one that only you may read",
        ),
    ),
    keyword(
        "sslcertmode",
        "PGSSLCERTMODE",
        Only(
            &["allow"],
            "a client certificate is shown when there is one and the server asks",
        ),
    ),
    keyword("sslcrl", "PGSSLCRL", Only(&[], CRL)),
    keyword("sslcrldir", "PGSSLCRLDIR", Only(&[], CRL)),
    keyword(
        "sslsni",
        "PGSSLSNI",
        Only(
            &["1"],
            "the server is always told the name that it is asked for",
        ),
    ),
    unexported(
        "sslkeylogfile",
        Only(&[], "session keys are not written out"),
    ),
    keyword(
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        Only(
            &["TLSv1", "TLSv1.1", "TLSv1.2"],
            "TLS 1.2 and 1.3 are spoken",
        ),
    ),
    keyword(
        "ssl_max_protocol_version",
        "PGSSLMAXPROTOCOLVERSION",
        Only(&["TLSv1.3"], "TLS 1.2 and 1.3 are spoken"),
    ),
    keyword(
        "min_protocol_version",
        "PGMINPROTOCOLVERSION",
        Only(&["3.0"], "protocol 3.0 is spoken"),
    ),
    keyword(
        "max_protocol_version",
        "PGMAXPROTOCOLVERSION",
        Only(&["3.0", "3.2", "latest"], "protocol 3.0 is spoken"),
    ),
    keyword(
        "gssencmode",
        "PGGSSENCMODE",
        Only(&["disable", "prefer"], KERBEROS),
    ),
    keyword("krbsrvname", "PGKRBSRVNAME", Only(&[], KERBEROS)),
    keyword("gsslib", "PGGSSLIB", Only(&[], KERBEROS)),
    keyword("gssdelegation", "PGGSSDELEGATION", Only(&["0"], KERBEROS)),
    unexported("scram_client_key", Only(&[], "name a password instead")),
    unexported("scram_server_key", Only(&[], "name a password instead")),
    unexported("oauth_issuer", Only(&[], OAUTH)),
    unexported("oauth_client_id", Only(&[], OAUTH)),
    unexported("oauth_client_secret", Only(&[], OAUTH)),
    unexported("oauth_scope", Only(&[], OAUTH)),
];

/// The parameter called `name`.
///
/// # Errors
/// libpq has none of that name.
pub(super) fn find(name: &str) -> Result<&'static Keyword> {
    if let Some(keyword) = KEYWORDS.iter().find(|keyword| keyword.name == name) {
        return Ok(keyword);
    }
    let error = Error::usage(format!("{name:?} is no connection parameter"));
    let nearest = KEYWORDS
        .iter()
        .map(|keyword| (strsim::jaro_winkler(name, keyword.name), keyword.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    Err(match nearest {
        Some((_, nearest)) => error.hint(format!("did you mean {nearest}?")),
        None => error,
    })
}

impl Keyword {
    /// Checks a value that was given for a parameter with few choices.
    ///
    /// # Errors
    /// This value is not supported. The value is not repeated.
    pub(super) fn check(&self, value: &str) -> Result<()> {
        match self.fate {
            Only(values, why) if !value.is_empty() && !values.contains(&value) => {
                let name = self.name;
                Err(Error::usage(match values {
                    [] => format!("the connection parameter {name} is not supported: {why}"),
                    _ => format!(
                        "the connection parameter {name} may only be {} here: {why}",
                        values.join(" or ")
                    ),
                }))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_is_named_and_the_nearest_offered() {
        let error = find("ssl_mode").err().expect("refused");
        assert_eq!(error.to_string(), "\"ssl_mode\" is no connection parameter");
        assert_eq!(error.advice(), Some("did you mean sslmode?"));
        assert_eq!(find("xyzzy").err().expect("refused").advice(), None);
    }

    #[test]
    fn a_value_is_checked_and_never_repeated() {
        let options = find("options").expect("known");
        assert!(options.check("").is_ok());
        let error = options.check("-c role=secret").expect_err("refused");
        assert!(!error.chain().contains("secret"), "{error}");
        let sni = find("sslsni").expect("known");
        assert!(sni.check("1").is_ok() && sni.check("0").is_err());
        assert!(find("host").expect("known").check("anything").is_ok());
    }
}
