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

/// The service's own are not among them. Those whose password is a token are known by a role of theirs.
const LIST: &str = "select rolname::text, coalesce((select upper(replace(of.rolname, 'cloudsqliam', 'cloud_iam_')) \
      from pg_auth_members m join pg_roles of on of.oid = m.roleid \
     where m.member = u.oid and of.rolname in ('cloudsqliamuser', 'cloudsqliamserviceaccount')), 'BUILT_IN') \
    from pg_roles u \
    where rolcanlogin and not starts_with(rolname::text, 'cloudsql') order by rolname";

/// The types of users that log in with a token, and the role by which they are known.
const BY_TOKEN: [(&str, &str); 2] = [
    ("CLOUD_IAM_USER", "cloudsqliamuser"),
    ("CLOUD_IAM_SERVICE_ACCOUNT", "cloudsqliamserviceaccount"),
];

/// Name and type of each user.
async fn all(instance: &Instance) -> Result<Vec<(String, String)>> {
    let session = instance.session(None).await?;
    let rows = session.query(LIST, &[]).await;
    let rows = rows.map_err(|error| ApiError::new(500, said(&error)))?;
    let user = |row: &tokio_postgres::Row| {
        let kind: String = row.get(1);
        (
            row.get(0),
            kind.replace("SERVICEACCOUNT", "SERVICE_ACCOUNT"),
        )
    };
    Ok(rows.iter().map(user).collect())
}

async fn list(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let found = all(&instance).await?;
    let items: Vec<Value> = found.iter().map(|user| render(&instance, user)).collect();
    Ok(json!({"kind": "sql#usersList", "items": items}).into())
}

async fn get(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let user = known(&instance, call.param("name")).await?;
    Ok(render(&instance, &user).into())
}

fn render(instance: &Instance, (name, kind): &(String, String)) -> Value {
    json!({
        "kind": "sql#user", "name": name, "host": "", "instance": instance.name,
        "project": instance.project, "type": kind, "etag": resource::etag(),
    })
}

async fn known(instance: &Instance, name: &str) -> Result<(String, String)> {
    let mut users = all(instance).await?.into_iter();
    users.find(|it| it.0 == name).ok_or_else(|| {
        ApiError::new(404, format!("The user {name} does not exist.")).reason("userDoesNotExist")
    })
}

async fn insert(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let name = call.text("/name");
    let kind = call.text("/type");
    let by_token = BY_TOKEN.iter().find(|(known, _)| *known == kind);
    let statement = match (kind, by_token) {
        ("" | "BUILT_IN", _) => format!(
            "create role {} login createdb createrole password {} in role cloudsqlsuperuser",
            quoted(name),
            literal(call.text("/password")),
        ),
        (_, Some((_, role))) => format!("create role {} login in role {role}", quoted(name)),
        _ => {
            let said = "This server has users of the types BUILT_IN, CLOUD_IAM_USER and \
                        CLOUD_IAM_SERVICE_ACCOUNT alone.";
            return Err(ApiError::new(501, said));
        }
    };
    if let (Some(machine), true) = (instance.machine(), by_token.is_some()) {
        let failed = |e: std::io::Error| ApiError::new(500, e.to_string());
        machine.let_in_by_token(name).await.map_err(failed)?;
    }
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
    let (name, _) = known(&instance, call.query("name")).await?;
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
    let (name, _) = known(&instance, call.query("name")).await?;
    let statement = format!("drop role {}", quoted(&name));
    let refused = |why| invalid(format!("failed to delete user {name}: {why}"));
    let asked = Act {
        kind: "DELETE_USER",
        role: None,
        statement,
    };
    act(&sql, &call, &instance, asked, refused).await
}
