//! What a tool says when somebody else is at work on the same state.

use crate::error::Error;

/// A refusal, if `output` (what a program printed last) says that another holds the lock of the
/// state. It names the lock's id, who holds it and since when, as far as the tool tells.
pub(super) fn refusal(name: &str, output: &str) -> Option<Error> {
    terraform(name, output)
        .or_else(|| pulumi(name, output))
        .or_else(|| helm(name, output))
}

/// tofu and terraform print the lock as a list of `Label: value`, within a frame.
fn terraform(name: &str, output: &str) -> Option<Error> {
    if !output.contains("Error acquiring the state lock") || !output.contains("Lock Info:") {
        return None;
    }
    let field = |label: &str| {
        let lines = output.lines().map(|l| l.trim_start_matches(['│', ' ']));
        let mut values = lines.filter_map(|l| l.strip_prefix(label));
        values.next().map_or("unknown", str::trim).to_owned()
    };
    let (id, who, created) = (field("ID:"), field("Who:"), field("Created:"));
    Some(
        Error::refused(format!(
            "{name}: the state is locked by {who} since {created} (lock {id}, {})",
            field("Operation:")
        ))
        .hint(format!(
            "wait for it to end; if whoever held it is gone for certain, look at the state and \
             run force-unlock {id} by hand"
        )),
    )
}

fn pulumi(name: &str, output: &str) -> Option<Error> {
    let locked = output.contains("the stack is currently locked by")
        || output.contains("Another update is currently in progress");
    if !locked {
        return None;
    }
    // A state in files names each lock: its URL, and "created by WHO (pid N) at WHEN".
    let holder = output.lines().find(|l| l.contains("created by"));
    let holder = holder.map_or("by another update", str::trim);
    Some(
        Error::refused(format!("{name}: the stack is locked: {holder}")).hint(
            "wait for it to end; if whoever held it is gone for certain, run pulumi cancel by hand",
        ),
    )
}

fn helm(name: &str, output: &str) -> Option<Error> {
    output
        .contains("another operation (install/upgrade/rollback) is in progress")
        .then(|| {
            Error::refused(format!(
                "{name}: another operation is at work on the release"
            ))
            .hint("wait for it to end, and see who began it with helm history")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_stack_that_is_locked_is_a_refusal() {
        let files = "error: the stack is currently locked by 1 lock(s). Either wait for the other \
                     process(es) to end or delete the lock file with `pulumi cancel`.\n  \
                     file:///s/.pulumi/locks/a.json: created by root@host (pid 7) at 2026-01-02T03:04:05Z";
        let error = refusal("pulumi up", files).expect("a lock");
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(
            error
                .to_string()
                .contains("a.json: created by root@host (pid 7) at 2026-01-02")
        );
        let service = "error: [409] Conflict: Another update is currently in progress.";
        assert!(refusal("pulumi up", service).is_some());
        let helm =
            "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress";
        assert!(refusal("helm upgrade", helm).is_some());
        assert!(refusal("terraform plan", "Error: no such file").is_none());
    }
}
