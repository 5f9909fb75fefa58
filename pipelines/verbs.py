"""What `vizecg pipeline run` does: the DAG on this machine, and the proof that all of it ran."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from components.images import with_references
from components.registry import STEPS
from components.s3 import is_bucket
from components.tracking import connect
from model.params import Params
from model.typed import as_dict
from pipelines.identity import code_identity, data_identity
from pipelines.inputs import refuse_password

if TYPE_CHECKING:
    from pipelines.local import LocalRun

AFTERWARDS = ("monitor",)
"""Sections that no task of the training pipeline takes."""


@dataclass(frozen=True)
class Outcome:
    """How a local run ended: `good` when no task failed and the branch behind the gate did as the gate said."""

    good: bool
    lines: tuple[str, ...]


def pipeline_arguments(params: Params, *, data: str, data_digest: str, trials: list[dict] | None = None,
                       shards: int = 1) -> dict:
    """Return the pipeline's parameters: the sections of params.yaml and what the run is made from."""
    refuse_password(params.tracking.uri)
    sections = {name: value for name, value in as_dict(params).items() if name not in AFTERWARDS}
    return {**sections, "data": data, "data_digest": data_digest, "commit": code_identity(),
            "shards": list(range(1, shards + 1)), "captures": list(params.render.captures),
            "trials": trials or [{"train": {}}]}


def run_local(params: Params, *, root: Path, trials: list[dict] | None = None, shards: int = 1,
              docker: bool = False, cache: bool = True) -> Outcome:
    """Run the whole DAG on this machine, and prove what the gate let through.

    Args:
        params: all of params.yaml.
        root: each run makes a folder below it, with what its tasks wrote and its log.
        trials: of a sweep; the best is taken.
        shards: parts in which the source is read, two at a time here.
        docker: each task in a container of its image, by Docker or podman, instead of a process.
        cache: take what an earlier run below `root` finished with the same code, data and parameters.

    Raises:
        ValueError: the folder of the source is missing, or no container engine answers.
    """
    bucket = is_bucket(params.ingest.data)
    if docker and bucket:
        raise ValueError(f"ingest.data: {params.ingest.data}: containers read a folder; 'vizecg fetch' makes one of it")
    if not bucket and not Path(params.ingest.data).is_dir():
        raise ValueError(f"ingest.data: {params.ingest.data} is no folder; 'dvc pull' brings the embedded data")
    from pipelines.local import run_pipeline
    from pipelines.training import training

    data = params.ingest.data if bucket else Path(params.ingest.data).absolute()
    # One server for all runs of this machine, and the one that `vizecg deploy` reaches.
    state = params.deploy.state or str(Path(STEPS["deploy"].folder).absolute().with_name("torchserve"))
    params = replace(params, deploy=replace(params.deploy, state=state))
    if trials and len(trials) > 1:
        # Trials run side by side, and two that find no database would both make it, each in the other's way.
        connect(params.tracking)
    runner, pipeline, ready = None, training, nullcontext()
    if docker:
        from kfp.components import load_component_from_text

        from pipelines.compiled import compile_text
        from pipelines.containers import containers

        inside = containers(params, data=data, root=root.absolute())
        params, runner, ready = inside.params, inside.runner(), inside.ready()
        pipeline = load_component_from_text(with_references(compile_text("training"), inside.images))
    arguments = pipeline_arguments(params, data=str(data), data_digest="" if bucket else data_identity(data),
                                   trials=trials, shards=shards)
    with ready:
        # What lies in a bucket may have changed since.
        done = run_pipeline(pipeline, arguments, root=root, runner=runner, cache=cache and not bucket)
    if not done.succeeded:
        return Outcome(False, (f"pipeline run: task {done.failed_task} failed; its last lines:",
                               *(f"    {line}" for line in done.failed_lines), f"log: {done.log}",
                               "called again, the run takes what is finished from the cache and goes on from there"))
    return _prove_branch(done)


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
