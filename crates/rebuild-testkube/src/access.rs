//! Who may speak to the server: its certificates and the kubeconfig.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use uuid::Uuid;

/// The keys of one cluster, made new for it.
pub(crate) struct Access {
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) token: String,
    authority: String,
}

impl Access {
    pub(crate) fn new() -> io::Result<Self> {
        let (tls, authority) = certificates().map_err(io::Error::other)?;
        Ok(Self {
            tls: Arc::new(tls),
            token: Uuid::new_v4().simple().to_string(),
            authority,
        })
    }

    /// Writes what the kubelet gives to a pod of the namespace, into a new folder that nobody else can read.
    pub(crate) fn write_service_account(&self, folder: &Path, namespace: &str) -> io::Result<()> {
        std::fs::DirBuilder::new().mode(0o700).create(folder)?;
        std::fs::write(folder.join("token"), &self.token)?;
        std::fs::write(folder.join("ca.crt"), &self.authority)?;
        std::fs::write(folder.join("namespace"), namespace)
    }

    /// Writes a kubeconfig with one context that nobody else can read.
    pub(crate) fn write_kubeconfig(&self, path: &Path, url: &str) -> io::Result<()> {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters:\n- name: test\n  cluster:\n    server: {url}\n    \
             certificate-authority-data: {}\n\
             users:\n- name: test\n  user:\n    token: {}\n\
             contexts:\n- name: test\n  context:\n    cluster: test\n    user: test\n    \
             namespace: default\n",
            STANDARD.encode(&self.authority),
            self.token
        );
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())
    }
}

fn certificates() -> Result<(ServerConfig, String), Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "testkube-ca");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let mut params = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()])?;
    params
        .distinguished_name
        .push(DnType::CommonName, "kube-apiserver");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    // WebSockets are HTTP/1.1 upgrades, and so nothing newer is offered.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((tls, authority.pem()))
}
