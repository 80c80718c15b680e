//! When a run was begun.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::RunId;

/// When a run was begun: its id says it.
pub(super) fn begun(run: &RunId) -> Option<Timestamp> {
    let time = run.as_str().split('-').nth(1)?;
    let time = DateTime::strptime("%Y%m%dt%H%M%Sz", time).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_when_it_was_begun() {
        let run: RunId = "run-20260102t030405z-0123456789abcdef"
            .parse()
            .expect("an id");
        let begun = begun(&run).expect("a time");
        assert_eq!(begun.to_string(), "2026-01-02T03:04:05Z");
    }
}
