//! What a step of a spec may say of what does it.

const GCP: &str = "[gcp]\nproject = \"p\"\nregion = \"europe-west1\"\n";
const JOB: &str = "[[load]]\nname = \"a\"\n[load.cloud_run]\n";
const QUERIES: &str = "[[after]]\nname = \"a\"\n[after.bigquery]\nlocation = \"eu\"\n";

fn refusal(text: &str) -> String {
    let text =
        format!("version = 1\nstore.url = \"store\"\ntarget.url = \"postgresql:///app\"\n{text}");
    let folder = std::path::Path::new(".");
    let read = crate::spec::parse(&text, "rebuild.toml", folder, &|_| None);
    let error = read.map(|_| ()).expect_err(&text);
    assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error:?}");
    error.to_string()
}

#[test]
fn what_google_cloud_does_is_checked_with_its_key() {
    let query = "[[after.bigquery.backfill]]\nconfig = \"c\"\n";
    for (text, why) in [
        (
            format!("{JOB}job = \"j\"\n"),
            "load.cloud_run: there is no [gcp]",
        ),
        (
            format!("{GCP}{JOB}"),
            "load.cloud_run: names exactly one of job and restart",
        ),
        (
            format!("{GCP}{JOB}restart = \"s\"\n"),
            "load.cloud_run.restart: a restart does nothing",
        ),
        (
            format!("[gcp]\nproject = \"p\"\n{JOB}job = \"j\"\n"),
            "load.cloud_run.region: neither",
        ),
        (
            format!("{GCP}{JOB}job = \"a/b\"\n"),
            "load.cloud_run.job: \"a/b\" is not a name",
        ),
        (
            format!("{GCP}{JOB}job = \"j\"\nmax_percent_of_groups = 75\n"),
            "max_percent_of_groups: means nothing without groups",
        ),
        (
            format!("{GCP}{JOB}job = \"j\"\ngroups = 3\nmax_percent_of_groups = 101\n"),
            "max_percent_of_groups: is from 1 to 100",
        ),
        (
            format!("{GCP}[[after]]\nname = \"a\"\ncloud_run = {{ restart = \"s\", tasks = 3 }}\n"),
            "after.cloud_run.tasks: is said of a job",
        ),
        (
            format!(
                "{GCP}[[load]]\nname = \"a\"\nfunction = \"m:f\"\ncloud_run = {{ job = \"j\" }}\n"
            ),
            "load.cloud_run: \"a\" has a function and cloud_run: which of them is meant?",
        ),
        (
            format!(
                "{GCP}[[load]]\nname = \"a\"\ncommand = [\"c\"]\ncloud_run = {{ job = \"j\" }}\n"
            ),
            "load.command: \"a\" has cloud_run, so it cannot have a command",
        ),
        (
            format!("{GCP}[migrate]\nargv = [\"c\"]\ncloud_run = {{ job = \"j\" }}\n"),
            "migrate.argv: \"migrate\" has cloud_run",
        ),
        (
            format!("{GCP}[[workload]]\nname = \"a\"\nfunction = \"m:f\"\ncloud_run = \"s\"\n"),
            "workload: \"a\" has a function and cloud_run",
        ),
        (
            "[[workload]]\nname = \"a\"\ncloud_run = \"s\"\n".to_owned(),
            "workload.cloud_run: there is no [gcp]",
        ),
        (
            format!(
                "{GCP}[[load]]\nname = \"a\"\nbigquery = {{ location = \"eu\", backfill = [] }}\n"
            ),
            "load.bigquery: a backfill reads the database in service",
        ),
        (
            format!("{GCP}{QUERIES}backfill = []\n"),
            "after.bigquery.backfill: names no",
        ),
        (
            format!("{GCP}{QUERIES}{query}table = \"t\"\n"),
            "after.bigquery.backfill.table: \"t\" is not dataset.table",
        ),
        (
            format!(
                "{GCP}{QUERIES}{query}[[after.bigquery.remedy]]\nname = \"r\"\ncommand = [\"c\"]\n"
            ),
            "after.bigquery.backfill.table: a remedy deletes",
        ),
        (
            format!(
                "{GCP}{QUERIES}{query}table = \"d.t\"\n[[after.bigquery.remedy]]\nname = \"r\"\n"
            ),
            "after.bigquery.remedy.command: names no program",
        ),
        (
            format!(
                "{GCP}{QUERIES}{query}table = \"d.t\"\n[[after.bigquery.remedy]]\nname = \"r\"\n\
                 infrastructure = \"stack\"\n"
            ),
            "after.bigquery.remedy.infrastructure: there is no [[infrastructure]] called \"stack\"",
        ),
        (
            "[[load]]\nname = \"a\"\ninfrastructure = \"stack\"\n".to_owned(),
            "load.infrastructure: only a remedy",
        ),
        (
            "[[verify]]\nkind = \"cloud_run\"\nservice = \"s\"\n".to_owned(),
            "verify.service: there is no [gcp]",
        ),
        (
            format!("{GCP}[gcp.prices]\nvcpu_second = -1.0\ngib_second = 0\ncurrency = \"EUR\"\n"),
            "gcp.prices.vcpu_second: is no price",
        ),
    ] {
        let said = refusal(&text);
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn the_tasks_are_a_part_of_the_groups_and_at_least_one() {
    let of = |groups: u32, percent: Option<u32>| {
        let task = super::CloudRunTaskSpec {
            groups: std::num::NonZeroU32::new(groups),
            max_percent_of_groups: percent,
            ..Default::default()
        };
        task.most_tasks().map(std::num::NonZeroU32::get)
    };
    assert_eq!(of(280, Some(75)), Some(210));
    assert_eq!(of(3, Some(50)), Some(1));
    assert_eq!(of(1, Some(1)), Some(1));
    assert_eq!(of(7, None), Some(7));
    assert_eq!(of(0, None), None);
}

#[test]
fn what_is_said_of_a_program_is_refused_where_there_is_none() {
    let job = format!("{GCP}{JOB}job = \"j\"\n")
        .replace("[load.cloud_run]\n", "WHERE\n[load.cloud_run]\n");
    let migrator = "[schema]\nsource = \"command\"\n[schema.command]\nWHERE\nkubernetes = { job = \"migrate\" }\n\
                    [kubernetes]\ncontext = \"c\"\nnamespace = \"n\"\n";
    let workload = format!("{GCP}[[workload]]\nname = \"a\"\nfunction = \"m:f\"\nWHERE\n");
    for (text, said, why) in [
        (
            &*job,
            "cwd = \"x\"",
            "load.cwd: \"a\" has cloud_run, which has no cwd",
        ),
        (
            &*job,
            "url_prefix = \"p://\"",
            "load.url_prefix: \"a\" has cloud_run",
        ),
        (
            migrator,
            "cwd = \"x\"",
            "schema.command.cwd: \"schema.command\" has kubernetes",
        ),
        (
            migrator,
            "url_variable = \"U\"",
            "schema.command.url_variable: ",
        ),
        (
            &*workload,
            "cwd = \"x\"",
            "workload.cwd: \"a\" has a function",
        ),
        (
            &*workload,
            "env = { A = \"b\" }",
            "workload.env: \"a\" has a function",
        ),
    ] {
        let text = text.replace("WHERE", said);
        let refused = refusal(&text);
        assert!(refused.contains(why), "{text}: {refused}");
    }
}
