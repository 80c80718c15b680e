//! A database to a bucket and back, and what the clouds' own clients see there.

use std::process::Stdio;

use rebuild_core::testing::python_env;
use serde_json::Value;

use super::s3::SECRET;
use super::{BUCKET, Gs, S3, Server};
use crate::world::{ASIDE, State, Target, World};

/// Prints the manifest and the sizes of all objects of a backup, as boto3 reads them.
const BOTO3: &str = "
import boto3, json, sys
bucket, prefix = sys.argv[1:]
s3 = boto3.client('s3')
manifest = json.load(s3.get_object(Bucket=bucket, Key=prefix + '/manifest.json')['Body'])
pages = s3.get_paginator('list_objects_v2').paginate(Bucket=bucket, Prefix=prefix + '/')
sizes = {o['Key'][len(prefix) + 1:]: o['Size'] for page in pages for o in page['Contents']}
json.dump({'manifest': manifest, 'sizes': sizes}, sys.stdout)";

/// The same, as google-cloud-storage reads them.
const GOOGLE: &str = "
import json, sys
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
bucket, prefix = sys.argv[1:]
client = storage.Client(project='test', credentials=AnonymousCredentials())
bucket = client.bucket(bucket)
manifest = json.loads(bucket.blob(prefix + '/manifest.json').download_as_bytes())
sizes = {b.name[len(prefix) + 1:]: b.size for b in bucket.list_blobs(prefix=prefix + '/')}
json.dump({'manifest': manifest, 'sizes': sizes}, sys.stdout)";

/// Runs a client of the cloud's own.
async fn client(script: &str, prefix: &str, variables: Vec<(String, String)>) -> Value {
    let python = python_env().await.expect("the Python environment");
    let output = tokio::process::Command::new(python.join("python"))
        .args(["-c", script, BUCKET, prefix])
        .envs(variables)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("Python");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Every `file` of the manifest with its `stored_bytes`.
fn files(value: &Value, found: &mut Vec<(String, u64)>) {
    if let (Some(file), Some(size)) = (value["file"].as_str(), value["stored_bytes"].as_u64()) {
        found.push((file.to_owned(), size));
    }
    match value {
        Value::Array(items) => items.iter().for_each(|v| files(v, found)),
        Value::Object(fields) => fields.values().for_each(|v| files(v, found)),
        _ => {}
    }
}

async fn json(target: &Target<'_>, args: &[&str]) -> Value {
    let run = target.rebuild_json(args).await.expect(0);
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.contains(SECRET), "{args:?}: {text}");
    }
    run.json()
}

async fn there_and_back(server: &impl Server, script: &str, seen_by: Vec<(String, String)>) {
    let world = World::start().await;
    let mut target = world.target("app", ASIDE).await;
    target.edit_spec(
        "url = \"store\"",
        &format!("url = \"{}\"", server.url("teams/app")),
    );
    target.environment = server.variables();
    let old = State::of(&target).await;

    json(&target, &["backup"]).await;
    let listed = json(&target, &["backups", "list"]).await;
    assert_eq!(listed.as_array().expect("a list").len(), 1, "{listed}");
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    json(&target, &["backups", "check", &id]).await;

    let prefix = format!("teams/app/backups/{id}");
    let seen = client(script, &prefix, seen_by).await;
    let mut named = Vec::new();
    files(&seen["manifest"], &mut named);
    assert!(named.len() > 5, "{named:?}");
    for (file, size) in named {
        assert_eq!(seen["sizes"][&file], size, "{file}");
    }

    json(&target, &["restore", "--into", "beside", &id]).await;
    let restored = State::of_database(&world, "beside").await;
    restored.expect(&old, "after the restore");
}

#[tokio::test]
async fn a_backup_goes_to_s3_and_comes_back() {
    let server = S3::start().await;
    let mut boto3 = server.variables();
    boto3.push(("AWS_ENDPOINT_URL".to_owned(), server.door().url()));
    there_and_back(&server, BOTO3, boto3).await;
}

#[tokio::test]
async fn a_backup_goes_to_google_and_comes_back() {
    let server = Gs::start().await;
    let direct = vec![("STORAGE_EMULATOR_HOST".to_owned(), server.json.clone())];
    there_and_back(&server, GOOGLE, direct).await;
}
