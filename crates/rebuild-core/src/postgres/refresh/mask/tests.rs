use std::collections::HashSet;

use super::*;
use crate::postgres::{LocalCluster, Session};
use crate::testing::{cluster, scratch_database};

mod keys;
mod names_and_types;
mod refusals;

/// A session that masks, in a database of its own.
struct Bench {
    session: Session,
    names: Names,
    _cluster: LocalCluster,
}

impl Bench {
    async fn new() -> Self {
        let cluster = cluster().await.expect("cluster");
        let endpoint = scratch_database(&cluster).await.expect("database");
        let session = Session::open(&endpoint, "test").await.expect("session");
        Self::over(session, cluster, "UTF8").await
    }

    /// In a database whose encoding is `encoding`, which is also that of the session.
    async fn encoded(encoding: &str) -> Self {
        let cluster = cluster().await.expect("cluster");
        let admin = Session::open(&cluster.endpoint("postgres"), "test").await;
        let create =
            format!("create database encoded template template0 encoding '{encoding}' locale 'C'");
        let created = admin.expect("session").batch_execute(&create).await;
        created.expect("database");
        let session = Session::open(&cluster.endpoint("encoded"), "test").await;
        let session = session.expect("session");
        let set = format!("set client_encoding = '{encoding}'");
        session.batch_execute(&set).await.expect("encoding");
        Self::over(session, cluster, encoding).await
    }

    async fn over(session: Session, cluster: LocalCluster, encoding: &str) -> Self {
        let bench = Self {
            session,
            names: Names::under(encoding),
            _cluster: cluster,
        };
        bench.salt("pepper").await;
        bench
    }

    async fn salt(&self, salt: &str) {
        let set = "select pg_catalog.set_config($1, $2, false)";
        let done = self.session.execute(set, &[&SALT, &salt]).await;
        done.expect("salt");
    }

    async fn run(&self, sql: &str) {
        self.session.batch_execute(sql).await.expect(sql);
    }

    /// What `mask` makes of the column of `public.t`, in the order of its `id`, as text.
    async fn masked(&self, mask: &Mask, column: &MaskedColumn<'_>) -> Vec<Option<String>> {
        let expression = mask.expression(column, self.names).expect("fits");
        let sql = format!(
            "select x::pg_catalog.text from (select id, {expression} as x from only public.t) t
              order by id"
        );
        let rows = self.session.query(&sql, &[]).await;
        let rows = rows.unwrap_or_else(|e| panic!("{mask:?} of {column:?}: {e:?}\n{sql}"));
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Makes `public.t` with `values` in a column of the type, and gives what `mask` makes of
    /// them.
    async fn values(
        &self,
        mask: &Mask,
        type_name: &str,
        values: &[Option<&str>],
    ) -> Vec<Option<String>> {
        self.run(&format!(
            "drop table if exists public.t;
             create table public.t (id int, value {type_name})"
        ))
        .await;
        let insert = format!(
            "insert into public.t select n, v::{type_name}
               from pg_catalog.unnest($1::pg_catalog.text[]) with ordinality u (v, n)"
        );
        let done = self.session.execute(&insert, &[&values]).await;
        done.expect("inserted");
        self.masked(mask, &column("value", type_name)).await
    }
}

fn column<'a>(name: &'a str, type_name: &'a str) -> MaskedColumn<'a> {
    MaskedColumn {
        name,
        type_name,
        base_name: type_name.split('(').next().expect("a name"),
        not_null: false,
    }
}

/// Texts that have broken things before.
const AWKWARD: &[Option<&str>] = &[
    None,
    Some(""),
    Some(" "),
    Some("a"),
    Some("7"),
    Some("it's \\ \"quoted\" $1 %s {a,b} \t\r\n"),
    Some("Łukasz Müller 12, 東京 😀 e\u{301}"),
    Some("+49 (171) 555-0123"),
    Some("null"),
    Some("\u{1}\u{7f}"),
    Some("0000000000000000000000000000000000000000000000000000000000000000000000000000000"),
];

fn email() -> Mask {
    Mask::Email {
        domain: "example.com".to_owned(),
    }
}

fn form(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '0'..='9' => '0',
            'a'..='z' => 'a',
            'A'..='Z' => 'A',
            c => c,
        })
        .collect()
}

#[tokio::test]
async fn texts_become_what_they_should_and_null_stays_null() {
    let bench = Bench::new().await;
    for type_name in ["text", "character varying", "character varying(200)"] {
        for mask in [
            Mask::Hash,
            email(),
            Mask::Name,
            Mask::Phone,
            Mask::KeepFormat,
        ] {
            let masked = bench.values(&mask, type_name, AWKWARD).await;
            assert_eq!(masked.len(), AWKWARD.len());
            let again = bench.masked(&mask, &column("value", type_name)).await;
            assert_eq!(masked, again, "{mask:?} is a function");
            for (was, is) in AWKWARD.iter().zip(&masked) {
                let (Some(was), Some(is)) = (was, is) else {
                    assert_eq!(was.is_none(), is.is_none(), "{mask:?} of {was:?}: {is:?}");
                    continue;
                };
                let fine = match &mask {
                    Mask::Hash => is.len() == 64 && is.bytes().all(|b| b.is_ascii_hexdigit()),
                    Mask::Email { .. } => is.len() == 29 && is.ends_with("@example.com"),
                    Mask::Name => is.split(' ').count() == 2 && is.is_ascii(),
                    _ => form(is) == form(was),
                };
                assert!(fine, "{mask:?} of {was:?} is {is:?}");
            }
            let different: HashSet<_> = masked.iter().collect();
            let lossless = !matches!(mask, Mask::Phone);
            assert!(!lossless || different.len() == AWKWARD.len(), "{masked:?}");
        }
    }
}

#[tokio::test]
async fn another_salt_gives_other_values_and_none_gives_an_error() {
    let bench = Bench::new().await;
    let values = &[Some("Ada Lovelace 1815")];
    for mask in [
        Mask::Hash,
        email(),
        Mask::KeepFormat,
        Mask::Phone,
        Mask::Name,
    ] {
        bench.salt("pepper").await;
        let first = bench.values(&mask, "text", values).await;
        bench.salt("other").await;
        assert_ne!(first, bench.masked(&mask, &column("value", "text")).await);
    }
    let fresh = bench.session.open_another().await.expect("session");
    let expression = Mask::Hash.expression(&column("value", "text"), bench.names);
    let sql = format!("select {} from public.t", expression.expect("fits"));
    let refused = fresh.query(&sql, &[]).await.expect_err("no salt");
    assert!(
        format!("{refused:?}").contains("rebuild.salt"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn phones_get_other_digits_and_keep_a_zero_in_front() {
    let bench = Bench::new().await;
    let phones: Vec<String> = (0..400)
        .map(|n| format!("+{} (0{n}) {}", n % 10, n * 7919))
        .collect();
    let values: Vec<_> = phones.iter().map(|p| Some(p.as_str())).collect();
    let masked = bench.values(&Mask::Phone, "text", &values).await;
    for (was, is) in phones.iter().zip(masked) {
        let is = is.expect("a value");
        assert_eq!(form(was), form(&is));
        let pairs = was
            .chars()
            .zip(is.chars())
            .filter(|(w, _)| w.is_ascii_digit());
        for (nth, (w, i)) in pairs.enumerate() {
            if nth == 0 {
                assert_eq!(w == '0', i == '0', "{was} {is}");
            }
            assert!(w != i || (nth == 0 && w == '0'), "{was} {is}");
        }
    }
}

#[tokio::test]
async fn limits_are_kept() {
    let bench = Bench::new().await;
    let values = &[Some("abc"), Some("abcdefghijkl"), None];
    for (mask, type_name, length) in [
        (Mask::Hash, "character varying(12)", 12),
        (Mask::Hash, "character(70)", 64),
        (Mask::Hash, "character(40)", 40),
        (email(), "character varying(29)", 29),
        (Mask::Name, "character varying(3)", 3),
    ] {
        let type_of_rows = if length < 12 { "text" } else { type_name };
        bench.values(&mask, type_of_rows, values).await;
        let masked = bench.masked(&mask, &column("value", type_name)).await;
        for is in masked.iter().take(2) {
            let is = is.as_deref().map(str::len);
            assert_eq!(is, Some(length), "{mask:?} of {type_name}");
        }
    }
    // The blanks at the end of a character(n) are no part of it.
    let padded = bench
        .values(&Mask::Hash, "character(30)", &[Some("a")])
        .await;
    let plain = bench
        .values(&Mask::Hash, "character varying(30)", &[Some("a")])
        .await;
    assert_eq!(padded, plain);
}

#[tokio::test]
async fn other_types_are_masked_as_they_are() {
    let bench = Bench::new().await;
    let bytes = bench
        .values(&Mask::Hash, "bytea", &[None, Some("\\x00ff"), Some("")])
        .await;
    assert_eq!(bytes[0], None);
    assert_eq!(bytes[1].as_deref().map(str::len), Some(66));
    assert_ne!(bytes[1], bytes[2]);
    let id = "123e4567-e89b-12d3-a456-426614174000";
    let uuids = bench.values(&Mask::Hash, "uuid", &[Some(id), None]).await;
    let uuid = uuids[0].as_deref().expect("a value");
    assert_eq!((&uuid[14..15], uuids[1].is_none()), ("4", true));
    assert!("89ab".contains(&uuid[19..20]), "{uuid}");
    let mask = Mask::Constant("7".into());
    let sevens = bench.values(&mask, "integer", &[None, Some("1")]).await;
    assert_eq!(sevens, [Some("7".to_owned()), Some("7".to_owned())]);
    let mask = Mask::Sql("value * 2 -- twice".into());
    let twice = bench.values(&mask, "bigint", &[Some("21"), None]).await;
    assert_eq!(twice, [Some("42".to_owned()), None]);
    let gone = bench.values(&Mask::Null, "json", &[Some("{}")]).await;
    assert_eq!(gone, [None]);
}

#[tokio::test]
async fn dates_move_and_infinity_stays() {
    let bench = Bench::new().await;
    bench
        .run(
            "create table public.t (id int, \"by\" text, value date, moment timestamptz(3));
             insert into public.t select n, n % 40, '2024-02-28', '2024-02-28 23:59:59.5Z'
               from pg_catalog.generate_series(1, 400) n;
             insert into public.t values (401, null, 'infinity', '-infinity'),
                    (402, '', '2024-02-28', null), (403, null, '2024-02-28', null)",
        )
        .await;
    let shift = |by: Option<&str>| Mask::DateShift {
        days: 2,
        by: by.map(str::to_owned),
    };
    let date = column("value", "date");
    let masked = bench.masked(&shift(Some("by")), &date).await;
    let days: HashSet<_> = masked[..400].iter().flatten().map(String::as_str).collect();
    let near = ["2024-02-26", "2024-02-27", "2024-02-29", "2024-03-01"];
    assert_eq!(days, HashSet::from(near));
    assert!((0..360).all(|n| masked[n] == masked[n + 40]), "{masked:?}");
    assert_eq!(masked[400].as_deref(), Some("infinity"));
    assert_eq!(masked[401], masked[402]);
    let moment = MaskedColumn {
        name: "moment",
        type_name: "timestamp(3) with time zone",
        base_name: "timestamp with time zone",
        not_null: false,
    };
    let moments = bench.masked(&shift(Some("by")), &moment).await;
    for (day, moment) in masked[..400].iter().zip(&moments) {
        let (day, moment) = (
            day.as_deref().expect("day"),
            moment.as_deref().expect("moment"),
        );
        assert_eq!(moment, format!("{day} 23:59:59.5+00"));
    }
    assert_eq!(
        (moments[400].as_deref(), &moments[402]),
        (Some("-infinity"), &None)
    );
    let alike = bench.masked(&shift(None), &date).await;
    assert!(
        alike[..400].iter().all(|day| *day == masked[402]),
        "{alike:?}"
    );
}
