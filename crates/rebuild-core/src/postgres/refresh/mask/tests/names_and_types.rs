//! Names, types and encodings that get in the way.

use super::*;
use crate::postgres::ident;

#[tokio::test]
async fn no_name_of_a_column_is_mistaken_for_one_of_the_expressions() {
    let bench = Bench::new().await;
    let hostile = [
        "v",
        "h",
        "c",
        "i",
        "d",
        "k",
        "a",
        "b",
        "w",
        "n",
        "x",
        "e",
        "s",
        "u",
        "t",
        "form",
        "seed",
        "stream",
        "code",
        "by",
        "first",
        "taken",
        "nth",
        "base",
        "size",
        "high",
        "low",
        "r0",
        "r1",
        "select",
        "a\"b",
        "Ünïcode 😀",
        "it's",
        "pg_catalog",
        "value",
    ];
    let text: Vec<String> = hostile
        .iter()
        .map(|h| format!("{} text", ident(h).expect("ident")))
        .collect();
    bench
        .run(&format!(
            "create table public.t (id int, {})",
            text.join(", ")
        ))
        .await;
    let same = vec!["'Abc 123'"; hostile.len()].join(", ");
    bench
        .run(&format!("insert into public.t values (1, {same})"))
        .await;
    for mask in [
        Mask::Hash,
        email(),
        Mask::Name,
        Mask::Phone,
        Mask::KeepFormat,
    ] {
        let mut results = HashSet::new();
        for name in hostile {
            results.insert(bench.masked(&mask, &column(name, "text")).await);
        }
        assert_eq!(results.len(), 1, "{mask:?}: {results:?}");
    }
}

#[tokio::test]
async fn types_of_ones_own_take_what_their_checks_allow() {
    let bench = Bench::new().await;
    bench
        .run(
            "create schema \"My Schema\";
             create domain \"My Schema\".\"é\" as text check (value like '%@%.com');
             create domain public.code as varchar(5);
             create table public.t (id int, mail \"My Schema\".\"é\", code public.code);
             insert into public.t values (1, 'a@b.com', 'A1-b2')",
        )
        .await;
    let mut mail = column("mail", "\"My Schema\".\"é\"");
    mail.base_name = "text";
    let masked = bench.masked(&email(), &mail).await;
    assert!(
        masked[0]
            .as_deref()
            .expect("a value")
            .ends_with("@example.com")
    );
    let hash = Mask::Hash.expression(&mail, bench.names).expect("fits");
    let refused = bench
        .session
        .query(&format!("select {hash} from public.t"), &[])
        .await;
    assert!(refused.is_err(), "a hash is no address");
    let mut code = column("code", "public.code");
    code.base_name = "character varying";
    assert!(Mask::Hash.expression(&code, bench.names).is_err());
    let masked = bench.masked(&Mask::KeepFormat, &code).await;
    assert_eq!(form(masked[0].as_deref().expect("a value")), "A0-a0");
}

#[tokio::test]
async fn capitals_do_not_count_where_the_type_takes_them_for_small_letters() {
    let bench = Bench::new().await;
    bench
        .run("create extension citext with schema public")
        .await;
    for mask in [
        Mask::Hash,
        email(),
        Mask::Name,
        Mask::Phone,
        Mask::KeepFormat,
    ] {
        let values = &[Some("Ada 1"), Some("ADA 1"), Some("adb 1")];
        let masked = bench.values(&mask, "public.citext", values).await;
        assert_eq!(masked[0], masked[1], "{mask:?}");
    }
}

#[tokio::test]
async fn no_encoding_is_in_the_way() {
    for (encoding, ada) in [("SQL_ASCII", "\\xc3bcfd"), ("LATIN1", "\\xfce9")] {
        let bench = Bench::encoded(encoding).await;
        let name = bench.names.ident("é\"ü").expect("a name");
        bench
            .run(&format!(
                "create table public.t (id int, {name} text);
                 insert into public.t select 1,
                        'A' || pg_catalog.convert_from('{ada}', '{encoding}') || '1';
                 insert into public.t values (2, 'plain 2')"
            ))
            .await;
        for mask in [
            Mask::Hash,
            email(),
            Mask::Name,
            Mask::Phone,
            Mask::KeepFormat,
            Mask::Constant("é'\\".into()),
        ] {
            let expression = mask.expression(&column("é\"ü", "text"), bench.names);
            let sql = format!(
                "select pg_catalog.convert_to({}, '{encoding}') from public.t order by id",
                expression.expect("fits")
            );
            let rows = bench.session.query(&sql, &[]).await.expect(&sql);
            let bytes: Vec<Vec<u8>> = rows.iter().map(|row| row.get(0)).collect();
            let high = |b: &[u8]| b.iter().filter(|b| !b.is_ascii()).count();
            match mask {
                Mask::Phone | Mask::KeepFormat => assert!(high(&bytes[0]) >= 2, "{bytes:?}"),
                Mask::Constant(_) => assert_eq!(bytes[0], bytes[1]),
                _ => assert_eq!(high(&bytes[0]), 0, "{bytes:?}"),
            }
            assert!(!bytes[1].is_empty());
        }
    }
}
