//! Objects from manifests.

use std::path::Path;

use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::discovery::{ApiCapabilities, Scope};

use super::removal::shown;
use super::{FIELD_MANAGER, MADE_BY, ServerReplacement};
use crate::error::{Error, Result, clean};
use crate::event::Ctx;
use crate::k8s::ObjectRef;
use crate::k8s::manifest::documents;
use crate::k8s::object::is_name;

/// Kinds that hold a server or lead to it. What is made of them goes again on a rollback, so it must
/// stand under a name that the run replaces.
const OF_A_SERVER: [&str; 5] = [
    "Deployment",
    "Job",
    "PersistentVolumeClaim",
    "Service",
    "StatefulSet",
];

/// Makes sure that the manifest can be read, holds objects with names, and makes nothing of a
/// server's kinds that is neither among `objects` nor among `claims`.
///
/// # Errors
/// Wrong input, with the file and what is wrong.
pub fn check_manifest(file: &Path, objects: &[ObjectRef], claims: &[String]) -> Result<()> {
    for object in read(file)? {
        let kind = object.types.as_ref().map_or("", |types| &*types.kind);
        let name = object.name_any();
        let known = match kind {
            "PersistentVolumeClaim" => claims.contains(&name),
            _ => objects.iter().any(|known| known.names(&object)),
        };
        if OF_A_SERVER.contains(&kind) && !known {
            let key = match kind {
                "PersistentVolumeClaim" => "claims",
                _ => "objects",
            };
            return Err(Error::usage(format!(
                "the manifest {} makes {}/{name}, which would stay on a rollback",
                file.display(),
                kind.to_lowercase(),
            ))
            .hint(format!("name it in target.kubernetes.replace.{key}")));
        }
    }
    Ok(())
}

/// The objects of a manifest, with their number in it.
pub(super) fn read(file: &Path) -> Result<Vec<DynamicObject>> {
    let shown = file.display();
    let mut objects = Vec::new();
    for (n, document) in documents(file)?.into_iter().enumerate() {
        if document.is_null() {
            continue;
        }
        let wrong =
            |why: &str| Error::usage(format!("the manifest {shown}: document {} {why}", n + 1));
        let object: DynamicObject = serde_json::from_value(document)
            .map_err(|e| wrong("is no object of Kubernetes").caused_by(e))?;
        if object.types.is_none() {
            return Err(wrong("has no apiVersion and kind"));
        }
        if !object.metadata.name.as_deref().is_some_and(is_name) {
            return Err(wrong("has no metadata.name"));
        }
        objects.push(object);
    }
    match objects[..] {
        [] => Err(Error::usage(format!("the manifest {shown} is empty"))),
        _ => Ok(objects),
    }
}

impl ServerReplacement {
    /// Applies the manifests on the server's side, marked as made by the run.
    ///
    /// *Repeats:* changes nothing. *Destroys:* nothing; fields that another manager has set otherwise
    /// are a refusal.
    ///
    /// # Errors
    /// A manifest is meant for another namespace or holds what belongs to no namespace; the API
    /// server does not take it.
    pub(super) async fn apply(&self, ctx: &Ctx) -> Result<()> {
        for file in &self.manifests {
            for object in read(file)? {
                self.apply_one(ctx, file, object).await?;
            }
        }
        Ok(())
    }

    async fn apply_one(&self, ctx: &Ctx, file: &Path, mut object: DynamicObject) -> Result<()> {
        let here = self.cluster.namespace();
        let name = object.name_any();
        let (resource, capabilities) = self.resource_of(ctx, file, &object).await?;
        let shown = shown(&resource, &name);
        if capabilities.scope != Scope::Namespaced {
            return Err(Error::usage(format!(
                "{shown} of {} belongs to no namespace; a run changes nothing outside of {here}",
                file.display()
            )));
        }
        if let Some(other) = object.namespace().filter(|other| other != here) {
            return Err(Error::usage(format!(
                "{shown} of {} is meant for namespace {other:?}, and the spec names {here:?}",
                file.display()
            )));
        }
        object.metadata.namespace = Some(here.to_owned());
        if self.is_replaced(&object) {
            let run = ctx.run.to_string();
            object.annotations_mut().insert(MADE_BY.to_owned(), run);
        }
        ctx.events.info(format!("applying {shown}"));
        let api = self.cluster.api_of(&resource);
        let params = PatchParams::apply(FIELD_MANAGER);
        let patch = Patch::Apply(&object);
        let what = format!("could not apply {shown}");
        let apply = || api.patch(&name, &params, &patch);
        self.cluster.ask(ctx, &what, apply).await.map(|_| ())
    }

    /// True if the object stands under a name that goes.
    pub(super) fn is_replaced(&self, object: &DynamicObject) -> bool {
        self.objects.iter().any(|known| known.names(object))
    }

    /// The API that has objects of that kind.
    pub(super) async fn resource_of(
        &self,
        ctx: &Ctx,
        file: &Path,
        object: &DynamicObject,
    ) -> Result<(ApiResource, ApiCapabilities)> {
        let wrong = || {
            let kind = object.types.as_ref().map_or("", |t| &*t.kind);
            Error::usage(format!(
                "{} in {}: the apiVersion cannot be read",
                clean(kind),
                file.display()
            ))
        };
        let types = object.types.as_ref().ok_or_else(wrong)?;
        let gvk = types.try_into().map_err(|e| wrong().caused_by(e))?;
        self.cluster.discover(ctx, &gvk).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_manifest_is_told_with_its_place() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = folder.path().join("db.yaml");
        for (text, why) in [
            ("", "is empty"),
            ("# nothing\n---\n", "is empty"),
            ("a: [", "is not YAML"),
            ("[1]", "document 1"),
            ("kind: Service", "document 1"),
            (
                "{apiVersion: v1, kind: Service, metadata: {name: a}}\n---\n\
                 {apiVersion: v1, kind: Service, metadata: {generateName: a}}",
                "document 2 has no metadata.name",
            ),
        ] {
            std::fs::write(&file, text).expect("a file");
            let error = check_manifest(&file, &[], &[]).expect_err(text);
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert_eq!(error.kind(), crate::ErrorKind::Usage);
        }
        let text = "---\n{apiVersion: v1, kind: Service, metadata: {name: a}}\n---\n";
        std::fs::write(&file, text).expect("a file");
        let service = ["service/a".parse().expect("a name")];
        check_manifest(&file, &service, &[]).expect("one object");
        let error = check_manifest(&file, &[], &[]).expect_err("it would stay");
        assert!(error.to_string().contains("makes service/a"), "{error}");
    }
}
