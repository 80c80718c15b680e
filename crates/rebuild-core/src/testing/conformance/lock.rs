//! The suite of [`Lock`].

use async_trait::async_trait;

use super::claim::{claim, done, failed, refused};
use crate::event::Ctx;
use crate::traits::Lock;

/// One target, and locks on it.
#[async_trait]
pub trait LockStage: Send + Sync {
    /// A new lock on the stage's target, as another process would make it. Not taken yet.
    fn lock(&self) -> Box<dyn Lock>;

    /// Does to the run that holds the target what its death would do: its connection is cut.
    async fn holder_dies(&self);
}

/// Holds an implementation of [`Lock`] to its contract.
///
/// `stage` is called for a fresh stage as often as the suite needs one.
///
/// # Panics
/// The contract is broken; the message names the rule.
pub async fn lock<S: LockStage>(stage: impl AsyncFn() -> S) {
    one_at_a_time(&stage().await).await;
    the_dead_hold_nothing(&stage().await).await;
}

async fn one_at_a_time<S: LockStage>(stage: &S) {
    let (one, two) = (Ctx::quiet(), Ctx::quiet());
    let (first, second) = (stage.lock(), stage.lock());
    failed(
        "assert_held of a lock never taken",
        first.assert_held(&one).await,
    );
    done("release of a lock never taken", first.release(&one).await);
    for _ in 0..2 {
        done("acquire of a free target", first.acquire(&one).await);
        done(
            "assert_held of a lock that is held",
            first.assert_held(&one).await,
        );
    }

    let error = refused("acquire of a taken target", second.acquire(&two).await);
    claim(
        "the refusal of a taken target names the run that has it",
        error.chain().contains(one.run.as_str()),
    );
    failed(
        "assert_held by one who was refused",
        second.assert_held(&two).await,
    );
    done("release by one who was refused", second.release(&two).await);
    done(
        "assert_held after another's attempts",
        first.assert_held(&one).await,
    );

    for _ in 0..2 {
        done("release", first.release(&one).await);
    }
    failed(
        "assert_held of a released lock",
        first.assert_held(&one).await,
    );
    done("acquire of a released target", second.acquire(&two).await);
    refused(
        "acquire by the former holder of a taken target",
        first.acquire(&one).await,
    );
    done("release by the former holder", first.release(&one).await);
    done(
        "assert_held after the former holder's release",
        second.assert_held(&two).await,
    );
    done("release", second.release(&two).await);
}

async fn the_dead_hold_nothing<S: LockStage>(stage: &S) {
    let (one, two) = (Ctx::quiet(), Ctx::quiet());
    let (first, second) = (stage.lock(), stage.lock());
    done("acquire of a free target", first.acquire(&one).await);
    stage.holder_dies().await;
    failed(
        "assert_held of a lock that died with its connection",
        first.assert_held(&one).await,
    );
    done(
        "acquire after the holder's death",
        second.acquire(&two).await,
    );
    failed(
        "assert_held of a dead lock that another run has now",
        first.assert_held(&one).await,
    );
    done("release", second.release(&two).await);
}
