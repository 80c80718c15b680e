//! The table of results.

use std::time::Duration;

/// What the table stands between in a page that says more.
const MARKS: [&str; 2] = ["<!-- measured -->\n", "<!-- end of what was measured -->\n"];

/// `page` with `table` in the place of the one that was in it, or in the end.
pub(crate) fn page(page: &str, table: &str) -> String {
    let [begin, end] = MARKS;
    let before = page.split(begin).next().unwrap_or(page);
    let after = page.split_once(end).map_or("", |(_, after)| after);
    format!("{before}{begin}{table}{end}{after}")
}

/// One comparison.
pub(crate) struct Line {
    /// What was done.
    pub(crate) work: String,
    /// Who else did it.
    pub(crate) peer: String,
    /// What the peer took.
    pub(crate) peer_value: Measure,
    /// What `rebuild` took.
    pub(crate) ours: Measure,
    /// What the comparison should come to.
    pub(crate) goal: Goal,
}

/// A measured value.
#[derive(Clone, Copy)]
pub(crate) enum Measure {
    /// By the clock on the wall.
    Time(Duration),
    /// Bytes on disk or in memory.
    Bytes(u64),
    /// Nothing was measured: the goal stands by itself.
    Nothing,
}

/// What a comparison should come to.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At least that many times as fast as the peer.
    TimesAsFast(f64),
    /// At most that many times the peer's size.
    TimesTheSize(f64),
    /// At most that many bytes.
    AtMost(u64),
    /// At most that long.
    Within(Duration),
    /// There is none: the figure is for information.
    None,
}

impl Measure {
    fn number(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64(),
            #[expect(clippy::cast_precision_loss, reason = "a size that is shown rounded")]
            Self::Bytes(bytes) => bytes as f64,
            Self::Nothing => f64::NAN,
        }
    }

    fn show(self) -> String {
        match self {
            Self::Time(time) => format!("{:.2} s", time.as_secs_f64()),
            Self::Bytes(_) => format!("{:.1} MiB", self.number() / f64::from(1 << 20)),
            Self::Nothing => String::new(),
        }
    }
}

impl Line {
    /// What the comparison comes to, what it should, and whether it does.
    fn verdict(&self) -> (String, String, Option<bool>) {
        let (ours, peer) = (self.ours.number(), self.peer_value.number());
        match self.goal {
            Goal::TimesAsFast(goal) => (
                format!("{:.2} x as fast", peer / ours),
                format!("{} x", (goal * 100.0).round() / 100.0),
                Some(peer / ours >= goal),
            ),
            Goal::TimesTheSize(goal) => (
                format!("{:.2} x its size", ours / peer),
                format!("at most {goal} x"),
                Some(ours / peer <= goal),
            ),
            Goal::AtMost(bytes) => (
                String::new(),
                format!("at most {}", Measure::Bytes(bytes).show()),
                Some(ours <= Measure::Bytes(bytes).number()),
            ),
            Goal::Within(time) => (
                String::new(),
                format!("under {:.1} s", time.as_secs_f64()),
                Some(ours <= time.as_secs_f64()),
            ),
            Goal::None => {
                let times = peer / ours;
                let shown = if times.is_nan() {
                    String::new()
                } else {
                    format!("{times:.2} x as fast")
                };
                (shown, String::new(), None)
            }
        }
    }
}

/// The lines as a Markdown table.
pub(crate) fn markdown(lines: &[Line]) -> String {
    let mut out = String::from(
        "| work | peer | the peer took | rebuild took | comparison | goal | met |\n\
         |---|---|---:|---:|---:|---:|---|\n",
    );
    for line in lines {
        let (comparison, goal, met) = line.verdict();
        let met = match met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        out.push_str(&format!(
            "| {} | {} | {} | {} | {comparison} | {goal} | {met} |\n",
            line.work,
            line.peer,
            line.peer_value.show(),
            line.ours.show()
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_is_seen() {
        let line = |ours, goal| Line {
            work: "backup".to_owned(),
            peer: "pg_dump".to_owned(),
            peer_value: Measure::Time(Duration::from_secs(10)),
            ours: Measure::Time(Duration::from_millis(ours)),
            goal,
        };
        let table = markdown(&[
            line(2000, Goal::TimesAsFast(5.0)),
            line(2001, Goal::TimesAsFast(5.0)),
            line(2001, Goal::None),
        ]);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows[0],
            "| backup | pg_dump | 10.00 s | 2.00 s | 5.00 x as fast | 5 x | yes |"
        );
        assert!(rows[1].ends_with("| 5 x | **no** |"), "{}", rows[1]);
        assert!(rows[2].ends_with("| 5.00 x as fast |  |  |"), "{}", rows[2]);
    }

    #[test]
    fn a_new_table_takes_the_place_of_the_old_one_and_the_rest_stays() {
        let first = page("# Benchmark\n", "one\n");
        let page_of_it = format!("{first}\n## Why\n");
        let second = page(&page_of_it, "two\n");
        assert_eq!(second, page_of_it.replace("one", "two"));
        assert!(second.starts_with("# Benchmark\n") && second.ends_with("\n## Why\n"));
    }
}
