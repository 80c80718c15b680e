//! `verify --with`.

use std::fmt::Write as _;

use rebuild_core::Result;
use rebuild_core::postgres::compare::Difference;
use rebuild_core::postgres::{Comparison, Environment};
use rebuild_core::project::{Project, Sharing};

use crate::exit::Code;
use crate::output::Output;

pub(super) async fn compare(
    project: &Project,
    other: &str,
    rows: bool,
    sharing: Option<&Sharing>,
    output: &Output,
) -> Result<Code> {
    crate::keep::warn_of_password(other, output);
    let comparison = match sharing {
        Some(sharing) => project.compare_shared(other, rows, sharing).await?,
        None => {
            let other = Environment::from_process().endpoint(other, false)?;
            project.compare(&other, rows).await?
        }
    };
    output.data(&comparison, text);
    Ok(if comparison.same() {
        Code::Done
    } else {
        Code::Mismatch
    })
}

fn text(c: &Comparison) -> String {
    let mut out = String::new();
    let [first, second] = &c.databases;
    let _ = writeln!(
        out,
        "{first}: {} tables in both, {} rows\n{second}: {} rows",
        c.tables, c.rows[0], c.rows[1]
    );
    if c.same() {
        let _ = writeln!(out, "every row is equal");
    }
    for table in &c.differing {
        for difference in &table.differences {
            let _ = writeln!(out, "  {}: {}", table.table, line(difference));
        }
    }
    out
}

fn line(difference: &Difference) -> String {
    match difference {
        Difference::OnlyInFirst => "only in the first".to_owned(),
        Difference::OnlyInSecond => "only in the second".to_owned(),
        Difference::Columns {
            only_first,
            only_second,
            types,
        } => {
            let types = types
                .iter()
                .map(|(name, first, second)| format!("{name} is {first} and {second}"));
            let parts = only_first
                .iter()
                .map(|c| format!("{c} only in the first"))
                .chain(
                    only_second
                        .iter()
                        .map(|c| format!("{c} only in the second")),
                )
                .chain(types);
            format!("columns: {}", parts.collect::<Vec<_>>().join(", "))
        }
        Difference::Rows {
            first,
            second,
            keys: None,
            unnamed: None,
        } => format!("other rows ({first} and {second})"),
        Difference::Rows {
            first,
            second,
            keys: None,
            unnamed: Some(why),
        } => format!("other rows ({first} and {second}), which could not be named: {why}"),
        Difference::Rows {
            first,
            second,
            keys: Some(keys),
            ..
        } => {
            let keys = keys.describe("the first", "the second");
            format!("other rows ({first} and {second}): {keys}")
        }
    }
}
