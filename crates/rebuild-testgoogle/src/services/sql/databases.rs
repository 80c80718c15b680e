//! The databases of an instance.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::instance::Instance;
use super::operations::{Asked, base, begun};
use super::{Sql, invalid, resource};
use crate::call::{Call, Result};
use crate::error::ApiError;
use crate::operations::Failure;
use crate::postgres::ADMIN;
use crate::state::State;

/// With whose rights databases are made and dropped for users.
const SERVICE: &str = "cloudsqlsuperuser";

pub(super) fn register(state: &Arc<State>, sql: &Arc<Sql>) {
    let registry = &state.registry;
    registry.on("sql.databases.get", sql, get);
    registry.on("sql.databases.list", sql, list);
    registry.on("sql.databases.insert", sql, insert);
    registry.on("sql.databases.delete", sql, delete);
}

impl Instance {
    /// A session of the service on the instance's server.
    pub(super) async fn session(&self, role: Option<&str>) -> Result<tokio_postgres::Client> {
        let runs = match self.machine() {
            Some(machine) => machine.runs().await.then_some(machine),
            None => None,
        };
        let machine = runs.ok_or_else(|| {
            let said = "The instance or operation is not in an appropriate state to handle the \
                        request.";
            ApiError::new(400, said)
                .reason("invalidState")
                .status("FAILED_PRECONDITION")
        })?;
        let config = machine.config(ADMIN, role);
        let connected = config.connect(NoTls).await;
        let (client, connection) = connected.map_err(failed)?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// What the server says, as the API passes it on.
pub(super) fn said(error: &tokio_postgres::Error) -> String {
    let said = error.as_db_error().map(|error| match error.detail() {
        Some(detail) => format!("pq: {} ({detail})", error.message()),
        None => format!("pq: {}", error.message()),
    });
    said.unwrap_or_else(|| error.to_string())
}

fn failed(error: tokio_postgres::Error) -> ApiError {
    ApiError::new(500, said(&error))
}

/// A name in quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Text in quotes, whatever the server's settings.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

const LIST: &str = "select datname::text, pg_encoding_to_char(encoding)::text, datcollate::text \
    from pg_database where not datistemplate and datname <> 'cloudsqladmin' order by datname";

/// Name, charset and collation of each database.
async fn all(instance: &Instance) -> Result<Vec<(String, String, String)>> {
    let session = instance.session(None).await?;
    let rows = session.query(LIST, &[]).await.map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect())
}

async fn list(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let found = all(&instance).await?;
    let items: Vec<Value> = found
        .iter()
        .map(|it| render(&instance, it, &call))
        .collect();
    Ok(json!({"kind": "sql#databasesList", "items": items}).into())
}

async fn get(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let found = all(&instance).await?;
    let found = found.iter().find(|it| it.0 == call.param("database"));
    let found = found.ok_or_else(no_database)?;
    Ok(render(&instance, found, &call).into())
}

fn no_database() -> ApiError {
    ApiError::new(404, "The database does not exist.").reason("databaseDoesNotExist")
}

fn render(instance: &Instance, database: &(String, String, String), call: &Call) -> Value {
    let (name, charset, collation) = database;
    let (project, of) = (&instance.project, &instance.name);
    json!({
        "kind": "sql#database", "name": name, "charset": charset, "collation": collation,
        "instance": of, "project": project, "etag": resource::etag(),
        "selfLink": format!("{}/projects/{project}/instances/{of}/databases/{name}", base(call)),
    })
}

async fn insert(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let name = call.text("/name");
    if name.is_empty() {
        return Err(invalid("the database has no name"));
    }
    let mut statement = format!("create database {} template template0", quoted(name));
    for (option, given) in [
        ("encoding", "/charset"),
        ("lc_collate", "/collation"),
        ("lc_ctype", "/collation"),
    ] {
        if !call.text(given).is_empty() {
            statement.push_str(&format!(" {option} {}", literal(call.text(given))));
        }
    }
    let failed = |why| invalid(format!("failed to create database {name}. Detail: {why}"));
    let create = Act {
        kind: "CREATE_DATABASE",
        role: Some(SERVICE),
        statement,
    };
    act(&sql, &call, &instance, create, failed).await
}

async fn delete(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let name = call.param("database");
    if !all(&instance).await?.iter().any(|it| it.0 == name) {
        return Err(no_database());
    }
    let statement = format!("drop database {}", quoted(name));
    let failed = |why| {
        let hint = "Please use psql client to delete database that is not owned by \
                    \"cloudsqlsuperuser\"";
        invalid(format!(
            "failed to delete database \"{name}\". Detail: {why}. ({hint})"
        ))
    };
    let drop = Act {
        kind: "DELETE_DATABASE",
        role: Some(SERVICE),
        statement,
    };
    act(&sql, &call, &instance, drop, failed).await
}

/// A statement that a call stands for, and who may do it.
pub(super) struct Act<'a> {
    pub(super) kind: &'static str,
    pub(super) role: Option<&'a str>,
    pub(super) statement: String,
}

/// Does what a statement does, as an operation. What the server refuses is refused at once; where a
/// test set a fault, it all happens when the fault lets it.
pub(super) async fn act(
    sql: &Arc<Sql>,
    call: &Call,
    instance: &Arc<Instance>,
    act: Act<'_>,
    refused: impl Fn(String) -> ApiError,
) -> Result {
    let asked = Asked {
        call,
        kind: act.kind,
        target: &instance.name,
        more: Value::Null,
    };
    sql.idle(&instance.project, &instance.name)?;
    let session = instance.session(act.role).await?;
    let statement = act.statement;
    let work = async move {
        let done = session.batch_execute(&statement).await;
        done.map_err(|error| said(&error))
    };
    let operation = if sql.state.operation_faults.awaits(&call.method) {
        let failure = |why: String| Failure::new("ERROR_RDBMS", why);
        let work = async move { work.await.map(|()| Value::Null).map_err(failure) };
        sql.begin(&asked, work)?
    } else {
        work.await.map_err(refused)?;
        sql.begin(&asked, async { Ok(Value::Null) })?
    };
    Ok(begun(&operation, call))
}
