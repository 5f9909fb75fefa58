"""What `vizecg pipeline` does: compile the DAG, run it on this machine, submit it to a cluster."""

import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from components.lineage import git_commit
from components.registry import STEPS
from model.params import Params, as_dict

if TYPE_CHECKING:
    from pipelines.local import LocalRun

HEADER = "# Compiled by `vizecg pipeline compile` from pipelines/training.py: do not edit.\n"
SECONDS_TO_ANSWER = 5


@dataclass(frozen=True)
class Outcome:
    """How a local run ended: `good` when no task failed and the branch behind the gate did as the gate said."""

    good: bool
    lines: tuple[str, ...]


def compile_training(out: Path) -> None:
    """Write the pipeline as YAML, the same bytes wherever and whenever it is compiled."""
    from kfp import compiler

    from pipelines.training import training

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "training.yaml"
        compiler.Compiler().compile(training, str(compiled))
        text = HEADER + compiled.read_text()
    scratch = out.with_name(f".{out.name}.tmp")
    scratch.write_text(text)
    os.replace(scratch, out)


def pipeline_arguments(params: Params, *, data: str, data_digest: str) -> dict:
    """Return the pipeline's parameters: the sections of params.yaml and what the run is made from."""
    return {**as_dict(params), "data": data, "data_digest": data_digest, "commit": git_commit()}


def run_local(params: Params, *, root: Path) -> Outcome:
    """Run the whole DAG in processes of this machine, and prove what the gate let through.

    Args:
        params: all of params.yaml.
        root: each run makes a folder below it, with what its tasks wrote and its log.

    Raises:
        ValueError: the folder of the source is missing.
    """
    if not Path(params.ingest.data).is_dir():
        raise ValueError(f"ingest.data: {params.ingest.data} is no folder; 'dvc pull' brings the embedded data")
    from pipelines.local import run_pipeline
    from pipelines.training import training

    data = str(Path(params.ingest.data).absolute())
    # One server for all runs of this machine, and the one that `vizecg deploy` reaches.
    state = params.deploy.state or str(Path(STEPS["deploy"].folder).absolute().with_name("torchserve"))
    params = replace(params, deploy=replace(params.deploy, state=state))
    done = run_pipeline(training, pipeline_arguments(params, data=data, data_digest=""), root=root)
    if not done.succeeded:
        return Outcome(False, (f"pipeline run: task {done.failed_task} failed; its last lines:",
                               *(f"    {line}" for line in done.failed_lines), f"log: {done.log}"))
    return _prove_branch(done)


def submit(params: Params, *, host: str, data_digest: str = "") -> str:
    """Start a run on a Kubeflow Pipelines server and return its address.

    Raises:
        ValueError: no server answers at `host`, or it refuses the run.
    """
    _refuse_silence(host)
    # Without a digest nothing says that the data is what it was: then no cached ingest may be taken.
    digest = data_digest or f"unknown at {time.time():.0f}"
    from kfp import Client
    from kfp_server_api import ApiException

    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "training.yaml"
        compile_training(package)
        try:
            run = Client(host=host).create_run_from_pipeline_package(
                str(package), experiment_name=params.tracking.experiment,
                arguments=pipeline_arguments(params, data=params.ingest.data, data_digest=digest))
        except ApiException as error:
            raise ValueError(f"{host}: the server refuses the run: {error.status} {error.reason}") from None
    return f"{host.rstrip('/')}/#/runs/details/{run.run_id}"


def _refuse_silence(host: str) -> None:
    """Ask for the server's health first: the client alone would try for minutes."""
    try:
        requests.get(f"{host.rstrip('/')}/apis/v2beta1/healthz", timeout=SECONDS_TO_ANSWER).raise_for_status()
    except requests.RequestException as error:
        raise ValueError(f"{host}: no Kubeflow Pipelines server answers there ({type(error).__name__}); "
                         "give --host the address of its API, such as http://127.0.0.1:8888") from None


def _prove_branch(done: "LocalRun") -> Outcome:
    """Compare what lies on disk with the gate's decision: the runner may skip a branch and still report success."""
    decision = done.read_json("gate", "decision/decision.json")
    if not decision["passed"]:
        reasons = [f"    {rule['reason']}" for rule in decision["rules"] if not rule["passed"]]
        return Outcome(True, ("pipeline run: the gate was not passed, so nothing was registered or deployed:",
                              *reasons, f"artifacts: {done.folder}"))
    version = done.read_json("register", "registration/version.json")
    deployment = done.read_json("deploy", "deployment/deployment.json")
    if not version or not deployment:
        return Outcome(False, ("pipeline run: the gate was passed, but the tasks behind it left no trace",
                               f"log: {done.log}"))
    return Outcome(True, (
        "pipeline run: the gate was passed and the tasks behind it ran:",
        f"    registered {version['name']} version {version['version']} (run {version['run_id']})",
        f"    deployed {deployment['name']} version {deployment['version']} at {deployment['endpoint']}",
        f"artifacts: {done.folder}"))
