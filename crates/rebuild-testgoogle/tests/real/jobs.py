"""Executes a job, changes a service, counts rows and runs a scheduled query, with Google's client.

The address of the server is the first argument; credentials are found as usual.
"""

import sys
import time

import google.auth
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


run = api("run", "v2").projects().locations()
place = "projects/test-project/locations/europe-west1"


def wait(operation):
    """What an operation gives when it is done."""
    while not operation.get("done"):
        time.sleep(0.02)
        operation = run.operations().get(name=operation["name"]).execute()
    assert "error" not in operation, operation
    return operation["response"]


container = {"args": ["--full"], "env": [{"name": "COLOUR", "value": "red"}]}
body = {"overrides": {"taskCount": 2, "containerOverrides": [container]}}
execution = wait(run.jobs().run(name=place + "/jobs/work", body=body).execute())
assert execution["succeededCount"] == 2, execution
assert execution["conditions"][0]["state"] == "CONDITION_SUCCEEDED", execution
listed = run.jobs().executions().list(parent=place + "/jobs/work").execute()["executions"]
assert [each["name"] for each in listed] == [execution["name"]], listed
try:
    run.jobs().executions().cancel(name=execution["name"], body={}).execute()
except HttpError as error:
    assert error.status_code == 400, error
else:
    raise AssertionError("it has ended")

short = execution["name"].split("/")[-1]
wanted = {
    "resourceNames": ["projects/test-project"],
    "filter": 'resource.type="cloud_run_job" AND '
    f'labels."run.googleapis.com/execution_name"="{short}"',
    "orderBy": "timestamp asc",
}
entries = api("logging", "v2").entries().list(body=wanted).execute()["entries"]
assert sorted(entry["textPayload"] for entry in entries) == ["0 --full red", "1 --full red"], entries

name = place + "/services/api"
service = run.services().get(name=name).execute()
scaling = {"scalingMode": "MANUAL", "manualInstanceCount": 0}
body = {"name": name, "etag": service["etag"], "scaling": scaling}
run.services().patch(name=name, updateMask="scaling", body=body).execute()
while (now := run.services().get(name=name).execute()).get("reconciling"):
    time.sleep(0.02)
assert now["scaling"] == scaling, now
assert now["latestReadyRevision"] == service["latestReadyRevision"], now
try:
    run.services().patch(name=name, updateMask="scaling", body=body).execute()
except HttpError as error:
    assert error.status_code == 409, error
else:
    raise AssertionError("somebody else has changed it")

bigquery = api("bigquery", "v2")
body = {"query": "SELECT count(*) FROM `test-project.d.t`", "useLegacySql": False, "location": "EU"}
rows = bigquery.jobs().query(projectId="test-project", body=body).execute()["rows"]
assert rows == [{"f": [{"v": "7"}]}], rows
bigquery.tables().delete(projectId="test-project", datasetId="d", tableId="t").execute()
try:
    bigquery.tables().get(projectId="test-project", datasetId="d", tableId="t").execute()
except HttpError as error:
    assert error.status_code == 404, error
else:
    raise AssertionError("it was deleted")

transfers = api("bigquerydatatransfer", "v1").projects().locations().transferConfigs()
parent = "projects/test-project/locations/eu"
[config] = transfers.list(parent=parent, dataSourceIds="scheduled_query").execute()["transferConfigs"]
assert config["displayName"] == "by day", config
body = {"requestedRunTime": "2026-01-02T03:04:05Z"}
[started] = transfers.startManualRuns(parent=config["name"], body=body).execute()["runs"]
while (done := transfers.runs().get(name=started["name"]).execute())["state"] in ("PENDING", "RUNNING"):
    time.sleep(0.02)
assert done["state"] == "FAILED" and done["errorStatus"]["message"] == "no", done
said = transfers.runs().transferLogs().list(parent=started["name"]).execute()["transferMessages"]
assert [each["messageText"] for each in said] == ["why"], said
print("done")
