//! From a request's method and path to the method of an API.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::documents::{Catalog, Document};
use super::template::Template;

/// A method of an API.
#[derive(Debug)]
pub(crate) struct Method {
    /// Its id, such as `sql.backupRuns.insert`. It is the same in all versions of an API.
    pub(crate) id: String,
    pub(crate) document: Arc<Document>,
    /// What the document says of it.
    pub(crate) definition: Value,
    http: String,
    template: Template,
    upload: Option<Template>,
}

impl Method {
    fn new(document: &Arc<Document>, definition: &Value) -> Option<Self> {
        let text = |pointer| definition.pointer(pointer).and_then(Value::as_str);
        let parameters = &definition["parameters"];
        let base = document.root["servicePath"].as_str().unwrap_or_default();
        let upload = text("/mediaUpload/protocols/simple/path");
        Some(Self {
            id: text("/id")?.to_owned(),
            http: text("/httpMethod")?.to_owned(),
            template: Template::parse(&format!("{base}{}", text("/path")?), parameters),
            upload: upload.map(|path| Template::parse(path, parameters)),
            document: document.clone(),
            definition: definition.clone(),
        })
    }
}

/// The methods of a document, of all its resources.
pub(super) fn methods(document: &Arc<Document>) -> Vec<Method> {
    let mut found = Vec::new();
    let mut resources = vec![&document.root];
    while let Some(resource) = resources.pop() {
        let methods = resource["methods"].as_object().into_iter().flatten();
        found.extend(methods.filter_map(|(_, method)| Method::new(document, method)));
        let inner = resource["resources"].as_object().into_iter().flatten();
        resources.extend(inner.map(|(_, resource)| resource));
    }
    found
}

/// The method that a request is for.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) method: Arc<Method>,
    /// The parameters in the path.
    pub(crate) path: BTreeMap<String, String>,
    /// The path is that of an upload: the body is, or has, a file.
    pub(crate) upload: bool,
}

impl Catalog {
    /// The method for `http` on a path as it was sent. Where several fit, the one whose path says
    /// most is meant; between APIs the host decides, then their order.
    pub(crate) fn route(&self, http: &str, host: &str, path: &str) -> Option<Route> {
        // The same under another name: clients read objects there.
        let path = path.strip_prefix("/download").unwrap_or(path);
        let parts: Vec<String> = path
            .trim_start_matches('/')
            .split('/')
            .map(decode)
            .collect();
        let fit = |method: &Arc<Method>| {
            if method.http != http {
                return None;
            }
            let upload = method.upload.as_ref();
            let upload = upload.and_then(|it| Some((it, it.fit(&parts)?, true)));
            let plain = || Some((&method.template, method.template.fit(&parts)?, false));
            let (template, path, upload) = upload.or_else(plain)?;
            let other_host = !host.contains(method.document.name());
            let route = Route {
                method: method.clone(),
                path: path.into_iter().collect(),
                upload,
            };
            Some(((other_host, template.rank()), route))
        };
        let fitting = self.methods.iter().filter_map(fit);
        // Of equals the first is taken, and methods are in the order of their APIs.
        fitting.min_by(|a, b| a.0.cmp(&b.0)).map(|(_, route)| route)
    }
}

fn decode(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        let byte = hex.filter(|_| first == b'%');
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(http: &str, host: &str, path: &str) -> Option<(String, String)> {
        let route = Catalog::get().route(http, host, path)?;
        let path: Vec<String> = route.path.into_values().collect();
        Some((route.method.id.clone(), path.join(" ")))
    }

    #[test]
    fn every_api_finds_its_methods() {
        for (http, path, id, values) in [
            (
                "POST",
                "/v1/projects/p/instances/i/backupRuns",
                "sql.backupRuns.insert",
                "i p",
            ),
            (
                "POST",
                "/sql/v1beta4/projects/p/instances/i/backupRuns",
                "sql.backupRuns.insert",
                "i p",
            ),
            (
                "POST",
                "/v1/projects/p/backups",
                "sql.Backups.CreateBackup",
                "projects/p",
            ),
            (
                "GET",
                "/v1/projects/p/backups/b",
                "sql.Backups.GetBackup",
                "projects/p/backups/b",
            ),
            (
                "GET",
                "/sql/v1beta4/projects/p/backups",
                "sql.Backups.ListBackups",
                "projects/p",
            ),
            (
                "POST",
                "/v2/projects/p/locations/l/jobs/j:run",
                "run.projects.locations.jobs.run",
                "projects/p/locations/l/jobs/j",
            ),
            (
                "GET",
                "/v2/projects/p/locations/l/operations/o",
                "run.projects.locations.operations.get",
                "projects/p/locations/l/operations/o",
            ),
            (
                "GET",
                "/bigquery/v2/projects/p/datasets/d/tables/t",
                "bigquery.tables.get",
                "d p t",
            ),
            (
                "POST",
                "/v1/projects/p/locations/l/transferConfigs/c:startManualRuns",
                "bigquerydatatransfer.projects.locations.transferConfigs.startManualRuns",
                "projects/p/locations/l/transferConfigs/c",
            ),
            ("POST", "/v2/entries:list", "logging.entries.list", ""),
            (
                "GET",
                "/storage/v1/b/x/o/a%2Fb%20c",
                "storage.objects.get",
                "x a/b c",
            ),
            (
                "GET",
                "/download/storage/v1/b/x/o/a",
                "storage.objects.get",
                "x a",
            ),
            (
                "POST",
                "/upload/storage/v1/b/x/o",
                "storage.objects.insert",
                "x",
            ),
        ] {
            let expected = (id.to_owned(), values.to_owned());
            assert_eq!(route(http, "127.0.0.1", path), Some(expected), "{path}");
        }
        assert_eq!(
            route("GET", "", "/v1/projects/p/instances/i/nothing/x"),
            None
        );
        assert_eq!(route("PATCH", "", "/v2/entries:list"), None);
    }

    #[test]
    fn a_host_tells_apart_what_two_apis_have() {
        let path = "/v2/projects/p/locations/l/operations/o";
        let (id, _) = route("GET", "logging.googleapis.com", path).expect("routed");
        assert_eq!(id, "logging.projects.locations.operations.get");
    }
}
