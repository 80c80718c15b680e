//! An instance of Cloud SQL as a test holds it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::google::Google;
use crate::services::{Instance, Order, Sql};

/// An instance that is to be made. [`NewInstance::create`] makes it.
#[must_use = "nothing is made before create"]
pub struct NewInstance<'a> {
    sql: &'a Arc<Sql>,
    order: Order,
    replicas: Vec<String>,
}

/// An instance of Cloud SQL with its server.
#[derive(Debug, Clone)]
pub struct SqlInstance(Arc<Instance>);

impl Google {
    /// An instance that is to be made, past authorisation, faults and the list of requests.
    pub fn instance(&self, project: &str, region: &str, name: &str) -> NewInstance<'_> {
        NewInstance {
            sql: &self.services.sql,
            order: Order {
                project: project.to_owned(),
                region: region.to_owned(),
                name: name.to_owned(),
                settings: json!({}),
                major: None,
                password: None,
            },
            replicas: Vec::new(),
        }
    }

    /// An instance that is there and has a server.
    pub fn sql_instance(&self, project: &str, name: &str) -> Option<SqlInstance> {
        let found = self.services.sql.find(project, name)?;
        found.machine().is_some().then_some(SqlInstance(found))
    }

    /// The folder with a folder `PROJECT:REGION:INSTANCE` for each instance, and the socket
    /// `.s.PGSQL.5432` in that, as connectors make them.
    pub fn socket_folder(&self) -> PathBuf {
        self.state.home.path().join("cloudsql")
    }
}

impl NewInstance<'_> {
    /// The password of the user `postgres`, who cannot log in without one.
    pub fn password(mut self, password: &str) -> Self {
        self.order.password = Some(password.to_owned());
        self
    }

    /// The major version of PostgreSQL; otherwise it is the newest that is installed.
    pub fn version(mut self, major: u32) -> Self {
        self.order.major = Some(major);
        self
    }

    /// It cannot be deleted until that is allowed.
    pub fn deletion_protection(mut self) -> Self {
        self.order.settings["deletionProtectionEnabled"] = json!(true);
        self
    }

    /// A setting of the server.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        let flags = &mut self.order.settings["databaseFlags"];
        let mut all = flags.as_array().cloned().unwrap_or_default();
        all.push(json!({"name": name, "value": value}));
        *flags = all.into();
        self
    }

    /// Any field of its settings, as the API has it.
    pub fn setting(mut self, name: &str, value: Value) -> Self {
        self.order.settings[name] = value;
        self
    }

    /// A read replica beside it. It is shown, and stands in the way, but has no server.
    pub fn replica(mut self, name: &str) -> Self {
        self.replicas.push(name.to_owned());
        self
    }

    /// Makes it, and starts its server.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or its server cannot be made or started.
    pub async fn create(self) -> io::Result<SqlInstance> {
        let instance = self.sql.make(&self.order).await?;
        for replica in &self.replicas {
            self.sql.add_replica(&instance, replica);
        }
        Ok(SqlInstance(instance))
    }
}

impl SqlInstance {
    /// `PROJECT:REGION:INSTANCE`
    pub fn connection_name(&self) -> String {
        self.0.connection_name()
    }

    /// Its version as the API writes it, for example `POSTGRES_15`.
    pub fn version(&self) -> String {
        self.0.version()
    }

    /// The folder with its socket `.s.PGSQL.5432`.
    pub fn socket_folder(&self) -> PathBuf {
        self.machine().home.socket().to_owned()
    }

    /// The port of 127.0.0.1 where it takes connections with TLS and without.
    pub fn port(&self) -> u16 {
        self.machine().port()
    }

    /// The certificate of the authority that signed its server's, as PEM.
    pub fn server_ca(&self) -> &str {
        &self.machine().authority.certificate
    }

    /// The email of its own account, which must be let into buckets.
    pub fn service_account(&self) -> String {
        self.0.service_account()
    }

    /// Where a user gets into a database: a URL with the socket's folder as the host.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        let folder = self.socket_folder();
        let folder = folder.to_string_lossy();
        let escape = |text: &str| {
            let escaped = url::form_urlencoded::byte_serialize(text.as_bytes());
            escaped.collect::<String>().replace('+', "%20")
        };
        format!(
            "postgresql://{}:{}@{}/{}",
            escape(user),
            escape(password),
            escape(&folder),
            escape(database)
        )
    }

    /// The same for the superuser, whom the managed service lets nobody be: for assertions alone.
    pub fn superuser_url(&self, database: &str) -> String {
        self.url("cloudsqladmin", self.machine().password(), database)
    }

    fn machine(&self) -> &crate::services::Machine {
        self.0
            .machine()
            .expect("an instance that was made has a machine")
    }
}
