//! The same file through psql and through us gives the same database.

use std::time::Duration;

use super::{PgSqlFiles, SqlPart};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint};
use crate::postgres::{DatabaseKey, Session, find_database};
use crate::spec::FileOrder;
use crate::testing::{client, cluster, dump, scratch_database};
use crate::traits::SchemaApplier;

const FILE: &str = r#"-- a file; with everything
begin;
create table "a;b" (id int primary key, "t'x" text default 'it''s; \', n int default -1);
comment on table "a;b" is E'one\'; two' -- and
  ' three;';
/* a /* nested; ' */ comment; */
create function f(a int) returns int language plpgsql as $body$
begin
  execute $x$ select 1; $x$;
  return a; -- ;
end
$body$;
create table log (at timestamptz, what text);
create rule r as on insert to "a;b" do also (insert into log values (null, 'a;'); select 1;);
commit;
copy "a;b" (id, "t'x") from stdin;
1	semi;colon
2	quote ' and \\ and $$
3	\N
\.
copy log from stdin with (format csv); -- rows
2020-01-01,"two
lines; ''"
\.
create view v as select $q$a;$q$::text as a where false;
select 1;; ;
set search_path = pg_catalog;
create table public.last (a text default U&'\0041;', b "char" default 'x'::pg_catalog."char")"#;

/// From 14 on there are SQL-standard function bodies.
const SINCE_14: &str = r"
create function g(a int) returns int language sql
begin atomic
  select 1;
  select case when a > 0 then (case a when 1 then 2 else 3 end) else 4 end;
end;
create procedure p() begin atomic insert into log (what) values ('x;'); end;
";

#[tokio::test]
async fn the_same_file_makes_the_same_database() {
    let cluster = cluster().await.expect("cluster");
    let theirs = scratch_database(&cluster).await.expect("database");
    let ours = scratch_database(&cluster).await.expect("database");
    let session = Session::open(&ours, "test").await.expect("session");
    let version: String = session
        .query_one("show server_version_num", &[])
        .await
        .expect("version")
        .get(0);
    let mut text = FILE.to_owned();
    if version.parse::<u32>().expect("number") >= 140_000 {
        let (before, last) = text.split_once("set search_path").expect("the last part");
        text = format!("{before}{SINCE_14}set search_path{last}");
    }
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("file.sql");
    std::fs::write(&file, &text).expect("file");

    let output = client(&cluster, "psql", &theirs)
        .args(["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--file"])
        .arg(&file)
        .output()
        .await
        .expect("psql");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "psql: {errors}");
    let db = find_database(&session, DatabaseKey::Current)
        .await
        .expect("look")
        .expect("database");
    let files = PgSqlFiles {
        part: SqlPart::Schema,
        endpoint: ours.clone(),
        folder: folder.path().into(),
        patterns: vec!["file.sql".into()],
        order: FileOrder::Lexicographic,
        limit: Duration::from_secs(60),
    };
    files
        .apply(&Ctx::quiet(), &db, &BackupId::generate())
        .await
        .expect("applied");

    let dump = async |endpoint: &Endpoint| {
        // Schema and rows but for our history.
        let dumped = dump(&cluster, endpoint, &["--exclude-schema=rebuild"]).await;
        dumped.expect("dumped")
    };
    let (theirs, ours) = (dump(&theirs).await, dump(&ours).await);
    assert!(theirs.contains("semi;colon") && theirs.contains("public.last"));
    assert_eq!(theirs, ours);
}
