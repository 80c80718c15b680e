//! What becomes of a service that was changed: revisions, traffic, conditions.

use serde_json::{Value, json};
use uuid::Uuid;

use super::executions::condition;
use super::names::short;
use super::services::{CHANGED, Service};
use crate::call::Result;
use crate::error::ApiError;

const LATEST: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST";

/// The annotations that the API refuses.
const RESERVED: [&str; 4] = [
    "run.googleapis.com/",
    "cloud.googleapis.com/",
    "serving.knative.dev/",
    "autoscaling.knative.dev/",
];

impl Service {
    /// Takes over the fields that a mask names, or all that a caller may set.
    pub(super) fn patch(&mut self, etag: &str, mask: &str, body: &Value) -> Result<()> {
        if !etag.is_empty() && self.value["etag"] != etag {
            let said = "The resource was changed by somebody else: the etag does not match.";
            return Err(ApiError::new(409, said));
        }
        let fields = if mask.is_empty() { CHANGED } else { mask };
        self.check(&body["template"])?;
        for field in fields.split(',') {
            match body.get(field) {
                Some(new) => self.value[field] = new.clone(),
                None => {
                    self.value.as_object_mut().map(|all| all.remove(field));
                }
            }
        }
        self.changed();
        Ok(())
    }

    fn check(&self, template: &Value) -> Result<()> {
        let annotations = template["annotations"].as_object();
        let mut names = annotations.into_iter().flatten().map(|(name, _)| name);
        if let Some(name) = names.find(|n| RESERVED.iter().any(|own| n.starts_with(own))) {
            let said = format!("template.annotations: {name} is not allowed");
            return Err(ApiError::new(400, said));
        }
        let revision = template["revision"].as_str().unwrap_or_default();
        if self.revisions.contains_key(revision) && *template != self.deployed {
            let said =
                format!("Revision named '{revision}' with different configuration already exists.");
            return Err(ApiError::new(409, said).status("ALREADY_EXISTS"));
        }
        Ok(())
    }

    /// Brings what was changed into force.
    pub(crate) fn settle(&mut self) {
        if self.value["template"] != self.deployed {
            self.make_revision();
        }
        let value = &mut self.value;
        value["observedGeneration"] = value["generation"].clone();
        value["reconciling"] = false.into();
        let missing = self.value["traffic"].as_array().into_iter().flatten();
        let missing = missing.filter_map(|target| target["revision"].as_str());
        let missing = missing
            .map(short)
            .find(|name| !self.revisions.contains_key(*name));
        let why = missing
            .map(|name| format!("Revision '{name}' was not found."))
            .or_else(|| self.failure.clone());
        let ready = match why {
            Some(why) => condition("Ready", "CONDITION_FAILED", &why),
            None => {
                self.value["latestReadyRevision"] = self.value["latestCreatedRevision"].clone();
                condition("Ready", "CONDITION_SUCCEEDED", "")
            }
        };
        self.value["terminalCondition"] = ready;
        self.value["trafficStatuses"] = self.statuses();
    }

    fn make_revision(&mut self) {
        let template = &self.value["template"];
        let name = self.value["name"].as_str().unwrap_or_default();
        let revision = match template["revision"].as_str() {
            Some(named) if !named.is_empty() => named.to_owned(),
            _ => {
                let number = self.revisions.len() + 1;
                let suffix = &Uuid::new_v4().simple().to_string()[..3];
                format!("{}-{number:05}-{suffix}", short(name))
            }
        };
        let full = format!("{name}/revisions/{revision}");
        self.deployed = template.clone();
        self.value["latestCreatedRevision"] = full.into();
        self.revisions.insert(revision, self.deployed.clone());
    }

    fn statuses(&self) -> Value {
        let newest = self.value["latestReadyRevision"].as_str().map(short);
        let targets = self.value["traffic"].as_array().into_iter().flatten();
        let statuses = targets.map(|target| {
            let mut status = target.clone();
            if target["type"] == LATEST {
                status["revision"] = json!(newest);
            }
            status
        });
        statuses.collect()
    }
}
