//! Each sslmode against a server with TLS, one without, and ones that are not what they seem.

mod expired;

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::event::Ctx;
use crate::postgres::{
    ClientTool, ClusterOptions, Environment, LocalCluster, Session, StopMode, literal,
};
use crate::testing::{cluster_options, guarded_cluster};

const NAME: &str = "db.example.test";

/// Certificates in a folder: two authorities, one server's, one client's.
struct Papers(TempDir);

impl Papers {
    fn make() -> Self {
        let papers = Self(tempfile::tempdir().expect("folder"));
        papers.openssl("ca", &["-subj", "/CN=right authority"]);
        papers.openssl("other", &["-subj", "/CN=wrong authority"]);
        let name = format!("subjectAltName=DNS:{NAME}");
        papers.signed("server", &["-subj", "/CN=server", "-addext", &name]);
        papers.signed("ann", &["-subj", "/CN=ann"]);
        papers
    }

    fn signed(&self, name: &str, more: &[&str]) {
        let (ca, key) = (self.path("ca.crt"), self.path("ca.key"));
        let mut args = vec!["-addext", "basicConstraints=CA:FALSE", "-CA"];
        args.extend([
            ca.to_str().expect("path"),
            "-CAkey",
            key.to_str().expect("path"),
        ]);
        args.extend(more);
        self.openssl(name, &args);
    }

    /// A certificate and its key.
    fn openssl(&self, name: &str, more: &[&str]) {
        let output = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout"])
            .arg(self.path(&format!("{name}.key")))
            .arg("-out")
            .arg(self.path(&format!("{name}.crt")))
            .args(more)
            .output()
            .expect("the program openssl is installed");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {stderr}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Gives the server its papers, in its own folder and as its own user, and turns TLS on.
    async fn hand_to(&self, cluster: &LocalCluster) {
        let admin = Session::open(&cluster.endpoint("postgres"), "test")
            .await
            .expect("session");
        for (from, to) in [
            ("server.crt", "server.crt"),
            ("server.key", "server.key"),
            ("ca.crt", "root.crt"),
        ] {
            let text = std::fs::read_to_string(self.path(from)).expect("made");
            let lines: Vec<String> = text
                .lines()
                .map(|line| format!("({})", literal(line).expect("text")))
                .collect();
            admin
                .batch_execute(&format!(
                    "copy (values {}) to program 'umask 077; cat > {to}'",
                    lines.join(", ")
                ))
                .await
                .expect("written");
        }
        for statement in [
            "create role ann login",
            "alter system set ssl_ca_file = 'root.crt'",
            "alter system set ssl = on",
        ] {
            admin.batch_execute(statement).await.expect(statement);
        }
        admin.close().await;
        cluster.restart(StopMode::Fast).await.expect("restarted");
    }
}

async fn tcp_cluster() -> LocalCluster {
    let options = ClusterOptions {
        tcp_port: Some(0),
        ..cluster_options()
    };
    LocalCluster::start(&options).await.expect("cluster")
}

/// The cluster by name, over TCP, with `sslmode`.
fn at(cluster: &LocalCluster, sslmode: SslMode) -> Endpoint {
    Endpoint {
        host: Host::Tcp(NAME.to_owned()),
        hostaddr: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        sslmode,
        ..cluster.tcp_endpoint("postgres").expect("TCP")
    }
}

/// True if the session runs over TLS.
async fn sealed(session: &Session) -> bool {
    session
        .query_one(
            "select ssl from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()",
            &[],
        )
        .await
        .expect("asked")
        .get(0)
}

/// How a connection to `endpoint` ends: sealed, plain, or why there is none.
async fn outcome(endpoint: &Endpoint) -> String {
    match Session::open(endpoint, "test").await {
        Ok(session) if sealed(&session).await => "sealed".to_owned(),
        Ok(_) => "plain".to_owned(),
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Unreachable, "{e:?}");
            assert!(e.advice().is_some(), "{e:?}");
            e.chain()
        }
    }
}

async fn outcome_of_psql(endpoint: &Endpoint) -> String {
    // The machine's own: those that only come with tests may be built without TLS.
    let psql = ClientTool::find("psql", None, &Environment::from_process(), 0)
        .await
        .expect("psql");
    let sql = "select ssl from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()";
    let arguments = ["--no-psqlrc", "-Atc", sql].map(Into::into);
    let limit = Duration::from_secs(60);
    match psql.run(&Ctx::quiet(), endpoint, &arguments, limit).await {
        Ok(run) => String::from_utf8(run.stdout).expect("text"),
        Err(e) => e.to_string(),
    }
}

#[tokio::test]
async fn each_mode_proves_what_it_says() {
    let papers = Papers::make();
    let cluster = tcp_cluster().await;
    papers.hand_to(&cluster).await;
    let right = Some(papers.path("ca.crt"));
    let wrong = Some(papers.path("other.crt"));
    let other_name = || Host::Tcp("localhost".to_owned());
    for (mode, root, host, insecure, expected) in [
        (SslMode::VerifyFull, &right, None, false, "sealed"),
        (SslMode::VerifyFull, &wrong, None, false, "UnknownIssuer"),
        (SslMode::VerifyFull, &None, None, false, "UnknownIssuer"),
        (
            SslMode::VerifyFull,
            &right,
            Some(other_name()),
            false,
            "not valid for name",
        ),
        (SslMode::VerifyFull, &wrong, None, true, "UnknownIssuer"),
        (
            SslMode::VerifyCa,
            &right,
            Some(other_name()),
            false,
            "sealed",
        ),
        (SslMode::VerifyCa, &wrong, None, false, "UnknownIssuer"),
        (SslMode::Require, &right, None, false, "sealed"),
        (SslMode::Require, &wrong, None, false, "UnknownIssuer"),
        (
            SslMode::Require,
            &right,
            Some(other_name()),
            false,
            "not valid for name",
        ),
        (SslMode::Require, &wrong, Some(other_name()), true, "sealed"),
        (SslMode::Require, &None, None, true, "sealed"),
        (SslMode::Prefer, &None, None, false, "sealed"),
        (SslMode::Allow, &None, None, false, "sealed"),
        (SslMode::Disable, &None, None, false, "plain"),
    ] {
        let mut endpoint = at(&cluster, mode);
        endpoint.sslrootcert.clone_from(root);
        endpoint.host = host.unwrap_or(endpoint.host);
        endpoint.insecure_tls = insecure;
        let shown = outcome(&endpoint).await;
        assert!(shown.contains(expected), "{endpoint:?}: {shown}");
        // A program built on libpq, led to the same endpoint, ends the same way.
        let expected = match expected {
            "sealed" => "t\n",
            "plain" => "f\n",
            _ => "certificate",
        };
        let shown = outcome_of_psql(&endpoint).await;
        assert!(shown.contains(expected), "{endpoint:?}: {shown}");
    }
    let bound = |sslmode| Endpoint {
        require_channel_binding: true,
        sslrootcert: right.clone(),
        ..at(&cluster, sslmode)
    };
    assert_eq!(outcome(&bound(SslMode::VerifyFull)).await, "sealed");
    let plain = outcome(&bound(SslMode::Disable)).await;
    assert!(plain.contains("channel binding"), "{plain}");
}

#[tokio::test]
async fn a_client_certificate_lets_its_role_in() {
    let papers = Papers::make();
    let (cluster, _hba) = guarded_cluster(
        "local all all trust\nhostssl all ann all cert\n",
        ClusterOptions {
            tcp_port: Some(0),
            ..cluster_options()
        },
    )
    .await
    .expect("cluster");
    papers.hand_to(&cluster).await;
    let ann = |cert: &str| Endpoint {
        user: "ann".to_owned(),
        sslrootcert: Some(papers.path("ca.crt")),
        sslcert: Some(papers.path(&format!("{cert}.crt"))),
        sslkey: Some(papers.path(&format!("{cert}.key"))),
        ..at(&cluster, SslMode::VerifyFull)
    };
    assert_eq!(outcome(&ann("ann")).await, "sealed");
    let refused = Session::open(&ann("server"), "test").await.err();
    assert!(refused.expect("another's papers").chain().contains("28000"));

    let loose = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(papers.path("ann.key"), loose).expect("chmod");
    let error = Session::open(&ann("ann"), "test").await.err();
    let error = error.expect("a key for all to read");
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
    assert!(error.to_string().contains("others than its owner may read"));
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked() {
    let papers = Papers::make();
    let cluster = tcp_cluster().await;
    for (mode, expected) in [
        (SslMode::VerifyFull, "does not support TLS"),
        (SslMode::VerifyCa, "does not support TLS"),
        (SslMode::Require, "does not support TLS"),
        (SslMode::Prefer, "plain"),
        (SslMode::Allow, "plain"),
    ] {
        let mut endpoint = at(&cluster, mode);
        endpoint.sslrootcert = Some(papers.path("ca.crt"));
        let shown = outcome(&endpoint).await;
        assert!(shown.contains(expected), "{mode:?}: {shown}");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_that_refuses_tls() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("port");
    let port = listener.local_addr().expect("address").port();
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("client");
        let mut request = [0; 8];
        client.read_exact(&mut request).await.expect("request");
        client.write_all(b"N").await.expect("answer");
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.expect("end");
        (request, rest)
    });
    let endpoint = plain(port, SslMode::Require);
    let error = Session::open(&endpoint, "test")
        .await
        .err()
        .expect("no TLS");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let (request, rest) = server.await.expect("server");
    assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "an SSLRequest");
    assert_eq!(rest, Vec::<u8>::new());
}

#[tokio::test]
async fn a_server_that_never_answers_costs_no_more_than_the_deadline() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("port");
    let endpoint = Endpoint {
        via: None,
        connect_timeout: Duration::from_millis(300),
        ..plain(
            listener.local_addr().expect("address").port(),
            SslMode::Prefer,
        )
    };
    let began = Instant::now();
    let error = Session::open(&endpoint, "test").await.err().expect("mute");
    assert!(began.elapsed() >= endpoint.connect_timeout);
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("within 300ms"), "{error}");
}

#[tokio::test]
async fn a_failure_names_the_place_and_what_to_try() {
    let cluster = tcp_cluster().await;
    let right = cluster.tcp_endpoint("postgres").expect("TCP");
    let nobody = TcpListener::bind(("127.0.0.1", 0)).await.expect("port");
    let free = nobody.local_addr().expect("address").port();
    drop(nobody);
    let with = |change: fn(&mut Endpoint)| {
        let mut endpoint = right.clone();
        change(&mut endpoint);
        endpoint
    };
    for (endpoint, expected) in [
        (
            Endpoint {
                port: free,
                ..right.clone()
            },
            "is the server running on 127.0.0.1",
        ),
        (
            with(|e| e.host = Host::Socket("/none".into())),
            "unix_socket_directories = '/none'",
        ),
        (
            with(|e| e.password = Some(crate::Secret::new("hunter2"))),
            "the password of postgres is wrong",
        ),
        (with(|e| e.password = None), "set PGPASSWORD"),
        (
            with(|e| e.user = "stranger".to_owned()),
            "the password of stranger is wrong, or the role",
        ),
        (with(|e| e.database = "none".to_owned()), "psql --list"),
    ] {
        let error = Session::open(&endpoint, "test")
            .await
            .err()
            .expect(expected);
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
        assert!(error.to_string().contains(&endpoint.describe()), "{error}");
        let advice = error.advice().unwrap_or_default();
        assert!(advice.contains(expected), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn a_mode_that_proves_nothing_is_refused_before_anything_is_sent() {
    for mode in [
        SslMode::Disable,
        SslMode::Allow,
        SslMode::Prefer,
        SslMode::VerifyCa,
    ] {
        let far = Endpoint {
            host: Host::Tcp(NAME.to_owned()),
            ..plain(5432, mode)
        };
        let error = Protection::of(&far).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Usage, "{mode:?}: {error:?}");
    }
    // Whoever takes TLS that proves nothing still does not get a fall back to none.
    let far = Endpoint {
        host: Host::Tcp(NAME.to_owned()),
        insecure_tls: true,
        ..plain(5432, SslMode::Prefer)
    };
    assert!(matches!(Protection::of(&far), Ok(Protection::Tls(_))));
}

fn plain(port: u16, sslmode: SslMode) -> Endpoint {
    Endpoint {
        host: Host::Tcp("127.0.0.1".to_owned()),
        hostaddr: None,
        port,
        database: "d".to_owned(),
        user: "u".to_owned(),
        password: Some(crate::Secret::new("hunter2")),
        renewed: None,
        sslmode,
        insecure_tls: false,
        sslrootcert: None,
        sslcert: None,
        sslkey: None,
        require_channel_binding: false,
        logins: None,
        require_peer: None,
        via: None,
        ended: None,
        connect_timeout: Duration::from_secs(20),
        settings: Vec::new(),
        hidden_settings: Vec::new(),
    }
}
