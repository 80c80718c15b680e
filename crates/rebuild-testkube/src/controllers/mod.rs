//! What makes objects become what they say: a loop that looks at all of them after every change.

mod deployments;
mod garbage;
mod jobs;
mod namespaces;
mod scheduler;
mod snapshots;
mod stateful_sets;
mod volumes;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use crate::state::State;
use crate::store::Store;

/// The finalizer of an object that goes after its dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents stay.
pub(crate) const ORPHAN: &str = "orphan";

/// Times in objects pass without a change of any: they are looked at this often.
const TICK: Duration = Duration::from_millis(200);

/// Runs the controllers until the cluster ends.
pub(crate) async fn run(state: Arc<State>) {
    let mut changed = state.store().subscribe();
    while !state.stop.is_cancelled() {
        changed.borrow_and_update();
        reconcile(&state, &mut state.store());
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(TICK) => {}
            () = state.stop.cancelled() => {}
        }
    }
}

fn reconcile(state: &State, store: &mut Store) {
    namespaces::reconcile(store);
    deployments::reconcile(store);
    stateful_sets::reconcile(store);
    jobs::reconcile(store);
    volumes::reconcile(store, state.home.path());
    snapshots::reconcile(store, state.home.path());
    scheduler::reconcile(store);
    garbage::collect(store);
}
