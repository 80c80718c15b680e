//! What the target keeps, and migrations that are ahead.

use super::*;

const HISTORY: &str = "
    create table public.flyway_schema_history (
        installed_rank int primary key, version varchar(50), description varchar(200) not null,
        type varchar(20) not null, script varchar(1000) not null, checksum int,
        installed_by varchar(100) not null default current_user,
        installed_on timestamp not null default now(), execution_time int not null default 1,
        success boolean not null default true);
    insert into public.flyway_schema_history (installed_rank, version, description, type, script, checksum)
    values (1, '1', 'users', 'SQL', 'V1__users.sql', 11)";

const USERS: &str = "
    create table public.app_user (
        id bigint generated always as identity primary key, username text not null unique,
        email text);
    create table public.assignment (
        id serial primary key, user_id bigint not null references public.app_user,
        caseload text not null, unique (user_id, caseload));
    create table public.offender (id int primary key, name text not null)";

const PROD: &str = "
    insert into public.app_user (username, email)
        select 'prod' || n, 'prod' || n || '@corp.example' from generate_series(1, 50) n;
    insert into public.assignment (user_id, caseload) select n, 'LEI' from generate_series(1, 50) n;
    insert into public.offender select n, 'offender ' || n from generate_series(1, 500) n";

/// Users of its own, whose ids production gave to others; one that production has as well; and one
/// whose assignment is to a user who does not outlive.
const APP: &str = "
    insert into public.app_user (username, email)
    values ('qa1', 'qa1@test'), ('qa2', 'qa2@test'), ('prod7', 'mine@test'), ('gone', 'gone@test');
    insert into public.assignment (user_id, caseload)
    values (1, 'MDI'), (2, 'MDI'), (3, 'MDI'), (4, 'QA');
    create view public.qa as select * from public.app_user where username like 'qa%'";

const PRESERVE: &str = "
    [[preserve]]
    table = \"public.app_user\"
    where = \"username like 'qa%' or username = 'prod7'\"
    key = [\"username\"]
    [[preserve]]
    table = \"public.assignment\"
    where = \"caseload in ('MDI', 'QA')\"
    key = [\"user_id\", \"caseload\"]";

fn sql(parts: &[&str]) -> String {
    parts.join(";\n")
}

#[tokio::test]
async fn users_of_the_target_outlive_the_refresh_with_their_assignments() {
    let world = World::new(&sql(&[HISTORY, USERS, PROD]), &sql(&[HISTORY, USERS, APP])).await;
    let plan = world.plan(PRESERVE).await;
    assert_eq!(plan.refusals, []);
    let shown = plan.render();
    assert!(
        shown.contains("outlives the refresh: public.app_user where username like"),
        "{shown}"
    );
    let report = world.run(PRESERVE).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let users = "select string_agg(username || ' ' || email || ' ' || caseload, ', '
                                   order by username, caseload)
                   from public.app_user u join public.assignment a on a.user_id = u.id
                  where username in ('qa1', 'qa2', 'prod7', 'prod1')";
    assert_eq!(
        text(&world.app(), users).await,
        "prod1 prod1@corp.example LEI, prod7 mine@test LEI, prod7 mine@test MDI, \
         qa1 qa1@test MDI, qa2 qa2@test MDI"
    );
    let counts = "select (select count(*) from public.app_user) || ' '
                      || (select count(*) from public.assignment) || ' '
                      || (select count(*) from public.offender)";
    assert_eq!(text(&world.app(), counts).await, "52 53 500");
    // New rows do not meet old ones.
    let next = "insert into public.app_user (username) values ('next') returning id > 52";
    assert_eq!(text(&world.app(), next).await, "t");
    // The one that could not be put back is named, and is where it was.
    let list = format!("store/runs/{}/not-put-back.csv", report.run);
    let list = std::fs::read_to_string(world.folder.path().join(list)).expect("a list");
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(
        list.contains("public.assignment") && list.contains("app_user"),
        "{list}"
    );
    let mut retired = world.app();
    retired.database = text(
        &world.target.endpoint("postgres"),
        "select datname from pg_database where datname like 'app_old%'",
    )
    .await;
    execute(
        &world.target.endpoint("postgres"),
        &format!("alter database {} allow_connections true", retired.database),
    )
    .await;
    let gone = "select caseload from public.assignment where user_id = 4";
    assert_eq!(text(&retired, gone).await, "QA");
}

#[tokio::test]
async fn migrations_that_are_ahead_are_run_or_refused() {
    let ahead = "insert into public.flyway_schema_history
                     (installed_rank, version, description, type, script, checksum)
                 values (2, '2', 'nick', 'SQL', 'V2__nick.sql', 22);
                 alter table public.app_user add nick text not null default 'none'";
    let world = World::new(
        &sql(&[HISTORY, USERS, PROD]),
        &sql(&[
            HISTORY,
            USERS,
            APP,
            ahead,
            "update public.app_user set nick = username",
        ]),
    )
    .await;
    let refused = world.refusals(PRESERVE).await;
    assert_eq!(
        refused,
        [
            "migrations: source and target are not at the same migrations: only in the target: \
          Flyway 2 V2__nick.sql"
        ]
    );
    let older = format!("source.migrations = \"source-older\"\n{PRESERVE}");
    let refused = world.refusals(&older).await;
    assert!(
        refused[0].contains("nothing would migrate its rows"),
        "{refused:?}"
    );
    std::fs::write(world.folder.path().join("V2.sql"), ahead).expect("written");
    let psql = client_bin_dir(&world.target).join("psql");
    let migrate = format!(
        "{older}\n[migrate]\nargv = [\"{}\", \"-qX\", \"-v\", \"ON_ERROR_STOP=1\", \"-f\", \"V2.sql\"]",
        psql.display()
    );
    assert_eq!(world.refusals(&migrate).await, Vec::<String>::new());
    // A migrator that does nothing is not believed.
    let idle = format!("{older}\n[migrate]\nargv = [\"true\"]");
    let report = world.run(&idle).await;
    let why = report.error.unwrap_or_default();
    assert_eq!(report.ending, Ending::RolledBack, "{why}");
    assert!(
        why.contains("lacks what the target has: Flyway 2 V2__nick.sql"),
        "{why}"
    );
    let report = world.run(&migrate).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let nicks = "select string_agg(nick, ' ' order by username) from public.app_user
                  where username in ('prod1', 'qa1', 'prod7')";
    assert_eq!(text(&world.app(), nicks).await, "none prod7 qa1");
    let version = "select max(version) from public.flyway_schema_history";
    assert_eq!(text(&world.app(), version).await, "2");
    // The other way round nothing goes on its own.
    execute(&world.prod(), ahead).await;
    execute(
        &world.prod(),
        "update public.flyway_schema_history set checksum = 23 where version = '2'",
    )
    .await;
    let refused = world.refusals(&migrate).await;
    assert!(
        refused[0].contains("changed since: Flyway 2 V2__nick.sql"),
        "{refused:?}"
    );
    // A query of the user's own.
    let own = "source.version_query = \"select 'v' || count(*) from public.flyway_schema_history\"";
    assert_eq!(
        world.refusals(&format!("{own}\n{PRESERVE}")).await,
        Vec::<String>::new()
    );
}
