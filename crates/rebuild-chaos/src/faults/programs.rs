//! A program that a step runs hangs, fails, says too much, or leaves others behind.

use std::path::Path;

use super::{Case, Extent, case};
use crate::trial::{Struck, Way};
use crate::world::{Run, Scene};

pub(super) const FAMILY: &str = "a program that hangs, fails, prints a gigabyte or leaves children";

/// What the program does besides its work, and whether the run comes through.
const TROUBLES: [(&str, &str, bool); 5] = [
    ("hangs", "exec sleep 977", false),
    (
        "fails at its end",
        "psql -X -q -c \"$load\" && exit 3",
        false,
    ),
    (
        "fails in its last statement",
        "psql -X -q -v ON_ERROR_STOP=1 -c \"$load\" -c 'select 1/0'",
        false,
    ),
    (
        "prints a gigabyte",
        "head -c 1000000000 /dev/zero | tr '\\0' 'x' && psql -X -q -c \"$load\"",
        true,
    ),
    (
        "leaves a child",
        "sleep 978 & psql -X -q -c \"$load\"",
        true,
    ),
];

pub(super) fn cases(extent: Extent) -> Vec<Case> {
    let cases = extent.of(TROUBLES).into_iter().enumerate();
    let cases = cases.map(|(n, (name, script, comes_through))| {
        let what = format!("load: it {name}");
        case(
            FAMILY,
            what,
            Scene::Load,
            Way::by_turns(n),
            async move |_, target, _| {
                let begun = target.folder.join("begun");
                let script = format!("touch begun; {script}");
                // A gigabyte takes its time.
                let timeout = if comes_through { "60s" } else { "5s" };
                target.replace_load(&script, timeout);
                let run = target.rebuild_json(&["run"]).await;
                expect_no_child(&target.folder);
                let wanted = if comes_through { 0 } else { 1 };
                let run = run.expect(wanted);
                expect_bounded(&run);
                Struck {
                    run,
                    struck: begun.is_file(),
                }
            },
        )
    });
    cases.collect()
}

/// Nothing that the program started is left: their working directory is the target's.
fn expect_no_child(folder: &Path) {
    let left = std::fs::read_dir("/proc").expect("processes").flatten();
    let left = left.filter(|process| {
        let at = std::fs::read_link(process.path().join("cwd"));
        at.is_ok_and(|at| at == folder)
    });
    let left: Vec<_> = left
        .map(|p| std::fs::read_to_string(p.path().join("cmdline")))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// What it says of a program that says too much is not too much.
fn expect_bounded(run: &Run) {
    let said = run.stdout.len() + run.stderr.len();
    assert!(said < 20_000_000, "{said} bytes");
}
