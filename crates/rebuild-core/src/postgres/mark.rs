//! How what belongs to a run is told from everything else.

use crate::event::Ctx;
use crate::model::RunId;

/// `application_name` of every session of a run, by which a later process finds and ends what a
/// killed one left behind.
pub fn application(ctx: &Ctx) -> String {
    format!("{OURS}{}", ctx.run)
}

/// True if `application_name` is one that [`application`] gave: a session of this run, of an
/// earlier verb, or of another run.
pub fn is_ours(application: &str) -> bool {
    application.starts_with(OURS)
}

const OURS: &str = "rebuild/";

/// The comment that a database carries while it is staged: which run made it.
pub fn made_by(run: &RunId) -> String {
    format!("rebuild: made by {run}")
}
