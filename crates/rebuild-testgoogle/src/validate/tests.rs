use serde_json::json;

use super::*;
use crate::discovery::Catalog;

fn method(http: &str, path: &str) -> std::sync::Arc<Method> {
    let route = Catalog::get().route(http, "", path).expect("a method");
    route.method
}

fn checked(http: &str, path: &str, mut value: Value, maker: Maker) -> (Value, String) {
    let problems = body(&method(http, path), &mut value, maker);
    (value, problems.join("\n"))
}

const BACKUP_RUNS: &str = "/v1/projects/p/instances/i/backupRuns";
const EXPORT: &str = "/v1/projects/p/instances/i/export";

#[test]
fn a_request_is_checked_field_by_field() {
    let problems = |value| checked("POST", BACKUP_RUNS, value, Maker::Client).1;
    assert_eq!(problems(json!({"description": "d", "location": "eu"})), "");
    assert_eq!(
        problems(json!({"descriptoin": "d"})),
        "BackupRun.descriptoin: there is no such field"
    );
    assert_eq!(
        problems(json!({"description": 1})),
        "BackupRun.description: no string: 1"
    );
    assert_eq!(problems(json!([])), "BackupRun: no object: []");
    assert_eq!(
        problems(json!({"error": {"code": 7}})),
        "BackupRun.error.code: no string: 7"
    );
    assert_eq!(
        problems(json!({"id": "x"})),
        "BackupRun.id: no int64: \"x\""
    );
    assert_eq!(
        problems(json!({"startTime": "today"})),
        "BackupRun.startTime: no google-datetime: \"today\""
    );
    assert_eq!(
        problems(json!({"type": "MANUAL"})),
        "BackupRun.type: not among the values of the enum: \"MANUAL\""
    );
    assert_eq!(problems(json!({"description": null})), "");
}

#[test]
fn numbers_of_enums_become_names_and_numbers_of_64_bits_text() {
    let sent = json!({"exportContext": {"fileType": 1, "databases": ["a"]}});
    let (read, problems) = checked("POST", EXPORT, sent, Maker::Client);
    assert_eq!(problems, "");
    assert_eq!(read["exportContext"]["fileType"], "SQL");
    for (number, problem) in [
        (4, ""),
        (
            3,
            "InstancesExportRequest.exportContext.fileType: not among the values of the enum: 3",
        ),
    ] {
        let sent = json!({"exportContext": {"fileType": number}});
        assert_eq!(checked("POST", EXPORT, sent, Maker::Client).1, problem);
    }
    let (read, problems) = checked("POST", BACKUP_RUNS, json!({"id": 5}), Maker::Client);
    assert_eq!((read, problems.as_str()), (json!({"id": "5"}), ""));
}

#[test]
fn an_answer_is_checked_more_strictly() {
    let path = "/v1/projects/p/instances/i/backupRuns/1";
    let problems = |value| checked("GET", path, value, Maker::Server).1;
    assert_eq!(
        problems(
            json!({"id": "1", "status": "SUCCESSFUL", "startTime": "2026-01-02T03:04:05.678Z"})
        ),
        ""
    );
    assert_eq!(problems(json!({"id": 1})), "BackupRun.id: no string: 1");
    assert_eq!(
        problems(json!({"status": 5})),
        "BackupRun.status: not among the values of the enum: 5"
    );
    assert_eq!(problems(json!({"error": null})), "BackupRun.error: null");
}

#[test]
fn maps_and_lists_are_looked_into() {
    let path = "/v1/projects/p/instances";
    let problems = |value| checked("POST", path, value, Maker::Client).1;
    let flags = json!({"settings": {"databaseFlags": [{"name": "a", "value": 1}]}});
    assert_eq!(
        problems(flags),
        "DatabaseInstance.settings.databaseFlags[0].value: no string: 1"
    );
    let labels = json!({"settings": {"userLabels": {"a": true}}});
    assert_eq!(
        problems(labels),
        "DatabaseInstance.settings.userLabels.a: no string: true"
    );
}

#[test]
fn what_a_method_needs_must_be_there() {
    let problems = |value| checked("POST", "/storage/v1/b", value, Maker::Client).1;
    assert_eq!(problems(json!({"name": "b"})), "");
    assert_eq!(problems(json!({})), "Bucket.name: this field is required");
}

#[test]
fn a_body_where_there_is_none_is_a_problem() {
    let path = "/v1/projects/p/instances/i";
    let problems = |value| checked("GET", path, value, Maker::Client).1;
    assert_eq!(problems(json!({})), "");
    assert_eq!(
        problems(json!({"a": 1})),
        "the request of sql.instances.get has no body"
    );
}

#[test]
fn queries_are_checked() {
    let problems = |http, path, text: &str| {
        let pairs = url::form_urlencoded::parse(text.as_bytes()).into_owned();
        query(&method(http, path), &mut pairs.collect()).join("\n")
    };
    let list = "/v1/projects/p/instances";
    assert_eq!(
        problems(
            "GET",
            list,
            "maxResults=5&$alt=json;enum-encoding%3Dint&location="
        ),
        ""
    );
    assert_eq!(
        problems("GET", list, "maxResults=many"),
        "maxResults: no \"integer\": \"many\""
    );
    assert_eq!(
        problems("GET", list, "pageSize=5"),
        "pageSize: there is no such query parameter"
    );
    assert_eq!(
        problems("GET", list, "filter=a&filter=b"),
        "filter: given twice"
    );
    assert_eq!(
        problems("GET", "/storage/v1/b", ""),
        "project: this query parameter is required"
    );
}

#[test]
fn formats_are_known() {
    for (format, good, bad) in [
        ("int64", "-5", "5.0"),
        ("uint64", "5", "-5"),
        ("byte", "YWI=", "a"),
        ("date", "2026-01-02", "02.01.2026"),
        ("google-datetime", "2026-01-02T03:04:05Z", "2026-01-02"),
        ("google-duration", "1.5s", "1.5"),
        ("google-fieldmask", "a,b.cD", "a, b"),
    ] {
        assert!(formats::is(format, good), "{format} {good}");
        assert!(!formats::is(format, bad), "{format} {bad}");
    }
}
