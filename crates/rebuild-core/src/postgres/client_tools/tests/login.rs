//! What the programs log in with, and where it does not show.

use super::*;

const PASSWORD: &str = r"hunter2:\ x";

/// A server that asks the role `ann` for a password.
async fn guarded() -> (LocalCluster, TempDir, Endpoint) {
    let hba = "local all postgres trust\nlocal all all scram-sha-256\n";
    let (cluster, dir) = guarded_cluster(hba, cluster_options())
        .await
        .expect("cluster");
    let admin = session(&cluster.endpoint("postgres")).await;
    let quoted = crate::postgres::literal(PASSWORD).expect("literal");
    for statement in [
        format!("create role ann login password {quoted}"),
        "create database \"it's = \\\" owner ann".to_owned(),
    ] {
        admin.batch_execute(&statement).await.expect(&statement);
    }
    let ann = Endpoint {
        user: "ann".to_owned(),
        password: Some(Secret::new(PASSWORD)),
        ..cluster.endpoint("it's = \\")
    };
    (cluster, dir, ann)
}

async fn session(endpoint: &Endpoint) -> Session {
    Session::open(endpoint, "test").await.expect("session")
}

#[tokio::test]
async fn programs_log_in_with_the_password_of_the_endpoint() {
    let (cluster, _hba, ann) = guarded().await;
    session(&ann)
        .await
        .batch_execute("create table public.t (n int); insert into public.t values (7)")
        .await
        .expect("table");
    let ctx = Ctx::quiet();
    let sql = "select current_user || ' ' || current_setting('application_name') from t";
    let psql = tool(&cluster, "psql").await;
    let run = psql
        .run(&ctx, &ann, &args(&["--no-psqlrc", "-Atc", sql]), LIMIT)
        .await
        .expect("psql");
    let shown = String::from_utf8(run.stdout).expect("text");
    assert_eq!(shown, format!("ann {}\n", application(&ctx)));

    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("dump");
    let dump = tool(&cluster, "pg_dump").await;
    let output = ToolOutput::File(&file);
    dump.run_through(
        &ctx,
        Some(&ann),
        &args(&["-Fc"]),
        LIMIT,
        ToolInput::Nothing,
        output,
    )
    .await
    .expect("pg_dump");
    let mode = file.metadata().expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Without a connection; and through streams.
    let restore = tool(&cluster, "pg_restore").await;
    let mut sql = Vec::new();
    let (input, output) = (ToolInput::File(&file), ToolOutput::Writer(&mut sql));
    restore
        .run_through(&ctx, None, &args(&["--file=-"]), LIMIT, input, output)
        .await
        .expect("pg_restore");
    assert!(String::from_utf8_lossy(&sql).contains("CREATE TABLE public.t"));
    let elsewhere = Endpoint {
        database: "postgres".to_owned(),
        ..ann.clone()
    };
    let mut arguments = args(&["--no-psqlrc"]);
    arguments.push(ClientTool::database_argument(&ann));
    psql.run_through(
        &ctx,
        Some(&elsewhere),
        &arguments,
        LIMIT,
        ToolInput::Reader(&mut &b"insert into public.t values (8);"[..]),
        ToolOutput::Kept,
    )
    .await
    .expect("psql");
    let rows = session(&ann)
        .await
        .query("select n from public.t", &[])
        .await
        .expect("rows");
    assert_eq!(rows.len(), 2);

    let wrong = Endpoint {
        password: None,
        ..ann
    };
    let error = psql
        .run(&ctx, &wrong, &[], LIMIT)
        .await
        .expect_err("no password");
    assert!(
        error.to_string().contains("no password supplied"),
        "{error}"
    );
}

#[tokio::test]
async fn the_password_shows_neither_in_arguments_nor_in_the_environment() {
    let (cluster, _hba, ann) = guarded().await;
    let psql = tool(&cluster, "psql").await;
    let ctx = Ctx::quiet();
    let marker = format!("--set=marker={}", ctx.run);
    let arguments = args(&["--no-psqlrc", "-At", &marker]);
    let (mut to_psql, mut input) = tokio::io::duplex(1024);
    let (mut output, from_psql) = tokio::io::duplex(1024);
    let watch = async {
        to_psql.write_all(b"select 'ready';\n").await.expect("sent");
        let mut lines = BufReader::new(from_psql).lines();
        assert_eq!(
            lines.next_line().await.expect("answer").as_deref(),
            Some("ready")
        );
        let found = processes(&marker);
        assert_eq!(found.len(), 1, "{found:?}");
        let (shown, environment) = &found[0];
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!environment.contains("hunter2"), "{environment}");
        let passfile = environment
            .split('\0')
            .find_map(|variable| variable.strip_prefix("PGPASSFILE="))
            .expect("a password file")
            .to_owned();
        let mode = std::fs::metadata(&passfile)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(to_psql);
        passfile
    };
    let run = psql.run_through(
        &ctx,
        Some(&ann),
        &arguments,
        LIMIT,
        ToolInput::Reader(&mut input),
        ToolOutput::Writer(&mut output),
    );
    let (passfile, run) = tokio::join!(watch, run);
    run.expect("psql");
    let folder = Path::new(&passfile).parent().expect("folder");
    assert!(!folder.exists());
}
