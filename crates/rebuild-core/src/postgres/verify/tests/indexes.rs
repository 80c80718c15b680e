use super::*;

#[tokio::test]
async fn an_index_that_was_left_invalid_is_found() {
    let bench = Bench::new().await;
    bench
        .run(&[
            "create table public.\"T ä\" (a int primary key, b int)",
            "insert into public.\"T ä\" values (1, 1), (2, 1)",
        ])
        .await;
    passed(&bench.check("indexes").await, "1 index");
    let sql = "create unique index concurrently \"half done\" on public.\"T ä\" (b)";
    bench
        .session
        .batch_execute(sql)
        .await
        .expect_err("two rows are equal");
    let check = bench.check("indexes").await;
    assert_eq!(
        complaints(&check),
        ["index public.half done of public.T ä is not valid and not ready"]
    );
    assert_eq!(check.looked_at, "2 indexes");
    bench.run(&["drop index public.\"half done\""]).await;
    passed(&bench.check("indexes").await, "1 index");
}

#[tokio::test]
async fn an_index_of_a_partitioned_table_is_attached_everywhere() {
    let bench = Bench::new().await;
    bench
        .run(&[
            "create table public.p (a int, b int) partition by range (a)",
            "create table public.p1 partition of public.p for values from (0) to (10)",
            "create table public.p2 partition of public.p for values from (10) to (20)
                partition by range (b)",
            "create table public.p21 partition of public.p2 default",
            "create index whole on public.p (b)",
        ])
        .await;
    passed(&bench.check("indexes").await, "4 indexes");
    bench
        .run(&[
            "create index part on only public.p (a)",
            "create index part_1 on public.p1 (a)",
            "alter index public.part attach partition public.part_1",
        ])
        .await;
    let check = bench.check("indexes").await;
    assert_eq!(
        complaints(&check),
        ["index public.part of public.p is not valid and not attached in public.p2"]
    );
    bench
        .run(&[
            "create index part_2 on public.p2 (a)",
            "alter index public.part attach partition public.part_2",
        ])
        .await;
    passed(&bench.check("indexes").await, "8 indexes");
}
