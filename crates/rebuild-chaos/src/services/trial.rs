//! One fault in a rebuild of a service, the way out of it, and what is left.

use super::{Lab, Picture, Service};
use crate::trial::{Ended, Outcome, Struck, Way, way_out};

impl<S: Service> Lab<S> {
    /// Strikes a rebuild, takes the way out, and looks at everything that is left. From where the new
    /// database is in service, it goes back to the old one.
    ///
    /// # Panics
    /// Something is left that should not be, or is missing.
    pub async fn trial(&self, way: Way, fault: impl AsyncFnOnce(&mut S) -> Struck) -> Outcome {
        let mut service = S::start().await;
        let old = Picture::of(&service).await;
        let plain = service.desk().environment.clone();
        let Struck { run, struck } = fault(&mut service).await;
        service.desk().environment = plain;
        service.expect_copy(&old).await;
        let (ended, commands) = way_out(service.desk(), way, &run).await;
        self.expect_state(&service, &old, ended).await;
        // The next run finds nothing in its way, and marks or removes what it finds.
        service.desk().rebuild(&["plan"]).await.expect(0);
        service.expect_nothing_left(ended).await;
        if ended == Ended::New {
            self.expect_way_back(&mut service, &old).await;
        }
        Outcome {
            struck,
            ended,
            commands,
        }
    }

    async fn expect_state(&self, service: &S, old: &Picture, ended: Ended) {
        let now = Picture::of(service).await;
        let (expected, new) = match ended {
            Ended::New => (&self.new, true),
            Ended::Old | Ended::Untouched => (&old.state, false),
        };
        let lost = now.state.rows_lost(expected);
        assert!(lost.is_empty(), "ROWS LOST in service, {ended:?}: {lost:?}");
        now.state.expect_within(expected, S::SKIPPED, "in the end");
        assert_eq!(now.identity != old.identity, new, "what is in service");
    }

    /// One command brings the old database back, with all it had.
    pub(super) async fn expect_way_back(&self, service: &mut S, old: &Picture) {
        let desk = service.desk();
        let back = desk.typed("rollback");
        let run = desk.rebuild(&back).await;
        // Where its server was restarted, it cannot tell what was written to the new one.
        let refused = run.code() == Some(3) && run.stderr.contains("--accept-writes");
        if refused {
            let accepted = [&back[..], &["--accept-writes"]].concat();
            desk.rebuild(&accepted).await.expect(0);
        } else {
            run.expect(0);
        }
        self.expect_state(service, old, Ended::Old).await;
    }
}
