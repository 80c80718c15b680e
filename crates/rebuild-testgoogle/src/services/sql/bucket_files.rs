//! A database goes into a bucket as a file of SQL statements, and comes out of one.
//! <https://cloud.google.com/sql/docs/postgres/import-export/import-export-sql>

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::process::Command;

use super::instance::Instance;
use super::machine::Machine;
use super::operations::{Asked, begun, internal};
use super::{Sql, invalid};
use crate::call::{Call, Media, Result};
use crate::error::ApiError;
use crate::operations::{Failure, Outcome};
use crate::postgres::{ADMIN, run_with};
use crate::state::State;

/// Who imports, unless the request names somebody.
const IMPORTER: &str = "cloudsqlimportexport";

pub(super) fn register(state: &Arc<State>, sql: &Arc<Sql>) {
    state.registry.on("sql.instances.export", sql, export);
    state.registry.on("sql.instances.import", sql, import);
}

/// The bucket and the object in `gs://bucket/object`.
fn place(uri: &str) -> Result<(String, String)> {
    let parts = uri
        .strip_prefix("gs://")
        .and_then(|rest| rest.split_once('/'));
    let parts = parts.filter(|(bucket, object)| !bucket.is_empty() && !object.is_empty());
    let owned = parts.map(|(bucket, object)| (bucket.to_owned(), object.to_owned()));
    owned.ok_or_else(|| invalid(format!("no object in a bucket: {uri:?}")))
}

/// The instance's own account must be let into the bucket, whoever asks.
fn let_in(sql: &Sql, instance: &Instance, bucket: &str, permission: &str) -> Result<()> {
    if sql
        .storage
        .allows(bucket, &instance.service_account(), permission)
    {
        return Ok(());
    }
    let said = "The service account does not have the required permissions for the bucket.";
    Err(ApiError::new(403, said).reason("notAuthorized"))
}

fn is_sql(context: &Value) -> Result<()> {
    match context["fileType"].as_str() {
        None | Some("SQL" | "SQL_FILE_TYPE_UNSPECIFIED") => Ok(()),
        Some(other) => {
            let said = format!("This server exports and imports SQL alone, not {other}.");
            Err(ApiError::new(501, said))
        }
    }
}

fn machine(instance: &Instance) -> Result<&Machine, Failure> {
    instance
        .machine()
        .ok_or_else(|| internal("a replica has no server here"))
}

async fn export(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let context = call.body["exportContext"].clone();
    let (bucket, object) = place(call.text("/exportContext/uri"))?;
    is_sql(&context)?;
    let databases = context["databases"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let [Value::String(database)] = databases else {
        return Err(invalid("exactly one database must be named"));
    };
    let_in(&sql, &instance, &bucket, "storage.objects.create")?;
    let (own, database, options) = (
        sql.clone(),
        database.clone(),
        context["sqlExportOptions"].clone(),
    );
    let more = json!({"exportContext": context});
    let name = instance.name.clone();
    let asked = Asked {
        call: &call,
        kind: "EXPORT",
        target: &name,
        more,
    };
    let operation = sql.begin(&asked, async move {
        if own.storage.get(&bucket, &object).is_some() {
            return Err(Failure::new("ERROR_INTERNAL", "The file exists already."));
        }
        let dump = dump(machine(&instance)?, &database, &options).await?;
        let content = packed(dump, &object).map_err(internal)?;
        let put = own.storage.put(&bucket, &object, content);
        put.ok_or_else(|| internal("the bucket is gone"))?;
        Ok(Value::Null)
    })?;
    Ok(begun(&operation, &call))
}

async fn dump(machine: &Machine, database: &str, options: &Value) -> Result<Vec<u8>, Failure> {
    let mut command = client(machine, "pg_dump", None);
    command.args(["--format=plain", "--dbname", database]);
    let wanted = |pointer| options.pointer(pointer) == Some(&Value::Bool(true));
    for (pointer, flag) in [
        ("/schemaOnly", "--schema-only"),
        ("/postgresExportOptions/clean", "--clean"),
        ("/postgresExportOptions/ifExists", "--if-exists"),
    ] {
        if wanted(pointer) {
            command.arg(flag);
        }
    }
    for table in options["tables"].as_array().into_iter().flatten() {
        command.args(["--table", table.as_str().unwrap_or_default()]);
    }
    run(command, b"").await
}

async fn import(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let context = call.body["importContext"].clone();
    let (bucket, object) = place(call.text("/importContext/uri"))?;
    is_sql(&context)?;
    let database = call.text("/importContext/database").to_owned();
    if database.is_empty() {
        return Err(invalid("the database to import into must be named"));
    }
    let user = match call.text("/importContext/importUser") {
        "" => IMPORTER.to_owned(),
        user => user.to_owned(),
    };
    let_in(&sql, &instance, &bucket, "storage.objects.get")?;
    let own = sql.clone();
    let name = instance.name.clone();
    let more = json!({"importContext": context});
    let asked = Asked {
        call: &call,
        kind: "IMPORT",
        target: &name,
        more,
    };
    let operation = sql.begin(&asked, async move {
        let missing = || Failure::new("ERROR_INTERNAL", "The file or bucket does not exist.");
        let file = own.storage.get(&bucket, &object).ok_or_else(missing)?;
        let text = unpacked(&file, &object).map_err(internal)?;
        load(machine(&instance)?, &database, &user, &text).await
    })?;
    Ok(begun(&operation, &call))
}

/// Runs statements with the rights of a user, until one fails; what went before it stays.
async fn load(machine: &Machine, database: &str, user: &str, text: &[u8]) -> Outcome {
    let mut command = client(machine, "psql", Some(user));
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "--dbname", database]);
    run(command, text).await.map(|_| Value::Null)
}

/// A client program as the service itself runs it.
fn client(machine: &Machine, name: &str, role: Option<&str>) -> Command {
    let mut command = machine.programs.client(name);
    command
        .env("PGHOST", machine.home.socket())
        .env("PGPORT", "5432")
        .env("PGUSER", ADMIN)
        .env("PGPASSWORD", machine.password());
    if let Some(role) = role {
        command.env("PGOPTIONS", format!("-c role={role}"));
    }
    command
}

async fn run(mut command: Command, input: &[u8]) -> Result<Vec<u8>, Failure> {
    let output = run_with(&mut command, input).await.map_err(internal)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let code = output.status.code().unwrap_or(-1);
    let said = String::from_utf8_lossy(&output.stderr);
    let message = format!("exit status {code}\nstdout(capped at 100k bytes):\n\nstderr:\n{said}");
    Err(Failure::new("ERROR_RDBMS", message))
}

/// A file as it is stored: compressed if its name says so.
fn packed(text: Vec<u8>, name: &str) -> io::Result<Media> {
    let media = |kind: &str, bytes: Vec<u8>| Media {
        content_type: kind.to_owned(),
        bytes: Bytes::from(bytes),
    };
    if !name.ends_with(".gz") {
        return Ok(media("text/plain", text));
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&text)?;
    Ok(media("application/gzip", encoder.finish()?))
}

fn unpacked(file: &[u8], name: &str) -> io::Result<Vec<u8>> {
    if !name.ends_with(".gz") {
        return Ok(file.to_vec());
    }
    let mut text = Vec::new();
    GzDecoder::new(file).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_object_in_a_bucket() {
        let place = |uri| place(uri).ok();
        assert_eq!(
            place("gs://b/a/c.sql"),
            Some(("b".to_owned(), "a/c.sql".to_owned()))
        );
        for uri in ["gs://b", "gs://b/", "gs:///c", "s3://b/c", ""] {
            assert_eq!(place(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_name_says_whether_a_file_is_compressed() {
        for name in ["a.sql", "a.sql.gz"] {
            let stored = packed(b"select 1".to_vec(), name).expect("packed");
            assert_eq!(stored.bytes == "select 1", name == "a.sql");
            assert_eq!(
                unpacked(&stored.bytes, name).expect("unpacked"),
                b"select 1"
            );
        }
    }
}
