//! What can follow what, whatever the sequence of records.

use proptest::prelude::*;

use super::round_trip::body;
use super::*;
use crate::journal::RunState;

fn apply(state: &mut RunState, body: &Body) -> Result<()> {
    let record = Record {
        version: RECORD_VERSION,
        seq: 1,
        at: "2026-01-02T03:04:05Z".parse().expect("a time"),
        prev: String::new(),
        writer: Writer {
            id: "0192f0c1".to_owned(),
            pid: 7,
            program: None,
        },
        body: body.clone(),
    };
    state.apply(&record)
}

/// The state after those of `bodies` that could follow, and these.
fn replayed(from: &RunState, bodies: &[Body]) -> (RunState, Vec<Body>) {
    let mut state = from.clone();
    let mut accepted = Vec::new();
    for body in bodies {
        let before = state.clone();
        match apply(&mut state, body) {
            Ok(()) => accepted.push(body.clone()),
            Err(_) => assert_eq!(state, before, "refused, and changed all the same"),
        }
    }
    (state, accepted)
}

proptest! {
    #[test]
    fn a_beginning_and_the_rest_make_the_whole(
        bodies in prop::collection::vec(body(), 0..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut all = vec![began()];
        all.extend(bodies);
        let (whole, accepted) = replayed(&RunState::default(), &all);
        let (same, none_refused) = replayed(&RunState::default(), &accepted);
        prop_assert_eq!(&same, &whole);
        prop_assert_eq!(&none_refused, &accepted);
        let (beginning, rest) = accepted.split_at(cut.index(accepted.len()));
        let (half, _) = replayed(&RunState::default(), beginning);
        prop_assert_eq!(replayed(&half, rest).0, whole);
    }

    #[test]
    fn nothing_follows_the_end_that_would_undo_it(
        bodies in prop::collection::vec(body(), 0..60),
        next in body(),
    ) {
        let mut all = vec![began()];
        all.extend(bodies);
        let (state, _) = replayed(&RunState::default(), &all);
        let mut after = state.clone();
        if apply(&mut after, &next).is_err() {
            return Ok(());
        }
        let began = matches!(next, Body::RunBegan { .. });
        let back = matches!(next, Body::RollbackBegan { .. });
        let purged = matches!(next, Body::Purged { .. });
        prop_assert!(!began, "a run begins once");
        if state.is_purged() {
            prop_assert!(after.is_purged(), "what is gone stays gone");
            prop_assert!(!back, "and there is no way back to it");
        }
        match state.ending() {
            Some(Ending::RolledBack) => prop_assert!(purged, "{:?} after the end", next),
            Some(Ending::Done) => prop_assert!(purged || back, "{:?} after the end", next),
            Some(Ending::Halted | Ending::Stuck) | None => {}
        }
    }
}
