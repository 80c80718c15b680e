//! Reading SQL files, and deciding how each is run.

use std::io::Read;
use std::path::Path;

use super::order::expand;
use super::split::{Statement, StatementKind, split};
use super::text::{Fault, NO_TRANSACTION, decode, head_has_marker};
use crate::error::{Error, Result};
use crate::spec::FileOrder;

/// The largest file that is read; a file is held in memory as a whole.
const MAX_BYTES: u64 = 1 << 30;

/// How the statements of a file are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In one transaction around the file.
    Wrapped,
    /// In the one transaction that the file itself begins with its first statement and commits
    /// with its last.
    Own,
    /// One by one; a failure leaves the file half applied.
    OneByOne {
        /// Why, for people.
        because: String,
    },
}

/// A SQL file, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlFile {
    /// Its path relative to the folder.
    pub path: String,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub checksum: String,
    /// How it is run.
    pub mode: Mode,
}

/// A SQL file with its text, taken apart.
pub(super) struct Loaded {
    /// Its path, checksum and mode.
    pub(super) file: SqlFile,
    /// Its text.
    pub(super) text: String,
    /// Its statements.
    pub(super) statements: Vec<Statement>,
}

/// Reads every file that `patterns` match in `folder`, in order, and checks all of them; with
/// notes about what was left out. Blocking; holds one file in memory at a time.
///
/// # Errors
/// As [`expand`]; a file cannot be read, or has something in it that cannot be run (with file
/// and line).
pub fn read_files(
    folder: &Path,
    patterns: &[String],
    order: FileOrder,
) -> Result<(Vec<SqlFile>, Vec<String>)> {
    let ordered = expand(folder, patterns, order)?;
    let files = ordered
        .paths
        .iter()
        .map(|path| load(folder, path).map(|loaded| loaded.file))
        .collect::<Result<_>>()?;
    Ok((files, ordered.notes))
}

/// Reads one file. Blocking.
pub(super) fn load(folder: &Path, path: &str) -> Result<Loaded> {
    let bytes = read(&folder.join(path))?;
    let checksum = blake3::hash(&bytes).to_hex().to_string();
    let text = decode(bytes).map_err(|fault| fault.in_file(path))?;
    let statements = split(&text).map_err(|fault| fault.in_file(path))?;
    let mode = mode(&text, &statements).map_err(|fault| fault.in_file(path))?;
    Ok(Loaded {
        file: SqlFile {
            path: path.to_owned(),
            checksum,
            mode,
        },
        text,
        statements,
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable =
        |e| Error::usage(format!("the file {} cannot be read", path.display())).caused_by(e);
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::usage(format!(
            "the file {} is larger than {MAX_BYTES} bytes",
            path.display()
        ))
        .hint("cut it into smaller files, or load the rows with a command"));
    }
    Ok(bytes)
}

fn mode(text: &str, statements: &[Statement]) -> Result<Mode, Fault> {
    use StatementKind::{Alone, Begin, Chain, Commit, Rollback};
    check_transactions_end(statements)?;
    let head = statements.first().map_or(text.len(), |s| s.range.start);
    let one_by_one = |because: String| Ok(Mode::OneByOne { because });
    if head_has_marker(&text[..head]) {
        return one_by_one(format!("its head says {NO_TRANSACTION:?}"));
    }
    if let Some(alone) = statements.iter().find(|s| s.kind == Alone) {
        return one_by_one(format!(
            "the statement in line {} cannot be part of one",
            alone.line
        ));
    }
    let control = |s: &&Statement| matches!(s.kind, Begin | Commit | Rollback | Chain);
    match statements {
        [first, inner @ .., last] if first.kind == Begin && last.kind == Commit => {
            match inner.iter().find(control) {
                None => Ok(Mode::Own),
                Some(s) => one_by_one(format!("it has several of its own (line {})", s.line)),
            }
        }
        all => match all.iter().find(control) {
            None => Ok(Mode::Wrapped),
            Some(s) => one_by_one(format!("it has its own in a part of it (line {})", s.line)),
        },
    }
}

/// What psql would roll back at the end of the file is refused: it was not meant.
fn check_transactions_end(statements: &[Statement]) -> Result<(), Fault> {
    let mut open = None;
    for statement in statements {
        match statement.kind {
            StatementKind::Begin => open = open.or(Some(statement.line)),
            StatementKind::Chain => open = Some(statement.line),
            StatementKind::Commit | StatementKind::Rollback => open = None,
            _ => {}
        }
    }
    match open {
        None => Ok(()),
        Some(line) => Err(Fault::new(
            line,
            "the transaction that begins here is not ended in the file",
        )
        .hint("add COMMIT, or delete BEGIN: a file is run in a transaction anyway")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(text: &str) -> Result<Mode, Fault> {
        mode(text, &split(text).expect("split"))
    }

    #[test]
    fn how_a_file_is_run() {
        for text in ["", "select 1; savepoint a; rollback to a;", "vacuumed;"] {
            assert_eq!(mode_of(text).expect("mode"), Mode::Wrapped, "{text}");
        }
        for text in [
            "begin; select 1; commit",
            "start transaction; end;",
            "begin; savepoint a; rollback to a; commit;",
        ] {
            assert_eq!(mode_of(text).expect("mode"), Mode::Own, "{text}");
        }
        for text in [
            "-- rebuild: no transaction\nselect 1;",
            "begin; vacuum t; commit;",
            "create index concurrently on t (a);",
            "begin; commit; begin; commit;",
            "begin; select 1; commit; select 2;",
            "select 1; begin; commit;",
            "begin; rollback",
            "commit;",
        ] {
            let mode = mode_of(text).expect("mode");
            assert!(matches!(mode, Mode::OneByOne { .. }), "{text}: {mode:?}");
        }
    }

    #[test]
    fn a_transaction_that_stays_open_is_refused() {
        assert_eq!(mode_of("\nbegin;\nselect 1;").expect_err("open").line, 2);
        assert_eq!(
            mode_of("begin;\ncommit and chain;").expect_err("open").line,
            2
        );
        mode_of("begin; prepare transaction 'x';").expect("ended");
    }
}
