//! What connectors ask before they connect.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Sql;
use crate::call::{Call, Result};
use crate::state::State;

pub(super) fn register(state: &Arc<State>, sql: &Arc<Sql>) {
    state.registry.on("sql.connect.get", sql, get);
}

async fn get(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let resource = instance.resource();
    let mut settings = json!({
        "kind": "sql#connectSettings",
        "serverCaMode": resource["settings"]["ipConfiguration"]["serverCaMode"],
    });
    for name in [
        "backendType",
        "connectionName",
        "databaseVersion",
        "dnsName",
        "ipAddresses",
        "region",
        "serverCaCert",
    ] {
        if resource[name] != Value::Null {
            settings[name] = resource[name].clone();
        }
    }
    Ok(settings.into())
}
