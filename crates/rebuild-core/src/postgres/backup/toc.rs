//! The table of contents of pg_dump's archive, as `pg_restore --list` prints it.

use std::collections::BTreeSet;

use crate::model::TableName;

/// The entries of an archive, without their numbers.
pub(super) struct Toc {
    entries: BTreeSet<Vec<u8>>,
    /// Names are in an encoding that we cannot read: compare what is ASCII of them.
    ascii_only: bool,
}

impl Toc {
    /// Reads the listing of an archive of a database in `encoding`. A line is
    /// `217; 1259 16385 TABLE public orders owner`; line breaks in names have become spaces.
    pub(super) fn read(listing: &[u8], encoding: &str) -> Self {
        let ascii_only = !matches!(encoding, "UTF8" | "SQL_ASCII");
        let entries = listing
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.starts_with(b";"))
            .filter_map(|line| line.splitn(4, |byte| *byte == b' ').nth(3))
            .map(|entry| comparable(entry, ascii_only))
            .collect();
        Self {
            entries,
            ascii_only,
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is an entry for the definition of `table`.
    pub(super) fn has_table(&self, table: &TableName) -> bool {
        let start = format!("TABLE {} {} ", table.schema, table.name);
        let start = comparable(start.as_bytes(), self.ascii_only);
        self.entries
            .range(start.clone()..)
            .next()
            .is_some_and(|entry| entry.starts_with(&start))
    }
}

fn comparable(entry: &[u8], ascii_only: bool) -> Vec<u8> {
    entry
        .iter()
        .filter(|byte| !ascii_only || byte.is_ascii())
        .map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            byte => *byte,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_by_its_whole_name() {
        let listing = b";\n; Archive created at\n217; 1259 16385 TABLE public a b owner\n\
            218; 0 16385 TABLE DATA public t owner\n219; 1259 1 TABLE s caf\xe9 owner\n";
        let toc = Toc::read(listing, "LATIN1");
        assert_eq!(toc.len(), 3);
        assert!(toc.has_table(&TableName::new("public", "a\nb")));
        assert!(toc.has_table(&TableName::new("s", "caf\u{e9}")));
        assert!(!toc.has_table(&TableName::new("public", "t")));
        assert!(!toc.has_table(&TableName::new("s", "ca")));
    }
}
