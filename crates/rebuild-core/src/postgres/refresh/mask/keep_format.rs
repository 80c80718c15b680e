//! A permutation of texts that keeps their form.

use super::sql::{Digest, ENCODING};

/// What is replaced, and what kind of character each is.
const REPLACED: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const KINDS: &str = "0000000000AAAAAAAAAAAAAAAAAAAAAAAAAAaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The expression for another text of the same form in the place of the one that the expression
/// `value` gives; different ones stay different.
///
/// It is a Feistel network over the digits and letters alone: each half of them in turn is moved
/// by a stream of bytes that a digest of the other half and of the form gives. Each step can be
/// taken back by who knows the salt, so no two texts meet; and each character counts for every
/// other.
pub(super) fn permuted(value: &str) -> String {
    let form = Digest::of_text(&format!("pg_catalog.translate(v, '{REPLACED}', '{KINDS}')")).0;
    let mut from = format!(
        "(select v, form, pg_catalog.substr(w, 1, pg_catalog.length(w) / 2) as a,
                 pg_catalog.substr(w, pg_catalog.length(w) / 2 + 1) as b
            from (select v, {form} as form,
                         pg_catalog.convert_to(
                             pg_catalog.regexp_replace(v, '[^0-9A-Za-z]+', '', 'g'), {ENCODING}) as w
                    from (select {value} as v offset 0) t offset 0) w offset 0) r0"
    );
    for round in 1..=4 {
        let (changed, other) = if round % 2 == 1 {
            ("a", "b")
        } else {
            ("b", "a")
        };
        let moved = moved(round, changed, other);
        from = format!(
            "(select v, form, {other}, {moved} as {changed} from {from} offset 0) r{round}"
        );
    }
    // The digits and letters back where they were, if there is anything between them.
    format!(
        "(select case when pg_catalog.length(w) = pg_catalog.length(v)
                      then pg_catalog.encode(w, 'escape')
                      else (select pg_catalog.string_agg(
                                       case when taken
                                            then pg_catalog.chr(pg_catalog.get_byte(w, nth - 1))
                                            else c end, '' order by i)
                              from (select c, i, taken,
                                           (pg_catalog.count(*) filter (where taken)
                                              over (order by i))::pg_catalog.int4 as nth
                                      from (select c, i, code between 48 and 57
                                                   or code between 65 and 90
                                                   or code between 97 and 122 as taken
                                              from pg_catalog.unnest(pg_catalog.string_to_array(v, null))
                                                   with ordinality u (c, i)
                                             cross join lateral (select pg_catalog.ascii(c) as code) k) u) u)
                 end
            from (select v, a || b as w from {from} offset 0) r)"
    )
}

/// The bytes of `changed`, each moved within its kind.
fn moved(round: u32, changed: &str, other: &str) -> String {
    format!(
        "(select pg_catalog.convert_to(coalesce(pg_catalog.string_agg(pg_catalog.chr(case
                    when code < 58 then 48 + (code - 48 + by) % 10
                    when code < 91 then 65 + (code - 65 + by) % 26
                    else 97 + (code - 97 + by) % 26 end), '' order by i), ''), {ENCODING})
            from (select pg_catalog.string_agg(pg_catalog.sha256(seed || pg_catalog.int4send(n)),
                                               ''::pg_catalog.bytea order by n) as stream
                    from (select pg_catalog.sha256(form || pg_catalog.int4send({round}) || {other})
                                 as seed offset 0) s
                   cross join pg_catalog.generate_series(0, pg_catalog.length({changed}) / 32) n) s
           cross join pg_catalog.generate_series(0, pg_catalog.length({changed}) - 1) i
           cross join lateral (select pg_catalog.get_byte({changed}, i) as code,
                                      pg_catalog.get_byte(stream, i) as by) k)"
    )
}
