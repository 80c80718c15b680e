//! By what a run knows again what it began elsewhere.

use super::RunId;

/// The step of a run that something is begun for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepMark {
    /// The step, unique in the run, for example `load/articles`.
    pub step: String,
    /// False if what has succeeded for this step counts, so that it is not done twice; true if it is done
    /// each time it is asked for.
    pub each_time: bool,
}

impl StepMark {
    /// The mark of a step that is done once in a run.
    pub fn once(step: impl Into<String>) -> Self {
        Self {
            step: step.into(),
            each_time: false,
        }
    }

    /// The run and the step, for what takes one text.
    pub fn of_run(&self, run: &RunId) -> String {
        format!("{run}/{}", self.step)
    }
}
