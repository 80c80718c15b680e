//! One connection with every setting pinned that could bend what is read or written.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

use super::connect::{
    Protection, Watch, Watched, WatchedTls, Wire, connect_error, connect_timeout, dial, logins,
    with_end_of_way,
};
use super::teardown::place;
use super::warnings::{Warnings, flow};
use super::{application, ident, server_error};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::secret::Secret;

/// Settings of every session, where the server has them. A COPY in another DateStyle moves days to
/// months in silence; a limit that somebody set for a role or a database would end hours of work, or
/// the session that holds the lock. Many queries of the catalog look expensive enough to be
/// compiled, which takes longer than they do.
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
        ('idle_session_timeout', '0'),
        ('transaction_timeout', '0'),
        ('jit', 'off'),
        ('xmloption', 'content'),
        ('array_nulls', 'on')
    ) as pinned(name, value)
    where pg_catalog.current_setting(name, true) is not null";

/// A server that is not told so notices after hours only that the machine of a client is gone, and
/// goes on with the statement of a client that died until it is done; either keeps locks
/// (<https://www.postgresql.org/docs/current/runtime-config-connection.html#RUNTIME-CONFIG-TCP-SETTINGS>).
/// Not every system that servers run on can look for such clients.
const WATCHED: &str = "
    select pg_catalog.set_config(name, value, false) from (values
        ('tcp_keepalives_idle', '30s'),
        ('tcp_keepalives_interval', '10s'),
        ('tcp_keepalives_count', '3'),
        ('client_connection_check_interval', '5s')
    ) as watched(name, value)
    where pg_catalog.current_setting(name, true) is not null
      and pg_catalog.strpos(pg_catalog.version(), 'linux')::pg_catalog.bool";

/// Keeps short what the server's log has of a statement: the details quote rows, and values of
/// parameters. Only superusers may say so
/// (<https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-LOG-ERROR-VERBOSITY>).
const SHORT_LOG: &str = "
    select pg_catalog.set_config('log_error_verbosity', 'terse', false)
     where pg_catalog.current_setting('is_superuser') operator(pg_catalog.=) 'on'";

/// Undoes the pinned settings of a session, for statements that somebody else wrote: they run with those that the server,
/// the role and the database say, as under psql. How their strings are read is what split them, that their
/// commits last is our promise, and neither locks nor the log are theirs.
pub(super) fn as_the_server_says() -> String {
    format!(
        "reset all; set standard_conforming_strings = on; set synchronous_commit = on;{WATCHED};{SHORT_LOG}"
    )
}

/// How long saying goodbye may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// A connection. Dropping it closes it.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
    pid: i32,
    endpoint: Endpoint,
    application: String,
    warnings: Warnings,
}

impl Session {
    /// Connects to `endpoint` and pins the session's settings. `application` becomes
    /// `application_name`. All of it takes no longer than the endpoint's `connect_timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`](crate::ErrorKind::Unreachable): the server cannot be reached,
    /// does not prove what `sslmode` asks, or turned the role away. A certificate or key that
    /// cannot be used. A name of a database or role that the server would cut.
    pub async fn open(endpoint: &Endpoint, application: &str) -> Result<Self> {
        let opening = Self::open_at_leisure(endpoint, application);
        let opened = tokio::time::timeout(endpoint.connect_timeout, opening)
            .await
            .unwrap_or_else(|_| Err(connect_timeout(endpoint)));
        match opened {
            Err(e) => Err(with_end_of_way(endpoint, e).await),
            opened => opened,
        }
    }

    async fn open_at_leisure(endpoint: &Endpoint, application: &str) -> Result<Self> {
        // The server cuts longer names in silence, and what is left may name another database.
        for name in [&endpoint.database, &endpoint.user] {
            ident(name)?;
        }
        let mut config = config(endpoint, application);
        let failed = |e: tokio_postgres::Error| connect_error(endpoint, &e);
        let warnings = Warnings::default();
        let (protection, logins) = (Protection::of(endpoint)?, logins(endpoint));
        let wire = dial(endpoint).await?;
        let sealed = |mut tls: MakeRustlsConnect| {
            let host = endpoint.host.to_string();
            let made = MakeTlsConnect::<Watched<Wire>>::make_tls_connect(&mut tls, &host);
            let watch = Watch::messages(logins);
            made.map(|tls| WatchedTls { tls, watch })
                .map_err(|e| Error::internal("there is no connector for TLS").caused_by(e))
        };
        let (client, driver) = match protection {
            Protection::Plain => {
                let wire = Watched::new(wire, Some(Watch::messages(logins)));
                let plain = config.ssl_mode(SslMode::Disable);
                let plain = plain.connect_raw(wire, NoTls).await;
                plain.map(|(client, connection)| (client, drive(connection, &warnings)))
            }
            Protection::IfOffered(tls) => {
                let wire = Watched::new(wire, Some(Watch::tls_answer(logins)));
                let open = config.ssl_mode(SslMode::Prefer);
                let open = open.connect_raw(wire, sealed(tls)?).await;
                open.map(|(client, connection)| (client, drive(connection, &warnings)))
            }
            Protection::Tls(tls) => {
                let wire = Watched::new(wire, None);
                let closed = config.ssl_mode(SslMode::Require);
                let closed = closed.connect_raw(wire, sealed(tls)?).await;
                closed.map(|(client, connection)| (client, drive(connection, &warnings)))
            }
        }
        .map_err(failed)?;
        // In one go; the server takes them in this order.
        let settings = format!("{PINNED};{WATCHED};{SHORT_LOG}");
        let ((), pid) = tokio::try_join!(client.batch_execute(&settings), serving_pid(&client))
            .map_err(failed)?;
        let pid =
            pid.ok_or_else(|| Error::internal("the server does not say which process serves us"))?;
        Ok(Self {
            client,
            driver: driver.detach(),
            pid,
            endpoint: endpoint.clone(),
            application: application.to_owned(),
            warnings,
        })
    }

    /// Another connection like this one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_another(&self) -> Result<Self> {
        Self::open(&self.endpoint, &self.application).await
    }

    /// Connects to the database `db` on the server of `endpoint`, by the name it had when it was
    /// looked at, and makes sure that it is still that one.
    ///
    /// # Errors
    /// A refusal if the server or the database under that name is another one; the server cannot
    /// be reached.
    pub async fn open_at(endpoint: &Endpoint, db: &Identity, ctx: &Ctx) -> Result<Self> {
        let session = Self::open(&endpoint.with_database(&db.name), &application(ctx)).await?;
        let (oid, here) = tokio::try_join!(place::oid_here(&session, db), session.oid_inside(db))?;
        if here == oid {
            return Ok(session);
        }
        Err(Error::refused(format!(
            "the database named {:?} has oid {here} now, so it is not {db}",
            db.name
        )))
    }

    /// The oid of the database that the session is in; `db` is the one that is expected.
    async fn oid_inside(&self, db: &Identity) -> Result<u32> {
        self.query_one(
            "select oid from pg_catalog.pg_database
              where datname operator(pg_catalog.=) pg_catalog.current_database()",
            &[],
        )
        .await
        .map(|row| row.get(0))
        .map_err(|e| server_error(format!("could not identify {db}"), e))
    }

    /// From now on the server refuses whatever would write in this session's database, whoever
    /// wrote the function that tries.
    ///
    /// # Errors
    /// The server failed.
    pub async fn only_read(self) -> Result<Self> {
        // https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-DEFAULT-TRANSACTION-READ-ONLY
        let set = "set default_transaction_read_only = on";
        match self.batch_execute(set).await {
            Ok(()) => Ok(self),
            Err(e) => Err(server_error("could not make a session read-only", e)),
        }
    }

    /// The process id of the server's side of the connection.
    pub fn backend_pid(&self) -> i32 {
        self.pid
    }

    /// From now on `taker` is given the message of each warning that the server sends, before
    /// the answer to the statement that caused it. It must not block.
    pub fn on_warning(&self, taker: impl Fn(&str) + Send + 'static) {
        self.warnings.give_to(Box::new(taker));
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

fn config(endpoint: &Endpoint, application: &str) -> Config {
    let mut config = Config::new();
    if let Some(password) = endpoint.password() {
        config.password(password.expose());
    }
    if endpoint.require_channel_binding {
        config.channel_binding(ChannelBinding::Require);
    }
    let options = endpoint.options();
    let secret = endpoint.hidden_options();
    if options.is_some() || secret.is_some() {
        let secret = secret.as_ref().map(Secret::expose);
        let all: Vec<&str> = options.as_deref().into_iter().chain(secret).collect();
        config.options(all.join(" "));
    }
    config
        .user(&endpoint.user)
        .dbname(&endpoint.database)
        .application_name(application);
    config
}

/// The process of the server that runs this statement. The simple protocol leaves no prepared
/// statement behind, which behind a pooler would not be found again.
pub(super) async fn serving_pid(client: &Client) -> Result<Option<i32>, tokio_postgres::Error> {
    let answer = client
        .simple_query("select pg_catalog.pg_backend_pid()")
        .await?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    }))
}

/// Lets the connection's traffic flow, until its client is dropped or the handle is.
fn drive<W, S>(connection: Connection<W, S>, warnings: &Warnings) -> AbortOnDropHandle<()>
where
    W: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    AbortOnDropHandle::new(tokio::spawn(flow(connection, warnings.clone())))
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

#[cfg(test)]
mod tests;
