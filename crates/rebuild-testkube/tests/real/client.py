"""Reads and writes objects, runs a command, and forwards a port, with the Python client."""

from kubernetes import client, config, watch
from kubernetes.stream import portforward, stream

config.load_kube_config()
core = client.CoreV1Api()

core.create_namespaced_config_map(
    "default", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="x"), data={"a": "b"})
)
for event in watch.Watch().stream(core.list_namespaced_config_map, "default", timeout_seconds=30):
    if event["object"].metadata.name == "x":
        assert event["type"] == "ADDED", event
        break
try:
    core.read_namespaced_config_map("y", "default")
except client.ApiException as error:
    assert (error.status, error.reason) == (404, "Not Found"), error
else:
    raise AssertionError("y is not there")

command = ["sh", "-c", "echo out; echo err >&2; exit 4"]
process = stream(
    core.connect_get_namespaced_pod_exec,
    "echo",
    "default",
    command=command,
    stdout=True,
    stderr=True,
    stdin=False,
    tty=False,
    _preload_content=False,
)
process.run_forever(timeout=30)
assert process.read_stdout() == "out\n"
assert process.read_stderr() == "err\n"
assert process.returncode == 4, process.returncode

forward = portforward(
    core.connect_get_namespaced_pod_portforward, "echo", "default", ports="7"
).socket(7)
forward.setblocking(True)
sent = bytes(range(256)) * 1000
forward.sendall(sent)
received = b""
while len(received) < len(sent):
    part = forward.recv(65536)
    assert part, f"the port-forward ended after {len(received)} bytes"
    received += part
assert received == sent
print("done")
