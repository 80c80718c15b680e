//! The order of sources, the defaults, and what is refused; and the same answer as psql's.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
use crate::postgres::Session;
use crate::testing::{client_bin_dir, cluster_options, guarded_cluster};

/// A home with these files, readable by their owner alone, and an environment that has it.
struct Home(TempDir);

impl Home {
    fn of(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("home");
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(&path, text).expect("file");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("chmod");
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn env(&self, variables: &[(&str, &str)]) -> Environment {
        Environment::of(
            [("HOME", self.path("").as_str())]
                .iter()
                .chain(variables)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }
}

const SERVICES: &str = "[blue]\nhost=blue.example\nport=6000\nuser=bo\nsslmode=require\n\
                        [bad]\noptions=-csearch_path=x\n";

fn shown(endpoint: &Endpoint) -> String {
    let password = endpoint.password.as_ref().map_or("", Secret::expose);
    format!(
        "{} {} {password}",
        endpoint.describe(),
        endpoint.sslmode.as_str()
    )
}

#[test]
fn sources_are_asked_in_the_order_of_libpq() {
    let home = Home::of(&[
        (".pg_service.conf", SERVICES),
        (
            ".pgpass",
            "blue.example:6000:*:bo:secret\nlocalhost:*:*:*:local\n/run/db:*:*:*:socket\n",
        ),
    ]);
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let everything: Variables = &[
        ("PGHOST", "env.example"),
        ("PGPORT", "7000"),
        ("PGUSER", "eve"),
        ("PGDATABASE", "envdb"),
        ("PGPASSWORD", "fromenv"),
        ("PGSSLMODE", "verify-full"),
    ];
    let service: Variables = &[
        ("PGSERVICE", "blue"),
        ("PGUSER", "eve"),
        ("PGDATABASE", "d"),
    ];
    for (text, variables, expected) in [
        (
            "",
            everything,
            "eve@env.example:7000/envdb verify-full fromenv",
        ),
        (
            "host=a user=u",
            everything,
            "u@a:7000/envdb verify-full fromenv",
        ),
        (
            "postgres://u:p@a:1/d?sslmode=require",
            everything,
            "u@a:1/d require p",
        ),
        (
            "host=/run/db port=5432",
            everything,
            "eve@/run/db:5432/envdb verify-full fromenv",
        ),
        ("host=/run/db user=u", &[], "u@/run/db:5432/u prefer socket"),
        ("", service, "bo@blue.example:6000/d require secret"),
        (
            "service=blue",
            &[],
            "bo@blue.example:6000/bo require secret",
        ),
        (
            "service=blue user=x",
            service,
            "x@blue.example:6000/d require ",
        ),
        (
            "host=localhost user=u",
            &[],
            "u@localhost:5432/u prefer local",
        ),
        (
            "host=localhost user=u password=''",
            everything,
            "u@localhost:7000/envdb verify-full local",
        ),
        (
            "host=127.0.0.9 user=u dbname=d",
            &[],
            "u@127.0.0.9:5432/d prefer ",
        ),
        ("host=::1 user=u", &[], "u@::1:5432/u prefer "),
        (
            "host=db.example user=u",
            &[],
            "u@db.example:5432/u verify-full ",
        ),
        (
            "host=localhost hostaddr=192.0.2.1 user=u",
            &[],
            "u@localhost:5432/u verify-full local",
        ),
        (
            "host=db.example hostaddr=127.0.0.1 user=u",
            &[],
            "u@db.example:5432/u prefer ",
        ),
        (
            "hostaddr=192.0.2.1 user=u",
            &[],
            "u@192.0.2.1:5432/u verify-full ",
        ),
        (
            "host=localhost user=u sslrootcert=system",
            &[],
            "u@localhost:5432/u verify-full local",
        ),
        (
            "port=1 user=u",
            &[("PGAPPNAME", "x"), ("PGTZ", "x")],
            "u@localhost:1/u prefer local",
        ),
        ("host=h user=u port=2 port=3", &[], "u@h:3/u verify-full "),
    ] {
        let endpoint = home.env(variables).endpoint(text, false).expect(text);
        assert_eq!(shown(&endpoint), expected, "{text}");
        let debug = format!("{endpoint:?}");
        for secret in ["fromenv", "secret", "local\"", "socket\""] {
            assert!(!debug.contains(secret), "{debug}");
        }
    }
}

#[test]
fn what_would_mislead_is_refused() {
    let home = Home::of(&[(".pg_service.conf", SERVICES), ("pw", "*:*:*:*:hunter2\n")]);
    std::fs::set_permissions(home.path("pw"), PermissionsExt::from_mode(0o644)).expect("chmod");
    let loose = home.path("pw");
    let missing = home.path("none");
    for (text, variables, expected) in [
        ("host=a,b", &[][..], "more than one host"),
        ("", &[("PGHOST", "a,b")], "more than one host"),
        ("hostaddr=192.0.2.1,192.0.2.2", &[], "more than one host"),
        ("port=1,2", &[], "more than one host"),
        ("port=0", &[], "no port from 1"),
        ("port=x", &[], "no port from 1"),
        ("hostaddr=db.example", &[], "no IP address"),
        ("host=/tmp hostaddr=127.0.0.1", &[], "the socket directory"),
        ("host=@abstract", &[], "abstract socket"),
        ("connect_timeout=0", &[], "wait for ever"),
        ("connect_timeout=-1", &[], "no whole number"),
        (
            "host=h sslmode=prefer",
            &[],
            "sslmode=prefer does not protect",
        ),
        (
            "host=h",
            &[("PGSSLMODE", "disable")],
            "sslmode=disable does not protect",
        ),
        (
            "host=h sslmode=allow",
            &[],
            "sslmode=allow does not protect",
        ),
        (
            "host=localhost hostaddr=192.0.2.1 sslmode=prefer",
            &[],
            "does not protect",
        ),
        ("host=h sslmode=no", &[], "\"no\" is no sslmode"),
        (
            "host=h sslmode=verify-ca",
            &[],
            "verify-ca with the system's authorities",
        ),
        (
            "host=h sslcert=/c",
            &[],
            "no key for the client certificate",
        ),
        ("host=h sslkey=/c", &[], "no client certificate for the key"),
        ("host=h sslcrl=/x", &[], "revocation lists"),
        ("host=h require_auth=scram", &[], "\"scram\" is no way"),
        ("", &[("PGREQUIREAUTH", "md5,!none")], "rules out others"),
        (
            "host=h target_session_attrs=primary",
            &[],
            "target_session_attrs may only be any",
        ),
        ("host=h gssencmode=require", &[], "Kerberos"),
        ("host=h channel_binding=yes", &[], "no channel_binding"),
        ("host=h replication=database", &[], "replication"),
        (
            "",
            &[("PGOPTIONS", "-cwork_mem=1")],
            "in the environment variable PGOPTIONS",
        ),
        ("service=none", &[], "there is no service \"none\""),
        ("service=bad", &[], "in the service \"bad\""),
        (
            "service=blue",
            &[("PGSERVICEFILE", missing.as_str())],
            "is missing",
        ),
        (
            "user=u",
            &[("PGPASSFILE", loose.as_str())],
            "others than its owner may read",
        ),
        (
            "ssl_mode=prefer",
            &[],
            "\"ssl_mode\" is no connection parameter",
        ),
    ] {
        let error = home
            .env(variables)
            .endpoint(text, false)
            .expect_err(&format!("{text} {variables:?}"));
        assert_eq!(error.kind(), ErrorKind::Usage, "{text}: {error:?}");
        assert!(error.chain().contains(expected), "{text}: {error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn insecure_tls_allows_what_proves_nothing() {
    let home = Home::of(&[]);
    for (text, expected) in [
        ("host=h user=u", "require"),
        ("host=h user=u sslmode=disable", "disable"),
        ("host=h user=u sslmode=prefer", "prefer"),
        ("host=h user=u sslmode=verify-full", "verify-full"),
        ("host=localhost user=u", "prefer"),
    ] {
        let endpoint = home.env(&[]).endpoint(text, true).expect(text);
        assert_eq!(endpoint.sslmode.as_str(), expected, "{text}");
        assert!(endpoint.insecure_tls);
    }
}

#[test]
fn certificates_come_from_the_usual_places() {
    let home = Home::of(&[
        (".postgresql/root.crt", ""),
        (".postgresql/postgresql.crt", ""),
        (".postgresql/postgresql.key", ""),
    ]);
    let path = |name: &str| Some(PathBuf::from(home.path(name)));
    let at = |text: &str| home.env(&[]).endpoint(text, false).expect(text);
    let usual = at("host=h user=u channel_binding=require connect_timeout=3");
    assert_eq!(usual.sslrootcert, path(".postgresql/root.crt"));
    assert_eq!(usual.sslcert, path(".postgresql/postgresql.crt"));
    assert_eq!(usual.sslkey, path(".postgresql/postgresql.key"));
    assert!(usual.require_channel_binding);
    assert_eq!(usual.connect_timeout, Duration::from_secs(3));
    let own = at("host=h user=u sslrootcert=/ca sslcert=/c sslkey=/k");
    assert_eq!(own.sslrootcert.as_deref(), Some(Path::new("/ca")));
    assert_eq!(own.sslcert.as_deref(), Some(Path::new("/c")));
    assert_eq!(own.sslkey.as_deref(), Some(Path::new("/k")));
    assert_eq!(at("host=h user=u sslrootcert=system").sslrootcert, None);
    let socket = at("host=/tmp user=u");
    assert_eq!((socket.sslrootcert, socket.sslcert), (None, None));
}

const WHERE: &str = "select (select system_identifier from pg_catalog.pg_control_system())
    || ' ' || pg_catalog.current_database() || ' ' || current_user";

/// What psql reaches with this string and environment.
async fn psql(program: &Path, env: &[(&str, &str)], home: &Home, text: &str) -> String {
    let mut command = tokio::process::Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.env("HOME", home.path("")).envs(env.iter().copied());
    let output = command
        .args(["-XAtw", "-c", WHERE])
        .args((!text.is_empty()).then_some(["-d", text]).iter().flatten())
        .output()
        .await
        .expect("psql runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn the_same_string_and_environment_reach_what_psql_reaches() {
    let (cluster, _hba) = guarded_cluster(
        "local all postgres trust\nlocal all all scram-sha-256\n",
        cluster_options(),
    )
    .await
    .expect("cluster");
    let admin = cluster.endpoint("postgres");
    let session = Session::open(&admin, "test").await.expect("session");
    for statement in [
        r"create role ann login password 'a:b\c d%'",
        "create database ann owner ann",
        r#"create database "other db" owner ann"#,
    ] {
        session.batch_execute(statement).await.expect(statement);
    }
    let Host::Socket(dir) = &admin.host else {
        panic!("the cluster listens on a socket")
    };
    let dir = dir.display().to_string();
    let encoded = dir.replace('/', "%2F");
    let home = Home::of(&[
        (
            ".pg_service.conf",
            &format!("[one]\nhost={dir}\nuser=ann\ndbname=other db\n"),
        ),
        (".pgpass", &format!("{dir}:5432:*:ann:a\\:b\\\\c d%\n")),
        (
            "elsewhere",
            "*:*:other db:ann:a\\:b\\\\c d%\n*:*:*:*:wrong\n",
        ),
    ]);
    let elsewhere = home.path("elsewhere");
    let program = client_bin_dir(&cluster).join("psql");
    let at = ("PGHOST", dir.as_str());
    for (text, variables) in [
        ("", &[at, ("PGUSER", "ann")][..]),
        ("", &[at, ("PGUSER", "ann"), ("PGDATABASE", "other db")]),
        ("", &[("PGSERVICE", "one")]),
        (
            "dbname=ann",
            &[
                ("PGSERVICE", "one"),
                ("PGUSER", "nobody"),
                ("PGHOST", "/none"),
            ],
        ),
        ("service=one", &[("PGDATABASE", "ann")]),
        ("service=one", &[("PGPASSFILE", elsewhere.as_str())]),
        ("user=postgres dbname='other db'", &[at]),
        (r"user=ann password='a:b\\c d%' passfile=/none", &[at]),
        (
            "user=ann",
            &[at, ("PGPASSWORD", r"a:b\c d%"), ("PGPASSFILE", "/dev/null")],
        ),
        (
            &format!("postgres://ann:a%3Ab%5Cc%20d%25@{encoded}/other%20db"),
            &[("PGHOST", "/none")],
        ),
        (
            &format!("postgresql://ann@/other%20db?host={dir}&passfile={elsewhere}"),
            &[],
        ),
        (
            &format!("host = {dir} user = ann user = postgres dbname = ann"),
            &[],
        ),
    ] {
        let theirs = psql(&program, variables, &home, text).await;
        let endpoint = home.env(variables).endpoint(text, false).expect(text);
        let session = Session::open(&endpoint, "test").await.expect(text);
        let row = session.query_one(WHERE, &[]).await.expect("answer");
        assert_eq!(row.get::<_, &str>(0), theirs, "{text} {variables:?}");
    }
}
