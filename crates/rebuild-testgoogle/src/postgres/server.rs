//! A running server, and the folder it lives in.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin};
use tokio::time::Instant;

use super::ADMIN;
use super::programs::{Programs, command, give, run};

/// Long enough for a busy machine; what takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often a server that starts is looked at.
const PROBE: Duration = Duration::from_millis(10);

/// Runs a server until a signal's name is read, or the other side is gone without a word: then
/// nobody else is left to remove the files of it and of others.
const KEEPER: &str = r#"
    files=$1 program=$2; shift 2
    "$program" "$@" < /dev/null & server=$!
    read -r signal
    kill -"${signal:-QUIT}" "$server" 2> /dev/null
    wait "$server"
    [ -n "$signal" ] || rm -rf "${files:?}"/*
"#;

/// Who may come in how, before anybody else. The database of the service is its own.
const ACCESS: &str = "\
local all cloudsqladmin scram-sha-256
local cloudsqladmin all reject
host all cloudsqladmin 127.0.0.1/32 scram-sha-256
host cloudsqladmin all 127.0.0.1/32 reject
";

/// The file in the data folder that has the names of users who have no password, but a token. A role in its
/// place would be looked up before there is a database, and what a session is a member of would stay what
/// was found then.
const BY_TOKEN: &str = "token_users";

/// Who may come in how: the content of `pg_hba.conf`.
fn access(settings: &Settings) -> String {
    let host = if settings.only_tls { "hostssl" } else { "host" };
    let mut lines = ACCESS.to_owned();
    let by_token = format!("@data/{BY_TOKEN}");
    for (who, method) in [
        (&*by_token, &*settings.token_method),
        ("all", "scram-sha-256"),
    ] {
        lines.push_str(&format!("local all {who} {method}\n"));
        lines.push_str(&format!("{host} all {who} 127.0.0.1/32 {method}\n"));
    }
    lines
}

/// The folder of an instance: its data, its socket and what the server reads.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    folder: PathBuf,
    /// Where clients look for the socket, under the port that servers usually have.
    socket: PathBuf,
}

impl Home {
    /// Makes the folders.
    pub(crate) fn new(folder: PathBuf, socket: PathBuf) -> io::Result<Self> {
        for path in [&folder, &folder.join("run"), &socket] {
            std::fs::create_dir_all(path)?;
        }
        give(&folder)?;
        give(&folder.join("run"))?;
        for path in [&folder, &folder.join("run"), &socket] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { folder, socket })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Has a user's password be a token, once the server reads its files again.
    pub(crate) fn add_token_user(&self, name: &str) -> io::Result<()> {
        let file = self.data().join(BY_TOKEN);
        let known = std::fs::read_to_string(&file)?;
        std::fs::write(&file, format!("{known}\"{name}\"\n"))
    }

    /// Makes sure that there is the file of such users. It comes and goes with the data.
    fn keep_token_users(&self) -> io::Result<()> {
        let file = self.data().join(BY_TOKEN);
        if file.exists() {
            return Ok(());
        }
        // A field without a name would be none. Of this one, an earlier line says how it comes in.
        std::fs::write(&file, format!("{ADMIN}\n"))?;
        give(&file)
    }

    /// Writes a file that the server reads.
    pub(super) fn write(&self, name: &str, content: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        give(&path)
    }

    /// Removes all of it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.socket)?;
        std::fs::remove_dir_all(&self.folder)
    }
}

/// How a server is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Flags, as the instance has them.
    pub(crate) flags: Vec<(String, String)>,
    /// Connections without TLS are refused.
    pub(crate) only_tls: bool,
    /// How a token is looked at that is given for a password, as `pg_hba.conf` has it.
    pub(crate) token_method: String,
}

/// A running server. It ends when this is dropped, or when this process ends.
#[derive(Debug)]
pub(crate) struct Server {
    keeper: Child,
    orders: Option<ChildStdin>,
    pub(crate) port: u16,
}

impl Server {
    /// Starts a server on a data folder, at the port that it had before if that is free.
    pub(crate) async fn start(
        programs: &Programs,
        home: &Home,
        settings: &Settings,
        port: Option<u16>,
    ) -> io::Result<Self> {
        let mut port = port;
        for _ in 0..5 {
            let chosen = match port.take() {
                Some(port) => port,
                None => free_port()?,
            };
            if let Some(server) = Self::start_at(programs, home, settings, chosen).await? {
                return Ok(server);
            }
        }
        Err(io::Error::other(
            "five free ports were taken by others in time",
        ))
    }

    /// A server at a port, or nothing if another has the port.
    async fn start_at(
        programs: &Programs,
        home: &Home,
        settings: &Settings,
        port: u16,
    ) -> io::Result<Option<Self>> {
        home.write("hba", &access(settings))?;
        home.keep_token_users()?;
        home.write("log", "")?;
        let has_tls = has_tls(programs, home).await?;
        let log = std::fs::OpenOptions::new()
            .append(true)
            .open(home.folder.join("log"))?;
        let mut command = command(Path::new("/bin/sh"));
        command
            .args(["-c", KEEPER, "keeper"])
            .arg(home.folder.parent().unwrap_or(&home.folder))
            .arg(programs.path("postgres"))
            .args(arguments(home, settings, port, has_tls))
            // It ends by itself, after the server.
            .kill_on_drop(false)
            // Ctrl-C and a test runner's kill go to whole process groups.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut keeper = command.spawn()?;
        let orders = keeper.stdin.take();
        let server = Self {
            keeper,
            orders,
            port,
        };
        if !server.is_up(home).await? {
            server.stop("QUIT").await?;
            return Ok(None);
        }
        link(&home.folder.join("run"), &home.socket, port)?;
        Ok(Some(server))
    }

    /// Waits until it takes connections: true, or until it says that its port is taken: false.
    async fn is_up(&self, home: &Home) -> io::Result<bool> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let status = std::fs::read_to_string(home.data().join("postmaster.pid"));
            let status = status.unwrap_or_default();
            let mut lines = status.lines();
            let own = lines.nth(3) == Some(&self.port.to_string());
            if own && lines.nth(3).is_some_and(|line| line.trim() == "ready") {
                return Ok(true);
            }
            let log = std::fs::read_to_string(home.folder.join("log"))?;
            if log.contains("Address already in use") {
                return Ok(false);
            }
            if log.contains("FATAL:") || Instant::now() > deadline {
                return Err(io::Error::other(format!(
                    "the server does not start: {log}"
                )));
            }
            tokio::time::sleep(PROBE).await;
        }
    }

    /// Stops it: `INT` ends the sessions and shuts down in order, `QUIT` is a crash.
    pub(crate) async fn stop(mut self, signal: &str) -> io::Result<()> {
        if let Some(mut orders) = self.orders.take() {
            orders.write_all(format!("{signal}\n").as_bytes()).await?;
        }
        let waited = tokio::time::timeout(DEADLINE, self.keeper.wait()).await;
        waited.map_err(|_| io::Error::other("the server does not stop"))??;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let orders = self.orders.take().and_then(|it| it.into_owned_fd().ok());
        if let Some(mut orders) = orders.map(std::fs::File::from) {
            // One that is gone needs no order.
            let _ = std::io::Write::write_all(&mut orders, b"QUIT\n");
        }
        // What is still written to cannot be removed.
        let deadline = Instant::now() + DEADLINE;
        while matches!(self.keeper.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// True if the programs were built with TLS.
async fn has_tls(programs: &Programs, home: &Home) -> io::Result<bool> {
    let mut command = programs.server("postgres");
    command
        .arg("-D")
        .arg(home.data())
        .args(["-C", "ssl_library"]);
    let library = run(&mut command, b"").await?.stdout;
    Ok(!library.trim_ascii().is_empty())
}

fn arguments(home: &Home, settings: &Settings, port: u16, has_tls: bool) -> Vec<String> {
    let folder = home.folder.display();
    let mut set = vec![
        ("port".to_owned(), port.to_string()),
        (
            "unix_socket_directories".to_owned(),
            format!("{folder}/run"),
        ),
        ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
        ("hba_file".to_owned(), format!("{folder}/hba")),
        ("password_encryption".to_owned(), "scram-sha-256".to_owned()),
    ];
    // Nothing here outlives the test, so nothing has to reach the disk.
    for name in ["fsync", "synchronous_commit"] {
        set.push((name.to_owned(), "off".to_owned()));
    }
    set.push(("dynamic_shared_memory_type".to_owned(), "mmap".to_owned()));
    if has_tls {
        set.push(("ssl".to_owned(), "on".to_owned()));
        set.push(("ssl_cert_file".to_owned(), format!("{folder}/server.crt")));
        set.push(("ssl_key_file".to_owned(), format!("{folder}/server.key")));
    }
    let flags = settings.flags.iter();
    // Those of the service have dots in their names.
    set.extend(
        flags
            .filter(|(name, _)| !name.starts_with("cloudsql."))
            .cloned(),
    );
    let data = home.data().display().to_string();
    let set = set
        .iter()
        .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]);
    ["-D".to_owned(), data].into_iter().chain(set).collect()
}

/// Lets clients find the socket under the port that servers usually have.
fn link(run: &Path, socket: &Path, port: u16) -> io::Result<()> {
    let link = socket.join(".s.PGSQL.5432");
    match std::fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(run.join(format!(".s.PGSQL.{port}")), link)
}

fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}

/// How the superuser gets in.
pub(crate) fn admin(home: &Home, password: &str, database: &str) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(home.socket())
        .user(ADMIN)
        .password(password)
        .dbname(database);
    config
}
