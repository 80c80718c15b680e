"""What google_sql_database_instance does, for the stand-in in main.tf: makes an instance, and waits."""

import json
import os
import sys
import time
import urllib.request

project, region, name, tier = sys.argv[1:]
at = f"{os.environ['WEBMEV_GOOGLE']}/v1/projects/{project}"


def ask(path, body=None):
    request = urllib.request.Request(f"{at}/{path}", json.dumps(body).encode() if body else None)
    request.add_header("Authorization", f"Bearer {os.environ['WEBMEV_TOKEN']}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


settings = {
    "tier": tier,
    "deletionProtectionEnabled": True,
    "backupConfiguration": {"enabled": True},
}
wanted = {
    "name": name,
    "region": region,
    "rootPassword": os.environ["TF_VAR_password"],
    "settings": settings,
}
operation = ask("instances", wanted)
deadline = time.monotonic() + 600
while operation["status"] != "DONE":
    if time.monotonic() > deadline:
        sys.exit(f"{operation['name']} does not end")
    time.sleep(0.2)
    operation = ask(f"operations/{operation['name']}")
if "error" in operation:
    sys.exit(json.dumps(operation["error"]))
print(f"instance {name} is there, as {tier}")
