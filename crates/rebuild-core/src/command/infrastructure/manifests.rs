//! The objects of a Kubernetes manifest, and how two manifests differ.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::data;
use crate::error::{Error, ErrorKind, Result};
use crate::model::infrastructure::{Action, Change};

/// The annotation by which a chart keeps helm from deleting an object.
const POLICY: &str = "/metadata/annotations/helm.sh~1resource-policy";

/// One object of a manifest is the same as one of another if these are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Its kind and API group, as kubectl writes them: `StatefulSet.apps`.
    kind: String,
    /// The namespace that the manifest names, if it does.
    namespace: String,
    name: String,
}

impl Key {
    /// True if it is the key of `object`, which a cluster has given a namespace if it needs one.
    pub(super) fn is_of(&self, object: &Value) -> bool {
        key(object).is_some_and(|there| {
            let elsewhere = !self.namespace.is_empty() && self.namespace != there.namespace;
            self.kind == there.kind && self.name == there.name && !elsewhere
        })
    }

    /// The kind and the name; the namespace where the manifest names one.
    pub(super) fn address(&self) -> String {
        match self.namespace.as_str() {
            "" => format!("{} {}", self.kind, self.name),
            namespace => format!("{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// The objects of a manifest.
pub(super) type Objects = BTreeMap<Key, Value>;

/// Reads a manifest of many documents.
///
/// # Errors
/// It is no YAML, or a document is no object of Kubernetes.
pub(super) fn read(what: &str, text: &str) -> Result<Objects> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|_| {
        // The parser's message quotes the text, which may hold secrets.
        Error::new(
            ErrorKind::Program,
            format!("{what} is no YAML that is understood"),
        )
    })?;
    let documents = documents.into_iter().filter(|d| !d.is_null());
    documents
        .map(|document| {
            let key = key(&document).ok_or_else(|| {
                Error::new(
                    ErrorKind::Program,
                    format!("{what} has a document without apiVersion, kind or name"),
                )
            })?;
            Ok((key, document))
        })
        .collect()
}

fn key(document: &Value) -> Option<Key> {
    let text = |pointer| document.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind")?;
    let group = text("/apiVersion")?.split_once('/').map(|(group, _)| group);
    Some(Key {
        kind: group.map_or_else(|| kind.to_owned(), |group| format!("{kind}.{group}")),
        namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
        name: text("/metadata/name")?.to_owned(),
    })
}

/// What it takes to get from `old` to `new`, in the order of addresses: the changes, their values for
/// the digest, and how many objects stay as they are. With `incomplete` (why), objects that are
/// the same in both are updated all the same.
pub(super) fn compare(
    old: &Objects,
    new: &Objects,
    incomplete: Option<&str>,
) -> (Vec<Change>, Vec<Value>, usize) {
    let mut keys: Vec<&Key> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let (mut changes, mut values, mut unchanged) = (Vec::new(), Vec::new(), 0);
    for key in keys {
        let (before, after) = (old.get(key), new.get(key));
        let (action, why) = match (before, after) {
            (None, _) => (Action::Create, None),
            (Some(before), None) if is_kept(before) => (Action::Forget, Some("kept by its policy")),
            (Some(_), None) => (Action::Delete, None),
            (Some(before), Some(after)) if before != after => (Action::Update, None),
            _ if incomplete.is_some() => (Action::Update, incomplete),
            _ => {
                unchanged += 1;
                continue;
            }
        };
        let mut change = data::change(key.address(), key.kind.clone(), action);
        change.why = why.map(ToOwned::to_owned);
        values.push(json!([&change, before, after]));
        changes.push(change);
    }
    (changes, values, unchanged)
}

/// Helm leaves such an object where it is: <https://helm.sh/docs/howto/charts_tips_and_tricks/>.
fn is_kept(object: &Value) -> bool {
    object.pointer(POLICY).and_then(Value::as_str) == Some("keep")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "---
# Source: app/templates/a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: '1'}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: kept
  namespace: other
  annotations: {helm.sh/resource-policy: keep}
---
apiVersion: v1
kind: Service
metadata: {name: db}
";

    const NEW: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: '2'}
---
---
apiVersion: v1
kind: Service
metadata: {name: db}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
";

    fn lines(old: &str, new: &str, incomplete: Option<&str>) -> (Vec<String>, usize) {
        let (old, new) = (
            read("old", old).expect("old"),
            read("new", new).expect("new"),
        );
        let (changes, values, unchanged) = compare(&old, &new, incomplete);
        assert_eq!(changes.len(), values.len());
        (changes.iter().map(ToString::to_string).collect(), unchanged)
    }

    #[test]
    fn manifests_are_compared_by_object() {
        let expected = [
            "update ConfigMap settings",
            "forget PersistentVolumeClaim other/kept (kept by its policy)",
            "create Secret login",
            "delete StatefulSet.apps db",
        ];
        let (changes, unchanged) = lines(OLD, NEW, None);
        assert_eq!(
            (changes.as_slice(), unchanged),
            (expected.map(str::to_owned).as_slice(), 1)
        );
        assert_eq!(lines(OLD, OLD, None), (Vec::new(), 4));
        let (changes, unchanged) = lines(NEW, NEW, Some("revision 2 failed"));
        assert_eq!((changes.len(), unchanged), (3, 0));
        assert_eq!(changes[2], "update Service db (revision 2 failed)");
    }

    #[test]
    fn what_is_no_manifest_is_an_error_that_quotes_nothing() {
        for text in ["a: [hunter2", "hunter2", "kind: Secret\ndata: hunter2"] {
            let error = read("the manifest", text).expect_err(text);
            assert!(!error.chain().contains("hunter2"), "{error:?}");
        }
        assert!(read("nothing", "").expect("nothing").is_empty());
    }
}
