//! Whatever happens to the stored bytes is noticed, and the error names the record.

use super::*;
use crate::error::ErrorKind;

/// Opens a journal that is damaged at record `seq`, and checks what is said of it.
async fn refused(store: &Store, run: &RunId, seq: usize, how: &str) {
    let error = Journal::open(store, run).await.expect_err(how);
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{how}: {error:?}");
    let said = error.chain();
    assert!(
        said.contains(&format!("{seq:08}.json")) || said.contains(&format!("record {seq} ")),
        "{how}: {said}"
    );
}

/// A journal of all kinds of records, and their bytes.
async fn sound() -> (RunId, Vec<Vec<u8>>) {
    sound_of(&every_kind()).await
}

async fn sound_of(bodies: &[Body]) -> (RunId, Vec<Vec<u8>>) {
    let store = memory();
    let run = written(&store, bodies).await.expect("written");
    let records = stored(&store, &run).await;
    (run, records)
}

fn all(records: &[Vec<u8>]) -> Vec<Option<&[u8]>> {
    records.iter().map(|r| Some(r.as_slice())).collect()
}

#[tokio::test]
async fn every_flipped_bit_of_every_record_is_found() {
    let (run, records) = sound().await;
    let mut flips = 0;
    for (n, record) in records.iter().enumerate() {
        for at in 0..record.len() {
            for bit in 0..8 {
                let mut bytes = record.clone();
                bytes[at] ^= 1 << bit;
                let name = object(&run, n + 1);
                let error = Record::from_bytes(name.as_str(), &bytes).expect_err("a flip");
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{n} {at} {bit}");
                assert!(error.chain().contains(name.as_str()), "{error:?}");
                flips += 1;
            }
        }
    }
    let bits: usize = records.iter().map(|r| r.len() * 8).sum();
    assert_eq!(flips, bits);
}

#[tokio::test]
async fn a_flip_and_a_cut_anywhere_stop_the_journal_from_opening() {
    let (run, records) = sound_of(&every_kind()[..6]).await;
    for (n, record) in records.iter().enumerate() {
        for at in 0..record.len() {
            let mut flipped = record.clone();
            flipped[at] ^= 1;
            for (bytes, how) in [(flipped.as_slice(), "flip"), (&record[..at], "cut")] {
                let mut damaged = all(&records);
                damaged[n] = Some(bytes);
                let store = holding(&run, &damaged).await;
                refused(&store, &run, n + 1, &format!("{how} of record {n} at {at}")).await;
            }
        }
    }
}

#[tokio::test]
async fn bytes_after_a_record_are_found() {
    let (run, records) = sound().await;
    for (n, record) in records.iter().enumerate() {
        let longer = [record.as_slice(), b"\n"].concat();
        let mut damaged = all(&records);
        damaged[n] = Some(&longer);
        refused(&holding(&run, &damaged).await, &run, n + 1, "longer").await;
    }
}

#[tokio::test]
async fn a_missing_record_is_found() {
    let (run, records) = sound().await;
    for n in 0..records.len() - 1 {
        let mut gap = all(&records);
        gap[n] = None;
        refused(&holding(&run, &gap).await, &run, n + 1, "missing").await;
    }
}

#[tokio::test]
async fn records_in_each_others_place_are_found() {
    let (run, records) = sound().await;
    for n in 0..records.len() - 1 {
        let mut swapped = all(&records);
        swapped.swap(n, n + 1);
        refused(&holding(&run, &swapped).await, &run, n + 1, "swapped").await;
    }
}

#[tokio::test]
async fn a_record_that_was_written_anew_is_found_by_the_next_one() {
    let (run, records) = sound().await;
    let other = sealed(
        2,
        &hash(&records[0]),
        Body::StepIntent {
            step: "backup".to_owned(),
            intent: json!({"id": "another"}),
        },
    );
    let mut forged = all(&records);
    forged[1] = Some(&other);
    refused(&holding(&run, &forged).await, &run, 3, "forged").await;
}

#[tokio::test]
async fn a_record_that_cannot_follow_is_found() {
    let (run, records) = sound().await;
    let undone = sealed(
        2,
        &hash(&records[0]),
        Body::UndoDone {
            step: "backup".to_owned(),
        },
    );
    let store = holding(&run, &[Some(&records[0]), Some(&undone)]).await;
    refused(&store, &run, 2, "cannot follow").await;
}

/// A step may fail before anything was intended; when the run goes on, it is intended then.
#[tokio::test]
async fn a_step_that_failed_before_its_intent_can_be_taken_up_again() {
    let step = || "verify-live".to_owned();
    let intent = || Body::StepIntent {
        step: step(),
        intent: json!(null),
    };
    let mut bodies = vec![
        began(),
        Body::StepFailed {
            step: step(),
            error: "the server is away".to_owned(),
        },
        Body::Ended {
            ending: Ending::Halted,
        },
        Body::Resumed,
        intent(),
    ];
    let store = memory();
    let run = written(&store, &bodies).await.expect("it goes on");
    let journal = Journal::open(&store, &run).await.expect("it is read");
    assert_eq!(journal.state().intent("verify-live"), Some(&json!(null)));
    bodies.push(intent());
    let twice = written(&memory(), &bodies).await.expect_err("once");
    assert!(twice.to_string().contains("intended already"), "{twice}");
}
