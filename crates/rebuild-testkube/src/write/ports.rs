//! Node ports of Services: numbers that only one Service of the cluster can have.
//! See <https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport>.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::object::{items, name, namespace, number, text};
use crate::resources::{Resource, SERVICES};
use crate::status::{ApiError, Result};
use crate::store::Store;

const FIRST: i64 = 30_000;
const LAST: i64 = 32_767;

/// Gives a port of each node to every port of a Service of such a type that names none.
///
/// # Errors
/// The Service names one that is another Service's, or none that could be given.
pub(super) fn allocate(store: &Store, resource: &'static Resource, new: &mut Value) -> Result<()> {
    if resource != &SERVICES || !matches!(text(new, "/spec/type"), "NodePort" | "LoadBalancer") {
        return Ok(());
    }
    let mut taken = taken(store, new);
    let service = name(new).to_owned();
    let ports = new["spec"]["ports"].as_array_mut().into_iter().flatten();
    for (at, port) in ports.enumerate() {
        let invalid = |wanted: i64, why: &str| {
            let field = format!("spec.ports[{at}].nodePort");
            let why = format!("Invalid value: {wanted}: {why}");
            ApiError::invalid(resource, &service, &field, &why)
        };
        match number(port, "/nodePort") {
            Some(wanted) if !(FIRST..=LAST).contains(&wanted) => {
                let why = format!(
                    "provided port is not in the valid range. The range of valid ports is \
                     {FIRST}-{LAST}"
                );
                return Err(invalid(wanted, &why));
            }
            Some(wanted) if !taken.insert(wanted) => {
                return Err(invalid(wanted, "provided port is already allocated"));
            }
            Some(_) => {}
            None => {
                let free = (FIRST..=LAST).find(|port| !taken.contains(port));
                let free = free.ok_or_else(|| invalid(0, "range is full"))?;
                taken.insert(free);
                port["nodePort"] = json!(free);
            }
        }
    }
    Ok(())
}

/// The node ports of all Services but this one.
fn taken(store: &Store, but: &Value) -> BTreeSet<i64> {
    let services = store.list(&SERVICES, None).map(|(_, service)| service);
    let others =
        services.filter(|other| (namespace(other), name(other)) != (namespace(but), name(but)));
    let ports = others.flat_map(|other| items(other, "/spec/ports"));
    ports.filter_map(|port| number(port, "/nodePort")).collect()
}
