//! The points at which a run can die, named, so that tests can kill it at each of them.

use std::fmt;
#[cfg(any(test, feature = "testing"))]
use std::sync::Arc;

/// A point between two effects of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Boundary {
    /// Nothing was recorded for the step.
    BeforeIntent,
    /// The intent is recorded; nothing was done.
    AfterIntent,
    /// It was done; nothing of that is recorded.
    AfterEffect,
    /// The outcome is recorded.
    AfterOutcome,
}

impl Boundary {
    /// Every boundary of a step, in order.
    pub const ALL: [Self; 4] = [
        Self::BeforeIntent,
        Self::AfterIntent,
        Self::AfterEffect,
        Self::AfterOutcome,
    ];
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeIntent => "before-intent",
            Self::AfterIntent => "after-intent",
            Self::AfterEffect => "after-effect",
            Self::AfterOutcome => "after-outcome",
        })
    }
}

/// Called at every boundary, forward and back. Does nothing outside of tests.
#[derive(Clone, Default)]
pub(super) struct Hook {
    #[cfg(any(test, feature = "testing"))]
    call: Option<HookFn>,
}

/// What a test does at a boundary; the text is the step, with `undo ` before it on the way back.
#[cfg(any(test, feature = "testing"))]
pub type HookFn = Arc<dyn Fn(&str, Boundary) -> crate::error::Result<()> + Send + Sync>;

impl Hook {
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn new(call: HookFn) -> Self {
        Self { call: Some(call) }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn at(&self, step: &str, boundary: Boundary) -> crate::error::Result<()> {
        match &self.call {
            Some(call) => call(step, boundary),
            None => Ok(()),
        }
    }

    #[cfg(not(any(test, feature = "testing")))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    pub(super) fn at(&self, _step: &str, _boundary: Boundary) -> crate::error::Result<()> {
        Ok(())
    }
}
