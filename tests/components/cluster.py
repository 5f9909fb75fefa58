"""A cluster on loopback: the part of Kubernetes' API that a TrainJob needs, whose nodes are processes of this machine.

It stores TrainJobs, refuses those that the CRD's schema does not know, starts each node's command with the variables
that Kubeflow's Trainer sets, starts a failed one again, serves the nodes' logs as they grow, and ends the nodes of a
job that is deleted.
"""

import functools
import json
import os
import signal
import socket
import subprocess
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[2]
CRD = ROOT.parent / "shared" / "crds" / "trainer_trainjobs.yaml"
JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs"
PODS = "/api/v1/namespaces/team/pods"
TIME = "2026-01-01T00:00:00Z"


def strict(schema: dict) -> dict:
    """A CRD's schema as JSON schema that knows no other fields than those named."""
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for part in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, dict):
            strict(part)
    return schema


@functools.cache
def trainjob_schema() -> jsonschema.Draft202012Validator | None:
    """What holds objects to TrainJob v1alpha1; None where the CRD is not at hand."""
    if not CRD.exists():
        return None
    crd = yaml.load(CRD.read_text(), Loader=yaml.CSafeLoader)
    version, = (v for v in crd["spec"]["versions"] if v["name"] == "v1alpha1")
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft202012Validator(strict(schema))


class Node:
    """One pod with its container, which may be started again."""

    def __init__(self, job: dict, index: int, environment: dict):
        self.job, self.index, self.environment = job, index, environment
        self.name, self.uid, self.restarts = f"{job['metadata']['name']}-node-0-{index}-abcde", str(uuid.uuid4()), 0
        self.start()

    def start(self) -> None:
        self.log: list[tuple[float, bytes]] = []
        self.process = subprocess.Popen(self.job["spec"]["trainer"]["command"], env=self.environment, cwd=ROOT,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.reader = threading.Thread(target=self._read, args=(self.process, self.log), daemon=True)
        self.reader.start()

    def _read(self, process, log) -> None:
        for line in process.stdout:
            log.append((time.monotonic(), line))

    def end(self, number: int) -> None:
        """Send a signal to all of the pod's processes."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    @property
    def phase(self) -> str:
        status = self.process.poll()
        if status is None or self.reader.is_alive():
            return "Running"
        return "Failed" if status else "Succeeded"

    def manifest(self) -> dict:
        image = self.job["spec"]["trainer"]["image"]
        labels = {"jobset.sigs.k8s.io/jobset-name": self.job["metadata"]["name"],
                  "jobset.sigs.k8s.io/replicatedjob-name": "node",
                  "batch.kubernetes.io/job-completion-index": str(self.index)}
        container = {"name": "node", "image": image, "imageID": image, "ready": True, "restartCount": self.restarts}
        return {"metadata": {"name": self.name, "uid": self.uid, "labels": labels},
                "spec": {"containers": [{"name": "node", "image": image}]},
                "status": {"phase": self.phase, "containerStatuses": [container]}}


class LoopbackCluster:
    """The cluster; `secrets` are its Secrets, `own_pods` pods that stand for others', `broken` answers to spoil."""

    def __init__(self, *, restarts: int = 1, context=None):
        self.jobs, self.nodes, self.own_pods, self.secrets = {}, {}, {}, {}
        self.restarts, self.broken, self.seen, self.deleted = restarts, 0, [], []
        self.schema, cluster = trainjob_schema(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                cluster.serve(self, "POST")

            def do_GET(self):
                cluster.serve(self, "GET")

            def do_DELETE(self):
                cluster.serve(self, "DELETE")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        for nodes in self.nodes.values():
            for node in nodes:
                node.end(signal.SIGKILL)
        self.server.shutdown()
        self.server.server_close()

    def write_kubeconfig(self, path: Path) -> None:
        url = f"http://127.0.0.1:{self.port}"
        path.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "here", "users": [{"name": "me", "user": {}}],
            "clusters": [{"name": "here", "cluster": {"server": url}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "team"}}]}))

    def serve(self, request, verb: str) -> None:
        url = urlsplit(request.path)
        self.seen.append((verb, url.path))
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.broken:
            self.broken -= 1
            return _answer(request, 500, {"message": "the server is being updated"})
        name = url.path.rpartition("/")[2]
        if verb == "POST" and url.path == JOBS:
            return self._create(request, json.loads(body))
        if verb == "GET" and url.path == PODS:
            wanted = dict(pair.split("=") for pair in parse_qs(url.query)["labelSelector"][0].split(","))
            pods = [node.manifest() for nodes in self.nodes.values() for node in nodes]
            return _answer(request, 200, {"items": [
                pod for pod in pods if wanted.items() <= pod["metadata"]["labels"].items()]})
        if verb == "GET" and url.path.startswith(PODS) and name == "log":
            return self._log(request, url)
        if verb == "GET" and url.path == f"{PODS}/{name}" and name in self.own_pods:
            return _answer(request, 200, self.own_pods[name])
        if url.path == f"{JOBS}/{name}" and name in self.jobs:
            if verb == "DELETE":
                self._delete(name)
                return _answer(request, 200, {"status": "Success"})
            return _answer(request, 200, {**self.jobs[name], "status": self._status(name)})
        return _answer(request, 404, {"message": f"no {url.path}"})

    def _create(self, request, job: dict) -> None:
        if self.schema:
            try:
                self.schema.validate(job)
            except jsonschema.ValidationError as error:
                return _answer(request, 422, {"message": error.message})
        name, trainer = job["metadata"]["name"], job["spec"]["trainer"]
        self.jobs[name] = job
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        shell = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        given = {one["name"]: self._value(one) for one in trainer.get("env", [])}
        self.nodes[name] = [Node(job, index, {
            **shell, "PYTHONPATH": str(ROOT), "GIT_DIR": "/nonexistent", "OMP_NUM_THREADS": "1",
            **{key: value for key, value in given.items() if value is not None},
            "PET_NNODES": str(trainer["numNodes"]), "PET_NPROC_PER_NODE": str(trainer["numProcPerNode"]),
            "PET_NODE_RANK": str(index), "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(port)})
            for index in range(trainer["numNodes"])]
        return _answer(request, 201, job)

    def _value(self, variable: dict) -> str | None:
        if "value" in variable:
            return variable["value"]
        reference = variable["valueFrom"]["secretKeyRef"]
        return self.secrets.get(reference["name"], {}).get(reference["key"])

    def _status(self, name: str) -> dict:
        nodes = self.nodes[name]
        for node in nodes:
            if node.phase == "Failed" and node.restarts < self.restarts:
                node.restarts += 1
                node.start()
        phases = [node.phase for node in nodes]
        status = {"jobsStatus": [{"name": "node", "active": int("Running" in phases), "ready": 0, "suspended": 0,
                                  "failed": int("Failed" in phases), "succeeded": 0}]}
        if "Failed" in phases:
            status["conditions"] = [_condition("Failed", "JobsFailed", "jobset failed due to one or more job failures")]
        elif set(phases) == {"Succeeded"}:
            status["conditions"] = [_condition("Complete", "JobsCompleted", "jobset completed successfully")]
        return status

    def _delete(self, name: str) -> None:
        self.deleted.append(name)
        del self.jobs[name]
        for node in self.nodes[name]:
            node.end(signal.SIGTERM)

    def _log(self, request, url) -> None:
        """The lines of the container that runs now, in chunks as they come, as Kubernetes sends them."""
        name, query = url.path.split("/")[-2], parse_qs(url.query)
        node, = (node for nodes in self.nodes.values() for node in nodes if node.name == name)
        log, reader, sent = node.log, node.reader, 0
        oldest = time.monotonic() - float(query["sinceSeconds"][0]) if "sinceSeconds" in query else 0.0
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        while True:
            over = not reader.is_alive()
            for at, line in log[sent:]:
                if at >= oldest:
                    request.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                sent += 1
            if over:
                break
            time.sleep(0.02)
        request.wfile.write(b"0\r\n\r\n")


def _condition(kind: str, reason: str, message: str) -> dict:
    return {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": TIME}


def _answer(request, status: int, body: dict) -> None:
    data = json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)
