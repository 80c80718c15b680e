"""Backs an instance up and restores it, and writes and reads objects, with Google's clients.

The address of the server is the first argument; credentials are found as usual.
"""

import sys
import time

import google.auth
from google.api_core.client_options import ClientOptions
from google.cloud import storage
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

server = sys.argv[1]
credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])


def api(name, version):
    """An API as the server's own document describes it."""
    url = server + "/$discovery/rest?api={api}&version={apiVersion}"
    return build(
        name,
        version,
        credentials=credentials,
        discoveryServiceUrl=url,
        static_discovery=False,
        cache_discovery=False,
    )


def wait(operation):
    """The operation when it is done."""
    while operation["status"] != "DONE":
        time.sleep(0.01)
        operation = sql.operations().get(project="p", operation=operation["name"]).execute()
    assert "error" not in operation, operation
    return operation


sql = api("sqladmin", "v1")
[instance] = sql.instances().list(project="p").execute()["items"]
assert instance["name"] == "db", instance

done = wait(
    sql.backupRuns().insert(project="p", instance="db", body={"description": "by hand"}).execute()
)
run = sql.backupRuns().get(project="p", instance="db", id=done["backupContext"]["backupId"])
assert run.execute()["status"] == "SUCCESSFUL", run
body = {"backup": done["backupContext"]["name"]}
wait(sql.instances().restoreBackup(project="p", instance="db", body=body).execute())

try:
    sql.databases().get(project="p", instance="db", database="none").execute()
except HttpError as error:
    assert error.status_code == 404, error
    assert error.reason == "The database does not exist.", error.reason
else:
    raise AssertionError("the database is not there")

client = storage.Client(
    project="p", credentials=credentials, client_options=ClientOptions(api_endpoint=server)
)
bucket = client.bucket("files")
bucket.blob("a/ä.txt").upload_from_string("text", content_type="text/plain")
assert bucket.blob("a/ä.txt").download_as_bytes() == b"text"
assert [blob.name for blob in client.list_blobs("files", prefix="a/")] == ["a/ä.txt"]
policy = bucket.get_iam_policy(requested_policy_version=3)
policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"user:a@example.com"}})
bucket.set_iam_policy(policy)
bucket.blob("a/ä.txt").delete()
print("done")
