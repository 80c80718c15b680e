//! The image `postgres`, of the server and client programs of this machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::node::{Address, Container, Program, Ready};

/// The port of a server that is not told another one.
const PORT: u16 = 5432;

/// What the image does with a folder: its entry point in short.
const ENTRY_POINT: &str = r#"
    data=$1 socket=$2
    if [ ! -s "$data/pgdata/PG_VERSION" ]; then
        printf %s "$POSTGRES_PASSWORD" > "$data/password"
        initdb -N -D "$data/pgdata" -U postgres -E UTF8 -A scram-sha-256 \
               --pwfile="$data/password" > "$data/log" 2>&1
        rm "$data/password"
        echo "create database $POSTGRES_DB" | postgres --single -D "$data/pgdata" postgres > /dev/null
    fi
    # In a container of its own, no other server could have the pid that a copied folder names.
    pid="$data/pgdata/postmaster.pid"
    if [ -e "$pid" ] && ! grep -qxF "$data/pgdata" "$pid"; then rm "$pid"; fi
    exec postgres -D "$data/pgdata" -k "$socket" -c fsync=off -c dynamic_shared_memory_type=mmap \
                  -c listen_addresses="${PGPORT:+127.0.0.1}"
"#;

/// A container with a folder at `/var/lib/postgresql/data` and without a command is a server, any
/// other a client.
#[derive(Debug, Clone)]
pub struct PostgresImage {
    path: String,
    sockets: PathBuf,
    services: BTreeMap<String, String>,
}

impl PostgresImage {
    /// The programs are found along `path`; the servers' sockets are below `sockets`, whose own path
    /// is short, for those of sockets are.
    ///
    /// # Errors
    /// The folder cannot be opened to the user that the servers run as.
    pub fn new(path: String, sockets: &Path) -> io::Result<Self> {
        open_to_all(sockets)?;
        Ok(Self {
            path,
            sockets: sockets.to_owned(),
            services: BTreeMap::new(),
        })
    }

    /// Clients that look for `service` find the server in `pod`.
    #[must_use]
    pub fn service(mut self, service: &str, pod: &str) -> Self {
        self.services.insert(service.to_owned(), pod.to_owned());
        self
    }

    /// What a container of the image is.
    ///
    /// # Panics
    /// The folder for a server's socket cannot be made.
    pub fn program(&self, container: &Container) -> Program {
        let data = container.mounts.get("/var/lib/postgresql/data");
        match (data, &container.command[..]) {
            (Some(data), []) => self.server(container, data),
            _ => self.client(container),
        }
    }

    fn server(&self, container: &Container, data: &Path) -> Program {
        let folder = self.sockets.join(&container.pod);
        std::fs::create_dir_all(&folder).expect("a folder for the socket");
        open_to_all(&folder).expect("a folder of ours");
        // With a port of its own it listens there as well, as every server of the real image does.
        let port = container
            .env
            .get("PGPORT")
            .and_then(|port| port.parse().ok());
        let port: u16 = port.unwrap_or(PORT);
        let socket = Address::Unix(folder.join(format!(".s.PGSQL.{port}")));
        let argv: [OsString; 6] = [
            "bash".into(),
            "-euc".into(),
            ENTRY_POINT.into(),
            "entry-point".into(),
            data.into(),
            folder.clone().into(),
        ];
        Program::new(argv)
            .env("PATH", &self.path)
            // Clients beside it find its socket where they look by themselves.
            .env("PGHOST", folder)
            .user(65534, 65534)
            .port(port, socket.clone())
            .ready(Ready::Accepts(socket))
    }

    fn client(&self, container: &Container) -> Program {
        let named = container.env.get("PGHOST");
        let pod = named.and_then(|host| self.services.get(host));
        let script = match pod {
            Some(pod) => format!("PGHOST='{}' exec \"$@\"", self.sockets.join(pod).display()),
            None => "exec \"$@\"".to_owned(),
        };
        let own = container.command.iter().chain(&container.args).cloned();
        let argv = ["bash".to_owned(), "-c".to_owned(), script, "sh".to_owned()];
        // What is mounted is a folder of this machine.
        let scratch = container.mounts.get("/scratch");
        let scratch =
            scratch.map_or_else(|| "/scratch".into(), |folder| folder.as_os_str().to_owned());
        // One that ends at once is never ready.
        let ready = Ready::Command(vec!["sleep".into(), "0.3".into()]);
        Program::new(argv.into_iter().chain(own))
            .env("PATH", &self.path)
            .env("SCRATCH", scratch)
            .ready(ready)
    }
}

/// Programs that are not root come to the sockets in it.
fn open_to_all(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder, open)
}
