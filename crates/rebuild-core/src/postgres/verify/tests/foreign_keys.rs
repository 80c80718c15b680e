use super::*;

/// Runs statements as a load does that has the triggers switched off.
async fn without_triggers(bench: &Bench, statements: &[&str]) {
    bench.run(&["set session_replication_role = replica"]).await;
    bench.run(statements).await;
    bench.run(&["reset session_replication_role"]).await;
}

/// One key of each kind, all of them right.
const KEYS: &[&str] = &[
    "create schema \"My Schema\"",
    "create table \"My Schema\".\"P ä\" (\"a b\" int, \"c\"\"d\" text, primary key (\"a b\", \"c\"\"d\"))",
    "insert into \"My Schema\".\"P ä\" values (1, 'x'), (2, 'y')",
    "create table public.simple (a int, b text, constraint \"simple key\"
        foreign key (a, b) references \"My Schema\".\"P ä\")",
    "insert into public.simple values (1, 'x'), (null, 'nowhere'), (7, null), (null, null)",
    "create table public.whole (a int, b text, constraint whole_key
        foreign key (a, b) references \"My Schema\".\"P ä\" match full)",
    "insert into public.whole values (2, 'y'), (null, null)",
    "create table public.tree (id int primary key, up int constraint up references public.tree)",
    "insert into public.tree values (1, null), (2, 1), (3, 3)",
    "create table public.big (id bigint primary key)",
    "insert into public.big values (1)",
    "create table public.cross_type (v smallint constraint cross_key references public.big)",
    "insert into public.cross_type values (1)",
    "create table public.words (w varchar(9) collate \"C\" primary key)",
    "insert into public.words values ('x')",
    "create table public.said (w text collate \"POSIX\" constraint said_key references public.words)",
    "insert into public.said values ('x')",
    "create table public.parted (id int primary key) partition by range (id)",
    "create table public.parted_1 partition of public.parted for values from (0) to (10)",
    "create table public.parted_2 partition of public.parted for values from (10) to (20)",
    "insert into public.parted values (5), (15)",
    "create table public.refers (id int constraint refers_key references public.parted, at int)
        partition by list (at)",
    "create table public.refers_1 partition of public.refers for values in (1)",
    "insert into public.refers values (5, 1), (15, 1)",
    "create table public.parent (id int primary key)",
    "create table public.heir (primary key (id)) inherits (public.parent)",
    "insert into public.parent values (1)",
    "insert into public.heir values (2)",
    "create table public.of_parent (id int constraint parent_key references public.parent)",
    "insert into public.of_parent values (1)",
];

#[tokio::test]
async fn a_row_that_refers_to_nothing_is_found() {
    let bench = Bench::new().await;
    bench.run(KEYS).await;
    passed(&bench.check("foreign_keys").await, "7 foreign keys, 9 rows");

    for (damage, repair, complaint) in [
        (
            "insert into public.simple values (1, 'y')",
            "delete from public.simple where b = 'y'",
            "foreign key \"simple key\" from public.simple (a, b) to My Schema.P ä (a b, c\"d): \
             1 row refers to nothing",
        ),
        (
            "insert into public.whole values (2, null), (null, 'y')",
            "delete from public.whole where (a is null) <> (b is null)",
            "foreign key \"whole_key\" from public.whole (a, b) to My Schema.P ä (a b, c\"d): \
             2 rows refer to nothing",
        ),
        (
            "delete from public.tree where id = 1",
            "insert into public.tree values (1, null)",
            "foreign key \"up\" from public.tree (up) to public.tree (id): 1 row refers to nothing",
        ),
        (
            "insert into public.cross_type values (2)",
            "delete from public.cross_type where v = 2",
            "foreign key \"cross_key\" from public.cross_type (v) to public.big (id): \
             1 row refers to nothing",
        ),
        (
            "insert into public.said values ('X')",
            "delete from public.said where w = 'X'",
            "foreign key \"said_key\" from public.said (w) to public.words (w): \
             1 row refers to nothing",
        ),
        (
            "delete from public.parted_2",
            "insert into public.parted_2 values (15)",
            "foreign key \"refers_key\" from public.refers (id) to public.parted (id): \
             1 row refers to nothing",
        ),
        (
            "insert into public.of_parent values (2)",
            "delete from public.of_parent where id = 2",
            "foreign key \"parent_key\" from public.of_parent (id) to public.parent (id): \
             1 row refers to nothing",
        ),
    ] {
        without_triggers(&bench, &[damage]).await;
        assert_eq!(complaints(&bench.check("foreign_keys").await), [complaint]);
        without_triggers(&bench, &[repair]).await;
        passed(&bench.check("foreign_keys").await, "7 foreign keys, 9 rows");
    }
}

#[tokio::test]
async fn a_key_that_was_never_checked_is_found() {
    let bench = Bench::new().await;
    bench
        .run(&[
            "create table public.p (id int primary key)",
            "create table public.f (id int)",
            "insert into public.f values (1)",
            "alter table public.f add constraint late foreign key (id) references public.p not valid",
        ])
        .await;
    let from = "foreign key \"late\" from public.f (id) to public.p (id)";
    assert_eq!(
        complaints(&bench.check("foreign_keys").await),
        [
            format!("{from}: it is NOT VALID"),
            format!("{from}: 1 row refers to nothing")
        ]
    );
    bench.run(&["insert into public.p values (1)"]).await;
    assert_eq!(
        complaints(&bench.check("foreign_keys").await),
        [format!("{from}: it is NOT VALID")]
    );
    bench
        .run(&["alter table public.f validate constraint late"])
        .await;
    passed(&bench.check("foreign_keys").await, "1 foreign key, 1 row");
}

#[tokio::test]
async fn periods_are_covered_together() {
    let bench = Bench::new().await;
    if bench.version().await < 18 {
        let none = bench.check("foreign_keys").await;
        passed(&none, "0 foreign keys, 0 rows");
        return;
    }
    bench
        .run(&[
            "create table public.p (a int4range, at daterange, primary key (a, at without overlaps))",
            "insert into public.p values ('[1,1]', '[2026-01-01,2026-02-01)'),
                ('[1,1]', '[2026-02-01,2026-03-01)')",
            "create table public.f (a int4range, at daterange, constraint timed
                foreign key (a, period at) references public.p (a, period at))",
            "insert into public.f values ('[1,1]', '[2026-01-15,2026-02-15)')",
            "create table public.plain (id int primary key)",
            "create table public.loose (id int constraint loose references public.plain not enforced)",
        ])
        .await;
    let loose =
        "foreign key \"loose\" from public.loose (id) to public.plain (id): it is NOT ENFORCED";
    assert_eq!(complaints(&bench.check("foreign_keys").await), [loose]);
    bench.run(&["drop table public.loose"]).await;
    passed(&bench.check("foreign_keys").await, "1 foreign key, 1 row");
    without_triggers(
        &bench,
        &["update public.f set at = '[2026-01-15,2026-03-02)'"],
    )
    .await;
    assert_eq!(
        complaints(&bench.check("foreign_keys").await),
        [
            "foreign key \"timed\" from public.f (a, at) to public.p (a, at): 1 row refers to nothing"
        ]
    );
}
