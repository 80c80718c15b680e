use super::*;
use crate::error::ErrorKind;

fn spec(more: &str) -> Spec {
    let text =
        format!("version = 1\nstore.url = \"store\"\ntarget.url = \"postgresql:///app\"\n{more}");
    let folder = std::path::Path::new(".");
    crate::spec::parse(&text, "rebuild.toml", folder, &|_| None).expect("a spec")
}

fn of(more: &str) -> Result<(Spec, Vec<String>)> {
    let (spec, name) = (spec(more), "one".parse().expect("a name"));
    refuse(&spec, &name, "app")?;
    Ok(alike(&spec, &name))
}

#[test]
fn what_reaches_out_of_the_database_is_left_out_and_listed() {
    let (alike, left_out) = of(r#"
        quiesce = { end_sessions = true }
        hooks.on_failure = ["page"]
        kubernetes = { context = "c", namespace = "n" }
        gcp = { project = "p", region = "r" }
        [target.kubernetes]
        service = "db"
        snapshot = {}
        [[workload]]
        name = "web"
        stop = ["a"]
        start = ["b"]
        [[load]]
        name = "far"
        kubernetes = { job = "job.yaml" }
        [[load]]
        name = "run"
        cloud_run = { job = "j", args = ["app/feeds"], rehearse = true }
        [[load]]
        name = "wild"
        cloud_run = { job = "j" }
        [[load]]
        name = "here"
        command = ["load"]
        [[after]]
        name = "tell"
        command = ["tell"]
        [[verify]]
        kind = "http"
        url = "http://app/"
        [[verify]]
        kind = "claim"
        claim = "c"
        [[verify]]
        kind = "sequences"
        [[infrastructure]]
        name = "net"
        tool = "tofu"
        workspace = "prod"
        targets = ["a"]
        create_workspace = true
        [[infrastructure]]
        name = "stack"
        tool = "pulumi"
        workspace = "prod"
        [[infrastructure]]
        name = "app"
        tool = "helm"
        release = "r"
        chart = "./c"
        namespace = "n"
        context = "c"
        "#)
    .expect("it can be rehearsed");
    assert_eq!(
        left_out,
        [
            "workload \"web\": it is neither stopped nor started",
            "quiesce: the target stays open to writers",
            "target.kubernetes.snapshot",
            "infrastructure \"stack\" (pulumi): it saves no plan of a removal",
            "infrastructure \"app\" (helm): a release has no workspaces",
            "load \"far\": it is done elsewhere",
            "load \"wild\": it is done elsewhere",
            "verify http http://app/",
            "verify claim c",
            "after \"tell\"",
            "hooks: nobody is told how it ended",
        ]
    );
    assert!(alike.workloads.is_empty() && alike.after.is_empty());
    assert!(alike.hooks.on_failure.is_none());
    assert!(!alike.kubernetes.expect("the cluster").lease);
    assert!(alike.target.kubernetes.expect("a pod").snapshot.is_none());
    let loads: Vec<&str> = alike.loads.iter().map(|load| &*load.name).collect();
    assert_eq!(
        loads,
        ["run", "here"],
        "a job of Cloud Run is told which database"
    );
    assert!(matches!(alike.checks[..], [CheckSpec::Sequences {}]));
    let [net] = &alike.infrastructure[..] else {
        panic!("{:?}", alike.infrastructure);
    };
    assert_eq!(net.workspace.as_deref(), Some("one"));
    assert_eq!((net.create_workspace, net.targets.len()), (false, 1));
}

#[test]
fn what_cannot_be_rehearsed_is_refused() {
    let cluster = "kubernetes = { context = \"c\", namespace = \"n\" }\n";
    let google = "gcp = { project = \"p\", region = \"r\" }\n";
    let net = "[[infrastructure]]\nname = \"net\"\ntool = \"terraform\"\nworkspace = \"one\"";
    let job = format!("{cluster}migrate = {{ kubernetes = {{ job = \"job.yaml\" }} }}");
    let far = format!(
        "{google}target.strategy = \"in-place\"\nmigrate = {{ cloud_run = {{ job = \"j\", rehearse = true }} }}"
    );
    let far_by_name = format!(
        "{google}migrate = {{ cloud_run = {{ job = \"j\", rehearse = true, args = [\"--database=app\"] }} }}"
    );
    let not_asked = format!("{google}migrate = {{ cloud_run = {{ job = \"j\" }} }}");
    let by_name = "target.strategy = \"in-place\"\n[[load]]\nname = \"a\"\n\
                   command = [\"psql\", \"-d\", \"app\"]";
    let two = format!(
        "{}\n{net}\n",
        net.replace("net", "app").replace("one", "prod")
    );
    let two = two.replace("workspace = \"one\"", "workspace = \"test\"");
    for (more, why) in [
        (
            &*two,
            "\"app\" and \"net\" are two workspaces of one folder",
        ),
        (net, "is in the workspace one itself"),
        (&job, "migrate: this job elsewhere"),
        (&far, "migrate: this job elsewhere"),
        (&not_asked, "migrate: this job elsewhere"),
        (&far_by_name, "migrate names the database \"app\" itself"),
        (by_name, "load \"a\" names the database \"app\" itself"),
    ] {
        let refused = of(more).expect_err(why);
        assert_eq!(refused.kind(), ErrorKind::Refused, "{why}");
        assert!(refused.to_string().contains(why), "{refused}");
    }
    of(&two.replace("test", "prod")).expect("one workspace");
    // Beside the target it would read the old rows, as it does in the run.
    of(&by_name.replace("in-place", "aside")).expect("a load");
}

#[test]
fn a_server_that_would_be_replaced_stays() {
    let cluster = "kubernetes = { context = \"c\", namespace = \"n\" }\n";
    let google = "gcp = { project = \"p\", region = \"r\" }\n";
    let pod = "kubernetes = { service = \"db\", replace = { objects = [\"statefulset/db\"]MORE } }";
    let instance = "cloudsql = { instance = \"p:r:i\", connect = \"socket\", replace = { MORE } }";
    for (around, replaced, more, tools) in [
        (cluster, pod, "", true),
        (cluster, pod, ", manifests = [\"db.yaml\"]", false),
        (google, instance, "made_by = \"infrastructure\"", true),
        (google, instance, "", false),
    ] {
        let replaced = replaced.replace("MORE", more);
        let text = format!(
            "version = 1\nstore.url = \"store\"\n{around}\n[target]\nurl = \"postgresql:///app\"\n\
             strategy = \"in-place\"\n{replaced}\n[[infrastructure]]\nname = \"net\"\ntool = \"tofu\"\n\
             workspace = \"prod\"\n[[load]]\nname = \"far\"\n{}",
            if around == google {
                "cloud_run = { job = \"j\" }"
            } else {
                "command = [\"a\"]"
            }
        );
        let folder = std::path::Path::new(".");
        let spec = crate::spec::parse(&text, "rebuild.toml", folder, &|_| None).expect("a spec");
        let name = "one".parse().expect("a name");
        refuse(&spec, &name, "app").expect("the database alone can be");
        let (alike, left_out) = alike(&spec, &name);
        assert!(
            alike
                .target
                .kubernetes
                .is_none_or(|pod| pod.replace.is_none())
        );
        assert!(alike.target.cloudsql.is_none_or(|i| i.replace.is_none()));
        assert_eq!(alike.infrastructure.is_empty(), tools, "{left_out:?}");
        let stays = |line: &String| line.ends_with(".replace: the server stays");
        assert!(left_out.iter().any(stays), "{left_out:?}");
        let net = "infrastructure \"net\" (tofu): the new server is made by it";
        assert_eq!(
            left_out.iter().any(|line| line == net),
            tools,
            "{left_out:?}"
        );
        // In place, nobody sees which database a job elsewhere takes.
        assert_eq!(alike.loads.is_empty(), around == google, "{left_out:?}");
    }
}
