//! Certificates that were good once.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use super::*;

/// A right authority, and for the server what it signed for one day of 2020.
fn expired() -> Result<Papers, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "right authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut params = CertificateParams::new(vec![NAME.to_owned()])?;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 2);
    let key = KeyPair::generate()?;
    let server = params.signed_by(&key, &authority)?;
    let papers = Papers(tempfile::tempdir().expect("folder"));
    for (file, text) in [
        ("ca.crt", authority.pem()),
        ("server.crt", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(papers.path(file), text).expect("written");
    }
    Ok(papers)
}

#[tokio::test]
async fn a_certificate_that_has_expired_proves_nothing() {
    let papers = expired().expect("certificates");
    let cluster = tcp_cluster().await;
    papers.hand_to(&cluster).await;
    for mode in [SslMode::VerifyFull, SslMode::VerifyCa, SslMode::Require] {
        let mut endpoint = at(&cluster, mode);
        endpoint.sslrootcert = Some(papers.path("ca.crt"));
        let shown = outcome(&endpoint).await;
        assert!(shown.contains("expired"), "{mode:?}: {shown}");
        let shown = outcome_of_psql(&endpoint).await;
        assert!(shown.contains("certificate"), "{mode:?}: {shown}");
    }
}
