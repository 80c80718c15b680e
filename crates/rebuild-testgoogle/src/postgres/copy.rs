//! Copies of a server's files, taken while it runs.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::programs::{Programs, command, give, run, run_with};
use super::server::Home;

/// What belongs to the running server, not to its data, and what is copied last.
const LEFT_OUT: [&str; 4] = [
    "postmaster.pid",
    "postmaster.opts",
    "pg_wal",
    "backup_label",
];

/// Copies the files of a running server: a physical backup, which needs nothing else to be
/// restored. <https://www.postgresql.org/docs/current/continuous-archiving.html>
pub(crate) async fn take(
    programs: &Programs,
    home: &Home,
    config: &tokio_postgres::Config,
    to: &Path,
) -> io::Result<()> {
    let (client, connection) = config
        .connect(tokio_postgres::NoTls)
        .await
        .map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let (start, stop) = if programs.major >= 15 {
        (
            "select pg_backup_start('copy', true)",
            "select labelfile from pg_backup_stop(false)",
        )
    } else {
        (
            "select pg_start_backup('copy', true, false)",
            "select labelfile from pg_stop_backup(false, false)",
        )
    };
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700))?;
    give(to)?;
    client
        .batch_execute(start)
        .await
        .map_err(io::Error::other)?;
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(home.data())? {
        let name = entry?.file_name();
        if !LEFT_OUT.iter().any(|it| name == *it) {
            parts.push(home.data().join(name));
        }
    }
    copy(&parts, to).await?;
    let label = client
        .query_one(stop, &[])
        .await
        .map_err(io::Error::other)?;
    copy(&[home.data().join("pg_wal")], to).await?;
    let path = to.join("backup_label");
    std::fs::write(&path, label.get::<_, String>(0))?;
    give(&path)?;
    drop(client);
    let _ = connection.await;
    Ok(())
}

/// Puts a copy in the place of the data of a server that does not run.
pub(crate) async fn put_back(copy_folder: &Path, home: &Home) -> io::Result<()> {
    if home.data().exists() {
        std::fs::remove_dir_all(home.data())?;
    }
    let mut command = command(Path::new("cp"));
    command
        .args(["-a", "--reflink=auto"])
        .arg(copy_folder)
        .arg(home.data());
    run(&mut command, b"").await?;
    Ok(())
}

/// Copies files, which may go in the meantime: the log of the server says what became of them.
async fn copy(parts: &[PathBuf], to: &Path) -> io::Result<()> {
    let mut command = command(Path::new("cp"));
    command.args(["-a", "--reflink=auto"]).args(parts).arg(to);
    let output = run_with(&mut command, b"").await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let gone = |line: &str| line.contains("No such file or directory");
    if output.status.success() || said.lines().all(gone) {
        return Ok(());
    }
    Err(io::Error::other(said))
}

/// How many bytes a folder has.
pub(crate) fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() {
            size(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(bytes)
}
