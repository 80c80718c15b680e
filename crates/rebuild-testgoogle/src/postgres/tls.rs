//! The certificates of an instance.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use super::programs::give;

/// The authority that an instance has for itself, and that signs its server's certificate.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    /// The authority's certificate.
    pub(crate) certificate: String,
    /// The server's certificate and its key.
    server: (String, String),
}

impl Authority {
    /// A new one. The server's certificate names the instance as `PROJECT:INSTANCE`, and its DNS
    /// name. <https://cloud.google.com/sql/docs/postgres/authorize-ssl>
    pub(crate) fn new(name: &str, dns_name: &str) -> io::Result<Self> {
        Self::generate(name, dns_name).map_err(io::Error::other)
    }

    fn generate(name: &str, dns_name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let common_name = format!("Google Cloud SQL Server CA of {name}");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let mut params = CertificateParams::new(vec![dns_name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let server = params.signed_by(&key, &authority)?;
        Ok(Self {
            certificate: authority.pem(),
            server: (server.pem(), key.serialize_pem()),
        })
    }

    /// Writes the server's certificate and key, as `server.crt` and `server.key`.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let (certificate, key) = &self.server;
        for (name, content) in [("server.crt", certificate), ("server.key", key)] {
            let path = folder.join(name);
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(content.as_bytes())?;
            give(&path)?;
        }
        Ok(())
    }
}
