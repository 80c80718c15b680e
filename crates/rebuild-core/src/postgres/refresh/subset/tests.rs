use super::*;
use crate::postgres::refresh::references::references;
use crate::postgres::rows::tables::list_tables;
use crate::postgres::{LocalCluster, Session};
use crate::testing::{cluster, scratch_database};

mod any;

/// The session, and the server that it is on.
async fn database() -> (Session, LocalCluster) {
    let cluster = cluster().await.expect("cluster");
    let endpoint = scratch_database(&cluster).await.expect("database");
    let session = Session::open(&endpoint, "test").await.expect("session");
    (session, cluster)
}

async fn run(session: &Session, sql: &str) {
    session.batch_execute(sql).await.expect(sql);
}

/// The conditions for what is in the database, with `chosen` of the tables that it names.
async fn conditions_of(
    session: &Session,
    chosen: impl Fn(&TableName) -> Chosen,
) -> BTreeMap<TableName, String> {
    let tables: Vec<SubsetTable> = list_tables(session)
        .await
        .expect("tables")
        .into_iter()
        .filter(|t| t.takes_rows())
        .map(|t| SubsetTable {
            chosen: chosen(t.ancestors.last().unwrap_or(&t.table)),
            holds_rows: t.holds_rows(),
            name: t.table,
            ancestors: t.ancestors,
        })
        .collect();
    let references = references(session).await.expect("references");
    conditions(&tables, &references, Names::under("UTF8")).expect("conditions")
}

/// The values of `column` in the rows of the table that are copied.
async fn kept(
    session: &Session,
    conditions: &BTreeMap<TableName, String>,
    table: &str,
    column: &str,
) -> Vec<String> {
    let name = TableName::new("public", table);
    let condition = conditions.get(&name).map_or("true", String::as_str);
    let sql = format!(
        "select {column}::pg_catalog.text from only public.{table} where {condition} order by 1"
    );
    let rows = session.query(&sql, &[]).await;
    let rows = rows.unwrap_or_else(|e| panic!("{e:?}: {sql}"));
    rows.iter().map(|row| row.get(0)).collect()
}

fn only(table: &'static str, expression: &'static str) -> impl Fn(&TableName) -> Chosen {
    move |name| {
        if name.name == table {
            Chosen::Where(expression.to_owned())
        } else {
            Chosen::All
        }
    }
}

#[tokio::test]
async fn where_nothing_is_left_out_nothing_is_asked() {
    let (session, _cluster) = database().await;
    run(
        &session,
        "create table public.a (id int primary key, a int references public.a);
         create table public.b (id int primary key, a int references public.a);
         create table public.c (id int primary key, b int references public.b);",
    )
    .await;
    assert!(conditions_of(&session, |_| Chosen::All).await.is_empty());
    let found = conditions_of(&session, only("c", "id > 0")).await;
    assert_eq!(found.len(), 1, "nobody refers to it: {found:?}");
    let found = conditions_of(&session, |t| match t.name.as_str() {
        "b" => Chosen::None,
        _ => Chosen::All,
    });
    let found: Vec<(String, String)> = found.await.into_iter().map(|(t, c)| (t.name, c)).collect();
    let expected = [
        ("b", "false"),
        ("c", "not (\"public\".\"c\".\"b\" is not null)"),
    ];
    assert_eq!(found, expected.map(|(t, c)| (t.to_owned(), c.to_owned())));
}

#[tokio::test]
async fn expressions_see_their_own_table_alone() {
    let (session, _cluster) = database().await;
    run(
        &session,
        // Every name that the conditions use themselves is a table's or a column's too.
        "create table public.g (c0 int primary key, rel int, place text, status text);
         create table public.gone_0 (c0 int references public.g, g int, status text,
                                     rel int primary key);
         create table public.c (g int references public.gone_0, rel int);
         insert into public.g values (1, 0, '', 'x'), (2, 0, '', 'y'), (3, 0, '', null);
         insert into public.gone_0 values (1, 9, 'y', 1), (2, 9, 'x', 2), (3, 9, 'x', 3),
                                          (null, 9, 'y', 4);
         insert into public.c values (1, 1), (2, 2), (3, 3), (4, 4), (null, 5);",
    )
    .await;
    // Null is not true; and what follows a comment is not swallowed by it.
    let found = conditions_of(&session, only("g", "status = 'x' -- the best")).await;
    assert_eq!(kept(&session, &found, "g", "c0").await, ["1"]);
    assert_eq!(kept(&session, &found, "gone_0", "rel").await, ["1", "4"]);
    assert_eq!(kept(&session, &found, "c", "rel").await, ["1", "4", "5"]);
}

#[tokio::test]
async fn diamonds_are_not_walked_twice() {
    let (session, _cluster) = database().await;
    run(
        &session,
        "create table public.t0 (id int primary key, u int)",
    )
    .await;
    run(&session, "insert into public.t0 values (1, 1), (2, 2)").await;
    for n in 1..=20 {
        let to = format!("public.t{}", n - 1);
        run(
            &session,
            &format!(
                "create table public.t{n} (id int primary key, a int references {to},
                                           b int references {to});
                 insert into public.t{n} values (1, 1, 1), (2, 2, null), (3, 1, null)"
            ),
        )
        .await;
    }
    let found = conditions_of(&session, only("t0", "u = 1")).await;
    let last = &found[&TableName::new("public", "t20")];
    assert!(last.len() < 40_000, "{} bytes", last.len());
    assert_eq!(kept(&session, &found, "t1", "id").await, ["1", "3"]);
    assert_eq!(kept(&session, &found, "t20", "id").await, ["1", "3"]);
}

#[tokio::test]
async fn partitions_refer_and_are_referred_to() {
    let (session, _cluster) = database().await;
    run(
        &session,
        "create table public.p (id int primary key, ok bool) partition by range (id);
         create table public.p_sub partition of public.p for values from (0) to (100)
             partition by range (id);
         create table public.p_1 partition of public.p_sub for values from (0) to (50);
         create table public.p_2 partition of public.p_sub for values from (50) to (100);
         create table public.p_3 (ok bool, id int not null);
         alter table public.p attach partition public.p_3 for values from (100) to (200);
         create table public.whole (id int references public.p);
         create table public.part (id int references public.p_3);
         create table public.kids (id int, p int) partition by list (id);
         create table public.kids_1 partition of public.kids for values in (1);
         create table public.kids_2 partition of public.kids for values in (2);
         alter table public.kids_2 add foreign key (p) references public.p_sub (id);
         alter table public.p add column n int;
         alter table public.p_3 add unique (n);
         create table public.by_n (n int references public.p_3 (n));
         insert into public.p values (1, true, 0), (51, false, 7), (60, true, 0),
                                     (101, null, 6), (102, true, 7);
         insert into public.by_n values (6), (7);
         insert into public.whole values (1), (51), (101), (102), (null);
         insert into public.part values (101), (102);
         insert into public.kids values (1, 51), (1, 7), (2, 51), (2, 60), (2, null);",
    )
    .await;
    let found = conditions_of(&session, only("p", "ok")).await;
    assert_eq!(kept(&session, &found, "p_1", "id").await, ["1"]);
    assert_eq!(kept(&session, &found, "p_2", "id").await, ["60"]);
    assert_eq!(kept(&session, &found, "p_3", "id").await, ["102"]);
    assert_eq!(
        kept(&session, &found, "whole", "coalesce(id, 0)").await,
        ["0", "1", "102"]
    );
    assert_eq!(kept(&session, &found, "part", "id").await, ["102"]);
    // 7 is also a row of another partition, which is gone.
    assert_eq!(kept(&session, &found, "by_n", "n").await, ["7"]);
    // Only one partition refers.
    assert_eq!(kept(&session, &found, "kids_1", "p").await, ["51", "7"]);
    assert_eq!(
        kept(&session, &found, "kids_2", "coalesce(p, 0)").await,
        ["0", "60"]
    );
}

#[tokio::test]
async fn circles_hold_what_they_can() {
    let (session, _cluster) = database().await;
    run(
        &session,
        "create table public.roots (id int primary key, ok bool);
         create table public.a (id int primary key, b int, root int references public.roots);
         create table public.b (id int primary key, a int references public.a);
         alter table public.a add foreign key (b) references public.b;
         create table public.tail (id int primary key, up int references public.tail,
                                   b int references public.b);
         insert into public.roots values (1, true), (2, false);
         insert into public.a select n, null, 1 from pg_catalog.generate_series(1, 8) n;
         insert into public.b select n, n % 8 + 1 from pg_catalog.generate_series(1, 8) n;
         -- 1 and 2 refer to each other, 3 to itself by way of b; 8, 7, 6, 5 of a go in turn.
         update public.b set a = 2 where id = 1;
         update public.b set a = 1 where id = 2;
         update public.b set a = 3 where id = 3;
         update public.b set a = null where id = 4;
         update public.a set b = id;
         update public.a set root = 2 where id = 8;
         insert into public.tail values (1, 1, 1), (2, 1, 7), (3, 2, null), (4, null, 4);",
    )
    .await;
    let found = conditions_of(&session, only("roots", "ok")).await;
    assert_eq!(
        kept(&session, &found, "a", "id").await,
        ["1", "2", "3", "4"]
    );
    assert_eq!(
        kept(&session, &found, "b", "id").await,
        ["1", "2", "3", "4", "8"]
    );
    assert_eq!(kept(&session, &found, "tail", "id").await, ["1", "4"]);
}

#[tokio::test]
async fn keys_match_as_the_constraint_says_and_names_may_be_anything() {
    let (session, _cluster) = database().await;
    run(
        &session,
        "create schema \"ö.ö\";
         create extension citext with schema \"ö.ö\";
         create table public.\"Ä 'q\" (\"k\"\"1\" \"ö.ö\".citext, n int, ok bool, primary key (\"k\"\"1\", n));
         create table public.t (id int, word \"ö.ö\".citext, n bigint,
                                foreign key (word, n) references public.\"Ä 'q\" match full);
         insert into public.\"Ä 'q\" values ('ada', 1, false), ('ada', 2, true);
         insert into public.t values (1, 'ADA', 1), (2, 'Ada', 2), (3, null, null);",
    )
    .await;
    let found = conditions_of(&session, only("Ä 'q", "ok")).await;
    assert_eq!(kept(&session, &found, "t", "id").await, ["2", "3"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let table = |name: &str, of: &[&str], chosen: Chosen| SubsetTable {
        name: TableName::new("public", name),
        ancestors: of.iter().map(|a| TableName::new("public", *a)).collect(),
        holds_rows: !of.is_empty(),
        chosen,
    };
    let uneven = [
        table("p", &[], Chosen::All),
        table("p1", &["p"], Chosen::None),
    ];
    let refused = conditions(&uneven, &[], Names::under("UTF8")).expect_err("uneven");
    assert!(refused.to_string().contains("public.p1"), "{refused:?}");
    let empty = [table("t", &[], Chosen::Where(" ".into()))];
    let refused = conditions(&empty, &[], Names::under("UTF8")).expect_err("empty");
    assert!(refused.chain().contains("public.t"), "{refused:?}");
}
