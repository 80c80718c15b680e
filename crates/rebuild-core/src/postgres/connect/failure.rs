//! Why a connection did not come about, and what to do about it.

use std::error::Error as StdError;
use std::time::Duration;

use rustls::CertificateError;
use tokio_postgres::error::SqlState;

use super::watch::Unwanted;
use crate::error::{Error, ErrorKind, clean};
use crate::model::{Endpoint, Host, SslMode};
use crate::postgres::server_error::cause;

/// The error of an attempt to connect to `endpoint`, with what to try next.
pub(in crate::postgres) fn connect_error(endpoint: &Endpoint, e: &tokio_postgres::Error) -> Error {
    let error = Error::new(ErrorKind::Unreachable, message(endpoint)).caused_by(cause(e));
    match advice(endpoint, e) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The error of an attempt that did not get as far as the server.
pub(super) fn dial_error(endpoint: &Endpoint, e: &std::io::Error) -> Error {
    let cause = Error::new(ErrorKind::Unreachable, e.to_string());
    let error = Error::new(ErrorKind::Unreachable, message(endpoint)).caused_by(cause);
    match io_advice(endpoint, e.kind()) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The error of an attempt that took too long.
pub(in crate::postgres) fn connect_timeout(endpoint: &Endpoint) -> Error {
    let limit = endpoint.connect_timeout;
    Error::new(
        ErrorKind::Unreachable,
        format!("{} within {limit:?}", message(endpoint)),
    )
    .hint("is the address right, and does a firewall let the port through? connect_timeout=SECONDS waits longer")
}

/// How long one waits for the word that what a connection goes through has ended: its socket is shut
/// before its process is gone.
const END_KNOWN_WITHIN: Duration = Duration::from_millis(500);

/// `e`, or where what the connection goes through has ended, an error that says so.
pub(in crate::postgres) async fn with_end_of_way(endpoint: &Endpoint, e: Error) -> Error {
    let Some(mut ended) = endpoint.ended.clone() else {
        return e;
    };
    let known = tokio::time::timeout(END_KNOWN_WITHIN, ended.wait_for(Option::is_some)).await;
    match known.map(|how| how.map(|how| how.clone())) {
        Ok(Ok(Some(how))) => Error::new(ErrorKind::Unreachable, message(endpoint))
            .caused_by(Error::new(ErrorKind::Program, how))
            .hint("the next command starts it anew"),
        _ => e,
    }
}

pub(super) fn message(endpoint: &Endpoint) -> String {
    format!("could not connect to {}", endpoint.describe())
}

fn advice(endpoint: &Endpoint, e: &tokio_postgres::Error) -> Option<String> {
    if let Some(db) = e.as_db_error() {
        return login_advice(endpoint, db.code()).or_else(|| db.hint().map(clean));
    }
    let mut next = e.source();
    while let Some(cause) = next {
        if let Some(e) = cause.downcast_ref::<rustls::Error>() {
            return Some(tls_advice(endpoint, e));
        }
        if let Some(e) = cause.downcast_ref::<Unwanted>() {
            return Some(e.advice().to_owned());
        }
        if let Some(e) = cause.downcast_ref::<std::io::Error>() {
            if let Some(hint) = io_advice(endpoint, e.kind()) {
                return Some(hint);
            }
            // An io::Error with a cause of its own gives that cause's source as its source.
            next = e.get_ref().map(|inner| inner as &(dyn StdError + 'static));
            continue;
        }
        next = cause.source();
    }
    match cause(e).to_string() {
        text if text.contains("password missing") => Some(format!(
            "the server asks for a password: set PGPASSWORD, or list {} in ~/.pgpass",
            endpoint.user
        )),
        text if text.contains("does not support TLS") => Some(format!(
            "the server has no TLS (its setting ssl is off), and sslmode={} wants it",
            endpoint.sslmode.as_str()
        )),
        text if text.contains("channel binding") => {
            Some("channel_binding=require needs TLS and a role with a SCRAM password".to_owned())
        }
        _ => None,
    }
}

fn login_advice(endpoint: &Endpoint, code: &SqlState) -> Option<String> {
    let role = &endpoint.user;
    Some(match *code {
        SqlState::INVALID_PASSWORD => {
            format!("the password of {role} is wrong, or the role does not exist")
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => format!(
            "does the role {role} exist, and does the server's pg_hba.conf let it in from here with this sslmode?"
        ),
        SqlState::INVALID_CATALOG_NAME => {
            "psql --list shows the databases of the server".to_owned()
        }
        SqlState::INSUFFICIENT_PRIVILEGE => format!(
            "grant connect on database {:?} to {role:?}",
            endpoint.database
        ),
        SqlState::TOO_MANY_CONNECTIONS => {
            "end sessions, or raise the limit of the server, database or role".to_owned()
        }
        SqlState::CANNOT_CONNECT_NOW => {
            "the server is starting, stopping or recovering: try again soon".to_owned()
        }
        _ => return None,
    })
}

fn io_advice(endpoint: &Endpoint, kind: std::io::ErrorKind) -> Option<String> {
    use std::io::ErrorKind as Io;
    let port = endpoint.port;
    match (kind, &endpoint.host) {
        (Io::NotFound | Io::ConnectionRefused, Host::Socket(dir)) => Some(format!(
            "is the server running, with port = {port} and unix_socket_directories = '{}'?",
            dir.display()
        )),
        (Io::ConnectionRefused, Host::Tcp(host)) => Some(format!(
            "is the server running on {host} and listening on TCP port {port} (listen_addresses, port)?"
        )),
        (Io::PermissionDenied, Host::Socket(dir)) => Some(format!(
            "this user may not use the socket in {}",
            dir.display()
        )),
        (Io::TimedOut | Io::HostUnreachable | Io::NetworkUnreachable, _) => {
            Some("is the address right, and does a firewall let the port through?".to_owned())
        }
        (Io::UnexpectedEof | Io::ConnectionReset, _) => Some(match &endpoint.via {
            Some(via) => {
                format!("the way there broke: is {via} ready?")
            }
            None => "something that listens there hung up: is it a PostgreSQL server?".to_owned(),
        }),
        _ => None,
    }
}

fn tls_advice(endpoint: &Endpoint, e: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(e) = e else {
        return "the server speaks no TLS 1.2 or 1.3 that this client accepts, or wants a client certificate (sslcert, sslkey)".to_owned();
    };
    match e {
        CertificateError::UnknownIssuer => match &endpoint.sslrootcert {
            Some(file) => format!("no authority in {} signed it", file.display()),
            None => "name the authority that signed it with sslrootcert=FILE".to_owned(),
        },
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let more = match endpoint.sslmode {
                SslMode::Require => " (sslmode=require verifies the name here, too)",
                _ => "",
            };
            format!(
                "connect by a name in the certificate's subjectAltName, or verify the authority alone: sslmode=verify-ca with sslrootcert{more}"
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew the server's certificate; is this machine's clock right?".to_owned()
        }
        _ => "the certificate must be X.509 version 3 and not be an authority's own (CA:FALSE)"
            .to_owned(),
    }
}
