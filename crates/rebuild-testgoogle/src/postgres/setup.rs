//! What a new server has, as the managed service gives it.

use std::io;

use super::ADMIN;
use super::programs::{Programs, run};
use super::server::Home;

/// Roles and databases, a statement to a line, as single-user mode reads them.
/// <https://cloud.google.com/sql/docs/postgres/users>
const STATEMENTS: &str = "\
create database cloudsqladmin
revoke all on database cloudsqladmin from public
create role cloudsqlsuperuser createdb createrole login
grant pg_monitor, pg_signal_backend, pg_checkpoint to cloudsqlsuperuser
create role cloudsqlagent createdb createrole login in role cloudsqlsuperuser
create role cloudsqlimportexport createdb createrole login in role cloudsqlsuperuser
create role cloudsqliamuser
create role cloudsqliamserviceaccount
create role cloudsqlreplica replication login in role pg_monitor
create role postgres createdb createrole login in role cloudsqlsuperuser
alter database postgres owner to cloudsqlsuperuser
alter database template1 owner to cloudsqlsuperuser
";

/// Makes the data folder of a new server. The user `postgres` has a password if one is given.
pub(crate) async fn init(
    programs: &Programs,
    home: &Home,
    admin_password: &str,
    password: Option<&str>,
) -> io::Result<()> {
    let file = home.folder().join("password");
    home.write("password", admin_password)?;
    let mut command = programs.server("initdb");
    command
        .args([
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth=scram-sha-256",
        ])
        .args(["--username", ADMIN, "--pwfile"])
        .arg(&file)
        .arg("--pgdata")
        .arg(home.data());
    run(&mut command, b"").await?;
    std::fs::remove_file(file)?;

    let mut statements = STATEMENTS.to_owned();
    if programs.major < 15 {
        statements = statements.replace(", pg_checkpoint", "");
    }
    if let Some(password) = password {
        let password = password.replace('\'', "''");
        statements.push_str(&format!("alter role postgres password '{password}'\n"));
    }
    let mut command = programs.server("postgres");
    command
        .args(["--single", "-F", "-D"])
        .arg(home.data())
        .arg("postgres");
    let output = run(&mut command, statements.as_bytes()).await?;
    // In this mode a statement that fails does not end the program.
    let said = String::from_utf8_lossy(&output.stderr);
    match said.lines().find(|line| line.contains("ERROR:")) {
        Some(line) => Err(io::Error::other(line.to_owned())),
        None => Ok(()),
    }
}
