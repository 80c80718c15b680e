//! The suite of [`Provision`].

use async_trait::async_trait;

use super::claim::{claim, done, elsewhere, refused, replaced, same};
use super::scene::NamesScene;
use crate::event::Ctx;
use crate::model::Identity;
use crate::traits::{Provision, ProvisionRequest};

/// A server with room for something new.
#[async_trait]
pub trait ProvisionStage: NamesScene {
    /// The implementation under test.
    fn provision(&self) -> &dyn Provision;

    /// The thing that new ones are made like, if the implementation needs one.
    fn like(&self) -> Option<Identity>;

    /// Puts `made` in service, as a promote does.
    async fn promote(&self, made: &Identity);
}

/// Holds an implementation of [`Provision`] to its contract. The names it uses are
/// `conformance_new` and `conformance_taken`, which must be free.
///
/// `stage` is called for a fresh stage as often as the suite needs one.
///
/// # Panics
/// The contract is broken; the message names the rule.
pub async fn provision<S: ProvisionStage>(stage: impl AsyncFn() -> S) {
    made_once_and_discarded_once(&stage().await).await;
    strangers_are_left_alone(&stage().await).await;
    another_run_is_a_stranger(&stage().await).await;
    what_is_in_service_is_kept(&stage().await).await;
}

const NEW: &str = "conformance_new";
const TAKEN: &str = "conformance_taken";

fn request<S: ProvisionStage>(stage: &S, name: &str) -> ProvisionRequest {
    ProvisionRequest {
        name: name.to_owned(),
        like: stage.like(),
    }
}

async fn made_once_and_discarded_once<S: ProvisionStage>(stage: &S) {
    let (ctx, provision) = (stage.ctx(), stage.provision());
    let request = request(stage, NEW);
    same(
        "look of a free name finds nothing",
        &done("look", provision.look(ctx, NEW).await),
        &None,
    );
    let made = done("provision", provision.provision(ctx, &request).await);
    same("it has the name asked for", &made.name.as_str(), &NEW);
    for _ in 0..2 {
        let found = done("look", provision.look(ctx, NEW).await);
        same("look finds what was made", &found.as_ref(), &Some(&made));
        let again = done("provision again", provision.provision(ctx, &request).await);
        same("the second call returns the first one's", &again, &made);
    }
    refused(
        "discard of the same identifier on another server",
        provision.discard(ctx, &elsewhere(&made)).await,
    );
    claim("it is still there", stage.exists(&made).await);

    for _ in 0..2 {
        done("discard", provision.discard(ctx, &made).await);
        claim("it is gone", !stage.exists(&made).await);
        same(
            "its name is free again",
            &done("look", provision.look(ctx, NEW).await),
            &None,
        );
    }

    // What is gone by identifier is gone, even if something else has its name now.
    let next = done(
        "provision of a freed name",
        provision.provision(ctx, &request).await,
    );
    claim("a new thing is not the old one", !next.is_same_thing(&made));
    done(
        "discard of what is gone",
        provision.discard(ctx, &made).await,
    );
    claim(
        "discard goes by identifier, not by name",
        stage.exists(&next).await,
    );
    done("discard", provision.discard(ctx, &next).await);
}

async fn strangers_are_left_alone<S: ProvisionStage>(stage: &S) {
    let (ctx, provision) = (stage.ctx(), stage.provision());
    let stranger = stage.occupy(TAKEN).await;
    let made = done(
        "provision",
        provision.provision(ctx, &request(stage, NEW)).await,
    );
    for _ in 0..2 {
        let found = done("look", provision.look(ctx, TAKEN).await);
        same("look finds a stranger's", &found.as_ref(), &Some(&stranger));
        refused(
            "provision under a stranger's name",
            provision.provision(ctx, &request(stage, TAKEN)).await,
        );
        refused(
            "discard of a stranger's",
            provision.discard(ctx, &stranger).await,
        );
        refused(
            "discard of a stranger's under the name of our own",
            provision.discard(ctx, &replaced(&made, &stranger)).await,
        );
        claim(
            "the stranger's is still there",
            stage.exists(&stranger).await,
        );
        claim("our own is still there", stage.exists(&made).await);
    }
    done("discard", provision.discard(ctx, &made).await);
}

async fn another_run_is_a_stranger<S: ProvisionStage>(stage: &S) {
    let (ctx, provision) = (stage.ctx(), stage.provision());
    let request = request(stage, NEW);
    let made = done("provision", provision.provision(ctx, &request).await);
    let other = Ctx::quiet();
    refused(
        "provision under a name that another run's thing has",
        provision.provision(&other, &request).await,
    );
    refused(
        "discard of another run's thing",
        provision.discard(&other, &made).await,
    );
    claim("it is still there", stage.exists(&made).await);
    done(
        "discard by its own run",
        provision.discard(ctx, &made).await,
    );
}

async fn what_is_in_service_is_kept<S: ProvisionStage>(stage: &S) {
    let (ctx, provision) = (stage.ctx(), stage.provision());
    let made = done(
        "provision",
        provision.provision(ctx, &request(stage, NEW)).await,
    );
    stage.promote(&made).await;
    for _ in 0..2 {
        refused(
            "discard of what was put in service",
            provision.discard(ctx, &made).await,
        );
        claim("it is still there", stage.exists(&made).await);
    }
}
