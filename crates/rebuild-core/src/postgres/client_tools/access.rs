//! The environment of a client program: what reaches the server, and nothing that bends it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Endpoint, Host, SslMode};
use crate::postgres::connect::{Proof, Protection, logins, system_certificates};
use crate::secret::Secret;

/// Variables of this process that a program gets as they are.
const KEPT: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"];

/// What every program gets: of this process's environment the little that it needs to run, and
/// messages in English.
pub(super) fn kept() -> Vec<(String, OsString)> {
    KEPT.iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)))
        .chain([
            ("LANG".to_owned(), "C.UTF-8".into()),
            ("LC_MESSAGES".to_owned(), "C".into()),
        ])
        .collect()
}

/// The way to one database for programs built on libpq. Dropping it removes its files.
///
/// Every file that libpq would look for in the home folder is pinned, too: to what the endpoint
/// says, or to one that is not there.
pub(super) struct Access {
    dir: TempDir,
    variables: Vec<(&'static str, OsString)>,
}

impl Access {
    /// Access to `endpoint` for sessions called `application`.
    ///
    /// # Errors
    /// The endpoint asks for TLS that proves nothing; its files could not be written.
    pub(super) fn to(endpoint: &Endpoint, application: &str) -> Result<Self> {
        let dir = crate::private::folder().map_err(unwritten)?;
        let mut access = Self {
            dir,
            variables: Vec::new(),
        };
        access.place(endpoint);
        access.set("PGAPPNAME", application);
        access.password(endpoint.password().as_ref())?;
        access.tls(endpoint)?;
        Ok(access)
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, &OsString)> {
        self.variables.iter().map(|(name, value)| (*name, value))
    }

    fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.push((name, value.into()));
    }

    fn place(&mut self, endpoint: &Endpoint) {
        match &endpoint.host {
            Host::Socket(dir) => self.set("PGHOST", dir),
            Host::Tcp(name) => self.set("PGHOST", name),
        }
        if let Some(address) = endpoint.hostaddr {
            self.set("PGHOSTADDR", address.to_string());
        }
        if let Some(options) = endpoint.options() {
            self.set("PGOPTIONS", options);
        }
        self.set("PGPORT", endpoint.port.to_string());
        self.set("PGUSER", &endpoint.user);
        self.set("PGDATABASE", &endpoint.database);
        // Older versions of libpq take one second for two, and a fraction is not understood.
        let seconds = endpoint.connect_timeout.as_secs_f64().ceil().max(2.0);
        self.set("PGCONNECT_TIMEOUT", format!("{seconds:.0}"));
    }

    /// The password goes into a file that only this user may read. Without one the file is there
    /// all the same, so that none is taken from `~/.pgpass`.
    fn password(&mut self, password: Option<&Secret>) -> Result<()> {
        let line = match password {
            Some(password) => passfile_line(password)?,
            None => Secret::new(""),
        };
        let path = self.write("pgpass", line.expose().as_bytes())?;
        self.set("PGPASSFILE", path);
        Ok(())
    }

    fn tls(&mut self, endpoint: &Endpoint) -> Result<()> {
        let none = self.dir.path().join("none");
        let proof = Proof::of(endpoint);
        let mode = match (Protection::of(endpoint)?, proof) {
            (Protection::Plain, _) => SslMode::Disable,
            (Protection::IfOffered(_), _) => SslMode::Prefer,
            (Protection::Tls(_), Proof::Nothing) => SslMode::Require,
            (Protection::Tls(_), Proof::Chain) => SslMode::VerifyCa,
            (Protection::Tls(_), Proof::ChainAndName) => SslMode::VerifyFull,
        };
        self.set("PGSSLMODE", mode.as_str());
        // Authorities at hand make libpq verify the certificate in every mode.
        let roots = match (proof, &endpoint.sslrootcert) {
            (Proof::Nothing, _) => none.clone().into(),
            (_, Some(file)) => absolute(file)?,
            // Not every version of libpq knows where the system has them.
            (_, None) if mode == SslMode::VerifyFull => {
                self.write("roots.pem", pem(system_certificates()?).as_bytes())?
            }
            (_, None) => none.clone().into(),
        };
        self.set("PGSSLROOTCERT", roots);
        for (name, file) in [
            ("PGSSLCERT", &endpoint.sslcert),
            ("PGSSLKEY", &endpoint.sslkey),
            ("PGSSLCRL", &None),
        ] {
            let file = match file {
                Some(file) => absolute(file)?,
                None => none.clone().into(),
            };
            self.set(name, file);
        }
        if endpoint.require_channel_binding {
            self.set("PGCHANNELBINDING", "require");
        }
        self.set("PGGSSENCMODE", "disable");
        // Programs before version 16 do not know this one; each is run only after a session of
        // this process found the server to ask for something else.
        if let Some(ways) = logins(endpoint).require_auth() {
            self.set("PGREQUIREAUTH", ways);
        }
        // libpq takes a name and no number.
        let named = endpoint.require_peer.as_ref();
        if let Some(name) = named.filter(|name| name.parse::<u32>().is_err()) {
            self.set("PGREQUIREPEER", name);
        }
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<OsString> {
        let path = self.dir.path().join(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(unwritten)?;
        Ok(path.into())
    }
}

fn unwritten(e: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Io,
        "could not write a client program's temporary files",
    )
    .caused_by(e)
}

fn absolute(file: &Path) -> Result<OsString> {
    Ok(std::path::absolute(file)?.into())
}

/// A line of the password file that gives `password` to any connection
/// (<https://www.postgresql.org/docs/current/libpq-pgpass.html>).
fn passfile_line(password: &Secret) -> Result<Secret> {
    if password.expose().contains(['\n', '\r', '\0']) {
        return Err(Error::usage(
            "a password with a line break cannot be given to PostgreSQL's programs",
        )
        .hint("give the role another password"));
    }
    let escaped = password.expose().replace('\\', "\\\\").replace(':', "\\:");
    Ok(Secret::new(format!("*:*:*:*:{escaped}\n")))
}

/// Certificates as text: base 64 in lines of 64 characters (RFC 7468).
fn pem(certificates: &[CertificateDer<'_>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        // 48 bytes make 64 characters.
        for line in certificate.chunks(48) {
            for group in line.chunks(3) {
                push_base64(&mut text, group);
            }
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// Up to three bytes as four characters.
fn push_base64(text: &mut String, group: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = (0..3).fold(0_u32, |bits, at| {
        bits << 8 | u32::from(group.get(at).copied().unwrap_or_default())
    });
    for at in 0..4 {
        if at <= group.len() {
            let digit = bits >> (18 - 6 * at) & 63;
            text.push(char::from(DIGITS[digit as usize]));
        } else {
            text.push('=');
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn certificates_come_back_from_their_text() {
        for length in [1, 2, 3, 47, 48, 49, 1000] {
            let bytes: Vec<u8> = (0..=u8::MAX).rev().cycle().take(length).collect();
            let certificates = [
                CertificateDer::from(bytes),
                CertificateDer::from(vec![255; 5]),
            ];
            let text = pem(&certificates);
            assert!(text.lines().all(|line| line.len() <= 64));
            let back: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
                .collect::<Result<_, _>>()
                .expect("PEM");
            assert_eq!(back, certificates);
        }
    }

    #[test]
    fn a_password_is_escaped_or_refused() {
        let line = passfile_line(&Secret::new(r"a:b\c")).expect("line");
        assert_eq!(line.expose(), "*:*:*:*:a\\:b\\\\c\n");
        let error = passfile_line(&Secret::new("hunter2\nx")).expect_err("refused");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
