//! Scripts that stand for `tofu` and `pulumi`, which are not at hand: each writes down how it was
//! called, takes no command line but the documented one, and answers in the documented form. What
//! they cannot show is that the real ones answer so.

use super::super::destroys;
use super::*;
use crate::error::ErrorKind;

/// Ends the script where the command line is not known to it.
const UNKNOWN: &str = "*) echo \"unknown: $*\" >&2; exit 64;; esac\n";

const TOFU: &str = r#"
echo "[$TF_WORKSPACE] $*" >> calls
test "$TF_INPUT$TF_IN_AUTOMATION" = 01 || exit 65
case "$*" in
  version) echo "OpenTofu v1.9.1"; echo "on linux_amd64";;
  "init -input=false -no-color") echo ready;;
  "workspace list") printf '* default\n  prod\n\n';;
  "plan -input=false -no-color -detailed-exitcode -out="*"/plan -target=google_sql_database.app -var-file=prod.tfvars")
    test "$TF_VAR_list" = '["a",1]' || exit 66
    for a in "$@"; do case "$a" in -out=*) test -e applied || echo saved > "${a#-out=}";; esac; done
    test -e applied || exit 2;;
  "show -no-color -json "*/plan)
    if test -e applied; then echo '{"format_version":"1.2"}'; else
    echo '{"format_version":"1.2","resource_changes":[{"address":"google_sql_database.app","mode":"managed",
      "type":"google_sql_database","name":"app","provider_name":"registry.opentofu.org/hashicorp/google",
      "change":{"actions":["delete","create"],"before":{"name":"a"},"after":{"name":"b"}}}]}'; fi;;
  "show -no-color "*/plan) echo "google_sql_database.app must be replaced";;
  "apply -input=false -no-color "*/plan) test "$(cat "$4")" = saved && touch applied;;
"#;

fn tofu(dir: &TempDir) -> Infrastructure {
    program(dir, "tofu", &format!("{TOFU}{UNKNOWN}"));
    write(dir, "prod.tfvars", "");
    made(
        dir,
        "tool='tofu'\nprogram='./tofu'\nworkspace='prod'\nvar_files=['prod.tfvars']\n\
         targets=['google_sql_database.app']\nvariables={list=['a',1]}",
    )
}

fn calls(dir: &TempDir) -> Vec<String> {
    let calls = std::fs::read_to_string(dir.path().join("calls")).unwrap_or_default();
    calls.lines().map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn tofu_is_called_as_documented() {
    let dir = folder();
    let tool = tofu(&dir);
    let plan = planned(&tool).await;
    assert_eq!(plan.changes.version, "1.9.1");
    assert_eq!(plan.text, "google_sql_database.app must be replaced");
    assert_eq!(
        destroys(&plan.changes),
        ["replace google_sql_database.app: HOLDS DATA, a database"]
    );
    tool.apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect("applied");
    let calls = calls(&dir);
    // Nothing but the initialisation is done without the workspace.
    for call in &calls {
        let free = [
            "[] version",
            "[] init",
            "[] workspace list",
            "[prod] version",
        ];
        assert!(
            free.iter().any(|f| call.starts_with(f)) || call.starts_with("[prod] "),
            "{call}"
        );
        assert!(!call.contains("auto-approve"), "{call}");
    }
    let applies = calls.iter().filter(|c| c.contains(" apply ")).count();
    assert_eq!(applies, 1, "{calls:?}");
}

/// The real `terraform` behind the name of `tofu`, and other tools behind other names.
#[tokio::test]
async fn another_tool_behind_the_name_is_refused_and_nothing_is_run() {
    let dir = folder();
    write(&dir, "main.tf", "resource \"terraform_data\" \"a\" {}");
    let really = format!("exec {} \"$@\"\n", terraform());
    program(&dir, "tofu", &really);
    program(&dir, "terraform", "echo OpenTofu v1.9.1\n");
    program(&dir, "pulumi", &really);
    program(&dir, "helm", "echo v3.1.0\n");
    let helm = "release='r'\nchart='c'\nnamespace='n'\ncontext='k'";
    for (tool, more, is) in [
        (
            "tofu",
            "",
            "is not OpenTofu: asked for its version it said \"Terraform v1",
        ),
        (
            "terraform",
            "",
            "is not Terraform: asked for its version it said \"OpenTofu v1.9.1\"",
        ),
        (
            "pulumi",
            "workspace='dev'",
            "is not Pulumi: asked for its version it said \"Terraform",
        ),
        (
            "helm",
            helm,
            "is not Helm: asked for its version it said \"v3.1.0\"",
        ),
    ] {
        let tool = made(&dir, &format!("tool='{tool}'\nprogram='./{tool}'\n{more}"));
        let error = tool.plan(&Ctx::quiet()).await.expect_err(is);
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
        assert!(error.to_string().contains(is), "{error}");
    }
    assert!(!dir.path().join(".terraform").exists());
}

const PULUMI: &str = r#"
echo "$*" >> calls
URN=urn:pulumi:dev::app::gcp:sql/databaseInstance:DatabaseInstance::db
case "$*" in
  version) echo v3.140.0;;
  "stack ls --json --non-interactive --color never") cat stacks;;
  "stack init dev --no-select --non-interactive --color never") echo '[{"name":"dev"}]' > stacks;;
  "stack export --stack dev --non-interactive --color never")
    echo '{"version":3,"deployment":{"resources":[{"urn":"'$URN'"}]}}';;
  "preview --json --refresh --save-plan "*" --stack dev --config-file "*" --target "$URN" --non-interactive --color never")
    cp "$9" config
    if test -e applied; then echo '{"steps":[{"op":"same","urn":"'$URN'"}]}'; else
    echo saved > "$5"
    echo '{"steps":[{"op":"delete","urn":"'$URN'","oldState":{"modified":"'$(date +%N)'","inputs":{"tier":"a"}}}]}'; fi;;
  "up --refresh --skip-preview --yes --plan "*" --stack dev --config-file "*" --target "$URN" --non-interactive --color never")
    test "$(cat "$6")" = saved && grep -q mark "${10}" && touch applied && echo "with $(cat "${10}")";;
  "refresh --skip-preview --yes --stack dev --config-file "*" --target "$URN" --non-interactive --color never") :;;
"#;

#[tokio::test]
async fn pulumi_is_called_as_documented() {
    let dir = folder();
    program(&dir, "pulumi", &format!("{PULUMI}{UNKNOWN}"));
    write(&dir, "stacks", r#"[{"name":"other","current":true}]"#);
    write(&dir, "Pulumi.yaml", "name: app\nruntime: yaml\n");
    let own = "encryptionsalt: v1:x\nconfig:\n  gcp:region: eu\n  app:size: \"1\"\n";
    write(&dir, "Pulumi.dev.yaml", own);
    let urn = "urn:pulumi:dev::app::gcp:sql/databaseInstance:DatabaseInstance::db";
    let quoted = toml::Value::from(MARK).to_string();
    let spec = format!(
        "tool='pulumi'\nprogram='./pulumi'\nworkspace='dev'\ntargets=['{urn}']\n\
         variables={{password={quoted},size='2'}}"
    );
    let error = made(&dir, &spec)
        .plan(&Ctx::quiet())
        .await
        .expect_err("no stack");
    assert!(error.to_string().ends_with("there are: other"), "{error}");
    let tool = made(&dir, &format!("create_workspace=true\n{spec}"));
    let (ctx, seen) = watched();
    let plan = tool.plan(&ctx).await.expect("a plan");
    assert!(plan.changes.new_workspace && !calls(&dir).iter().any(|c| c.starts_with("stack init")));
    // What turns out to be in the new stack is not done unless it adds something.
    let error = tool.apply(&ctx, &plan.changes, Leeway::None).await;
    let error = error.expect_err("a loss");
    let lines = format!("\nnot shown: delete {urn}");
    assert!(error.to_string().ends_with(&lines), "{error}");
    let plan = tool.plan(&ctx).await.expect("a plan");
    assert_eq!(
        destroys(&plan.changes),
        [format!(
            "delete {urn}: HOLDS DATA, the databases of a server"
        )]
    );
    let config = std::fs::read_to_string(dir.path().join("config")).expect("a configuration");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(
        config,
        serde_json::json!({ "encryptionsalt": "v1:x",
            "config": { "gcp:region": "eu", "app:size": "2", "app:password": MARK } })
    );
    let kept = std::fs::read_to_string(dir.path().join("Pulumi.dev.yaml")).expect("its own");
    assert_eq!(kept, own);
    tool.apply(&ctx, &plan.changes, Leeway::None)
        .await
        .expect("applied");
    assert_eq!(tool.look(&ctx).await.expect("a state").addresses, [urn]);
    tool.refresh(&ctx).await.expect("refreshed");
    let said = output(&seen);
    assert!(
        said.iter()
            .any(|l| l.starts_with("pulumi up: with ") && l.contains("***")),
        "{said:?}"
    );
    let all = format!("{:?}{:?}{plan:?}{}", seen.events(), calls(&dir), plan.text);
    assert!(!all.contains("tr0ub4dor"), "{all}");
}
