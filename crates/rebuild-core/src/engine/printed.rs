//! What programs print in the steps of a run, kept for its report.

use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{Event, EventKind, Progress, Sink};

/// How many lines are kept of a step.
const LINES: usize = 20;

/// The last lines that programs, Jobs and Cloud Run jobs printed in a step; twenty at most. Secrets of the spec
/// are taken out, as in what was shown while it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Printed {
    /// The step's id in the plan.
    pub step: String,
    /// `PROGRAM: LINE`, the last one last.
    pub lines: Vec<String>,
}

/// Keeps them as they come. Steps follow each other, so a line belongs to the step that began last.
#[derive(Debug, Default)]
pub(super) struct Printing(Mutex<Vec<Printed>>);

impl Printing {
    /// Those of the steps in which something was printed.
    pub(super) fn all(&self) -> Vec<Printed> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let printed = kept.iter().filter(|step| !step.lines.is_empty());
        printed.cloned().collect()
    }
}

impl Sink for Printing {
    fn event(&self, event: &Event) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &event.kind {
            EventKind::StepStarted { step, .. } | EventKind::UndoStarted { step, .. } => {
                kept.push(Printed {
                    step: step.clone(),
                    lines: Vec::new(),
                });
            }
            EventKind::Output { program, line } => {
                let Some(step) = kept.last_mut() else { return };
                if step.lines.len() == LINES {
                    step.lines.remove(0);
                }
                step.lines.push(format!("{program}: {line}"));
            }
            _ => {}
        }
    }

    fn progress(&self, _: &Progress) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Events;

    #[test]
    fn the_last_lines_of_each_step_are_kept() {
        let printing = Arc::new(Printing::default());
        let events = Events::new(None, vec![printing.clone()]);
        let begin = |step: &str| {
            events.send(EventKind::StepStarted {
                step: step.to_owned(),
                title: String::new(),
            });
        };
        let print = |line: String| {
            events.send(EventKind::Output {
                program: "load".to_owned(),
                line,
            });
        };
        print("before any".to_owned());
        begin("silent");
        begin("loud");
        (1..=30).for_each(|n| print(n.to_string()));
        begin("last");
        print("end".to_owned());
        let all = printing.all();
        let steps: Vec<&str> = all.iter().map(|it| &*it.step).collect();
        assert_eq!(steps, ["loud", "last"]);
        assert_eq!(all[0].lines.len(), LINES);
        assert_eq!(
            (&*all[0].lines[0], &*all[0].lines[19]),
            ("load: 11", "load: 30")
        );
        assert_eq!(all[1].lines, ["load: end"]);
    }
}
