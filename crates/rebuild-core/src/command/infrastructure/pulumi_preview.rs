//! What Pulumi would do, as `preview --json` prints it: the struct `PreviewDigest` of
//! <https://github.com/pulumi/pulumi/blob/master/pkg/display/json.go>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::data;
use super::digest::digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::infrastructure::{Action, Change, PlannedChanges};
use crate::spec::InfrastructureSpec;

#[derive(Deserialize)]
pub(super) struct Preview {
    #[serde(default)]
    steps: Vec<Step>,
}

/// One step; a replacement takes several on one URN.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    op: String,
    urn: String,
    #[serde(default)]
    old_state: Value,
    #[serde(default)]
    new_state: Value,
    #[serde(default)]
    diff_reasons: Value,
    #[serde(default)]
    replace_reasons: Vec<String>,
    #[serde(default)]
    detailed_diff: Value,
}

impl Preview {
    pub(super) fn changes(
        self,
        spec: &InfrastructureSpec,
        version: String,
        stack: &str,
    ) -> Result<PlannedChanges> {
        let mut changes: BTreeMap<String, Change> = BTreeMap::new();
        let mut values: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut unchanged = 0;
        for step in self.steps {
            let Some(change) = step.change()? else {
                unchanged += 1;
                continue;
            };
            values
                .entry(step.urn.clone())
                .or_default()
                .push(step.values());
            match changes.get_mut(&step.urn) {
                // The steps of one replacement; a deletion besides another step is one as well.
                Some(before) if before.action != change.action => before.action = Action::Replace,
                Some(_) => {}
                None => {
                    changes.insert(step.urn, change);
                }
            }
        }
        let hashed: Vec<Value> = values.into_iter().map(|v| json!(v)).collect();
        let about = json!([spec.tool, stack, &spec.targets]);
        Ok(PlannedChanges {
            tool: spec.tool,
            version,
            workspace: stack.to_owned(),
            new_workspace: false,
            targets: spec.targets.clone(),
            changes: changes.into_values().collect(),
            outputs: Vec::new(),
            unchanged,
            digest: digest(&about, &hashed),
        })
    }
}

impl Step {
    /// `None` for one that leaves everything as it is.
    fn change(&self) -> Result<Option<Change>> {
        let (action, imported) = match self.op.as_str() {
            "same" | "refresh" => return Ok(None),
            "create" => (Action::Create, false),
            "update" => (Action::Update, false),
            "delete" => (Action::Delete, false),
            "replace" | "create-replacement" | "delete-replaced" => (Action::Replace, false),
            "read" | "read-replacement" => (Action::Read, false),
            "discard" | "discard-replaced" | "remove-pending-replace" => (Action::Forget, false),
            "import" => (Action::NoOp, true),
            "import-replacement" => (Action::Replace, true),
            other => {
                return Err(Error::new(
                    ErrorKind::Program,
                    format!("a preview has the step {other:?}, which is not known here"),
                ));
            }
        };
        let mut change = data::change(self.urn.clone(), kind(&self.urn), action);
        change.imported = imported;
        if !self.replace_reasons.is_empty() {
            change.why = Some(format!("because of {}", self.replace_reasons.join(", ")));
        }
        Ok(Some(change))
    }

    /// What the digest is made of; not the times that a state has, which a refresh sets anew.
    fn values(&self) -> Value {
        let state =
            |state: &Value| json!([state.get("id"), state.get("inputs"), state.get("provider")]);
        json!([
            self.op,
            self.urn,
            state(&self.old_state),
            state(&self.new_state),
            self.diff_reasons,
            self.replace_reasons,
            self.detailed_diff
        ])
    }
}

/// The type in a URN, `urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME`.
fn kind(urn: &str) -> String {
    let types = urn.split("::").nth(2).unwrap_or_default();
    types.rsplit('$').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(steps: Value) -> Result<PlannedChanges> {
        let spec = "name='x'\ntool='pulumi'\nworkspace='dev'";
        let spec: InfrastructureSpec = toml::from_str(spec).expect("a spec");
        let preview: Preview = serde_json::from_value(json!({ "steps": steps })).expect("JSON");
        preview.changes(&spec, "3.140.0".to_owned(), "dev")
    }

    const DB: &str = "urn:pulumi:dev::app::my:Stack$gcp:sql/databaseInstance:DatabaseInstance::db";

    #[test]
    fn the_steps_of_a_replacement_are_one_change() {
        let step = |op: &str, time: &str| {
            json!({ "op": op, "urn": DB, "replaceReasons": ["region"],
                    "oldState": { "id": "1", "inputs": { "region": "a" }, "modified": time } })
        };
        let steps = |time| {
            json!([
                { "op": "same", "urn": "urn:pulumi:dev::app::pulumi:pulumi:Stack::app-dev" },
                step("create-replacement", time), step("replace", time), step("delete-replaced", time),
            ])
        };
        let plan = planned(steps("2026-01-01")).expect("read");
        assert_eq!(plan.unchanged, 1);
        assert_eq!(
            super::super::destroys(&plan),
            [format!(
                "replace {DB} (because of region): HOLDS DATA, the databases of a server"
            )]
        );
        let later = planned(steps("2026-02-02")).expect("read");
        assert_eq!(later.digest, plan.digest);
        let error = planned(json!([{ "op": "invent", "urn": DB }])).expect_err("unknown");
        assert!(error.to_string().contains("invent"), "{error}");
    }
}
