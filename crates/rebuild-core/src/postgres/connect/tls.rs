//! TLS to a server: what is proven, and when a connection may go without.
//!
//! <https://www.postgresql.org/docs/current/libpq-ssl.html>

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Endpoint, Host, SslMode};

/// How one connection is protected.
pub(in crate::postgres) enum Protection {
    /// Not at all.
    Plain,
    /// With TLS if the server offers it. Nothing leaves this machine.
    IfOffered(MakeRustlsConnect),
    /// With TLS, or not connected.
    Tls(MakeRustlsConnect),
}

/// What is asked of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Proof {
    /// That it has the key of the certificate it shows.
    Nothing,
    /// That a trusted authority signed its certificate.
    Chain,
    /// And that the certificate names the host.
    ChainAndName,
}

impl Proof {
    /// What `endpoint` asks for.
    pub(in crate::postgres) fn of(endpoint: &Endpoint) -> Self {
        match endpoint.sslmode {
            SslMode::Disable | SslMode::Allow | SslMode::Prefer => Self::Nothing,
            SslMode::Require if endpoint.insecure_tls => Self::Nothing,
            SslMode::VerifyCa => Self::Chain,
            SslMode::Require | SslMode::VerifyFull => Self::ChainAndName,
        }
    }
}

/// Refuses a mode that would prove nothing, or send secrets in the clear.
///
/// # Errors
/// The mode does not protect a connection that leaves this machine, or trusts everyone.
pub(super) fn check_mode(endpoint: &Endpoint) -> Result<()> {
    if let Host::Socket(_) = endpoint.host {
        return Ok(());
    }
    let mode = endpoint.sslmode;
    if mode < SslMode::Require && !endpoint.is_local() && !endpoint.insecure_tls {
        return Err(Error::usage(format!(
            "sslmode={} does not protect the connection to {}",
            mode.as_str(),
            endpoint.describe()
        ))
        .hint("use sslmode=verify-full, with sslrootcert if the authority is your own"));
    }
    if mode == SslMode::VerifyCa && endpoint.sslrootcert.is_none() {
        return Err(Error::usage(
            "sslmode=verify-ca with the system's authorities proves nothing: they sign for anyone",
        )
        .hint("name the server's own authority with sslrootcert, or use verify-full"));
    }
    Ok(())
}

impl Protection {
    /// The protection that `endpoint` asks for.
    ///
    /// # Errors
    /// As [`check_mode`]; a certificate or key file is missing or malformed, or others may read
    /// the key.
    pub(in crate::postgres) fn of(endpoint: &Endpoint) -> Result<Self> {
        check_mode(endpoint)?;
        if matches!(endpoint.host, Host::Socket(_)) || endpoint.sslmode == SslMode::Disable {
            return Ok(Self::Plain);
        }
        let connector = MakeRustlsConnect::new(config(endpoint)?);
        if endpoint.sslmode < SslMode::Require && endpoint.is_local() {
            Ok(Self::IfOffered(connector))
        } else {
            Ok(Self::Tls(connector))
        }
    }
}

fn config(endpoint: &Endpoint) -> Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier(endpoint, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal("the TLS provider lacks a protocol version").caused_by(e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let (Some(cert), Some(key)) = (&endpoint.sslcert, &endpoint.sslkey) else {
        return Ok(builder.with_no_client_auth());
    };
    builder
        .with_client_auth_cert(certificates(cert)?, private_key(key)?)
        .map_err(|e| {
            Error::usage(format!(
                "the client certificate {} does not fit the key {}",
                cert.display(),
                key.display()
            ))
            .caused_by(e)
        })
}

fn verifier(
    endpoint: &Endpoint,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let proof = Proof::of(endpoint);
    let algorithms = provider.signature_verification_algorithms;
    if proof == Proof::Nothing {
        let roots = None;
        return Ok(Arc::new(NamelessVerifier { roots, algorithms }));
    }
    let roots = match &endpoint.sslrootcert {
        Some(file) => Arc::new(authorities(file)?),
        None => system_authorities()?,
    };
    if proof == Proof::Chain {
        let roots = Some(roots);
        return Ok(Arc::new(NamelessVerifier { roots, algorithms }));
    }
    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
        .map_err(|e| Error::usage("there are no authorities to trust").caused_by(e))
}

/// A verifier that does not ask for whom the certificate is: it asks who signed it, where it has
/// `roots`, and in any case that the server has its key.
#[derive(Debug)]
struct NamelessVerifier {
    roots: Option<Arc<RootCertStore>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for NamelessVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                roots,
                intermediates,
                now,
                self.algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let malformed = |why: String| {
        Error::usage(format!(
            "could not read the certificates in {}: {why}",
            file.display()
        ))
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|e| malformed(e.to_string()))?;
    if found.is_empty() {
        return Err(malformed("it has none in PEM form".to_owned()));
    }
    Ok(found)
}

fn authorities(file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|e| {
            Error::usage(format!(
                "a certificate in {} cannot be trusted as an authority",
                file.display()
            ))
            .caused_by(e)
        })?;
    }
    Ok(roots)
}

/// The authorities that this machine trusts, read once. Some machines list ones that cannot be
/// parsed; those sign nothing.
pub(in crate::postgres) fn system_certificates() -> Result<&'static [CertificateDer<'static>]> {
    static FOUND: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    let found = FOUND.get_or_init(|| rustls_native_certs::load_native_certs().certs);
    if found.is_empty() {
        return Err(Error::new(
            ErrorKind::Io,
            "this machine has no list of trusted authorities",
        )
        .hint("install the package ca-certificates, or name a file with sslrootcert"));
    }
    Ok(found)
}

fn system_authorities() -> Result<Arc<RootCertStore>> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let certificates = system_certificates()?;
    Ok(Arc::clone(ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        Arc::new(roots)
    })))
}

/// The client's key, if nobody but its owner can read it: root's may be readable by a group, as
/// in libpq.
fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    let unreadable = || Error::usage(format!("could not read the client key {}", file.display()));
    let metadata = std::fs::metadata(file).map_err(|e| unreadable().caused_by(e))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(Error::usage(format!(
            "others than its owner may read the client key {}",
            file.display()
        ))
        .hint(format!("chmod 600 {}", file.display())));
    }
    // What the parser found wrong could quote the key; its words are left out.
    PrivateKeyDer::from_pem_file(file).map_err(|_| {
        unreadable().hint("it must be an unencrypted key in PEM form (PKCS#8, PKCS#1 or SEC1)")
    })
}

#[cfg(test)]
mod tests;
