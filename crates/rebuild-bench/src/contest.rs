//! Several ways to do one piece of work, measured by turns.

use std::time::Duration;

use rebuild_core::error::Result;

/// One way to do the work. It prepares what it needs, does the work, and returns how long the
/// work alone took.
pub(crate) struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> Result<Duration> + 'a>,
    check: Option<Box<dyn Fn() -> Result<()> + 'a>>,
}

impl<'a> Contender<'a> {
    /// A way to do the work.
    pub(crate) fn new(name: &'static str, run: impl FnMut() -> Result<Duration> + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
            check: None,
        }
    }

    /// The same, where `check` makes sure, after the first turn, that what was made is what it should be.
    pub(crate) fn checked(mut self, check: impl Fn() -> Result<()> + 'a) -> Self {
        self.check = Some(Box::new(check));
        self
    }
}

/// Lets each contender have its turn, `runs` times, and returns the median of each.
///
/// # Errors
/// The first error of any of them: a time is worth nothing if the work was not done, or not well.
pub(crate) fn by_turns(runs: usize, mut contenders: Vec<Contender<'_>>) -> Result<Vec<Duration>> {
    let mut times = vec![Vec::new(); contenders.len()];
    for turn in 1..=runs {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let time = (contender.run)()?;
            eprintln!(
                "  {turn}/{runs} {:<44} {:>8.2} s",
                contender.name,
                time.as_secs_f64()
            );
            times.push(time);
            if turn == 1
                && let Some(check) = &contender.check
            {
                check().map_err(|e| e.context(format!("what {} has made", contender.name)))?;
            }
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// The one in the middle; of an even number, between the two.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let middle = times.len() / 2;
    if times.len() % 2 == 1 {
        times[middle]
    } else {
        (times[middle - 1] + times[middle]) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_only_if_what_was_made_is_right() {
        let wrong = || Err(rebuild_core::Error::refused("a row differs"));
        let fast = Contender::new("fast", || Ok(Duration::ZERO)).checked(wrong);
        let e = by_turns(3, vec![fast]).expect_err("it is wrong");
        assert_eq!(e.chain(), "what fast has made: a row differs");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let seconds = |all: &[u64]| median(all.iter().map(|s| Duration::from_secs(*s)).collect());
        assert_eq!(seconds(&[9, 1, 5]), Duration::from_secs(5));
        assert_eq!(seconds(&[4, 1]), Duration::from_millis(2500));
    }
}
