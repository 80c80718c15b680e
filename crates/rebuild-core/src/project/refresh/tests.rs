//! Refreshes between real servers.

mod ended;
mod masked;
mod preserved;
mod standby;

use tempfile::TempDir;

use super::*;
use crate::engine::Report;
use crate::event::Events;
use crate::journal::{Ending, Journal};
use crate::model::Endpoint;
use crate::plan::Plan;
use crate::postgres::{LocalCluster, Session, compare};
use crate::testing::{client_bin_dir, cluster};

/// A production server with the database `prod`, another with the database `app`, and a folder for
/// the spec and the store.
pub(super) struct World {
    pub(super) source: LocalCluster,
    pub(super) target: LocalCluster,
    pub(super) folder: TempDir,
}

impl World {
    pub(super) async fn new(prod: &str, app: &str) -> Self {
        let (source, target) = tokio::join!(cluster(), cluster());
        let world = Self {
            source: source.expect("a server"),
            target: target.expect("a server"),
            folder: TempDir::new().expect("a folder"),
        };
        execute(&world.source.endpoint("postgres"), "create database prod").await;
        execute(&world.target.endpoint("postgres"), "create database app").await;
        execute(&world.prod(), prod).await;
        execute(&world.app(), app).await;
        world
    }

    pub(super) fn prod(&self) -> Endpoint {
        self.source.endpoint("prod")
    }

    pub(super) fn app(&self) -> Endpoint {
        self.target.endpoint("app")
    }

    /// The project of a spec that says `more`.
    pub(super) async fn project(&self, more: &str) -> Project {
        self.project_of((&self.prod().user, &self.app().user), more)
            .await
    }

    /// The same for other roles on source and target.
    pub(super) async fn project_of(&self, roles: (&str, &str), more: &str) -> Project {
        let url = |e: &Endpoint, user: &str| {
            let name = &e.database;
            format!(
                "postgresql://{user}@/{name}?host={}&port={}",
                e.host, e.port
            )
        };
        let text = format!(
            "version = 1\nstore.url = \"store\"\nbackup.tools = \"{}\"\ntarget.url = \"{}\"\n\
             source.url = \"{}\"\nquiesce.end_sessions = true\n{more}",
            client_bin_dir(&self.target).display(),
            url(&self.app(), roles.1),
            url(&self.prod(), roles.0),
        );
        Project::of_text(&text, self.folder.path(), &|_| None).await
    }

    pub(super) async fn run(&self, more: &str) -> Report {
        let report = self.project(more).await.run(None, None).await;
        report.expect("a run")
    }

    pub(super) async fn plan(&self, more: &str) -> Plan {
        let plan = self.project(more).await.plan(true).await;
        plan.expect("a plan")
    }

    /// The journal of a run has this program, and the client programs that it used.
    async fn assert_programs(&self, report: &Report) {
        let project = self.project("").await;
        let journal = Journal::open(project.store(), &report.run).await;
        let journal = journal.expect("a journal");
        let program = journal.state().program().expect("recorded");
        let tools: Vec<&str> = program.tools.iter().map(|t| t.name.as_str()).collect();
        assert!(program.binary.is_some());
        assert_eq!(tools, ["pg_dump", "pg_restore"]);
    }

    /// The messages of the guards that refuse a spec that says `more`.
    pub(super) async fn refusals(&self, more: &str) -> Vec<String> {
        let refusals = self.plan(more).await.refusals;
        let line = |r: crate::plan::Refusal| format!("{}: {}", r.guard, r.message);
        refusals.into_iter().map(line).collect()
    }
}

pub(super) async fn execute(endpoint: &Endpoint, sql: &str) {
    let session = Session::open(endpoint, "test").await.expect("a session");
    session.batch_execute(sql).await.expect(sql);
    session.close().await;
}

/// The rows of a query as text, joined by blanks.
pub(super) async fn text(endpoint: &Endpoint, sql: &str) -> String {
    let session = Session::open(endpoint, "test").await.expect("a session");
    let answer = session.simple_query(sql).await.expect(sql);
    let rows = answer.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("∅").to_owned()),
        _ => None,
    });
    let text = rows.collect::<Vec<_>>().join(" ");
    session.close().await;
    text
}

const PROD: &str = "
    create table public.customer (id bigint generated always as identity primary key, name text);
    create table public.orders (
        id bigserial primary key, customer_id bigint not null references public.customer, total int);
    create view public.big as select * from public.orders where total > 90;
    create materialized view public.totals as
        select customer_id, sum(total) as total from public.orders group by 1;
    insert into public.customer (name) select 'customer ' || n from generate_series(1, 100) n;
    insert into public.orders (customer_id, total)
        select 1 + n % 100, n % 100 from generate_series(1, 5000) n;
    refresh materialized view public.totals; analyze";

const APP: &str = "
    create table public.customer (id bigint primary key, name text, nick text);
    create table public.experiment (id int primary key);
    insert into public.experiment select n from generate_series(1, 7) n;
    create view public.tried as select * from public.experiment;
    analyze";

#[tokio::test]
async fn production_comes_to_stand_in_the_place_of_the_target() {
    let world = World::new(PROD, APP).await;
    let plan = world.plan("").await;
    assert_eq!(plan.refusals, []);
    let losses = plan.losses.join("\n");
    for lost in [
        "only in the target, and from then on only in the retired database: table public.experiment with about 7 rows",
        "only in the target, and from then on only in the retired database: column public.customer.nick (text)",
        "only in the target, and from then on only in the retired database: view public.tried",
    ] {
        assert!(losses.contains(lost), "{losses}");
    }
    let report = world.run("").await;
    world.assert_programs(&report).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let ctx = crate::event::Ctx::quiet();
    let compared = compare(&ctx, &world.prod(), &world.app(), false).await;
    let compared = compared.expect("compared");
    assert!(compared.tables == 2 && compared.same(), "{compared:?}");
    let totals = "select sum(total) from public.totals";
    assert_eq!(
        text(&world.app(), totals).await,
        text(&world.prod(), totals).await
    );
    // Nothing of the source is left in the store, and what was replaced is there.
    assert!(!world.folder.path().join("store/sources").exists());
    let back = world
        .project("")
        .await
        .rollback(&report.run, None, true)
        .await;
    assert_eq!(back.expect("gone back").ending, Ending::RolledBack);
    assert_eq!(
        text(&world.app(), "select count(*) from public.tried").await,
        "7"
    );
}

#[tokio::test]
async fn the_source_is_only_read() {
    // A view whose function would write, were it let.
    let world = World::new(
        "create table public.log (line text);
         create function public.note() returns int language plpgsql as
             'begin insert into public.log values (1); return 1; end';
         create table public.t (id int primary key); insert into public.t values (1)",
        "",
    )
    .await;
    let writes = "[[source.table]]\ntable = \"public.t\"\nwhere = \"public.note() = 1\"";
    let report = world.run(writes).await;
    let why = report.error.expect("an error");
    assert_eq!(report.ending, Ending::RolledBack, "{why}");
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: read_only_sql_transaction
    assert!(why.contains("SQLSTATE 25006"), "{why}");
    assert_eq!(
        text(&world.prod(), "select count(*) from public.log").await,
        "0"
    );
    // It is read as the role that is asked for, by us and by pg_dump.
    execute(
        &world.prod(),
        "create role reader; grant select on all tables in schema public to reader",
    )
    .await;
    let report = world.run("source.role = \"reader\"").await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    // Rows that a policy hides from it are not left behind in silence.
    execute(
        &world.prod(),
        "alter table public.t enable row level security",
    )
    .await;
    let refused = world.refusals("source.role = \"reader\"").await;
    assert!(
        refused[0].contains("public.t (row-level security hides rows"),
        "{refused:?}"
    );
    // A role that may not read is seen in the plan.
    execute(&world.prod(), "create role blind").await;
    let refused = world.refusals("source.role = \"blind\"").await;
    assert!(
        refused[0].contains("not every row can be read"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn another_database_than_the_planned_source_is_not_held() {
    let world = World::new(PROD, APP).await;
    let project = world.project("").await;
    let plan = project.plan(true).await.expect("a plan");
    let planned = plan.survey.source.expect("a source").identity;
    // Another one has its name by the time that it is held.
    let swap = "alter database prod rename to gone; create database prod";
    for statement in swap.split("; ") {
        execute(&world.source.endpoint("postgres"), statement).await;
    }
    let backends = project
        .backends(&plan.target, Some(&planned))
        .expect("backends");
    let (ctx, id) = (
        crate::event::Ctx::quiet(),
        crate::model::BackupId::generate(),
    );
    let refused = backends.schema.apply(&ctx, &plan.target, &id).await;
    let refused = refused.expect_err("another database");
    assert_eq!(
        refused.kind(),
        crate::ErrorKind::Refused,
        "{}",
        refused.chain()
    );
    assert!(!world.folder.path().join("store/sources").exists());
}

#[tokio::test]
async fn what_cannot_be_a_refresh_is_refused() {
    let world = World::new(PROD, APP).await;
    let refused = world.refusals("target.environment = \"prod\"").await;
    assert!(refused[0].contains("labelled as production"), "{refused:?}");
    let mut project = world.project("").await;
    let same = project.spec.target.url.clone();
    project.spec.source.as_mut().expect("a source").url = same;
    let plan = project.plan(true).await.expect("a plan");
    assert!(
        plan.refusals[0]
            .message
            .contains("source and target at once")
    );
    let refused = world
        .refusals("[[preserve]]\ntable = \"public.nothing\"")
        .await;
    assert!(refused[0].contains("public.nothing"), "{refused:?}");
    // What the source has and the target's server does not.
    let elsewhere =
        "update pg_catalog.pg_extension set extname = 'of_elsewhere' where extname = 'plpgsql'";
    execute(&world.prod(), elsewhere).await;
    let refused = world.refusals("").await;
    assert!(
        refused[0].contains("does not have the extensions of_elsewhere of the source"),
        "{refused:?}"
    );
    assert_eq!(
        text(&world.app(), "select count(*) from public.tried").await,
        "7"
    );
}

#[tokio::test]
async fn owners_and_privileges_of_the_target_stay() {
    let prod = "
        create role prod_owner; create role prod_reader;
        create table public.t (id int primary key, secret text); create view public.v as select 1 as one;
        create function public.f() returns int language sql as 'select 1';
        create type public.mood as enum ('ok'); create schema area; create table area.new (id serial);
        alter table public.t owner to prod_owner; grant select on public.t to prod_reader;
        alter default privileges for role prod_owner grant all on tables to prod_reader;";
    let app = "
        create role app_owner; create role \"Read er\"; create role other;
        alter database app owner to app_owner;
        create table public.t (id int primary key, secret text); create view public.v as select 1 as one;
        create function public.f() returns int language sql as 'select 1';
        create type public.mood as enum ('ok');
        alter table public.t owner to other; alter view public.v owner to app_owner;
        alter function public.f() owner to app_owner; alter type public.mood owner to other;
        grant select (id) on public.t to \"Read er\" with grant option;
        grant insert on public.t to \"Read er\"; grant select on public.v to public;
        revoke all on function public.f() from public; grant usage on schema public to \"Read er\";
        revoke all on type public.mood from public;
        alter default privileges for role app_owner grant select on tables to \"Read er\";
        alter default privileges for role app_owner in schema public grant usage on sequences to other";
    let world = World::new(prod, app).await;
    let rights = "select coalesce(string_agg(line, E'\n' order by line), '') from (
        select relname || ' ' || relowner::regrole || ' ' || coalesce(relacl::text, '') as line
          from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
        union all select proname || ' ' || proowner::regrole || ' ' || coalesce(proacl::text, '')
          from pg_proc where pronamespace = 'public'::regnamespace
        union all select typname || ' ' || typowner::regrole || ' ' || coalesce(typacl::text, '')
          from pg_type where typname = 'mood'
        union all select attname || ' ' || attacl::text from pg_attribute where attacl is not null
          and attrelid = 'public.t'::regclass
        union all select 'public ' || nspowner::regrole || ' ' || coalesce(nspacl::text, '')
          from pg_namespace where nspname = 'public'
        union all select 'default ' || defaclrole::regrole::text || defaclnamespace::regnamespace::text
                         || defaclobjtype::text || defaclacl::text from pg_default_acl) rights";
    let before = text(&world.app(), rights).await;
    assert!(
        before.contains("Read er") && before.contains("default app_owner"),
        "{before}"
    );
    let report = world.run("").await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    assert_eq!(text(&world.app(), rights).await, before);
    // What only the source has belongs to whom the database belongs, and is granted as by default.
    let new = "select relowner::regrole || ' ' || relacl::text from pg_class
                where oid = 'area.new'::regclass";
    let found = text(&world.app(), new).await;
    let owned = found.starts_with("app_owner ")
        && found.contains("Read er")
        && found.contains("=r/app_owner");
    assert!(owned, "{found}");
    let owners = "select relowner::regrole from pg_class where oid = 'area.new_id_seq'::regclass";
    assert_eq!(text(&world.app(), owners).await, "app_owner");
    // Asked for, those of the source follow, if there are such roles.
    let report = world.run("source.privileges = true").await;
    let missing = report.error.unwrap_or_default();
    assert!(
        report.ending == Ending::RolledBack && missing.contains("prod_owner"),
        "{missing}"
    );
    let roles = "create role prod_owner; create role prod_reader";
    execute(&world.app(), roles).await;
    let report = world.run("source.privileges = true").await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let found = text(&world.app(), rights).await;
    assert!(
        found.contains("t prod_owner") && found.contains("prod_reader=r"),
        "{found}"
    );
}

#[tokio::test]
async fn it_takes_no_superuser() {
    let prod = format!(
        "{PROD}; create role reader login; grant select on all tables in schema public to reader;
         grant select on all sequences in schema public to reader"
    );
    let world = World::new(
        &prod,
        "create role deploy login createdb; grant pg_signal_backend to deploy;
         create role app_reader; alter database app owner to deploy",
    )
    .await;
    let mut admin = world.app();
    admin.user = "deploy".to_owned();
    let mine = "create schema own; create table own.kept (id int primary key, tags text);
                insert into own.kept values (1, 'a'); grant select on own.kept to app_reader";
    execute(&admin, mine).await;
    execute(
        &world.prod(),
        "create schema own; create table own.kept (id int primary key, tags text);
         insert into own.kept values (2, 'b');
         grant usage on schema own to reader; grant select on own.kept to reader",
    )
    .await;
    let spec = "[mask]\nsalt = \"x\"\n
        column = [{ column = \"public.customer.name\", with = \"name\" }]\n
        [[preserve]]\ntable = \"own.kept\"";
    let project = world.project_of(("reader", "deploy"), spec).await;
    let plan = project.plan(true).await.expect("a plan");
    assert_eq!(plan.refusals, []);
    let report = project.run(None, None).await.expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let kept = "select string_agg(id || tags, ' ' order by id) || ' '
                       || has_table_privilege('app_reader', 'own.kept', 'select') from own.kept";
    assert_eq!(text(&world.app(), kept).await, "1a 2b true");
    let masked = "select count(*) from public.customer where name like 'customer%'";
    assert_eq!(text(&world.app(), masked).await, "0");
}
