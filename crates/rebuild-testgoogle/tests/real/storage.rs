//! Cloud Storage's JSON API.

use rebuild_testgoogle::Google;
use serde_json::json;

use crate::client::{call, send};

#[tokio::test]
async fn objects_are_written_read_listed_and_deleted() {
    let google = Google::start().await.unwrap();
    let (code, _) = call(
        &google,
        "POST",
        "/storage/v1/b?project=p",
        "{\"name\": \"b\"}",
    )
    .await;
    assert_eq!(code, 200);
    assert_eq!(
        call(
            &google,
            "POST",
            "/storage/v1/b?project=p",
            "{\"name\": \"b\"}"
        )
        .await
        .0,
        409
    );
    let upload = "/upload/storage/v1/b/b/o?uploadType=media&name=";
    for name in ["a/1", "a/2", "c"] {
        let (code, object) = call(&google, "POST", &format!("{upload}{name}"), "text").await;
        assert_eq!((code, &object["size"]), (200, &json!("4")));
    }
    let token = google.token();
    let read = send(
        &google,
        "GET",
        "/storage/v1/b/b/o/a%2F1?alt=media",
        "",
        Some(&token),
    )
    .await;
    assert_eq!(read.unwrap(), (200, "text".to_owned()));
    let (_, listed) = call(&google, "GET", "/storage/v1/b/b/o?delimiter=/", "").await;
    assert_eq!(listed["prefixes"], json!(["a/"]));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let (_, page) = call(&google, "GET", "/storage/v1/b/b/o?maxResults=2", "").await;
    assert_eq!(page["nextPageToken"], "a/2");
    let (_, page) = call(
        &google,
        "GET",
        "/storage/v1/b/b/o?maxResults=2&pageToken=a/2",
        "",
    )
    .await;
    assert_eq!(
        (&page["items"][0]["name"], &page["nextPageToken"]),
        (&json!("c"), &json!(null))
    );
    let once = format!("{upload}c&ifGenerationMatch=0");
    assert_eq!(call(&google, "POST", &once, "new").await.0, 412);
    assert_eq!(
        call(&google, "DELETE", "/storage/v1/b/b/o/c", "").await.0,
        204
    );
    assert_eq!(
        call(&google, "DELETE", "/storage/v1/b/b/o/c", "").await.0,
        404
    );
    assert_eq!(google.bucket("b").names(), ["a/1", "a/2"]);
}

#[tokio::test]
async fn a_policy_is_written_by_whoever_has_read_it() {
    let google = Google::start().await.unwrap();
    let bucket = google.create_bucket("b");
    let (_, mut policy) = call(&google, "GET", "/storage/v1/b/b/iam", "").await;
    policy["bindings"] = json!([{"role": "roles/storage.admin", "members": ["user:a@b.c"]}]);
    let (code, _) = call(&google, "PUT", "/storage/v1/b/b/iam", &policy.to_string()).await;
    assert_eq!(code, 200);
    let (code, _) = call(&google, "PUT", "/storage/v1/b/b/iam", &policy.to_string()).await;
    assert_eq!(code, 412);
    bucket.deny();
    assert_eq!(call(&google, "GET", "/storage/v1/b/b", "").await.0, 403);
    bucket.allow();
    assert_eq!(call(&google, "GET", "/storage/v1/b/b", "").await.0, 200);
}
