//! Somebody writes to the database through the whole run, though it is said to be quiet.

use std::cell::{Cell, RefCell};

use rebuild_core::postgres::Session;

use super::{Act, Case, Extent};
use crate::arena::Arena;
use crate::trial::{Ended, Outcome};
use crate::world::{Scene, Target};

pub(super) const FAMILY: &str = "a writer who does not stop";

/// How often, for each kind of rebuild.
const ROUNDS: usize = 6;

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for scene in arena.scenes() {
        for round in 0..ROUNDS {
            all.push((scene, round));
        }
    }
    let cases = extent.of(all).into_iter().map(|(scene, round)| {
        let act: Act = Box::new(move |arena| Box::pin(written_through(arena, scene)));
        Case {
            family: FAMILY,
            what: format!("{scene}: round {round}"),
            act,
        }
    });
    cases.collect()
}

/// What a writer was told is written, and how often it was told that it is not.
#[derive(Default)]
struct Ledger {
    written: RefCell<Vec<String>>,
    refused: Cell<u32>,
    over: Cell<bool>,
}

/// Every row whose writer was told that it is there is there, in the database that is in service.
async fn written_through(arena: &Arena, scene: Scene) -> Outcome {
    let target = arena.target(scene).await;
    let oid = target.oid().await;
    let ledger = Ledger::default();
    let run = async {
        let run = target.rebuild_json(&["run"]).await;
        ledger.over.set(true);
        run
    };
    let (run, ()) = tokio::join!(run, write(&target, &ledger));
    arena.world.settle().await;
    let new = target.oid().await != oid;
    assert_eq!(
        new,
        run.code() == Some(0),
        "what it says is what is there: {run:?}"
    );
    let wanted = ledger.written.take();
    let session = target.session().await;
    let sql = "select email from public.person where email like 'ledger-%'";
    let rows = session.query(sql, &[]).await.expect("the rows");
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    session.close().await;
    let lost = wanted.iter().filter(|email| !found.contains(email)).count();
    assert_eq!(
        lost,
        0,
        "ROWS LOST: {lost} of {} that were acknowledged: {run:?}",
        wanted.len()
    );
    target.drop_databases().await;
    Outcome {
        struck: !wanted.is_empty(),
        ended: if new { Ended::New } else { Ended::Old },
        commands: 0,
    }
}

/// Writes a row after the other, connects again when it is thrown out, and overrides that the
/// database is to be read only.
async fn write(target: &Target<'_>, ledger: &Ledger) {
    let mut number = 0;
    while !ledger.over.get() {
        let at = target.endpoint();
        let Ok(session) = Session::open(&at, "a writer").await else {
            ledger.refused.set(ledger.refused.get() + 1);
            tokio::task::yield_now().await;
            continue;
        };
        let stubborn = "set default_transaction_read_only = off";
        let mut open = session.batch_execute(stubborn).await.is_ok();
        while open && !ledger.over.get() {
            number += 1;
            let email = format!("ledger-{number}@example.org");
            let sql =
                format!("insert into public.person (email, team) values ('{email}', 'writers')");
            open = session.batch_execute(&sql).await.is_ok();
            if open {
                ledger.written.borrow_mut().push(email);
            }
        }
        session.close().await;
    }
}
