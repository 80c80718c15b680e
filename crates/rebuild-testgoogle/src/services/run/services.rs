//! Services: what they are told, and who may use them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Run;
use super::executions::condition;
use super::names::{not_found, page, short};
use super::v1;
use crate::call::{Call, Result};
use crate::clock;
use crate::error::ApiError;
use crate::google::Google;
use crate::state::{State, lock};

/// The fields of a service that a caller may change.
pub(super) const CHANGED: &str = "labels,annotations,template,traffic,scaling,ingress,description";

/// A service as it is kept.
#[derive(Debug)]
pub(crate) struct Service {
    pub(super) value: Value,
    /// The templates of its revisions, by their names without what comes before.
    pub(super) revisions: BTreeMap<String, Value>,
    /// The template that its newest revision was made from.
    pub(super) deployed: Value,
    /// How many looks it takes until a change is in force.
    pub(super) looks: u32,
    /// Why the newest revision will not be ready.
    pub(super) failure: Option<String>,
    pub(super) policy: Value,
}

pub(super) fn register(state: &State, run: &Arc<Run>) {
    let registry = &state.registry;
    registry.on("run.projects.locations.services.get", run, get);
    registry.on("run.projects.locations.services.list", run, list);
    registry.on("run.projects.locations.services.create", run, create);
    registry.on("run.projects.locations.services.patch", run, patch);
    registry.on("run.projects.locations.services.delete", run, delete);
    let policies = "run.projects.locations.services";
    registry.on(&format!("{policies}.getIamPolicy"), run, policy);
    registry.on(&format!("{policies}.setIamPolicy"), run, set_policy);
}

impl Google {
    /// Deploys a service of Cloud Run, with fields of a `Service` as the API has it. It is ready.
    pub fn deploy_service(&self, region: &str, service: &str, fields: Value) {
        let parent = format!("projects/{}/locations/{region}", self.project());
        let name = format!("{parent}/services/{service}");
        let mut deployed = Service::new(&name, fields, &self.principal());
        deployed.settle();
        lock(&self.services.run.services).insert(name, deployed);
    }

    /// Changes fields of a service as somebody does who deploys it. It is in force at once, well or
    /// [not](Google::fail_revisions).
    ///
    /// # Panics
    /// There is no such service.
    pub fn change_service(&self, region: &str, service: &str, fields: Value) {
        let parent = format!("projects/{}/locations/{region}", self.project());
        let mut all = lock(&self.services.run.services);
        let found = all.get_mut(&format!("{parent}/services/{service}"));
        let found = found.expect("a service");
        for (name, new) in fields.as_object().into_iter().flatten() {
            found.value[name] = new.clone();
        }
        found.changed();
        found.looks = 0;
        found.settle();
    }

    /// A service as the API shows it, if it is there. It is not a look that brings it further.
    pub fn service(&self, region: &str, service: &str) -> Option<Value> {
        let parent = format!("projects/{}/locations/{region}", self.project());
        let all = lock(&self.services.run.services);
        let found = all.get(&format!("{parent}/services/{service}"));
        found.map(|found| found.value.clone())
    }

    /// Says why the next revision of a service will not be ready, or that it will be.
    ///
    /// # Panics
    /// There is no such service.
    pub fn fail_revisions(&self, region: &str, service: &str, why: Option<&str>) {
        let parent = format!("projects/{}/locations/{region}", self.project());
        let mut all = lock(&self.services.run.services);
        let found = all.get_mut(&format!("{parent}/services/{service}"));
        found.expect("a service").failure = why.map(ToOwned::to_owned);
    }
}

async fn get(run: Arc<Run>, call: Call) -> Result {
    let name = call.param("name");
    let mut all = lock(&run.services);
    let service = all
        .get_mut(name)
        .ok_or_else(|| not_found("Service", name))?;
    service.look();
    Ok(service.value.clone().into())
}

async fn list(run: Arc<Run>, call: Call) -> Result {
    let parent = call.param("parent");
    if call.api == "run.v1" {
        let everywhere = parent.trim_end_matches("-");
        return Ok(v1::listed(&run, &call, |name| name.starts_with(everywhere)).into());
    }
    let parent = format!("{parent}/services/");
    let all = lock(&run.services);
    let all = all.iter().filter(|(name, _)| name.starts_with(&parent));
    let (services, next) = page(&call, all.map(|(_, s)| s.value.clone()).collect());
    Ok(json!({"services": services, "nextPageToken": next}).into())
}

async fn create(run: Arc<Run>, call: Call) -> Result {
    let name = format!(
        "{}/services/{}",
        call.param("parent"),
        call.query("serviceId")
    );
    if !call.text("/name").is_empty() {
        return Err(ApiError::new(400, "service.name must be empty"));
    }
    let (asked, about) = (call.clone(), name.clone());
    run.change(&call, &about, move |run| {
        let mut all = lock(&run.services);
        if all.contains_key(&name) {
            let said = format!("Resource '{}' already exists.", short(&name));
            return Err(ApiError::new(409, said).status("ALREADY_EXISTS"));
        }
        let service = Service::new(&name, asked.body, &asked.principal);
        all.insert(name, service);
        Ok(())
    })
}

async fn patch(run: Arc<Run>, call: Call) -> Result {
    let asked = call.clone();
    run.change(&call, call.param("name"), move |run| {
        let name = asked.param("name");
        let mut all = lock(&run.services);
        let service = all.get_mut(name);
        let service = service.ok_or_else(|| not_found("Service", name))?;
        service.patch(asked.text("/etag"), asked.query("updateMask"), &asked.body)
    })
}

async fn delete(run: Arc<Run>, call: Call) -> Result {
    let name = call.param("name").to_owned();
    run.change(&call, call.param("name"), move |run| {
        let gone = lock(&run.services).remove(&name);
        gone.ok_or_else(|| not_found("Service", &name)).map(|_| ())
    })
}

async fn policy(run: Arc<Run>, call: Call) -> Result {
    let name = call.param("resource");
    let all = lock(&run.services);
    let service = all.get(name).ok_or_else(|| not_found("Service", name))?;
    Ok(service.policy.clone().into())
}

async fn set_policy(run: Arc<Run>, call: Call) -> Result {
    let name = call.param("resource");
    let mut all = lock(&run.services);
    let service = all
        .get_mut(name)
        .ok_or_else(|| not_found("Service", name))?;
    let etag = call.text("/policy/etag");
    if !etag.is_empty() && service.policy["etag"] != etag {
        return Err(ApiError::new(409, "There were concurrent policy changes."));
    }
    service.policy = call.body["policy"].clone();
    service.policy["etag"] = "BwYAAAAAAAE=".into();
    Ok(service.policy.clone().into())
}

impl Service {
    fn new(name: &str, fields: Value, creator: &str) -> Self {
        let mut value = fields;
        let now = clock::format(Timestamp::now());
        value["name"] = name.into();
        value["uid"] = Uuid::new_v4().to_string().into();
        value["creator"] = creator.into();
        value["createTime"] = now.into();
        value["generation"] = "0".into();
        if !value["traffic"].is_array() {
            let latest = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST";
            value["traffic"] = json!([{"type": latest, "percent": 100}]);
        }
        let mut service = Self {
            value,
            revisions: BTreeMap::new(),
            deployed: Value::Null,
            looks: 0,
            failure: None,
            policy: json!({"version": 1, "etag": "ACAB"}),
        };
        service.changed();
        service
    }

    /// Somebody looks at it: what was changed comes into force at one of the looks.
    pub(super) fn look(&mut self) {
        if self.looks > 0 {
            self.looks -= 1;
            if self.looks == 0 {
                self.settle();
            }
        }
    }

    /// Something was changed, which takes a while to be in force.
    pub(super) fn changed(&mut self) {
        let generation: u64 = self.value["generation"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let value = &mut self.value;
        value["generation"] = (generation + 1).to_string().into();
        value["updateTime"] = clock::format(Timestamp::now()).into();
        value["etag"] = format!("\"{}\"", Uuid::new_v4().simple()).into();
        value["reconciling"] = true.into();
        let state = "CONDITION_RECONCILING";
        value["terminalCondition"] = condition("Ready", state, "Deploying Revision.");
        self.looks = 2;
    }
}
