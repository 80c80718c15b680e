//! The users of an instance. <https://cloud.google.com/sql/docs/postgres/users>

use std::sync::Arc;

use serde_json::{Value, json};

use super::databases::{Act, act, literal, quoted, said};
use super::instance::Instance;
use super::{Sql, invalid, resource};
use crate::call::{Call, Result};
use crate::error::ApiError;
use crate::state::State;

pub(super) fn register(state: &Arc<State>, sql: &Arc<Sql>) {
    let registry = &state.registry;
    registry.on("sql.users.list", sql, list);
    registry.on("sql.users.get", sql, get);
    registry.on("sql.users.insert", sql, insert);
    registry.on("sql.users.update", sql, update);
    registry.on("sql.users.delete", sql, delete);
}

/// The service's own are not among them.
const LIST: &str = "select rolname::text from pg_roles \
    where rolcanlogin and not starts_with(rolname::text, 'cloudsql') order by rolname";

async fn names(instance: &Instance) -> Result<Vec<String>> {
    let session = instance.session(None).await?;
    let rows = session.query(LIST, &[]).await;
    let rows = rows.map_err(|error| ApiError::new(500, said(&error)))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn list(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let found = names(&instance).await?;
    let items: Vec<Value> = found.iter().map(|name| render(&instance, name)).collect();
    Ok(json!({"kind": "sql#usersList", "items": items}).into())
}

async fn get(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let name = known(&instance, call.param("name")).await?;
    Ok(render(&instance, &name).into())
}

fn render(instance: &Instance, name: &str) -> Value {
    json!({
        "kind": "sql#user", "name": name, "host": "", "instance": instance.name,
        "project": instance.project, "type": "BUILT_IN", "etag": resource::etag(),
    })
}

async fn known(instance: &Instance, name: &str) -> Result<String> {
    let mut names = names(instance).await?.into_iter();
    names.find(|it| it == name).ok_or_else(|| {
        ApiError::new(404, format!("The user {name} does not exist.")).reason("userDoesNotExist")
    })
}

async fn insert(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let name = call.text("/name");
    if !matches!(call.text("/type"), "" | "BUILT_IN") {
        return Err(ApiError::new(
            501,
            "This server has users with passwords alone.",
        ));
    }
    let statement = format!(
        "create role {} login createdb createrole password {} in role cloudsqlsuperuser",
        quoted(name),
        literal(call.text("/password")),
    );
    let refused = |why| invalid(format!("failed to create user {name}: {why}"));
    let asked = Act {
        kind: "CREATE_USER",
        role: None,
        statement,
    };
    act(&sql, &call, &instance, asked, refused).await
}

async fn update(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let name = known(&instance, call.query("name")).await?;
    let password = literal(call.text("/password"));
    let statement = format!("alter role {} password {password}", quoted(&name));
    let refused = |why| invalid(format!("failed to update user {name}: {why}"));
    let asked = Act {
        kind: "UPDATE_USER",
        role: None,
        statement,
    };
    act(&sql, &call, &instance, asked, refused).await
}

async fn delete(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let name = known(&instance, call.query("name")).await?;
    let statement = format!("drop role {}", quoted(&name));
    let refused = |why| invalid(format!("failed to delete user {name}: {why}"));
    let asked = Act {
        kind: "DELETE_USER",
        role: None,
        statement,
    };
    act(&sql, &call, &instance, asked, refused).await
}
