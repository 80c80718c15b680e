//! The machine of an instance: its server and its files.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_postgres::NoTls;

use crate::postgres::{self, Authority, Home, Programs, Server, Settings};

/// A server that can be stopped and started, with what belongs to it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) home: Home,
    pub(crate) authority: Authority,
    pub(super) programs: Programs,
    password: String,
    port: u16,
    server: Mutex<Option<Server>>,
}

/// What a new machine starts with.
pub(super) enum Content<'a> {
    /// Nothing but what every new server has; the user `postgres` may have a password.
    New(Option<&'a str>),
    /// A copy of another machine's files.
    Copy(&'a Path),
}

impl Machine {
    pub(super) async fn new(
        programs: Programs,
        home: Home,
        authority: Authority,
        password: &str,
        settings: &Settings,
        content: Content<'_>,
    ) -> io::Result<Self> {
        authority.write(home.folder())?;
        match content {
            Content::New(user) => postgres::init(&programs, &home, password, user).await?,
            Content::Copy(copy) => postgres::put_back(copy, &home).await?,
        }
        let server = Server::start(&programs, &home, settings, None).await?;
        Ok(Self {
            home,
            authority,
            programs,
            password: password.to_owned(),
            port: server.port,
            server: Mutex::new(Some(server)),
        })
    }

    /// The port of 127.0.0.1 that it listens at. It stays the same.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// Stops the server, ends its sessions, and does something; then it is started again.
    async fn between<T>(
        &self,
        settings: &Settings,
        act: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let mut server = self.stopped().await?;
        let done = act.await;
        *server = Some(self.start(settings).await?);
        done
    }

    async fn stopped(&self) -> io::Result<MutexGuard<'_, Option<Server>>> {
        let mut server = self.server.lock().await;
        if let Some(server) = server.take() {
            server.stop("INT").await?;
        }
        Ok(server)
    }

    async fn start(&self, settings: &Settings) -> io::Result<Server> {
        Server::start(&self.programs, &self.home, settings, Some(self.port)).await
    }

    pub(super) async fn runs(&self) -> bool {
        self.server.lock().await.is_some()
    }

    /// Starts it anew, or at all.
    pub(super) async fn restart(&self, settings: &Settings) -> io::Result<()> {
        self.between(settings, async { Ok(()) }).await
    }

    pub(super) async fn stop(&self) -> io::Result<()> {
        self.stopped().await.map(drop)
    }

    /// Stops the server without asking its sessions. One that is about to be started or stopped
    /// ends with this process.
    pub(super) fn kill(&self) {
        if let Ok(mut server) = self.server.try_lock() {
            drop(server.take());
        }
    }

    /// Overwrites all its data with a copy.
    pub(super) async fn put_back(&self, copy: &Path, settings: &Settings) -> io::Result<()> {
        self.between(settings, postgres::put_back(copy, &self.home))
            .await
    }

    /// Copies its files, and says how many bytes they have.
    pub(super) async fn copy(&self, to: &Path) -> io::Result<u64> {
        // Nobody stops it meanwhile.
        let server = self.server.lock().await;
        if server.is_none() {
            return Err(io::Error::other("the instance is stopped"));
        }
        let admin = postgres::admin(&self.home, &self.password, postgres::ADMIN);
        postgres::take(&self.programs, &self.home, &admin, to).await?;
        postgres::size(to)
    }

    /// Has a user's password be a token from here on.
    pub(super) async fn let_in_by_token(&self, user: &str) -> io::Result<()> {
        self.home.add_token_user(user)?;
        let admin = self.config(postgres::ADMIN, None);
        let (client, connection) = admin.connect(NoTls).await.map_err(io::Error::other)?;
        let connection = tokio::spawn(connection);
        let reload = client.batch_execute("select pg_reload_conf()").await;
        reload.map_err(io::Error::other)?;
        drop(client);
        let _ = connection.await;
        // The server says how it has looked at a token that is none.
        let mut config = self.config("postgres", None);
        config.user(user).password("none");
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            let said = config.connect(NoTls).await.err();
            let said = said.and_then(|e| Some(e.as_db_error()?.message().to_owned()));
            if said.is_some_and(|said| said.contains("RADIUS")) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(io::Error::other("the server does not look at tokens"))
    }

    /// How the service itself gets in: as the superuser, or with the rights of another role.
    pub(super) fn config(&self, database: &str, role: Option<&str>) -> tokio_postgres::Config {
        let mut config = postgres::admin(&self.home, &self.password, database);
        if let Some(role) = role {
            config.options(format!("-c role={role}"));
        }
        config
    }
}
