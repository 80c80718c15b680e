//! Names of people who do not exist.

use super::sql::{Digest, Room};

/// 64 given names.
const GIVEN: &str = "\
    Ada Adam Agnes Albert Alice Amos Anna Arthur Beatrice Ben Bruno Carl Clara Conrad Cora \
    Daniel Dora Edgar Edith Elias Ella Emil Emma Erik Esther Felix Flora Frank Frieda George \
    Grace Greta Hannah Hugo Ida Irene Iris Ivan Jacob Jane John Julia Karl Laura Leo Lina Louis \
    Lucy Marcus Martha Max Mia Nina Noah Olga Oscar Paul Petra Rosa Ruth Simon Sofia Thomas Vera";

/// 64 surnames.
const SURNAMES: &str = "\
    Abbott Adler Archer Baker Barnes Becker Bishop Bolton Brewer Brooks Burton Carter Chapman \
    Clarke Cooper Cross Dalton Dawson Ellis Farmer Fischer Fisher Fletcher Foster Fowler Gardner \
    Gibson Glover Graham Grant Harper Hayes Hunter Jensen Keller Kramer Lambert Larsen Lorenz \
    Marsh Mason Meyer Miller Morris Nolan Norton Olsen Palmer Parker Porter Reed Richter Sanders \
    Sawyer Schmidt Shepherd Slater Tanner Taylor Turner Wagner Walker Weaver Winter";

/// The expression for the name that the digest picks.
pub(super) fn name(digest: &Digest, room: Room) -> String {
    // No longer than the two longest together.
    let length = room.at_most(64);
    let [given, surnames] = [GIVEN, SURNAMES].map(|names| names.replace(' ', ","));
    format!(
        "(select pg_catalog.left(
                     ('{{{given}}}'::pg_catalog.text[])[1 + pg_catalog.get_byte(h, 0) % 64] || ' ' ||
                     ('{{{surnames}}}'::pg_catalog.text[])[1 + pg_catalog.get_byte(h, 1) % 64],
                     {length})
            from (select {} as h offset 0) d)",
        digest.0
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_64_of_each() {
        for names in [GIVEN, SURNAMES] {
            let different: HashSet<&str> = names.split(' ').collect();
            assert_eq!((names.split(' ').count(), different.len()), (64, 64));
            assert!(names.bytes().all(|b| b.is_ascii_alphabetic() || b == b' '));
        }
    }
}
