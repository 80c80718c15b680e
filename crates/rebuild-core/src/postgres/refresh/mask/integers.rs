//! A permutation of the integers.

use super::sql::{Digest, number};

/// How often each half is changed by what the other one is.
const ROUNDS: usize = 6;

/// The expression for another integer in the place of that in the column `quoted`; different ones
/// stay different.
///
/// It is a Feistel network: a number is cut in two, and each half in turn is moved by a digest of
/// the other. Each step can be taken back by who knows the salt, so no two numbers meet. Numbers
/// below 2^15 stay below it, and so do those below 2^31, so that a `bigint` that refers to an
/// `integer` finds it again.
pub(super) fn permuted(quoted: &str) -> String {
    // Of `size` bits the lower ones are moved within 2^size, the higher ones within `many` from
    // `base` on: with less than `base` the number would be one of the smaller ones.
    let mut from = format!(
        "(select negative, size, base, many, number >> size as high,
                 number & ((1::pg_catalog.int8 << size) - 1) as low
            from (select v < 0 as negative, case when v < 0 then ~v else v end as number
                    from (select {quoted}::pg_catalog.int8 as v offset 0) v offset 0) n
            join (values (0::pg_catalog.int8, 32767::pg_catalog.int8, 7, 0, 256::pg_catalog.int8),
                         (32768, 2147483647, 15, 1, 65535),
                         (2147483648, 9223372036854775807, 31, 1, 4294967295))
                 as width (first, last, size, base, many)
              on number between first and last
          offset 0) r0"
    );
    for round in 1..=ROUNDS {
        let (changed, other) = if round % 2 == 1 {
            ("low", "high")
        } else {
            ("high", "low")
        };
        let text = format!("'{round}:' || size || ':' || {other}");
        let digest = number(&Digest::of_text(&text).0);
        let moved = if changed == "low" {
            format!("low # ({digest} & ((1::pg_catalog.int8 << size) - 1))")
        } else {
            format!("base + (high - base + {digest}) % many")
        };
        from = format!(
            "(select negative, size, base, many, {other}, {moved} as {changed}
                from {from} offset 0) r{round}"
        );
    }
    format!(
        "(select case when negative then ~(high << size | low) else high << size | low end
            from {from})"
    )
}
