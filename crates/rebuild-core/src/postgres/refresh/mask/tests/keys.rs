//! Masks that keep different values different.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// How many values there are, and how many of them are different.
async fn count(bench: &Bench, expression: &str, from: &str) -> (i64, i64) {
    let sql = format!(
        "select pg_catalog.count(x), pg_catalog.count(distinct x)
           from (select {expression} as x from {from}) t"
    );
    let row = bench.session.query_one(&sql, &[]).await.expect(&sql);
    (row.get(0), row.get(1))
}

#[tokio::test]
async fn texts_that_differ_stay_different() {
    let bench = Bench::new().await;
    let mask = Mask::KeepFormat;
    let expression = mask
        .expression(&column("value", "text"), bench.names)
        .expect("fits");
    // Every text of up to so many of these characters: a permutation of each form.
    for (alphabet, length, all) in [("0123456789", 3, 1111), ("zA0-é", 4, 781)] {
        let from = format!(
            "(with recursive texts (value) as (
                  select ''
                  union all
                  select value || c from texts
                   cross join pg_catalog.unnest(pg_catalog.string_to_array('{alphabet}', null)) c
                   where pg_catalog.length(value) < {length})
              select value from texts) t"
        );
        let found = count(&bench, &expression, &from).await;
        assert_eq!(found, (all, all), "{alphabet}");
    }
    // One character changes those on both sides of it.
    let long = "a".repeat(100);
    let other = format!("{}b{}", "a".repeat(50), "a".repeat(49));
    let masked = bench
        .values(&mask, "text", &[Some(&long), Some(&other)])
        .await;
    let [Some(one), Some(two)] = &masked[..] else {
        panic!("{masked:?}");
    };
    let same = |range: std::ops::Range<usize>| {
        let pairs = one[range.clone()].bytes().zip(two[range].bytes());
        pairs.filter(|(a, b)| a == b).count()
    };
    assert!(same(0..50) < 15 && same(50..100) < 15, "{one} {two}");
}

#[tokio::test]
async fn integers_are_permuted_and_columns_of_other_widths_agree() {
    let bench = Bench::new().await;
    let of = |type_name| {
        let mask = Mask::Hash.expression(&column("value", type_name), bench.names);
        mask.expect("fits")
    };
    let small = "(select n::pg_catalog.int2 as value
                    from pg_catalog.generate_series(-32768, 32767) n) t";
    assert_eq!(count(&bench, &of("smallint"), small).await, (65536, 65536));
    let edges =
        "(select distinct (pg_catalog.sign(n) * (pg_catalog.abs(n) + d))::pg_catalog.int8 as value
                    from pg_catalog.unnest(array[1, -1, 32768, 2147483648, -2147483648,
                         9223372036854775000, -9223372036854775000]::pg_catalog.numeric[]) n
                   cross join pg_catalog.generate_series(-400, 400) d) t";
    let (all, different) = count(&bench, &of("bigint"), edges).await;
    assert_eq!((all > 4000, different), (true, all));
    let sql = format!(
        "select pg_catalog.count(*),
                pg_catalog.count(*) filter (where a = b and (a < 0) = (value < 0) and a <> value)
           from (select value, {} as a, {} as b
                   from (select (n * 2654435 - 2147483647)::pg_catalog.int4 as value
                           from pg_catalog.generate_series(0::pg_catalog.int8, 1600) n) t) t",
        of("integer"),
        of("bigint")
    );
    let row = bench.session.query_one(&sql, &[]).await.expect(&sql);
    assert_eq!(row.get::<_, i64>(0), row.get::<_, i64>(1));
}

/// A key of two columns, and rows that refer to it, by a narrower integer.
const KEYS: &str = "
    drop table if exists public.child, public.parent, public.masked_child, public.masked_parent;
    create table public.parent (word varchar(40), number bigint, primary key (word, number));
    create table public.child (word varchar(40), number int,
                               foreign key (word, number) references public.parent);
    insert into public.parent
    select w, n from rows from (pg_catalog.unnest(array[WORDS]::text[]),
                                pg_catalog.unnest(array[NUMBERS]::int8[])) u (w, n);
    insert into public.child
    select word, number from public.parent where number between -2147483648 and 2147483647;
    insert into public.child select null, number from public.child limit 1;";

/// Both tables masked by `word` and `number`, and the constraints on what came of them.
const MASKED: &str = "
    create table public.masked_parent as select WORD as word, NUMBER as number from public.parent;
    create table public.masked_child as
    select WORD as word, NARROW as number from public.child;
    alter table public.masked_parent add primary key (word, number);
    alter table public.masked_child add foreign key (word, number) references public.masked_parent;
    drop table public.masked_child, public.masked_parent;";

async fn keys_hold(bench: &Bench, words: &[String], numbers: &[i64]) {
    let words: Vec<String> = words
        .iter()
        .map(|w| bench.names.literal(w).expect("a literal"))
        .collect();
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let keys = KEYS.replace("WORDS", &words.join(", "));
    bench
        .run(&keys.replace("NUMBERS", &numbers.join(", ")))
        .await;
    for word in [Mask::Hash, email(), Mask::KeepFormat] {
        let masked = |mask: &Mask, name, type_name| {
            assert!(mask.keeps_keys());
            let expression = mask.expression(&column(name, type_name), bench.names);
            expression.expect("fits")
        };
        let sql = MASKED
            .replace("WORD", &masked(&word, "word", "character varying(40)"))
            .replace("NUMBER", &masked(&Mask::Hash, "number", "bigint"))
            .replace("NARROW", &masked(&Mask::Hash, "number", "integer"));
        bench.run(&sql).await;
    }
}

#[test]
fn masked_keys_are_keys_and_what_refers_to_them_still_does() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let bench = runtime.block_on(Bench::new());
    let words = btree_set("[a-cA-C0-2 é]{0,4}|\\PC{0,40}", 10..40);
    let number = prop_oneof![0..99_i64, any::<i32>().prop_map(i64::from), any::<i64>()];
    let config = Config {
        cases: 20,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let ran = TestRunner::new(config).run(&(words, vec(number, 40)), |(words, numbers)| {
        let words: Vec<String> = words.into_iter().collect();
        runtime.block_on(keys_hold(&bench, &words, &numbers[..words.len()]));
        Ok(())
    });
    ran.unwrap_or_else(|e| panic!("{e}"));
}
