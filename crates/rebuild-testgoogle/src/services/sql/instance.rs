//! An instance, and how one comes to be.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use serde_json::{Value, json};
use uuid::Uuid;

use super::machine::{Content, Machine};
use super::{Sql, resource};
use crate::operations::Operation;
use crate::postgres::{Authority, Home, Programs, Settings};
use crate::state::lock;

/// An instance: what the API says of it, and its machine. A replica has none.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) region: String,
    resource: Mutex<Value>,
    machine: OnceLock<Machine>,
    /// How its server looks at tokens.
    token_method: String,
    /// What makes it, if a call asked for it.
    maker: OnceLock<Arc<Operation>>,
}

/// An instance as it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) project: String,
    pub(crate) region: String,
    pub(crate) name: String,
    /// As the body of `sql.instances.insert` has them.
    pub(crate) settings: Value,
    pub(crate) major: Option<u32>,
    pub(crate) password: Option<String>,
}

impl Instance {
    pub(super) fn new(order: &Order, programs: &Programs, token_method: String) -> Self {
        Self {
            project: order.project.clone(),
            name: order.name.clone(),
            region: order.region.clone(),
            resource: Mutex::new(resource::new(order, programs)),
            machine: OnceLock::new(),
            token_method,
            maker: OnceLock::new(),
        }
    }

    pub(super) fn replica(of: &Self, name: &str) -> Self {
        Self {
            project: of.project.clone(),
            name: name.to_owned(),
            region: of.region.clone(),
            resource: Mutex::new(resource::replica(&of.resource(), name)),
            machine: OnceLock::new(),
            token_method: of.token_method.clone(),
            maker: OnceLock::new(),
        }
    }

    pub(super) fn resource(&self) -> MutexGuard<'_, Value> {
        lock(&self.resource)
    }

    pub(crate) fn machine(&self) -> Option<&Machine> {
        self.machine.get()
    }

    pub(super) fn made_by(&self, operation: &Arc<Operation>) {
        let _ = self.maker.set(operation.clone());
    }

    /// The operation that makes it, while and after it does.
    pub(super) fn maker(&self) -> Option<&Arc<Operation>> {
        self.maker.get()
    }

    /// `PROJECT:REGION:INSTANCE`
    pub(crate) fn connection_name(&self) -> String {
        format!("{}:{}:{}", self.project, self.region, self.name)
    }

    /// Such as `POSTGRES_15`.
    pub(crate) fn version(&self) -> String {
        let resource = self.resource();
        let version = resource["databaseVersion"].as_str();
        version.unwrap_or_default().to_owned()
    }

    pub(crate) fn service_account(&self) -> String {
        let resource = self.resource();
        let account = resource["serviceAccountEmailAddress"].as_str();
        account.unwrap_or_default().to_owned()
    }

    /// Its name in DNS, as certificates have it: without the dot at the end.
    fn dns_name(&self) -> String {
        let resource = self.resource();
        let name = resource["dnsName"].as_str().unwrap_or_default();
        name.trim_end_matches('.').to_owned()
    }

    pub(super) fn replicas(&self) -> Vec<String> {
        let resource = self.resource();
        let names = resource["replicaNames"].as_array().into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    }

    /// How its server is started.
    pub(super) fn settings(&self) -> Settings {
        let resource = self.resource();
        let settings = &resource["settings"];
        let flags = settings["databaseFlags"].as_array().into_iter().flatten();
        let text = |flag: &Value, name: &str| Some(flag[name].as_str()?.to_owned());
        let flags = flags.filter_map(|flag| Some((text(flag, "name")?, text(flag, "value")?)));
        let ip = &settings["ipConfiguration"];
        let modes = ["ENCRYPTED_ONLY", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"];
        let mode = ip["sslMode"].as_str().unwrap_or_default();
        Settings {
            flags: flags.collect(),
            only_tls: modes.contains(&mode) || ip["requireSsl"] == true,
            token_method: self.token_method.clone(),
        }
    }
}

impl Sql {
    /// The programs for an order.
    pub(crate) async fn programs(&self, order: &Order) -> io::Result<Programs> {
        Programs::find(order.major).await
    }

    /// Writes an instance down that has no machine yet.
    pub(crate) fn add(&self, order: &Order, programs: &Programs) -> Arc<Instance> {
        let token_method = self.state.logins.method();
        let instance = Arc::new(Instance::new(order, programs, token_method));
        let key = (order.project.clone(), order.name.clone());
        self.all().insert(key, instance.clone());
        instance
    }

    /// Gives an instance its machine.
    pub(super) async fn build(
        &self,
        instance: &Instance,
        programs: Programs,
        content: Content<'_>,
    ) -> io::Result<()> {
        let socket = self
            .state
            .home
            .path()
            .join("cloudsql")
            .join(instance.connection_name());
        let folder = self
            .state
            .files()
            .join(format!("pg-{}", &Uuid::new_v4().simple().to_string()[..8]));
        let home = Home::new(folder, socket)?;
        let dns_name = instance.dns_name();
        let name = format!("{}:{}", instance.project, instance.name);
        let authority = Authority::new(&name, &dns_name)?;
        let certificate = resource::certificate(&instance.name, &authority.certificate);
        let password = &self.admin_password;
        let settings = instance.settings();
        let machine = Machine::new(programs, home, authority, password, &settings, content).await?;
        let _ = instance.machine.set(machine);
        let mut resource = instance.resource();
        resource["serverCaCert"] = certificate;
        resource["ipAddresses"] = resource::addresses(&resource);
        resource["state"] = json!("RUNNABLE");
        Ok(())
    }

    /// Makes an instance at once, as a test wants it.
    pub(crate) async fn make(&self, order: &Order) -> io::Result<Arc<Instance>> {
        let programs = self.programs(order).await?;
        let instance = self.add(order, &programs);
        let content = Content::New(order.password.as_deref());
        self.build(&instance, programs, content).await?;
        Ok(instance)
    }

    /// Writes a replica down, beside its primary instance.
    pub(crate) fn add_replica(&self, of: &Instance, name: &str) {
        let replica = Arc::new(Instance::replica(of, name));
        let key = (of.project.clone(), name.to_owned());
        self.all().insert(key, replica);
        let mut names = of.replicas();
        names.push(name.to_owned());
        of.resource()["replicaNames"] = json!(names);
    }
}
