//! The documented exit codes.

use rebuild_core::engine::Report;
use rebuild_core::journal::Ending;
use rebuild_core::{Error, ErrorKind};

/// What the process ends with. The README lists the same table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// It was done, and verified.
    Done = 0,
    /// It failed, and everything is as it was before.
    RolledBack = 1,
    /// The arguments or the spec are wrong; nothing was touched.
    Usage = 2,
    /// A guard refused; nothing was touched.
    Refused = 3,
    /// It stopped half-way: it can be resumed or rolled back, or goes on when it is given again.
    Halted = 4,
    /// It could neither finish nor go back by itself; the message names the command to type.
    Stuck = 5,
    /// A verification or a check found a difference.
    Mismatch = 6,
    /// It failed, not because a guard refused; nothing that was there was changed.
    Failed = 7,
}

impl Code {
    /// The code for an error that ended a command.
    pub(crate) fn of(e: &Error) -> Self {
        match e.kind() {
            ErrorKind::Usage => Self::Usage,
            ErrorKind::Refused => Self::Refused,
            _ if e.is_half_way() => Self::Halted,
            ErrorKind::Mismatch | ErrorKind::Corrupt => Self::Mismatch,
            ErrorKind::Interrupted => Self::Halted,
            _ => Self::Failed,
        }
    }

    /// The code for a run.
    pub(crate) fn of_report(report: &Report) -> Self {
        Self::of_ending(report.ending)
    }

    /// The code for how a run, or a rehearsal, came to stand.
    pub(crate) fn of_ending(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::Done,
            Ending::RolledBack => Self::RolledBack,
            Ending::Halted => Self::Halted,
            Ending::Stuck => Self::Stuck,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stopped_half_way_is_told_from_what_changed_nothing() {
        let lost = || Error::new(ErrorKind::Unreachable, "the connection broke");
        assert_eq!(Code::of(&lost()), Code::Failed);
        let half_way = lost().half_way().context("the restore failed");
        assert_eq!(Code::of(&half_way), Code::Halted);
        // A guard that refuses has not let anything be touched.
        assert_eq!(Code::of(&Error::refused("no").half_way()), Code::Refused);
    }
}
