//! On which of a pod's volumes a path is.

use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, Volume};
use kube::ResourceExt;

use super::ServerReplacement;
use crate::error::Result;
use crate::event::Ctx;

impl ServerReplacement {
    /// Which of `paths` in the database's pod are on a volume that goes with the pod. Of one that is on none,
    /// nothing is said: an image may have volumes of its own.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// The API server could not be asked.
    pub async fn paths_that_go(&self, ctx: &Ctx, paths: &[String]) -> Result<Vec<String>> {
        let (name, _) = crate::k8s::forward::find(&self.cluster, ctx, &self.pod).await?;
        let api = self.cluster.api::<Pod>();
        let what = format!("could not read pod {name}");
        let pod = self.cluster.ask(ctx, &what, || api.get(&name)).await?;
        let on = |path: &String| Some((path.clone(), volume_with(&pod, Path::new(path))?));
        let told = |(path, volume): (String, &Volume)| {
            format!(
                "{path} is on volume {:?} of pod {}, which is no claim and goes with the pod",
                volume.name,
                pod.name_any()
            )
        };
        let on = paths.iter().filter_map(on);
        let goes = on.filter(|(_, volume)| volume.persistent_volume_claim.is_none());
        Ok(goes.map(told).collect())
    }
}

/// The volume that `path` is on: of those that hold it, the one that is mounted deepest.
fn volume_with<'a>(pod: &'a Pod, path: &Path) -> Option<&'a Volume> {
    let spec = pod.spec.as_ref()?;
    let mounts = spec
        .containers
        .iter()
        .flat_map(|c| c.volume_mounts.iter().flatten());
    let holds = mounts.filter(|m| path.starts_with(&m.mount_path));
    let deepest = holds.max_by_key(|m| Path::new(&m.mount_path).components().count())?;
    let mut volumes = spec.volumes.iter().flatten();
    volumes.find(|v| v.name == deepest.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_that_is_mounted_deepest_holds_a_path() {
        let pod = serde_json::json!({ "spec": {
            "containers": [{ "name": "main", "volumeMounts": [
                { "name": "data", "mountPath": "/var/lib/postgresql" },
                { "name": "scratch", "mountPath": "/var/lib/postgresql/data/" },
                { "name": "other", "mountPath": "/var/lib/post" },
            ]}],
            "volumes": [
                { "name": "data", "persistentVolumeClaim": { "claimName": "data-db-0" } },
                { "name": "scratch", "emptyDir": {} },
                { "name": "other", "emptyDir": {} },
            ],
        }});
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        let on = |path: &str| volume_with(&pod, Path::new(path)).map(|v| v.name.as_str());
        assert_eq!(on("/var/lib/postgresql/data/pgdata"), Some("scratch"));
        assert_eq!(on("/var/lib/postgresql/data"), Some("scratch"));
        assert_eq!(on("/var/lib/postgresql/database"), Some("data"));
        assert_eq!(on("/srv/pg"), None);
    }
}
