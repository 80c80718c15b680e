//! What a container finds around it: variables and mounted folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::object::{flag, items, name, namespace, text};
use crate::resources::{CLAIMS, CONFIGMAPS, Resource, SECRETS, VOLUMES};
use crate::store::{Key, Store};

/// The variables of a container with all references resolved.
///
/// # Errors
/// Something referred to is missing; the text is what the kubelet says.
pub(super) fn variables(
    store: &Store,
    pod: &Value,
    container: &Value,
) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for source in items(container, "/envFrom") {
        let prefix = text(source, "/prefix");
        for (field, resource) in [("secretRef", &SECRETS), ("configMapRef", &CONFIGMAPS)] {
            let reference = &source[field];
            if reference.is_null() {
                continue;
            }
            match data_of(store, resource, namespace(pod), text(reference, "/name")) {
                Ok(data) => {
                    for (key, value) in data {
                        let value = String::from_utf8_lossy(&value).into_owned();
                        variables.insert(format!("{prefix}{key}"), value);
                    }
                }
                Err(_) if flag(reference, "/optional") => {}
                Err(missing) => return Err(missing),
            }
        }
    }
    for variable in items(container, "/env") {
        let value = if variable["valueFrom"].is_object() {
            match referred(store, pod, &variable["valueFrom"])? {
                Some(value) => value,
                None => continue,
            }
        } else {
            expand(text(variable, "/value"), &variables)
        };
        variables.insert(name_of(variable), value);
    }
    Ok(variables)
}

fn name_of(object: &Value) -> String {
    text(object, "/name").to_owned()
}

/// What `valueFrom` refers to; nothing if it is optional and missing.
fn referred(store: &Store, pod: &Value, source: &Value) -> Result<Option<String>, String> {
    for (field, resource) in [("secretKeyRef", &SECRETS), ("configMapKeyRef", &CONFIGMAPS)] {
        let reference = &source[field];
        if reference.is_null() {
            continue;
        }
        let (object, key) = (text(reference, "/name"), text(reference, "/key"));
        let value = data_of(store, resource, namespace(pod), object).and_then(|data| {
            let value = data.get(key).cloned();
            let kind = resource.kind;
            value.ok_or_else(|| {
                format!(
                    "couldn't find key {key} in {kind} {}/{object}",
                    namespace(pod)
                )
            })
        });
        return match value {
            Ok(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
            Err(_) if flag(reference, "/optional") => Ok(None),
            Err(missing) => Err(missing),
        };
    }
    let path = text(source, "/fieldRef/fieldPath");
    Ok(Some(field_of(pod, path)))
}

/// A field of the pod, such as `metadata.name` or `metadata.labels['app']`.
fn field_of(pod: &Value, path: &str) -> String {
    if let Some((map, key)) = path.split_once("['") {
        let map = pod.pointer(&format!("/{}", map.replace('.', "/")));
        let key = key.trim_end_matches("']");
        let value = map.and_then(|map| map.get(key)).and_then(Value::as_str);
        return value.unwrap_or_default().to_owned();
    }
    text(pod, &format!("/{}", path.replace('.', "/"))).to_owned()
}

/// Puts variables in the place of `$(NAME)`; `$$` is a dollar, and what is not known stays.
pub(super) fn expand(input: &str, variables: &BTreeMap<String, String>) -> String {
    let mut output = String::new();
    let mut rest = input;
    while let Some(at) = rest.find('$') {
        output.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            output.push('$');
            rest = after;
            continue;
        }
        let reference = rest.strip_prefix("$(").and_then(|it| it.split_once(')'));
        match reference.and_then(|(name, after)| Some((variables.get(name)?, after))) {
            Some((value, after)) => {
                output.push_str(value);
                rest = after;
            }
            None => {
                output.push('$');
                rest = &rest[1..];
            }
        }
    }
    output + rest
}

/// What a Secret or a ConfigMap holds.
fn data_of(
    store: &Store,
    resource: &'static Resource,
    namespace: &str,
    name: &str,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let object = store.get(&Key::new(resource, namespace, name));
    let object = object.ok_or_else(|| {
        let kind = resource.kind.to_lowercase();
        format!("{kind} \"{name}\" not found")
    })?;
    let mut data = BTreeMap::new();
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let bytes = if resource == &SECRETS {
            STANDARD.decode(value).unwrap_or_default()
        } else {
            value.as_bytes().to_vec()
        };
        data.insert(key.clone(), bytes);
    }
    Ok(data)
}

/// Makes the folders of a pod's volumes below `home`, and gives them by the volumes' names.
///
/// # Errors
/// A volume cannot be mounted yet; the text is what the kubelet says.
pub(super) fn volumes(
    store: &Store,
    pod: &Value,
    home: &Path,
) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut folders = BTreeMap::new();
    for volume in items(pod, "/spec/volumes") {
        let folder = folder_of(store, pod, volume, home).map_err(|why| {
            format!(
                "MountVolume.SetUp failed for volume \"{}\" : {why}",
                name_of(volume)
            )
        })?;
        folders.insert(name_of(volume), folder);
    }
    Ok(folders)
}

fn folder_of(store: &Store, pod: &Value, volume: &Value, home: &Path) -> Result<PathBuf, String> {
    let claim = text(volume, "/persistentVolumeClaim/claimName");
    if !claim.is_empty() {
        return folder_of_claim(store, namespace(pod), claim);
    }
    let path = text(volume, "/hostPath/path");
    if !path.is_empty() {
        return Ok(path.into());
    }
    let folder = home.join(name_of(volume));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let sources = [
        (&volume["secret"], "/secretName", &SECRETS),
        (&volume["configMap"], "/name", &CONFIGMAPS),
    ];
    for (source, name, resource) in sources {
        if source.is_object() {
            match data_of(store, resource, namespace(pod), text(source, name)) {
                Ok(data) => write_files(&folder, &data, items(source, "/items"))?,
                Err(_) if flag(source, "/optional") => {}
                Err(missing) => return Err(missing),
            }
        }
    }
    Ok(folder)
}

fn write_files(
    folder: &Path,
    data: &BTreeMap<String, Vec<u8>>,
    chosen: &[Value],
) -> Result<(), String> {
    for (key, value) in data {
        let item = chosen.iter().find(|item| text(item, "/key") == key);
        let file = match item {
            Some(item) => text(item, "/path"),
            None if chosen.is_empty() => key,
            None => continue,
        };
        std::fs::write(folder.join(file), value).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn folder_of_claim(store: &Store, namespace: &str, claim: &str) -> Result<PathBuf, String> {
    let found = store.get(&Key::new(&CLAIMS, namespace, claim));
    let found = found.ok_or_else(|| format!("persistentvolumeclaim \"{claim}\" not found"))?;
    let volume = text(found, "/spec/volumeName");
    let volume = store.get(&Key::new(&VOLUMES, "", volume));
    let volume = volume.ok_or_else(|| format!("persistentvolumeclaim \"{claim}\" is not bound"))?;
    let path = ["/spec/hostPath/path", "/spec/local/path"].map(|at| text(volume, at));
    let path = path.into_iter().find(|path| !path.is_empty());
    let path = path.ok_or_else(|| format!("volume \"{}\" has no folder", name(volume)))?;
    std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::expand;

    #[test]
    fn known_variables_are_expanded_and_the_rest_stays() {
        let known = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(expand("x$(A)y $(B) $$(A) $", &known), "x1y $(B) $(A) $");
    }
}
