//! Masks that keep different values different.

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
