//! Dumps that the real pg_dump makes, whole and damaged.

mod reading;
mod roles;
mod room;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Host, Identity, Verdict};
use crate::postgres::{
    CatalogSnapshot, DatabaseKey, Environment, LocalCluster, RowOptions, Session, compare,
    database_facts, literal,
};
use crate::testing::{client_bin_dir, cluster, load_kitchen_sink, scratch_database};

/// What pg_dump of 15 and later leaves as it is on servers before 15.
const FORGOTTEN: &str = "do $$ begin
    if pg_catalog.current_setting('server_version_num')::int < 150000 then
        revoke create on schema public from public;
    end if;
end $$";

/// A server, a database on it, and a folder for its dumps.
struct World {
    cluster: LocalCluster,
    source: Endpoint,
    folder: TempDir,
}

impl World {
    async fn start() -> Self {
        let cluster = cluster().await.expect("a server");
        let source = scratch_database(&cluster).await.expect("a database");
        Self {
            cluster,
            source,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    async fn sql(&self, endpoint: &Endpoint, sql: &str) {
        let session = Session::open(endpoint, "test").await.expect("a session");
        session.batch_execute(sql).await.expect(sql);
        session.close().await;
    }

    fn dump(&self, name: &str, args: &[&str]) -> PathBuf {
        let Host::Socket(socket) = &self.source.host else {
            panic!("the cluster listens on a socket");
        };
        let path = self.folder.path().join(name);
        let run = Command::new(client_bin_dir(&self.cluster).join("pg_dump"))
            .args(args)
            .arg("--file")
            .arg(&path)
            .arg("--host")
            .arg(socket)
            .args(["--port", &self.source.port.to_string()])
            .args(["--username", &self.source.user, &self.source.database])
            .stdin(Stdio::null())
            .output()
            .expect("pg_dump");
        assert!(run.status.success(), "{run:?}");
        path
    }

    fn of(&self, path: &Path) -> PgDump {
        PgDump {
            from: DumpFrom::Path(path.to_owned()),
            roles: RoleMap::default(),
            trusted: true,
            options: RowOptions::default(),
            tools: Some(client_bin_dir(&self.cluster)),
            environment: Environment::default(),
        }
    }

    async fn empty(&self) -> (Endpoint, Identity) {
        let target = scratch_database(&self.cluster).await.expect("a database");
        let session = Session::open(&target, "test").await.expect("a session");
        let facts = database_facts(&session, DatabaseKey::Current).await;
        session.close().await;
        (target, facts.expect("facts").identity)
    }

    async fn restore(&self, dump: &PgDump) -> Result<(Endpoint, DumpReport, Verdict)> {
        let (target, db) = self.empty().await;
        let (report, verdict) = dump.restore(&Ctx::quiet(), &target, &db).await?;
        Ok((target, report, verdict))
    }

    async fn refused(&self, sql: &str) -> Error {
        let path = self.folder.path().join("crafted.sql");
        std::fs::write(&path, sql).expect("a file");
        let e = self.restore(&self.of(&path)).await;
        e.err().unwrap_or_else(|| panic!("it was run: {sql}"))
    }
}

async fn catalog(endpoint: &Endpoint) -> CatalogSnapshot {
    let session = Session::open(endpoint, "test").await.expect("a session");
    let snapshot = CatalogSnapshot::read(&session).await.expect("the catalog");
    session.close().await;
    snapshot
}

/// The output of a program that reads `input`.
fn through(program: &str, input: &Path, output: &Path) {
    let file = std::fs::File::open(input).expect("a file");
    let run = Command::new(program).arg("-c").stdin(file).output();
    let run = run.expect(program);
    assert!(run.status.success(), "{program}");
    let mut file = std::fs::File::create(output).expect("a file");
    file.write_all(&run.stdout).expect("written");
}

#[tokio::test]
async fn every_form_of_a_dump_comes_back() {
    let world = World::start().await;
    load_kitchen_sink(&world.source).await.expect("the source");
    let plain = world.dump("plain.sql", &["-Fp"]);
    let (gzip, zstd) = (
        world.folder.path().join("plain.sql.gz"),
        world.folder.path().join("plain.sql.zst"),
    );
    through("gzip", &plain, &gzip);
    through("zstd", &plain, &zstd);
    let dumps = [
        world.dump("custom", &["-Fc"]),
        world.dump("directory", &["-Fd", "-j2"]),
        world.dump("tar", &["-Ft"]),
        world.dump("inserts.sql", &["--column-inserts", "--rows-per-insert=7"]),
        plain,
        gzip,
        zstd,
    ];
    let expected = catalog(&world.source).await;
    for dump in dumps {
        let shown = dump.display();
        let restored = world.restore(&world.of(&dump)).await;
        let (target, report, verdict) = restored.unwrap_or_else(|e| panic!("{shown}: {e:?}"));
        assert!(verdict.passed(), "{shown}: {:?}", verdict.complaints());
        assert!(report.statements > 100, "{shown}: {report:?}");
        world.sql(&target, FORGOTTEN).await;
        let mut drift = CatalogSnapshot::diff(&catalog(&target).await, &expected);
        // pg_dump puts a column that a table has of its own after those that it inherits.
        drift
            .objects
            .retain(|(_, object)| !object.ends_with("child: column order"));
        assert!(drift.is_empty(), "the schema of {shown}: {drift:?}");
        let ctx = Ctx::quiet();
        let rows = compare(&ctx, &world.source, &target, false).await;
        let rows = rows.expect("compared");
        // Where rows lie by the hash of an enum, they lie elsewhere in another database. INSERT
        // has numbers without quotes, and a zero loses its sign.
        let inserts = dump.ends_with("inserts.sql");
        let differing: Vec<&str> = rows
            .differing
            .iter()
            .map(|d| d.table.name.as_str())
            .filter(|name| !(name.starts_with("by_enum") || inserts && *name == "numbers"))
            .collect();
        assert!(differing.is_empty(), "{shown}: {differing:?}");
        assert_eq!(rows.rows[0], rows.rows[1], "{shown}");
    }
}

#[tokio::test]
async fn a_dump_that_is_cut_short_is_never_taken_for_whole() {
    let world = World::start().await;
    let sql = "create table public.t (id int primary key, note text);
        insert into public.t select n, 'row; ' || n from generate_series(1, 20000) n;
        create table public.u (id int references public.t, note text);
        insert into public.u select n, 'x' from generate_series(1, 500) n;";
    world.sql(&world.source, sql).await;
    for form in ["-Fp", "-Fc"] {
        let whole = world.dump("whole", &[form]);
        world.restore(&world.of(&whole)).await.expect("whole");
        let bytes = std::fs::read(&whole).expect("a dump");
        let cut = world.folder.path().join("cut");
        // The last bytes of an SQL dump are a comment's line and blank lines.
        let lengths = (1..12)
            .map(|n| bytes.len() * n / 12)
            .chain([bytes.len() - 40]);
        for length in lengths {
            std::fs::write(&cut, &bytes[..length]).expect("a file");
            let e = world.restore(&world.of(&cut)).await;
            let e = e
                .err()
                .unwrap_or_else(|| panic!("{form}: {length} of {}", bytes.len()));
            let known = matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Program);
            assert!(known, "{form} at {length}: {e:?}");
        }
    }
}

#[tokio::test]
async fn what_reaches_beyond_the_database_is_refused() {
    let world = World::start().await;
    for (sql, why) in [
        ("\\! touch /tmp/x\n", "\\!"),
        ("select 1;\n\\connect other\n", "\\connect"),
        ("\\restrict abc\n\\unrestrict abd\n", "\\unrestrict"),
        ("\\restrict a\\!b\n", "\\restrict"),
        ("\\restrict abc\nselect 1;\n", "cut short"),
        ("select 1 \\; select 2;", "\\;"),
        ("create database x;", "CREATE DATABASE"),
        ("alter system set work_mem = '1GB';", "ALTER SYSTEM"),
        ("alter role postgres password 'x';", "ALTER ROLE"),
        ("create user x superuser;", "CREATE USER"),
        ("copy pg_class to '/tmp/x';", "COPY"),
        ("copy t from program 'id';", "COPY"),
        ("set client_encoding = 'LATIN1';", "client_encoding"),
        ("select 'no end;", "no end"),
        ("select 1", "no end"),
        (
            "create table t (a text);\ncopy t from stdin;\nx\n",
            "do not end",
        ),
    ] {
        let e = world.refused(sql).await;
        assert!(e.chain().contains(why), "{sql}: {e:?}");
    }
    let e = world.refused("select 1;\nselect 2 from nowhere;").await;
    assert!(e.chain().contains("line 2"), "{e:?}");
    let folder = world.of(world.folder.path());
    let e = folder.check(&Ctx::quiet(), &world.source).await;
    assert!(e.expect_err("no archive").to_string().contains("toc.dat"));
}

#[tokio::test]
async fn a_superuser_runs_no_dump_unasked() {
    let world = World::start().await;
    let path = world.folder.path().join("a.sql");
    std::fs::write(&path, "select 1;").expect("a file");
    let mut dump = world.of(&path);
    dump.check(&Ctx::quiet(), &world.source)
        .await
        .expect("trusted");
    dump.trusted = false;
    let e = dump.check(&Ctx::quiet(), &world.source).await;
    let e = e.expect_err("a superuser");
    assert!(e.is_refusal(), "{e:?}");
    assert!(e.advice().expect("advice").contains("--trust"));
    world.sql(&world.source, "create role plain login").await;
    let mut plain = world.source.clone();
    plain.user = "plain".to_owned();
    dump.check(&Ctx::quiet(), &plain)
        .await
        .expect("a plain role");
}

/// What a dump has others do: by triggers, constraints, defaults and blocks of code.
const HOSTILE: &str = "
    create function public.rise() returns bool language plpgsql as $$ begin
        begin execute 'alter role plain superuser'; exception when others then null; end;
        begin execute 'grant pg_read_server_files to plain'; exception when others then null; end;
        begin execute 'reset role; reset session authorization'; exception when others then null;
        end;
        begin execute 'copy (select 1) to program ''touch pwned'''; exception when others then null;
        end;
        insert into public.tried values (current_user);
        return true;
    end $$;
    create function public.fire() returns trigger language plpgsql
        as $$ begin perform public.rise(); return new; end $$;
    create table public.tried (by text);
    create table public.t (id int check (public.rise()), note bool default public.rise());
    create trigger t before insert on public.t for each row execute function public.fire();
    do $$ begin perform public.rise(); end $$;
    copy public.t (id) from stdin;
1
\\.
    create view public.v as select public.rise();
    select * from public.v;
";

#[tokio::test]
async fn what_a_dump_does_is_done_by_the_role_that_restores_it() {
    let world = World::start().await;
    world
        .sql(&world.source, "create role plain login createdb")
        .await;
    let (target, db) = world.empty().await;
    let owned = format!(
        "do $$ begin execute pg_catalog.format('alter database %I owner to plain', {}); end $$;
         grant all on schema public to plain",
        literal(&target.database).expect("a name")
    );
    world.sql(&target, &owned).await;
    let path = world.folder.path().join("hostile.sql");
    std::fs::write(&path, HOSTILE).expect("a file");
    let mut dump = world.of(&path);
    dump.trusted = false;
    let mut plain = target.clone();
    plain.user = "plain".to_owned();
    dump.check(&Ctx::quiet(), &plain)
        .await
        .expect("no superuser");
    let restored = dump.restore(&Ctx::quiet(), &plain, &db).await;
    let (report, verdict) = restored.expect("its own affair");
    assert!(
        verdict.passed() && report.rows == 1,
        "{report:?} {verdict:?}"
    );
    let session = Session::open(&target, "test").await.expect("a session");
    let row = session
        .query_one(
            "select (select pg_catalog.count(*) from public.tried),
                    (select pg_catalog.count(*) from public.tried where by <> 'plain'),
                    (select rolsuper from pg_catalog.pg_roles where rolname = 'plain'),
                    pg_catalog.pg_has_role('plain', 'pg_read_server_files', 'member')",
            &[],
        )
        .await
        .expect("an answer");
    let tried: i64 = row.get(0);
    assert!(tried >= 4, "{tried} times");
    assert_eq!(row.get::<_, i64>(1), 0, "as somebody else");
    assert!(!row.get::<_, bool>(2) && !row.get::<_, bool>(3), "risen");
    assert!(!world.cluster.data_dir().join("pwned").exists());
}

/// Owners, grants, policies, default privileges: mapped or left out; rows and bodies untouched.
#[tokio::test]
async fn roles_of_a_managed_service_are_mapped_away() {
    let world = World::start().await;
    let sql = "
        create role cloudsqlsuperuser; create role app_prod; create role app_staging;
        create role \"Odd Role\"; create role reader;
        create schema app authorization cloudsqlsuperuser;
        create table app.t (id int primary key, note text);
        insert into app.t values (1, 'ALTER TABLE app.t OWNER TO cloudsqlsuperuser;'), (2, 'app_prod');
        alter table app.t owner to app_prod;
        grant select on app.t to cloudsqlsuperuser, reader, \"Odd Role\";
        create function app.f() returns text language sql as $$ select text 'GRANT x TO app_prod' $$;
        create policy p on app.t to app_prod, cloudsqlsuperuser using (true);
        create policy q on app.t to cloudsqlsuperuser using (true);
        alter default privileges for role app_prod in schema app grant select on tables to reader;
        alter default privileges for role cloudsqlsuperuser grant select on tables to reader;
        grant usage on schema app to app_prod;";
    world.sql(&world.source, sql).await;
    let mut dump = world.of(&world.dump("custom", &["-Fc"]));
    dump.roles = RoleMap::default()
        .rename("app_prod", "app_staging")
        .leave_out("Odd Role");
    let (target, report, verdict) = world.restore(&dump).await.expect("restored");
    assert!(verdict.passed(), "{verdict:?}");
    assert_eq!(report.rows, 2);
    let left: Vec<&str> = report.left_out.keys().map(String::as_str).collect();
    assert_eq!(left, ["Odd Role", "cloudsqlsuperuser"]);
    let session = Session::open(&target, "test").await.expect("a session");
    let row = session
        .query_one(
            "select (select relowner::regrole::text from pg_class where oid = 'app.t'::regclass),
                    (select nspowner::regrole::text from pg_namespace where nspname = 'app'),
                    (select string_agg(distinct grantee::regrole::text, ' ') from pg_class, aclexplode(relacl)
                      where pg_class.oid = 'app.t'::regclass),
                    (select string_agg(polname || ' ' || polroles::regrole[]::text, ', ') from pg_policy),
                    (select string_agg(defaclrole::regrole::text, ', ') from pg_default_acl),
                    (select string_agg(note, '|' order by id) from app.t),
                    app.f()",
            &[],
        )
        .await
        .expect("the catalog");
    let found: Vec<String> = (0..7).map(|n| row.get(n)).collect();
    assert_eq!(
        found,
        [
            "app_staging",
            &target.user,
            "app_staging reader",
            "p {app_staging}",
            "app_staging",
            "ALTER TABLE app.t OWNER TO cloudsqlsuperuser;|app_prod",
            "GRANT x TO app_prod",
        ]
    );
    // A role that is not there, and nobody said what becomes of it.
    session.close().await;
    let path = world.folder.path().join("missing.sql");
    std::fs::write(
        &path,
        "create table t (); alter table t owner to nobody_here;",
    )
    .expect("a file");
    let e = world
        .restore(&world.of(&path))
        .await
        .expect_err("no such role");
    assert!(e.advice().expect("advice").contains("--role"), "{e:?}");
}
