//! Objects, with `kube`.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim, Service,
};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Error, ResourceExt};
use rebuild_testkube::{Cluster, Fault, Strike};
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::client;

fn config(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": "x"}}, "data": {"key": value},
    }))
    .unwrap()
}

fn status(error: Error) -> (u16, String, String) {
    match error {
        Error::Api(status) => (status.code, status.reason.clone(), status.message.clone()),
        other => panic!("not an answer of the server: {other}"),
    }
}

#[tokio::test]
async fn objects_are_created_changed_listed_and_deleted() {
    let cluster = Cluster::start().await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&cluster).await);
    let made = maps
        .create(&PostParams::default(), &config("a", "1"))
        .await
        .unwrap();
    assert!(made.uid().is_some() && made.creation_timestamp().is_some());

    let again = maps
        .create(&PostParams::default(), &config("a", "1"))
        .await
        .unwrap_err();
    let (code, reason, message) = status(again);
    assert_eq!((code, reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(message, "configmaps \"a\" already exists");
    let (code, reason, _) = status(maps.get("b").await.unwrap_err());
    assert_eq!((code, reason.as_str()), (404, "NotFound"));

    let merge = Patch::Merge(json!({"data": {"more": "2"}}));
    let patched = maps
        .patch("a", &PatchParams::default(), &merge)
        .await
        .unwrap();
    assert_eq!(patched.data.as_ref().unwrap().len(), 2);
    let (code, reason, _) = status(
        maps.replace("a", &PostParams::default(), &made)
            .await
            .unwrap_err(),
    );
    assert_eq!((code, reason.as_str()), (409, "Conflict"));

    for name in ["b", "c", "d"] {
        maps.create(&PostParams::default(), &config(name, "1"))
            .await
            .unwrap();
    }
    let page = ListParams::default().labels("app=x").limit(3);
    let first = maps.list(&page).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let second = maps
        .list(&page.clone().continue_token(&token))
        .await
        .unwrap();
    let names = first.iter().chain(second.iter()).map(ResourceExt::name_any);
    assert_eq!(names.collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    cluster.forget_versions();
    let (code, reason, _) = status(maps.list(&page.continue_token(&token)).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (410, "Expired"));

    let other = DeleteParams::default().preconditions(Preconditions {
        uid: Some("another".to_owned()),
        resource_version: None,
    });
    assert_eq!(status(maps.delete("a", &other).await.unwrap_err()).0, 409);
    let dry = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    maps.delete("a", &dry).await.unwrap();
    assert!(cluster.get("ConfigMap", "default", "a").is_some());
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(cluster.get("ConfigMap", "default", "a").is_none());
    let all = ListParams::default().labels("app=x");
    maps.delete_collection(&DeleteParams::default(), &all)
        .await
        .unwrap();
    assert_eq!(maps.list(&all).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_watcher_sees_every_change_and_recovers_from_faults() {
    let cluster = Cluster::start().await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&cluster).await);
    let expired = cluster.fault(Fault::once("GET", "watch=true", Strike::Expire));
    let wanted = watcher::Config::default().labels("app=x");
    let stream = watcher(maps.clone(), wanted).default_backoff();
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let watching = tokio::spawn(stream.applied_objects().for_each(move |found| {
        // Errors are what the watcher recovers from.
        if let Ok(map) = found {
            let _ = sender.send(map.data.unwrap_or_default()["key"].clone());
        }
        std::future::ready(())
    }));
    let value = |value: &str| Patch::Merge(json!({"data": {"key": value}}));
    let post = PostParams::default();
    maps.create(&post, &config("a", "1")).await.unwrap();
    until(&mut seen, "1").await;
    let patch = PatchParams::default();
    maps.patch("a", &patch, &value("2")).await.unwrap();
    until(&mut seen, "2").await;
    cluster.cut_streams();
    maps.patch("a", &patch, &value("3")).await.unwrap();
    until(&mut seen, "3").await;
    cluster.forget_versions();
    maps.patch("a", &patch, &value("4")).await.unwrap();
    until(&mut seen, "4").await;
    assert_eq!(expired.struck(), 1);
    watching.abort();
}

async fn until(seen: &mut UnboundedReceiver<String>, wanted: &str) {
    let found = async { while seen.recv().await.expect("the watcher goes on") != wanted {} };
    let in_time = tokio::time::timeout(Duration::from_secs(20), found).await;
    in_time.unwrap_or_else(|_| panic!("{wanted} was never seen"));
}

#[tokio::test]
async fn appliers_of_the_same_field_are_in_conflict_until_one_forces_it() {
    let cluster = Cluster::start().await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&cluster).await);
    let apply = |value: &str| {
        Patch::Apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": value},
        }))
    };
    maps.patch("a", &PatchParams::apply("one"), &apply("1"))
        .await
        .unwrap();
    let same = maps
        .patch("a", &PatchParams::apply("one"), &apply("1"))
        .await
        .unwrap();
    assert_eq!(
        same.resource_version(),
        maps.get("a").await.unwrap().resource_version()
    );
    let refused = maps
        .patch("a", &PatchParams::apply("two"), &apply("2"))
        .await
        .unwrap_err();
    let Error::Api(refused) = refused else {
        panic!("{refused}")
    };
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"one\" using v1: .data.key"
    );
    let causes = &refused.details.as_ref().unwrap().causes;
    assert_eq!(causes[0].field, ".data.key");

    let force = PatchParams::apply("two").force();
    let taken = maps.patch("a", &force, &apply("2")).await.unwrap();
    assert_eq!(taken.data.unwrap()["key"], "2");
    // What nobody applies any more goes, and what another owns stays.
    let none =
        Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}));
    maps.patch("a", &PatchParams::apply("one"), &none)
        .await
        .unwrap();
    assert!(maps.get("a").await.unwrap().data.is_some());
    maps.patch("a", &PatchParams::apply("two"), &none)
        .await
        .unwrap();
    assert!(
        maps.get("a")
            .await
            .unwrap()
            .data
            .unwrap_or_default()
            .is_empty()
    );
}

#[tokio::test]
async fn finalizers_keep_an_object_until_they_are_gone() {
    let cluster = Cluster::start().await.unwrap();
    let client = client(&cluster).await;
    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(client.clone());
    cluster
        .put(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, finalizers: [example.org/hold]}\n\
             spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}",
        )
        .unwrap();
    let deleted = claims
        .delete("data", &DeleteParams::default())
        .await
        .unwrap();
    assert!(
        deleted
            .left()
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    let uid = cluster_uid(&cluster);
    let gone = kube::runtime::conditions::is_deleted(&uid);
    let waiting = kube::runtime::wait::await_condition(claims.clone(), "data", gone);
    let json =
        serde_json::from_value(json!([{"op": "remove", "path": "/metadata/finalizers"}])).unwrap();
    claims
        .patch("data", &PatchParams::default(), &Patch::<()>::Json(json))
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap()
        .unwrap();
    assert!(
        cluster
            .get("PersistentVolumeClaim", "default", "data")
            .is_none()
    );
}

fn cluster_uid(cluster: &Cluster) -> String {
    let claim = cluster
        .get("PersistentVolumeClaim", "default", "data")
        .unwrap();
    claim["metadata"]["uid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn owners_take_their_dependents_with_them_or_leave_them() {
    let cluster = Cluster::start().await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&cluster).await);
    for (policy, stays) in [
        (PropagationPolicy::Background, false),
        (PropagationPolicy::Foreground, false),
        (PropagationPolicy::Orphan, true),
    ] {
        let owner = maps
            .create(&PostParams::default(), &config("owner", "1"))
            .await
            .unwrap();
        let mut child = config("child", "1");
        child.metadata.owner_references = Some(vec![owner_reference(&owner)]);
        maps.create(&PostParams::default(), &child).await.unwrap();
        let how = DeleteParams {
            propagation_policy: Some(policy.clone()),
            ..DeleteParams::default()
        };
        maps.delete("owner", &how).await.unwrap();
        let gone = |name: &'static str| {
            let maps = maps.clone();
            async move {
                kube::runtime::wait::await_condition(maps, name, |it: Option<&ConfigMap>| {
                    it.is_none()
                })
                .await
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone("owner"))
            .await
            .unwrap()
            .unwrap();
        if stays {
            let child = maps.get("child").await.unwrap();
            assert!(child.owner_references().is_empty(), "{policy:?}");
        } else {
            tokio::time::timeout(Duration::from_secs(10), gone("child"))
                .await
                .unwrap()
                .unwrap();
        }
    }
}

fn owner_reference(
    owner: &ConfigMap,
) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
    kube::Resource::controller_owner_ref(owner, &()).unwrap()
}

#[tokio::test]
async fn a_namespace_is_emptied_before_it_goes() {
    let cluster = Cluster::start().await.unwrap();
    let client = client(&cluster).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "work"}})).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, "work");
    let mut held = config("a", "1");
    held.metadata.finalizers = Some(vec!["example.org/hold".to_owned()]);
    maps.create(&PostParams::default(), &held).await.unwrap();
    namespaces
        .delete("work", &DeleteParams::default())
        .await
        .unwrap();
    let (code, reason, _) = status(
        maps.create(&PostParams::default(), &config("b", "1"))
            .await
            .unwrap_err(),
    );
    assert_eq!((code, reason.as_str()), (403, "Forbidden"));
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("a", &PatchParams::default(), &free)
        .await
        .unwrap();
    let gone =
        kube::runtime::wait::await_condition(namespaces, "work", |it: Option<&Namespace>| {
            it.is_none()
        });
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn faults_and_denials_strike_what_they_name() {
    let cluster = Cluster::start().await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&cluster).await);
    let volumes: Api<PersistentVolume> = Api::all(client(&cluster).await);
    cluster.deny("list", "persistentvolumes");
    let (code, reason, message) = status(volumes.list(&ListParams::default()).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (403, "Forbidden"));
    assert!(message.contains(
        "cannot list resource \"persistentvolumes\" in API group \"\" at the cluster scope"
    ));
    cluster.allow("list", "persistentvolumes");
    volumes.list(&ListParams::default()).await.unwrap();

    let lost = cluster.fault(Fault::once("POST", "/configmaps", Strike::CloseAfter));
    maps.create(&PostParams::default(), &config("a", "1"))
        .await
        .unwrap_err();
    assert!(cluster.get("ConfigMap", "default", "a").is_some());
    assert_eq!(lost.struck(), 1);
    let never = cluster.fault(Fault::once("POST", "/configmaps", Strike::CloseBefore));
    maps.create(&PostParams::default(), &config("b", "1"))
        .await
        .unwrap_err();
    assert!(cluster.get("ConfigMap", "default", "b").is_none());
    assert_eq!(never.struck(), 1);
    assert!(
        cluster
            .requests()
            .iter()
            .any(|it| it.method == "POST" && it.path == "/api/v1/namespaces/default/configmaps")
    );
    let watched: Vec<_> = maps
        .watch(&kube::api::WatchParams::default().timeout(1), "0")
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(!watched.is_empty());
}

#[tokio::test]
async fn a_node_port_is_one_services_alone() {
    let cluster = Cluster::start().await.unwrap();
    let services: Api<Service> = Api::default_namespaced(client(&cluster).await);
    let service = |name: &str, port: serde_json::Value| -> Service {
        let ports = json!([{"port": 80, "nodePort": port}]);
        let spec = json!({"type": "NodePort", "selector": {"app": name}, "ports": ports});
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    };
    let post = PostParams::default();
    let given = services.create(&post, &service("a", json!(null))).await;
    let port = given.unwrap().spec.unwrap().ports.unwrap()[0].node_port;
    let port = port.unwrap();
    for (wanted, why) in [
        (port, "provided port is already allocated"),
        (80, "provided port is not in the valid range"),
    ] {
        let refused = services.create(&post, &service("b", json!(wanted))).await;
        let Error::Api(refused) = refused.unwrap_err() else {
            panic!("no answer of the server");
        };
        assert_eq!(refused.code, 422);
        let cause = &refused.details.as_ref().unwrap().causes[0];
        assert_eq!(cause.field, "spec.ports[0].nodePort");
        assert!(cause.message.contains(why), "{}", cause.message);
    }
    let free = service("b", json!(port + 1));
    services.create(&post, &free).await.unwrap();
    let other = json!({"spec": {"ports": [{"port": 80, "nodePort": port}]}});
    let changed = services
        .patch("b", &PatchParams::default(), &Patch::Merge(&other))
        .await;
    assert_eq!(status(changed.unwrap_err()).0, 422);
    services
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    services
        .patch("b", &PatchParams::default(), &Patch::Merge(&other))
        .await
        .unwrap();
}
