//! The real `helm` where it needs no cluster, and a script that stands for it before a cluster: that
//! one takes no command line but the documented one.

use super::super::{Action, destroys};
use super::*;
use crate::error::ErrorKind;

const SPEC: &str = "tool='helm'\nprogram='./helm'\nrelease='app'\nchart='./chart'\nnamespace='prod'\n\
                    context='kind'\nvalues=['prod.yaml']\n";

const HELM: &str = r#"
echo "$*" >> calls
PLACE="--namespace=prod --kube-context=kind"
case "$*" in
  "version --template {{.Version}} {{.GoVersion}}") echo "$(cat version) go1.25.9";;
  "history app $PLACE --max=1 --output=json")
    test -e history || { echo "Error: release: not found" >&2; exit 1; }
    cat history;;
  "status app $PLACE --output=json"|"status app $PLACE --output=json --show-resources")
    test "$(cat version | cut -c2)" = 4 -o "${*%--show-resources}" != "$*" || exit 65
    test "${*%--show-resources}" = "$*" -o "$(cat version | cut -c2)" = 3 || exit 65
    cat there;;
  "get manifest app $PLACE --revision=1") cat old.yaml;;
  "get manifest app $PLACE --revision=2") cat new.yaml;;
  "upgrade app $PLACE ./chart --install --values=prod.yaml --values="*"/values.yaml --dry-run=server --output=json")
    cp "${8#--values=}" values; cat rendered;;
  "upgrade app $PLACE ./chart --install --values=prod.yaml --values="*"/values.yaml --rollback-on-failure --wait --timeout=3595s" \
  | "upgrade app $PLACE ./chart --install --values=prod.yaml --values="*"/values.yaml --atomic --wait --timeout=3595s")
    cat "${8#--values=}"; echo '[{"revision":2,"updated":"t","status":"deployed"}]' > history;;
  *) echo "unknown: $*" >&2; exit 64;; esac
"#;

const OLD: &str = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {serviceName: a}\n---\n\
                   apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: disk}\n";
const NEW: &str =
    "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {serviceName: b}\n";

fn release(dir: &TempDir, version: &str) -> Infrastructure {
    program(dir, "helm", HELM);
    write(dir, "version", version);
    write(dir, "prod.yaml", "");
    write(dir, "old.yaml", OLD);
    write(dir, "new.yaml", NEW);
    there(
        dir,
        &[
            ("apps/v1", "StatefulSet", "db"),
            ("v1", "PersistentVolumeClaim", "disk"),
        ],
    );
    std::fs::create_dir_all(dir.path().join("chart")).expect("a chart");
    let hook = serde_json::json!({ "name": "migrate", "kind": "Job", "events": ["pre-upgrade"] });
    let rendered = serde_json::json!({ "name": "app", "manifest": NEW, "hooks": [hook] });
    write(dir, "rendered", &rendered.to_string());
    let quoted = toml::Value::from(MARK).to_string();
    made(
        dir,
        &format!("{SPEC}variables={{db={{password={quoted}}}}}"),
    )
}

/// What is in the cluster.
fn there(dir: &TempDir, objects: &[(&str, &str, &str)]) {
    let mut resources = serde_json::Map::new();
    for (version, kind, name) in objects {
        let object = serde_json::json!({
            "apiVersion": version, "kind": kind, "metadata": { "name": name, "namespace": "prod" },
        });
        resources.insert(format!("v1/{kind}"), serde_json::json!([object]));
    }
    let status = serde_json::json!({ "name": "app", "info": { "resources": resources } });
    write(dir, "there", &status.to_string());
}

fn revision(dir: &TempDir, status: &str) {
    let history = serde_json::json!([{ "revision": 1, "updated": "then", "status": status }]);
    write(dir, "history", &history.to_string());
}

#[tokio::test]
async fn a_release_is_compared_object_by_object_and_upgraded() {
    for (version, flag) in [("v4.1.4", "--rollback-on-failure"), ("v3.19.0", "--atomic")] {
        let dir = folder();
        let tool = release(&dir, version);
        revision(&dir, "deployed");
        let (ctx, seen) = watched();
        let plan = tool.plan(&ctx).await.expect("a plan");
        assert_eq!(
            plan.text,
            "delete PersistentVolumeClaim disk\nupdate StatefulSet.apps db\nhook Job migrate \
             (pre-upgrade)"
        );
        assert_eq!(
            destroys(&plan.changes),
            ["delete PersistentVolumeClaim disk: HOLDS DATA, a volume"]
        );
        assert_eq!(
            plan.changes.workspace,
            "context kind namespace prod release app"
        );
        let values = std::fs::read_to_string(dir.path().join("values")).expect("values");
        let values: serde_json::Value = serde_json::from_str(&values).expect("JSON");
        assert_eq!(values["db"]["password"], MARK);
        tool.apply(&ctx, &plan.changes, Leeway::None)
            .await
            .expect("applied");
        let state = tool.look(&ctx).await.expect("a state");
        assert_eq!(state.addresses, ["StatefulSet.apps db"]);
        let calls = std::fs::read_to_string(dir.path().join("calls")).expect("calls");
        assert!(calls.contains(flag), "{calls}");
        let all = format!("{:?}{calls}{plan:?}", seen.events());
        assert!(all.contains("***") && !all.contains("tr0ub4dor"), "{all}");
    }
}

#[tokio::test]
async fn a_release_that_is_not_there_or_failed_or_is_worked_on() {
    let dir = folder();
    let tool = release(&dir, "v4.1.4");
    let plan = planned(&tool).await;
    assert_eq!(plan.changes.lines(), ["create StatefulSet.apps db"]);
    write(&dir, "old.yaml", NEW);
    revision(&dir, "failed");
    let plan = planned(&tool).await;
    let change = &plan.changes.changes[0];
    assert_eq!(change.action, Action::Update);
    assert_eq!(change.why.as_deref(), Some("revision 1 is failed"));
    // What the release has made, and somebody has removed.
    revision(&dir, "deployed");
    assert!(planned(&tool).await.changes.is_empty());
    there(
        &dir,
        &[
            ("v1", "StatefulSet", "db"),
            ("apps/v1", "StatefulSet", "other"),
        ],
    );
    let plan = planned(&tool).await;
    assert_eq!(plan.changes.lines(), ["create StatefulSet.apps db"]);
    let state = tool.look(&Ctx::quiet()).await.expect("a state");
    assert_eq!(state.addresses, Vec::<String>::new());
    revision(&dir, "pending-upgrade");
    let error = tool.plan(&Ctx::quiet()).await.expect_err("worked on");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error
            .to_string()
            .ends_with("revision 1 is pending-upgrade since then"),
        "{error}"
    );
}

/// A chart of one object, for the real helm, and the spec of its release.
fn real_release(dir: &TempDir, kubeconfig: &Path, context: &str) -> Infrastructure {
    std::fs::create_dir_all(dir.path().join("chart/templates")).expect("a chart");
    write(
        dir,
        "chart/Chart.yaml",
        "apiVersion: v2\nname: app\nversion: 0.1.0\n",
    );
    write(
        dir,
        "chart/templates/settings.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.name }}\n",
    );
    let helm = real_helm();
    let spec = format!(
        "tool='helm'\nprogram={helm:?}\nrelease='app'\nchart='./chart'\nnamespace='default'\n\
         context='{context}'\nenv={{KUBECONFIG={kubeconfig:?}}}\nvariables={{name='settings'}}"
    );
    made(dir, &spec)
}

#[tokio::test]
async fn the_real_helm_plans_before_a_cluster_and_changes_nothing() {
    let cluster = rebuild_testkube::Cluster::start().await.expect("a cluster");
    let dir = folder();
    let tool = real_release(&dir, cluster.kubeconfig(), "test");
    let plan = planned(&tool).await;
    // The name is a value, which is not to be seen.
    assert_eq!(plan.changes.lines(), ["create ConfigMap ***"]);
    assert_eq!(plan.text, "create ConfigMap ***");
    assert_eq!(planned(&tool).await.changes, plan.changes);
    let state = tool.look(&Ctx::quiet()).await.expect("a state");
    assert_eq!(state.addresses, Vec::<String>::new());
    assert!(state.version.starts_with("4."), "{}", state.version);
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_an_error() {
    let dir = folder();
    write(
        &dir,
        "config",
        "{apiVersion: v1, kind: Config, contexts: [{name: kind, context: {cluster: c, user: u}}],\n\
         clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}], users: [{name: u}]}\n",
    );
    let tool = real_release(&dir, &dir.path().join("config"), "kind");
    let error = tool.plan(&Ctx::quiet()).await.expect_err("no cluster");
    assert_eq!(error.kind(), ErrorKind::Program, "{error:?}");
    assert!(error.to_string().contains("unreachable"), "{error}");
}
