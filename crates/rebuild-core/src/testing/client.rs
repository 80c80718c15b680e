//! pg_dump and psql against throwaway servers.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::client_bin_dir;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Endpoint, Host};
use crate::postgres::{ClientTool, LocalCluster};

/// The client program `name` of the version under test, at a database of `cluster`.
///
/// # Panics
/// `endpoint` is no Unix socket.
pub fn client(cluster: &LocalCluster, name: &str, endpoint: &Endpoint) -> Command {
    client_by(&client_bin_dir(cluster), name, endpoint)
}

fn client_by(tools: &Path, name: &str, endpoint: &Endpoint) -> Command {
    let Host::Socket(dir) = &endpoint.host else {
        panic!("{endpoint:?} is no socket");
    };
    let mut command = Command::new(tools.join(name));
    if let Some(password) = &endpoint.password {
        command.env("PGPASSWORD", password.expose());
    }
    command
        .arg("--host")
        .arg(dir)
        .args(["--port", &endpoint.port.to_string()])
        .args(["--username", &endpoint.user])
        .arg(ClientTool::database_argument(endpoint))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// What pg_dump writes with these further arguments, but for the lines that are others each time,
/// and for a setting that servers before 17 do not know.
///
/// # Errors
/// pg_dump could not be run, or failed.
pub async fn dump(
    cluster: &LocalCluster,
    endpoint: &Endpoint,
    arguments: &[&str],
) -> Result<String> {
    dump_by(&client_bin_dir(cluster), endpoint, arguments).await
}

/// The same, by the pg_dump in the folder `tools`, of a server that need not be a [`LocalCluster`].
///
/// # Errors
/// As [`dump`].
pub async fn dump_by(tools: &Path, endpoint: &Endpoint, arguments: &[&str]) -> Result<String> {
    let output = client_by(tools, "pg_dump", endpoint)
        .args(arguments)
        .output()
        .await?;
    let written = succeeded("pg_dump", output)?;
    Ok(String::from_utf8_lossy(&written)
        .lines()
        .filter(|line| {
            // The key of \restrict is random.
            !line.starts_with("\\restrict ")
                && !line.starts_with("\\unrestrict ")
                && !line.starts_with("SET transaction_timeout")
        })
        .flat_map(|line| [line, "\n"])
        .collect())
}

/// Runs a script by psql, which stops at the first error.
///
/// # Errors
/// psql could not be run, or a statement failed.
pub async fn psql(cluster: &LocalCluster, endpoint: &Endpoint, script: &str) -> Result<()> {
    let mut child = client(cluster, "psql", endpoint)
        .args(["-X", "-q", "--set", "ON_ERROR_STOP=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("piped");
    let feed = async {
        // Where psql stops early its own words say more than a broken pipe does.
        let _ = stdin.write_all(script.as_bytes()).await;
        drop(stdin);
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    succeeded("psql", output?).map(drop)
}

fn succeeded(program: &str, output: Output) -> Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::new(
        ErrorKind::Program,
        format!(
            "{program} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ),
    ))
}
