use std::path::Path;

use super::*;
use crate::error::Result;

const HEAD: &str = "version = 1\n[target]\nurl = \"\"\n[store]\nurl = \"store\"\n";

fn read(text: &str) -> Result<Spec> {
    let lookup = |name: &str| (name == "SET").then(|| "value".to_owned());
    parse(text, "rebuild.toml", Path::new("."), &lookup)
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_a_suggestion() {
    let cases: &[(&str, &str, Option<&str>)] = &[
        (
            "[quiesce]\nread_onyl = true\n",
            "rebuild.toml:7:1: quiesce.read_onyl: unknown field `read_onyl`",
            Some("did you mean \"read_only\"?"),
        ),
        (
            "[backup]\nmode = \"ful\"\n",
            "rebuild.toml:7:8: backup.mode: unknown variant `ful`",
            Some("did you mean \"full\"?"),
        ),
        (
            "[source]\nurl = \"\"\n[restore]\nsource = \"none\"\n",
            "rebuild.toml: restore.source: with a [source], the rows come from it",
            None,
        ),
        (
            "[source]\nurl = \"\"\n[schema]\nsource = \"backup\"\n",
            "rebuild.toml: schema.source: rows of a source do not go into",
            None,
        ),
        (
            "[source]\nurl = \"\"\n[backup]\nmode = \"counts-only\"\n[[preserve]]\ntable = \"a.b\"\n",
            "rebuild.toml: backup.mode: rows that cannot be put back must be in the backup",
            None,
        ),
        (
            "[[preserve]]\ntable = \"a.b\"\n",
            "rebuild.toml: preserve: rows are preserved where others come from a [source]",
            None,
        ),
        (
            "[mask]\nrequire = [\"*\"]\n",
            "rebuild.toml: mask: only what comes from a [source] is masked",
            None,
        ),
        (
            "[backup]\njobs = \"two\"\n",
            "rebuild.toml:7:8: backup.jobs: invalid type",
            None,
        ),
        (
            "[retention]\nkeep_retired = \"soon\"\n",
            "rebuild.toml:7:16: retention.keep_retired: \"soon\" is not a length of time",
            None,
        ),
        (
            "[[verify]]\nkind = \"every_colum\"\n",
            "rebuild.toml:",
            Some("did you mean \"every_column\"?"),
        ),
        (
            "[[verify]]\nkind = \"counts\"\nexcpet = []\n",
            "unknown field `excpet`",
            Some("did you mean \"except\"?"),
        ),
        (
            "[[after]]\nname = \"x\"\ncommand = [\"${UNSET}\"]\n",
            "rebuild.toml:8:12: after[0].command: the environment variable UNSET is not set",
            Some("export UNSET=..."),
        ),
        (
            "[[infrastructure]]\nname = \"net\"\ntool = \"tofu\"\nrelease = \"x\"\n",
            "rebuild.toml: infrastructure \"net\": release does not fit the tool tofu",
            None,
        ),
        (
            "[[infrastructure]]\nname = \"net\"\ntool = \"tofu\"\nenv = { TF_VAR_a = \"1\" }\n",
            "infrastructure \"net\": env.TF_VAR_a changes what the plan says",
            Some("say it with variables"),
        ),
        (
            "[[infrastructure]]\ntool = \"tofu\"\n",
            "rebuild.toml:6:1: infrastructure[0]: missing field `name`",
            None,
        ),
        (
            "[[infrastructure]]\nname = \"\"\ntool = \"tofu\"\n",
            "infrastructure.name: is empty",
            None,
        ),
        (
            "[[infrastructure]]\nname = \"a\"\ntool = \"tofu\"\n[[infrastructure]]\nname = \"a\"\ntool = \"tofu\"\n",
            "infrastructure.name: \"a\" is there twice",
            None,
        ),
        (
            "[[after]]\nname = \"x\"\ncommand = []\n",
            "after.command: names no program",
            None,
        ),
        (
            "[schema]\nsource = \"files\"\n",
            "schema.files: the source \"files\" needs patterns",
            None,
        ),
        (
            "[schema]\nfiles = [\"a.sql\"]\n",
            "schema.files: is only used with",
            None,
        ),
        (
            "[backup]\nmode = \"counts-only\"\n[restore]\nsource = \"none\"\n",
            "schema.source: a backup of counts alone",
            None,
        ),
        (
            "[backup]\nmode = \"schema-only\"\n",
            "backup.mode: a backup without rows",
            Some("use mode = \"full\", or restore.source = \"none\""),
        ),
        ("[backup]\ncompression = 40\n", "backup.compression", None),
        (
            "[restore]\nsource = \"csv\"\n",
            "restore.csv: the source \"csv\" needs",
            None,
        ),
        (
            "[restore]\ncsv = \"rows\"\n",
            "restore.csv: is only used with",
            None,
        ),
        (
            "[restore]\nsource = \"csv\"\ncsv = \"rows\"\n[[verify]]\nkind = \"counts\"\n",
            "verify: counts and content compare with the backup",
            Some("use kind = \"query\" or kind = \"tables\""),
        ),
        (
            "[[workload]]\nname=\"a\"\nstop=[\"s\"]\nstart=[\"s\"]\n[[workload]]\nname=\"a\"\nstop=[\"s\"]\nstart=[\"s\"]\n",
            "workload.name: \"a\" is there twice",
            None,
        ),
        (
            "[schema]\nsource = \"function\"\n",
            "schema.function: the source \"function\" needs",
            None,
        ),
        (
            "[schema]\nfunction = \"m:f\"\n",
            "schema.function: is only used with",
            None,
        ),
        (
            "[restore]\nfunction = \"m:f\"\n",
            "restore.function: is only used with",
            None,
        ),
        (
            "[restore]\nsource = \"function\"\n",
            "restore.function: the source \"function\" needs",
            None,
        ),
        (
            "[restore]\nsource = \"function\"\nfunction = \"m:f\"\n[[verify]]\nkind = \"counts\"\n",
            "verify: counts and content compare with the backup",
            Some("use kind = \"query\" or kind = \"tables\""),
        ),
        (
            "[[load]]\nname = \"a\"\n",
            "load.command: names no program",
            None,
        ),
        (
            "[[after]]\nname = \"a\"\nfunction = \"m:f\"\ncommand = [\"c\"]\n",
            "after.command: \"a\" has a function, so it cannot have a command",
            None,
        ),
        (
            "[[load]]\nname = \"a\"\nfunction = \"m:f\"\ncwd = \"here\"\n",
            "load.cwd: \"a\" has a function, which has no cwd",
            None,
        ),
        (
            "[[workload]]\nname = \"a\"\nfunction = \"m:f\"\nstop = [\"s\"]\n",
            "workload.stop: \"a\" has a function",
            None,
        ),
        (
            "[[verify]]\nkind = \"function\"\nname = \"a\"\nfunction = \"m:f\"\n[[verify]]\nkind = \"function\"\nname = \"a\"\nfunction = \"m:g\"\n",
            "verify.name: \"a\" is there twice",
            None,
        ),
        ("[store]\n", "rebuild.toml:6:", None),
    ];
    for (text, expected, hint) in cases {
        let error = read(&format!("{HEAD}{text}")).expect_err(text);
        assert!(
            error.to_string().contains(expected),
            "{error}\nexpected {expected}"
        );
        assert_eq!(error.advice(), *hint, "{error}");
        assert_eq!(error.kind(), crate::ErrorKind::Usage);
    }
    let newer = HEAD.replace("version = 1", "version = 2");
    assert!(
        read(&newer)
            .expect_err("newer")
            .to_string()
            .contains("version")
    );
}

#[test]
fn the_digest_is_of_the_meaning_and_knows_no_secret() {
    let one = read(&format!("{HEAD}[backup]\njobs = 2\ncsv = true\n")).expect("spec");
    let other = read(&format!(
        "{HEAD}# a comment\n[backup]\n\ncsv = true\njobs=2\n"
    ))
    .expect("spec");
    assert_eq!(one.digest(), other.digest());
    let changed = read(&format!("{HEAD}[backup]\njobs = 3\ncsv = true\n")).expect("spec");
    assert_ne!(one.digest(), changed.digest());

    let text = HEAD.replace("url = \"\"", "url = \"${SET}\"");
    let with = |value: &'static str| {
        parse(&text, "x", Path::new("."), &move |_: &str| {
            Some(value.to_owned())
        })
        .expect("spec")
    };
    assert_eq!(with("a").digest(), with("b").digest());
    assert_eq!(with("a").target.url.expose(), "a");
    assert!(!format!("{:?}", with("hunter2")).contains("hunter2"));
}

#[test]
fn defaults_are_the_safe_ones() {
    let spec = read(HEAD).expect("spec");
    assert!(spec.quiesce.read_only);
    assert!(matches!(
        spec.quiesce.end_sessions,
        EndSessionsSpec::All(false)
    ));
    assert_eq!(spec.target.strategy, StrategySpec::Aside);
    assert_eq!(spec.backup.mode, crate::traits::BackupMode::Full);
    assert_eq!(spec.retention.keep_retired, Within::seconds(7 * 86_400));
    assert!(!spec.target.insecure_tls);
}

#[test]
fn every_example_is_a_spec() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    // A folder of sockets is named from the root.
    let lookup = |name: &str| {
        let root = if name.ends_with("_SOCKETS") { "/" } else { "" };
        Some(format!("{root}x"))
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(&examples).expect("examples") {
        let path = entry.expect("entry").path().join("rebuild.toml");
        if path.exists() {
            load(&path, &lookup).expect("an example's spec");
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} examples");
}

#[test]
fn the_specs_in_the_documentation_are_specs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let lookup = |_: &str| Some("x".to_owned());
    for (page, head) in [
        ("README.md", ""),
        ("docs/REFRESH.md", HEAD),
        ("docs/KUBERNETES.md", ""),
        ("docs/GCP.md", ""),
        ("docs/INFRASTRUCTURE.md", HEAD),
    ] {
        let text = std::fs::read_to_string(root.join(page)).expect(page);
        let (_, block) = text.split_once("```toml\n").expect("a block");
        let (block, _) = block.split_once("```").expect("its end");
        parse(&format!("{head}{block}"), page, Path::new("."), &lookup).expect(page);
    }
}

/// Regenerate with `UPDATE_SCHEMA=1 cargo test -p rebuild-core the_published_schema`.
#[test]
fn the_published_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/rebuild.schema.json");
    let text = format!("{:#}\n", json_schema());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let published = std::fs::read_to_string(&path).expect("schema/rebuild.schema.json");
    assert!(
        published == text,
        "schema/rebuild.schema.json is not up to date"
    );
}
