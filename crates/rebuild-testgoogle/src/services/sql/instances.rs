//! The methods of instances that make, show and change them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::instance::{Instance, Order};
use super::machine::Content;
use super::operations::{Asked, base, begun, done, internal};
use super::{Sql, invalid, no_instance, resource};
use crate::call::{Call, Result};
use crate::error::ApiError;
use crate::postgres::Programs;
use crate::state::State;

pub(super) fn register(state: &Arc<State>, sql: &Arc<Sql>) {
    let registry = &state.registry;
    registry.on("sql.instances.get", sql, get);
    registry.on("sql.instances.list", sql, list);
    registry.on("sql.instances.insert", sql, insert);
    registry.on("sql.instances.patch", sql, patch);
    registry.on("sql.instances.update", sql, patch);
    registry.on("sql.instances.restart", sql, restart);
    registry.on("sql.instances.clone", sql, clone);
}

async fn get(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    Ok(resource::render(&instance, &base(&call)).into())
}

async fn list(sql: Arc<Sql>, call: Call) -> Result {
    let instances = sql.all();
    let own = instances
        .values()
        .filter(|it| it.project == call.param("project"));
    let items: Vec<Value> = own.map(|it| resource::render(it, &base(&call))).collect();
    Ok(json!({"kind": "sql#instancesList", "items": items}).into())
}

/// The major version in `POSTGRES_15`.
fn major(version: &str) -> Result<Option<u32>> {
    if version.is_empty() {
        return Ok(None);
    }
    let number = version
        .strip_prefix("POSTGRES_")
        .and_then(|it| it.parse().ok());
    let said = || invalid(format!("this server has PostgreSQL alone, not {version}"));
    number.map(Some).ok_or_else(said)
}

async fn insert(sql: Arc<Sql>, call: Call) -> Result {
    let project = call.param("project");
    let (name, region) = (call.text("/name"), call.text("/region"));
    if name.is_empty() {
        return Err(invalid("the instance has no name"));
    }
    taken(&sql, project, name)?;
    if !call.text("/masterInstanceName").is_empty() {
        return insert_replica(&sql, &call);
    }
    let order = Order {
        project: project.to_owned(),
        region: if region.is_empty() {
            "us-central1"
        } else {
            region
        }
        .to_owned(),
        name: name.to_owned(),
        settings: call.body["settings"].clone(),
        major: major(call.text("/databaseVersion"))?,
        password: call.body["rootPassword"].as_str().map(str::to_owned),
    };
    let programs = sql.programs(&order).await.map_err(invalid)?;
    let instance = sql.add(&order, &programs);
    let asked = Asked {
        call: &call,
        kind: "CREATE",
        target: name,
        more: Value::Null,
    };
    let (own, made) = (sql.clone(), instance.clone());
    let operation = sql.begin(&asked, async move {
        let content = Content::New(order.password.as_deref());
        done(own.build(&made, programs, content).await)
    })?;
    instance.made_by(&operation);
    Ok(begun(&operation, &call))
}

/// The primary instance is named alone or with its project: `p:db`.
fn insert_replica(sql: &Arc<Sql>, call: &Call) -> Result {
    let named = call.text("/masterInstanceName");
    let primary = named.rsplit(':').next().unwrap_or_default();
    let primary = sql.find(call.param("project"), primary);
    let primary = primary.ok_or_else(no_instance)?;
    let name = call.text("/name").to_owned();
    let asked = Asked {
        call,
        kind: "CREATE_REPLICA",
        target: call.text("/name"),
        more: Value::Null,
    };
    let own = sql.clone();
    let operation = sql.begin(&asked, async move {
        own.add_replica(&primary, &name);
        Ok(Value::Null)
    })?;
    Ok(begun(&operation, call))
}

fn taken(sql: &Sql, project: &str, name: &str) -> Result<()> {
    if sql.find(project, name).is_none() {
        return Ok(());
    }
    let said = "The Cloud SQL instance already exists.";
    Err(ApiError::new(409, said)
        .reason("instanceAlreadyExists")
        .status("ALREADY_EXISTS"))
}

/// Changes the settings; `update` names all of them, and here nothing else differs.
async fn patch(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let asked = Asked {
        call: &call,
        kind: "UPDATE",
        target: &instance.name,
        more: Value::Null,
    };
    let (changed, settings) = (instance.clone(), call.body["settings"].clone());
    let operation = sql.begin(
        &asked,
        async move { done(change(&changed, &settings).await) },
    )?;
    Ok(begun(&operation, &call))
}

async fn change(instance: &Instance, patch: &Value) -> std::io::Result<()> {
    let before = instance.settings();
    let runs = {
        let mut resource = instance.resource();
        let version = resource["settings"]["settingsVersion"].as_str();
        let version = version.and_then(|it| it.parse::<i64>().ok()).unwrap_or(1);
        resource::merge(&mut resource["settings"], patch);
        resource["settings"]["settingsVersion"] = json!((version + 1).to_string());
        resource["etag"] = json!(resource::etag());
        if instance.machine().is_some() {
            resource["ipAddresses"] = resource::addresses(&resource);
        }
        resource["settings"]["activationPolicy"] != "NEVER"
    };
    let Some(machine) = instance.machine() else {
        return Ok(());
    };
    let after = instance.settings();
    match (machine.runs().await, runs) {
        (true, false) => machine.stop().await,
        (false, true) => machine.restart(&after).await,
        (true, true) if before != after => machine.restart(&after).await,
        _ => Ok(()),
    }
}

async fn restart(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let asked = Asked {
        call: &call,
        kind: "RESTART",
        target: &instance.name,
        more: Value::Null,
    };
    let restarted = instance.clone();
    let operation = sql.begin(&asked, async move {
        let machine = restarted
            .machine()
            .ok_or_else(|| internal("a replica has no server here"))?;
        done(machine.restart(&restarted.settings()).await)
    })?;
    Ok(begun(&operation, &call))
}

async fn clone(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let name = call
        .text("/cloneContext/destinationInstanceName")
        .to_owned();
    if name.is_empty() {
        return Err(invalid("the clone has no name"));
    }
    taken(&sql, &instance.project, &name)?;
    let programs = programs_of(&instance)?;
    let order = Order {
        project: instance.project.clone(),
        region: instance.region.clone(),
        name: name.clone(),
        settings: instance.resource()["settings"].clone(),
        major: None,
        password: None,
    };
    let asked = Asked {
        call: &call,
        kind: "CREATE_CLONE",
        target: &instance.name,
        more: Value::Null,
    };
    let own = sql.clone();
    let made = sql.add(&order, &programs);
    let (source, cloned) = (instance.clone(), made.clone());
    let operation = sql.begin(&asked, async move {
        let copy = own.state.files().join(format!("clone-{name}"));
        let machine = source
            .machine()
            .ok_or_else(|| internal("it has no server here"))?;
        machine.copy(&copy).await.map_err(internal)?;
        let built = own.build(&cloned, programs, Content::Copy(&copy)).await;
        std::fs::remove_dir_all(copy).map_err(internal)?;
        done(built)
    });
    match operation {
        Ok(operation) => {
            made.made_by(&operation);
            Ok(begun(&operation, &call))
        }
        Err(error) => {
            sql.all().remove(&(made.project.clone(), made.name.clone()));
            Err(error)
        }
    }
}

fn programs_of(instance: &Instance) -> Result<Programs> {
    let machine = instance.machine();
    let machine = machine.ok_or_else(|| invalid("the instance has no server"))?;
    Ok(machine.programs.clone())
}
