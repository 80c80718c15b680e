//! Format version 1, as it was first written: journals of it must be read for ever.

use super::*;
use crate::error::ErrorKind;

/// The records of a run with one of every kind, as version 1 wrote them.
const VERSION_1: &str = include_str!("version_1.jsonl");

#[tokio::test]
async fn version_1_is_read_and_written_as_ever() {
    let lines: Vec<&str> = VERSION_1.lines().collect();
    let run = RunId::generate();
    let records: Vec<Option<&[u8]>> = lines.iter().map(|line| Some(line.as_bytes())).collect();
    let store = holding(&run, &records).await;
    let journal = Journal::open(&store, &run).await.expect("version 1");
    assert_eq!(journal.state().ending(), Some(Ending::RolledBack));
    assert!(journal.state().is_purged() && journal.state().went_live());
    // Of such a run no more than the version is known.
    let program = journal.state().program().expect("recorded");
    assert_eq!((&program.binary, program.tools.len()), (&None, 0));

    let read = super::super::log::read(&store, &run).await.expect("read");
    let bodies: Vec<Body> = read.iter().map(|(r, _)| r.body.clone()).collect();
    assert_eq!(bodies, every_kind());

    let mut prev = hash(b"");
    for (n, (line, body)) in lines.iter().zip(every_kind()).enumerate() {
        let now = sealed(n as u64 + 1, &prev, body);
        assert_eq!(String::from_utf8_lossy(&now), *line);
        prev = hash(&now);
    }
}

#[tokio::test]
async fn a_newer_version_is_refused_whatever_it_holds() {
    let run = RunId::generate();
    let newer = br#"{"record":{"version":2,"kind":"a new one"},"seal":"of another form"}"#;
    let store = holding(&run, &[Some(newer)]).await;
    let error = Journal::open(&store, &run).await.expect_err("newer");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error
            .to_string()
            .ends_with("00000001.json is of version 2, and this program reads version 1"),
        "{error}"
    );
    assert!(
        error
            .advice()
            .is_some_and(|a| a.contains("version of rebuild"))
    );

    // One that a newer program has added to an old journal.
    let first = sealed(1, &hash(b""), began());
    let store = holding(&run, &[Some(&first), Some(newer)]).await;
    let error = Journal::open(&store, &run).await.expect_err("newer");
    assert!(error.to_string().contains("00000002.json is of version 2"));
}
