//! Reading in pieces of any size finds the same as reading at once.

use tokio::io::AsyncReadExt;

use super::super::reader::{DumpReader, Item};
use crate::postgres::schema::{StatementKind, split};

const DUMP: &str = "--
-- PostgreSQL database dump
--

\\restrict aB3
SET statement_timeout = 0;
/* a comment; with a semicolon */
CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql AS $_$ begin; perform ';'; end $_$;
COPY public.t (a, b) FROM stdin;
1\tone
2\t\\\\.
\\.x\tno end
é\t\\N
\\.


COPY public.empty FROM stdin;
\\.
SELECT 'a''b;', E'\\';', \"odd;name\" -- a tail;
;
--
-- PostgreSQL database dump complete
--

\\unrestrict aB3

";

async fn read(text: &[u8], piece: usize) -> Vec<String> {
    let mut reader = DumpReader::new("a.sql".to_owned(), text);
    reader.piece = piece;
    let mut found = Vec::new();
    while let Some(item) = reader.next().await.expect("a statement") {
        match item {
            Item::Statement { text, .. } => found.push(text),
            Item::Copy { text, .. } => {
                let mut rows = Vec::new();
                while let Some(piece) = reader.rows().await.expect("rows") {
                    rows.extend_from_slice(&piece);
                }
                let rows = String::from_utf8(rows).expect("UTF-8");
                found.push(format!("{text}\n{rows}"));
            }
        }
    }
    found
}

#[tokio::test]
async fn pieces_of_any_size_give_the_same() {
    // What the reader of whole files finds, which knows no commands at all.
    let bare: String = DUMP
        .lines()
        .filter(|line| !line.contains("restrict "))
        .flat_map(|line| [line, "\n"])
        .collect();
    let expected: Vec<String> = split(&bare)
        .expect("statements")
        .iter()
        .map(|s| match &s.kind {
            StatementKind::CopyIn { data, .. } => {
                format!("{}\n{}", s.text(&bare), &bare[data.clone()])
            }
            _ => s.text(&bare).to_owned(),
        })
        .collect();
    assert_eq!(expected.len(), 5);
    for piece in (1..60).chain([DUMP.len(), 1 << 20]) {
        assert_eq!(read(DUMP.as_bytes(), piece).await, expected, "{piece}");
    }
}

#[tokio::test]
async fn a_dump_cut_at_any_byte_has_no_end() {
    let end = DUMP.find("\n\\unrestrict").expect("its end");
    for length in 30..end {
        let mut reader = DumpReader::new("a.sql".to_owned(), &DUMP.as_bytes()[..length]);
        let ended = loop {
            match reader.next().await {
                Ok(Some(Item::Statement { .. })) => {}
                Ok(Some(Item::Copy { .. })) => loop {
                    match reader.rows().await {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break,
                    }
                },
                Ok(None) => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        assert!(ended.is_err(), "cut at {length}");
    }
}

/// A few kilobytes of gzip or zstd can be all of this.
#[tokio::test]
async fn a_statement_that_never_ends_takes_no_more_memory_than_a_statement_may() {
    for endless in [b'x', b'(', b'\''] {
        let longest: u64 = 1 << 20;
        let mut bomb = tokio::io::repeat(endless).take(4 * longest);
        let mut reader = DumpReader::new("bomb".to_owned(), &mut bomb);
        (reader.piece, reader.longest) = (4 << 10, 1 << 20);
        let refused = reader.next().await.expect_err("no end");
        assert_eq!(refused.kind(), crate::error::ErrorKind::Corrupt);
        let left = bomb.limit();
        assert!(left >= 2 * longest, "{left} bytes were not read");
    }
}
