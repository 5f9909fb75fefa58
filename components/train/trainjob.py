"""A Kubeflow Trainer v2 TrainJob: made, followed to its end with its logs on the terminal, deleted whatever happens.

Kubernetes' own client on plain objects; the nodes are told apart by the labels that JobSet and Job put on their pods.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3
from kubernetes import client, config
from kubernetes.client import ApiException

from model.distributed import PREEMPTED

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
NODE = "node"
"""Name of the nodes' ReplicatedJob, and of the container in their pods."""
NODES_OF = "jobset.sigs.k8s.io/jobset-name={},jobset.sigs.k8s.io/replicatedjob-name=" + NODE
STEP = "main"
"""Name of the container of a Kubeflow Pipelines task; others of its pod serve the workflow."""
INDEX = "batch.kubernetes.io/job-completion-index"
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_USERNAME",
           "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""Variables that the nodes take from the Secret, those of them that it has."""
PASSED = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_REQUEST_CHECKSUM_CALCULATION",
          "AWS_RESPONSE_CHECKSUM_VALIDATION", "VIZECG_COMMIT", "VIZECG_IMAGE", "OMP_NUM_THREADS")
"""Variables, none of them secret, that the nodes have as their maker has them."""
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_TO_ANSWER = 30.0
FAILURES = 60
"""Looks in a row that may fail before a TrainJob is given up; an API server is away while it is updated."""


@dataclass(frozen=True)
class Nodes:
    """What a TrainJob's nodes are and do."""

    image: str
    command: tuple[str, ...]
    count: int
    processes: int
    runtime: str
    accelerator: str
    secret: str


def manifest(name: str, nodes: Nodes, *, owner: dict | None) -> dict:
    """Return the TrainJob. With an owner, a pod, Kubernetes deletes it once that pod is gone."""
    env = [{"name": key, "value": os.environ[key]} for key in PASSED if key in os.environ]
    if nodes.secret:
        env += [{"name": key, "valueFrom": {"secretKeyRef": {"name": nodes.secret, "key": key, "optional": True}}}
                for key in SECRETS]
    trainer = {"image": nodes.image, "command": list(nodes.command), "env": env, "numNodes": nodes.count,
               "numProcPerNode": nodes.processes}
    if nodes.accelerator:
        trainer["resourcesPerNode"] = {"limits": {nodes.accelerator: nodes.processes},
                                       "requests": {nodes.accelerator: nodes.processes}}
    metadata = {"name": name, "labels": {"app.kubernetes.io/name": "vizecgnet",
                                         "app.kubernetes.io/component": "train"}}
    if owner:
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "TrainJob", "metadata": metadata,
            "spec": {"runtimeRef": {"apiGroup": GROUP, "kind": "ClusterTrainingRuntime", "name": nodes.runtime},
                     "trainer": trainer}}


class Cluster:
    """The cluster in whose pod this runs, or the one that KUBECONFIG names.

    Args:
        say: takes a line that the user should see.

    Raises:
        ValueError: there is neither.
    """

    def __init__(self, *, say: Callable[[str], None]):
        self.say, self.own_pod = say, None
        try:
            if ACCOUNT.is_dir():
                config.incluster_config.InClusterConfigLoader(
                    token_filename=str(ACCOUNT / "token"), cert_filename=str(ACCOUNT / "ca.crt")).load_and_set()
                self.namespace = (ACCOUNT / "namespace").read_text().strip()
            else:
                file = os.environ.get("KUBECONFIG")
                config.load_kube_config(config_file=file)
                context = config.list_kube_config_contexts(config_file=file)[1]["context"]
                self.namespace = context.get("namespace", "default")
        except config.ConfigException as error:
            raise ValueError(f"train.nodes: more than one needs a Kubernetes cluster ({error}); run it in a pod, or "
                             "set KUBECONFIG. Without one, start torchrun on each node") from None
        self.jobs, self.core = client.CustomObjectsApi(), client.CoreV1Api()
        if ACCOUNT.is_dir():
            self.own_pod = self.core.read_namespaced_pod(os.environ["HOSTNAME"], self.namespace)

    def own_image(self) -> str:
        """Return the image of the pod in which this runs; empty outside one."""
        if not self.own_pod:
            return ""
        images = {container.name: container.image for container in self.own_pod.spec.containers}
        return images.get(STEP, self.own_pod.spec.containers[0].image)

    def owner(self) -> dict | None:
        """Return how objects say that they belong to the pod in which this runs."""
        if not self.own_pod:
            return None
        return {"apiVersion": "v1", "kind": "Pod", "name": self.own_pod.metadata.name,
                "uid": self.own_pod.metadata.uid}

    def run(self, name: str, nodes: Nodes) -> None:
        """Make a TrainJob, follow it to its end and delete it, also when this is cancelled or fails.

        Raises:
            ValueError: the cluster refuses it.
            RuntimeError: it failed, was deleted, or the cluster no longer answers.
            SystemExit: of status 75; SIGTERM came. The nodes write their states as they are ended.
        """
        with _ended_by_sigterm():
            self._create(manifest(name, nodes, owner=self.owner()))
            try:
                self.say(f"TrainJob {self.namespace}/{name}: made, {nodes.count} nodes of {nodes.processes} processes")
                self._follow(name)
            finally:
                self._delete(name)

    def _create(self, job: dict) -> None:
        try:
            self.jobs.create_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, job,
                                                      _request_timeout=SECONDS_TO_ANSWER)
        except ApiException as error:
            raise ValueError(f"train.nodes: the cluster refuses the TrainJob: {error.status} {error.reason} "
                             f"{(error.body or '')[:300]}") from None
        except urllib3.exceptions.HTTPError as error:
            raise ValueError(f"train.nodes: the cluster does not answer ({type(error).__name__})") from None

    def _follow(self, name: str) -> None:
        logs, before, failures = _Logs(self.core, self.namespace, self.say), "", 0
        while True:
            try:
                job = self.jobs.get_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, name,
                                                             _request_timeout=SECONDS_TO_ANSWER)
                logs.attach(self.core.list_namespaced_pod(
                    self.namespace, label_selector=NODES_OF.format(name), _request_timeout=SECONDS_TO_ANSWER).items)
                failures = 0
            except (ApiException, urllib3.exceptions.HTTPError) as error:
                failures += 1
                if getattr(error, "status", None) == 404:
                    raise RuntimeError(f"TrainJob {name}: was deleted by someone else") from None
                if failures >= FAILURES:
                    raise RuntimeError(f"TrainJob {name}: the cluster no longer answers ({error})") from None
                time.sleep(SECONDS_BETWEEN_LOOKS)
                continue
            state, message = _state(job)
            if state != before:
                self.say(f"TrainJob {name}: {state}{f', {message}' if message else ''}")
                before = state
            if state in ("Complete", "Failed"):
                logs.finish()
            if state == "Complete":
                return
            if state == "Failed":
                raise RuntimeError(f"TrainJob {name}: failed ({message}); the nodes' lines above say why")
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _delete(self, name: str) -> None:
        try:
            self.jobs.delete_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, name,
                                                      propagation_policy="Foreground",
                                                      _request_timeout=SECONDS_TO_ANSWER)
            self.say(f"TrainJob {name}: deleted")
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            if getattr(error, "status", None) != 404:
                self.say(f"TrainJob {name}: could not be deleted ({error}); kubectl delete trainjob {name}")


class _Logs:
    """Says each line of each node, as it comes, a restarted container's too."""

    def __init__(self, core: client.CoreV1Api, namespace: str, say: Callable[[str], None]):
        self.core, self.namespace, self.say = core, namespace, say
        self.readers: dict[tuple[str, int], threading.Thread] = {}
        self.heard: dict[tuple[str, int], float] = {}

    def attach(self, pods: list) -> None:
        """Begin to read what is not read yet; a stream that broke off is taken up where it was."""
        for pod in pods:
            states = pod.status.container_statuses or []
            restarts = next((state.restart_count for state in states if state.name == NODE), 0)
            key, running = (pod.metadata.uid, restarts), pod.status.phase == "Running"
            reader = self.readers.get(key)
            broken = reader is not None and not reader.is_alive() and running
            if (reader is None and pod.status.phase in ("Running", "Succeeded", "Failed")) or broken:
                self.readers[key] = threading.Thread(target=self._read, args=(pod, key), daemon=True)
                self.readers[key].start()

    def finish(self) -> None:
        """Wait for the last lines."""
        for reader in self.readers.values():
            reader.join(timeout=10)

    def _read(self, pod, key: tuple[str, int]) -> None:
        since = {"since_seconds": max(1, round(time.monotonic() - self.heard[key]))} if key in self.heard else {}
        index = (pod.metadata.labels or {}).get(INDEX, "?")
        try:
            stream = self.core.read_namespaced_pod_log(
                pod.metadata.name, self.namespace, container=NODE, follow=True, _preload_content=False, **since)
            for line in _lines(stream.stream(amt=None)):
                self.heard[key] = time.monotonic()
                self.say(f"[node {index}] {line}")
        except (ApiException, urllib3.exceptions.HTTPError):
            return  # Not yet there, or gone; the next look takes it up again while the pod runs.


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip() for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def _state(job: dict) -> tuple[str, str]:
    """Return a TrainJob's state and what is said about it: its last condition that holds, else by its nodes."""
    status = job.get("status", {})
    for condition in reversed(status.get("conditions", [])):
        if condition["status"] == "True":
            return condition["type"], condition.get("message", "")
    active = any(part["active"] + part["ready"] + part["succeeded"] for part in status.get("jobsStatus", []))
    return ("Running" if active else "Waiting"), ""


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds this process, so that what it made is deleted; alone it would end it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_) -> None:
        raise SystemExit(PREEMPTED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
