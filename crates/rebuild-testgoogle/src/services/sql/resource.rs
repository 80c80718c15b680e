//! What the API says of an instance.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::instance::{Instance, Order};
use crate::clock;
use crate::postgres::Programs;

/// A new instance. What the order does not say is as Google has it by default.
pub(super) fn new(order: &Order, programs: &Programs) -> Value {
    let (project, name, region) = (&order.project, &order.name, &order.region);
    let mut settings = json!({
        "kind": "sql#settings", "settingsVersion": "1", "tier": "db-custom-1-3840",
        "edition": "ENTERPRISE", "activationPolicy": "ALWAYS", "availabilityType": "ZONAL",
        "pricingPlan": "PER_USE", "replicationType": "SYNCHRONOUS", "dataDiskSizeGb": "10",
        "dataDiskType": "PD_SSD", "storageAutoResize": true, "storageAutoResizeLimit": "0",
        "deletionProtectionEnabled": false, "connectorEnforcement": "NOT_REQUIRED",
        "backupConfiguration": {
            "kind": "sql#backupConfiguration", "enabled": false, "startTime": "03:00",
        },
        "ipConfiguration": {
            "ipv4Enabled": true, "requireSsl": false,
            "sslMode": "ALLOW_UNENCRYPTED_AND_ENCRYPTED",
            "serverCaMode": "GOOGLE_MANAGED_INTERNAL_CA",
        },
    });
    merge(&mut settings, &order.settings);
    let account = &Uuid::new_v4().simple().to_string()[..6];
    let version = format!("POSTGRES_{}", programs.major);
    json!({
        "kind": "sql#instance", "name": name, "project": project, "region": region,
        "gceZone": format!("{region}-b"), "state": "PENDING_CREATE", "settings": settings,
        "connectionName": format!("{project}:{region}:{name}"), "backendType": "SECOND_GEN",
        "instanceType": "CLOUD_SQL_INSTANCE", "databaseVersion": version,
        "databaseInstalledVersion": format!("{version}_{}", minor(&programs.version)),
        "serviceAccountEmailAddress":
            format!("p123456789012-{account}@gcp-sa-cloud-sql.iam.gserviceaccount.com"),
        "dnsName": format!("{}.{region}.sql.goog.", &Uuid::new_v4().simple().to_string()[..12]),
        "createTime": clock::format(Timestamp::now()), "etag": etag(),
    })
}

fn minor(version: &str) -> &str {
    version.split_once('.').map_or("0", |(_, minor)| minor)
}

/// A replica of an instance.
pub(super) fn replica(primary: &Value, name: &str) -> Value {
    let mut replica = primary.clone();
    let project = primary["project"].as_str().unwrap_or_default();
    let region = primary["region"].as_str().unwrap_or_default();
    replica["name"] = json!(name);
    replica["connectionName"] = json!(format!("{project}:{region}:{name}"));
    replica["instanceType"] = json!("READ_REPLICA_INSTANCE");
    replica["masterInstanceName"] = json!(format!("{project}:{}", text(primary, "name")));
    replica["etag"] = json!(etag());
    if let Some(fields) = replica.as_object_mut() {
        fields.remove("replicaNames");
    }
    replica
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Where its server is: at an address that everybody sees, at one of a network of its own, or both.
pub(super) fn addresses(instance: &Value) -> Value {
    let ip = &instance["settings"]["ipConfiguration"];
    let public = (ip["ipv4Enabled"] != false).then_some("PRIMARY");
    let network = ip["privateNetwork"].as_str().unwrap_or_default();
    let private = (!network.is_empty()).then_some("PRIVATE");
    let address = |kind| json!({"type": kind, "ipAddress": "127.0.0.1"});
    [public, private]
        .into_iter()
        .flatten()
        .map(address)
        .collect()
}

pub(super) fn etag() -> String {
    Uuid::new_v4().simple().to_string()
}

/// The certificate that clients verify the server with.
pub(super) fn certificate(instance: &str, text: &str) -> Value {
    let now = Timestamp::now();
    let expires = now
        .checked_add(jiff::Span::new().hours(24 * 365))
        .unwrap_or(now);
    json!({
        "kind": "sql#sslCert", "instance": instance, "cert": text, "certSerialNumber": "0",
        "commonName": "Google Cloud SQL Server CA", "sha1Fingerprint": etag(),
        "createTime": clock::format(now), "expirationTime": clock::format(expires),
    })
}

/// Changes what a patch names: objects field by field, everything else as a whole.
pub(super) fn merge(value: &mut Value, patch: &Value) {
    match (value, patch) {
        (Value::Object(fields), Value::Object(patch)) => {
            for (name, patch) in patch {
                if patch.is_null() {
                    fields.remove(name);
                } else {
                    merge(fields.entry(name.clone()).or_insert(Value::Null), patch);
                }
            }
        }
        (Value::Null, Value::Null) => {}
        (value, patch) => *value = patch.clone(),
    }
}

/// The instance as an answer has it.
pub(super) fn render(instance: &Instance, base: &str) -> Value {
    let mut resource = instance.resource().clone();
    let (project, name) = (&instance.project, &instance.name);
    resource["selfLink"] = json!(format!("{base}/projects/{project}/instances/{name}"));
    if let Some(failed) = instance.maker().and_then(|maker| maker.outcome())
        && failed.is_err()
    {
        resource["state"] = json!("FAILED");
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_names() {
        let mut value = json!({"a": {"b": 1, "c": 2}, "d": [1, 2], "e": 1});
        merge(&mut value, &json!({"a": {"b": 3}, "d": [4], "e": null}));
        assert_eq!(value, json!({"a": {"b": 3, "c": 2}, "d": [4]}));
    }
}
