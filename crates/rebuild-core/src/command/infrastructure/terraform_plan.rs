//! A saved plan of OpenTofu or Terraform, as `show -json` prints it:
//! <https://developer.hashicorp.com/terraform/internals/json-format#plan-representation>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::data;
use super::digest::digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::infrastructure::{Action, Change, OutputChange, PlannedChanges};
use crate::spec::InfrastructureSpec;

#[derive(Deserialize)]
pub(super) struct PlanFile {
    format_version: String,
    #[serde(default)]
    resource_changes: Vec<ResourceChange>,
    #[serde(default)]
    output_changes: BTreeMap<String, Value>,
    #[serde(default)]
    errored: bool,
}

#[derive(Deserialize)]
struct ResourceChange {
    address: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    provider_name: String,
    #[serde(default)]
    previous_address: Option<String>,
    #[serde(default)]
    deposed: Option<String>,
    #[serde(default)]
    action_reason: Option<String>,
    /// The actions, and every value before and after.
    change: Value,
}

impl PlanFile {
    /// The changes, and their digest. A resource that stays as it is is only counted.
    pub(super) fn changes(
        mut self,
        spec: &InfrastructureSpec,
        version: String,
        workspace: &str,
        removal: bool,
    ) -> Result<PlannedChanges> {
        if !self.format_version.starts_with("1.") || self.errored {
            return Err(Error::new(
                ErrorKind::Program,
                format!(
                    "the saved plan of {} is not complete, or in the format {}, which is not known \
                     here",
                    spec.tool, self.format_version
                ),
            ));
        }
        self.resource_changes
            .sort_by(|a, b| (&a.address, &a.deposed).cmp(&(&b.address, &b.deposed)));
        let mut changes = Vec::new();
        let mut hashed = Vec::new();
        let mut unchanged = 0;
        for resource in self.resource_changes {
            let change = resource.change()?;
            if change.action == Action::NoOp && change.moved_from.is_none() && !change.imported {
                unchanged += 1;
                continue;
            }
            hashed.push(resource.values());
            changes.push(change);
        }
        let mut outputs = Vec::new();
        for (name, output) in self.output_changes {
            let action = action(&output)?;
            if action != Action::NoOp {
                hashed.push(json!({ "output": &name, "change": output }));
                outputs.push(OutputChange { name, action });
            }
        }
        let about = json!([spec.tool, workspace, &spec.targets, removal]);
        Ok(PlannedChanges {
            tool: spec.tool,
            version,
            workspace: workspace.to_owned(),
            new_workspace: false,
            targets: spec.targets.clone(),
            changes,
            outputs,
            unchanged,
            digest: digest(&about, &hashed),
        })
    }
}

impl ResourceChange {
    fn change(&self) -> Result<Change> {
        let mut change = data::change(
            self.address.clone(),
            self.kind.clone(),
            action(&self.change)?,
        );
        change.deposed.clone_from(&self.deposed);
        change.moved_from = self
            .previous_address
            .clone()
            .filter(|from| *from != self.address);
        change.imported = self.change.get("importing").is_some_and(|i| !i.is_null());
        change.why = self.action_reason.as_deref().map(|r| r.replace('_', " "));
        // This type makes objects of every kind.
        if self.kind == "kubernetes_manifest" {
            let kind = self.change.pointer("/before/manifest/kind");
            let held = kind.and_then(Value::as_str).and_then(data::held_by);
            change.holds = held.map(ToOwned::to_owned);
        }
        Ok(change)
    }

    /// What the digest is made of.
    fn values(&self) -> Value {
        json!({
            "address": self.address,
            "provider": self.provider_name,
            "previous": self.previous_address,
            "deposed": self.deposed,
            "reason": self.action_reason,
            "change": self.change,
        })
    }
}

/// The list of actions, which stands for one.
fn action(change: &Value) -> Result<Action> {
    let list = change.get("actions").and_then(Value::as_array);
    let list: Vec<&str> = list
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    Ok(match list.as_slice() {
        ["no-op"] => Action::NoOp,
        ["create"] => Action::Create,
        ["read"] => Action::Read,
        ["update"] => Action::Update,
        ["delete"] => Action::Delete,
        ["forget"] => Action::Forget,
        // A new one is made, and the old one is left as it is; what it holds is out of use.
        ["create", "forget"] | ["forget", "create"] => Action::Replace,
        ["delete", "create"] | ["create", "delete"] => Action::Replace,
        other => {
            return Err(Error::new(
                ErrorKind::Program,
                format!("a saved plan has the action {other:?}, which is not known here"),
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(resources: Value) -> Result<PlannedChanges> {
        let spec: InfrastructureSpec = toml::from_str("name='x'\ntool='tofu'").expect("a spec");
        let plan = json!({ "format_version": "1.2", "resource_changes": resources });
        let plan: PlanFile = serde_json::from_value(plan).expect("a plan");
        plan.changes(&spec, "1.8.0".to_owned(), "default", false)
    }

    fn one(kind: &str, actions: Value) -> Value {
        json!({ "address": format!("{kind}.x"), "type": kind, "mode": "managed", "name": "x",
                "provider_name": "p", "change": { "actions": actions, "before": { "size": 1 } } })
    }

    #[test]
    fn actions_are_read_and_what_is_lost_is_listed() {
        let mut deposed = one("google_sql_database_instance", json!(["delete"]));
        deposed["deposed"] = json!("ab12");
        let mut moved = one("moved", json!(["no-op"]));
        moved["previous_address"] = json!("old.x");
        let mut manifest = one("kubernetes_manifest", json!(["delete"]));
        manifest["change"]["before"] = json!({ "manifest": { "kind": "PersistentVolumeClaim" } });
        let plan = planned(json!([
            one("aws_db_instance", json!(["delete", "create"])),
            one("aws_instance", json!(["create", "delete"])),
            one("same", json!(["no-op"])),
            one("forgotten", json!(["forget"])),
            deposed,
            moved,
            manifest,
        ]))
        .expect("read");
        assert_eq!(
            plan.lines(),
            [
                "replace aws_db_instance.x",
                "replace aws_instance.x",
                "forget forgotten.x",
                "delete google_sql_database_instance.x (deposed object ab12)",
                "delete kubernetes_manifest.x",
                "no-op moved.x (moved from old.x)",
            ]
        );
        assert_eq!(plan.unchanged, 1);
        assert_eq!(
            super::super::destroys(&plan),
            [
                "replace aws_db_instance.x: HOLDS DATA, the databases of a server",
                "replace aws_instance.x",
                "delete google_sql_database_instance.x (deposed object ab12): HOLDS DATA, the \
                 databases of a server",
                "delete kubernetes_manifest.x: HOLDS DATA, a volume",
            ]
        );
        let kept = serde_json::to_string(&plan).expect("JSON");
        assert_eq!(
            serde_json::from_str::<PlannedChanges>(&kept).expect("back"),
            plan
        );
    }

    #[test]
    fn the_digest_tells_values_apart_and_an_unknown_action_is_an_error() {
        let before = planned(json!([one("a", json!(["update"]))])).expect("read");
        let same = planned(json!([one("a", json!(["update"]))])).expect("read");
        assert_eq!(before.digest, same.digest);
        let mut other = one("a", json!(["update"]));
        other["change"]["before"]["size"] = json!(2);
        let other = planned(json!([other])).expect("read");
        assert_ne!(before.digest, other.digest);
        let error = planned(json!([one("a", json!(["invent"]))])).expect_err("unknown");
        assert!(error.to_string().contains("invent"), "{error}");
    }
}
