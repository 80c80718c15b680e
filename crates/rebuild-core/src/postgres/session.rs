//! One connection with every setting pinned that could bend what is read or written.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

use super::teardown::place;
use super::{application, server_error};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Host, Identity};

/// Settings of every session; a COPY in another DateStyle moves days to months in silence.
const PINNED: &str = "
    select pg_catalog.set_config(name, value, false) from (values
        ('search_path', ''),
        ('row_security', 'off'),
        ('datestyle', 'ISO, YMD'),
        ('intervalstyle', 'postgres'),
        ('timezone', 'UTC'),
        ('extra_float_digits', '3'),
        ('bytea_output', 'hex'),
        ('standard_conforming_strings', 'on'),
        ('synchronous_commit', 'on'),
        ('statement_timeout', '0'),
        ('lock_timeout', '0'),
        ('idle_in_transaction_session_timeout', '0'),
        ('xmloption', 'content')
    ) as pinned(name, value)";

/// How long saying goodbye may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// A connection. Dropping it closes it.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
    pid: i32,
}

impl Session {
    /// Connects to `endpoint` and pins the session's settings. `application` becomes
    /// `application_name`.
    ///
    /// # Errors
    /// The server cannot be reached, or turned the role away.
    pub async fn open(endpoint: &Endpoint, application: &str) -> Result<Self> {
        let mut config = Config::new();
        match &endpoint.host {
            Host::Socket(dir) => config.host_path(dir),
            Host::Tcp(host) => config.host(host),
        };
        config
            .port(endpoint.port)
            .user(&endpoint.user)
            .dbname(&endpoint.database)
            .application_name(application)
            .connect_timeout(endpoint.connect_timeout);
        if let Some(password) = &endpoint.password {
            config.password(password.expose());
        }
        let what = || format!("could not connect to {}", endpoint.describe());
        let (client, connection) = config
            .connect(NoTls)
            .await
            .map_err(|e| server_error(what(), e))?;
        let driver = tokio::spawn(async move {
            if let Err(e) = connection.await {
                tracing::debug!("connection ended: {e}");
            }
        });
        client
            .batch_execute(PINNED)
            .await
            .map_err(|e| server_error(what(), e))?;
        let pid = client
            .query_one("select pg_catalog.pg_backend_pid()", &[])
            .await
            .map_err(|e| server_error(what(), e))?
            .get(0);
        Ok(Self {
            client,
            driver,
            pid,
        })
    }

    /// Connects to the database `db` on the server of `endpoint`, by the name it had when it was
    /// looked at, and makes sure that it is still that one.
    ///
    /// # Errors
    /// A refusal if the server or the database under that name is another one; the server cannot
    /// be reached.
    pub async fn open_at(endpoint: &Endpoint, db: &Identity, ctx: &Ctx) -> Result<Self> {
        let session = Self::open(&endpoint.with_database(&db.name), &application(ctx)).await?;
        let oid = place::oid_here(&session, db).await?;
        let here: u32 = session
            .query_one(
                "select oid from pg_catalog.pg_database
                  where datname operator(pg_catalog.=) pg_catalog.current_database()",
                &[],
            )
            .await
            .map_err(|e| server_error(format!("could not identify {db}"), e))?
            .get(0);
        if here == oid {
            return Ok(session);
        }
        Err(Error::refused(format!(
            "the database named {:?} has oid {here} now, so it is not {db}",
            db.name
        )))
    }

    /// The process id of the server's side of the connection.
    pub fn backend_pid(&self) -> i32 {
        self.pid
    }

    /// Closes the connection and waits until the goodbye is sent. The server's side may take a
    /// moment longer to be gone.
    pub async fn close(self) {
        let Self { client, driver, .. } = self;
        drop(client);
        // The driver ends by itself once the client is gone; an error in it was logged.
        let _ = tokio::time::timeout(CLOSE_WITHIN, driver).await;
    }
}

impl Deref for Session {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
