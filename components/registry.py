"""Every step, named once: what it reads, what it writes, which sections of params.yaml it takes.

The command line is built from this table; dvc.yaml and the Kubeflow DAG are checked against it by a
test. Nothing heavy is imported here: `load_run` fetches a step's code when it is called.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

ARTIFACTS = "artifacts"
"""Below this folder each step has its own."""


@dataclass(frozen=True)
class Step:
    """One step of the pipeline.

    `inputs` maps the name of each input to the step that makes it, `external` the name of an input that
    no step makes to the key of params.yaml that says where it lies. `sections` are the sections of
    params.yaml: the first is passed as `params`, each other by its own name. `outside` marks a step that
    acts on the outside world: no stage of dvc.yaml, never cached. `image` is its key in images.lock.
    `settled` names the files below the output that others read, where the rest differs from run to run.
    """

    name: str
    summary: str
    inputs: dict[str, str]
    output: str
    sections: tuple[str, ...]
    example: str
    image: str
    external: dict[str, str] = field(default_factory=dict)
    outside: bool = False
    settled: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Where the output lies when nothing else is said."""
        return f"{ARTIFACTS}/{self.name}"

    @property
    def tracked(self) -> list[str]:
        """What DVC tracks of the output: all of it, or the settled files."""
        return [f"{self.folder}/{name}" for name in self.settled] or [self.folder]


_STEPS = (
    Step("ingest", "raw source to record store; a bad record goes to quarantine with its reason",
         inputs={}, external={"data": "ingest.data"}, output="records", sections=("ingest",), image="data",
         example="vizecg ingest --source ptbxl --data /archive/ptb-xl --out store"),
    Step("validate", "record store to the result of its expectations, and Data Docs",
         inputs={"records": "ingest"}, output="validation", sections=("validate",), image="data",
         settled=("validation.json", "quality.parquet"),
         example="vizecg validate --set validate.min_records=1000"),
    Step("render", "record store to the frozen evaluation pages",
         inputs={"records": "ingest"}, output="pages", sections=("render", "page"), image="data",
         example="vizecg render --set render.samples=8"),
    Step("train", "record store to checkpoint and history, tracked in MLflow",
         inputs={"records": "ingest", "validation": "validate"}, output="checkpoint",
         sections=("train", "model", "page", "tracking"), image="train",
         example="vizecg train --set train.epochs=40 --resume"),
    Step("evaluate", "checkpoint and pages to metrics, curves, report and model card",
         inputs={"checkpoint": "train", "pages": "render"}, output="evaluation", sections=("evaluate",),
         image="train", example="vizecg evaluate --checkpoint other/checkpoint --out other/evaluation"),
    Step("gate", "metrics to one yes or no, and its reasons",
         inputs={"evaluation": "evaluate", "checkpoint": "train", "pages": "render"}, output="decision",
         sections=("gate",), image="train", example="vizecg gate --champion champion/evaluation"),
    Step("package", "checkpoint to the exported model, parity-checked, and its archive for TorchServe",
         inputs={"checkpoint": "train", "pages": "render", "evaluation": "evaluate", "decision": "gate"},
         output="package", sections=("package",), image="train", example="vizecg package"),
    Step("register", "package to a version in the MLflow registry, alias challenger",
         inputs={"package": "package", "evaluation": "evaluate", "decision": "gate"}, output="registration",
         sections=("register", "gate", "tracking"), image="train", outside=True, example="vizecg register"),
    Step("deploy", "version to a served model, smoke-tested, alias champion",
         inputs={"package": "package", "registration": "register"}, output="deployment",
         sections=("deploy", "tracking"), image="serve", outside=True,
         example="vizecg deploy --set deploy.inference=http://127.0.0.1:8080"),
)

STEPS: dict[str, Step] = {step.name: step for step in _STEPS}
"""The steps in the order in which they run."""

HELPERS: dict[str, str] = {
    "merge-shards": "ingest", "read-capture": "evaluate", "choose": "train", "notify": "", "notify-refused": "gate"}
"""Tasks that only the training pipeline on Kubeflow has, and the step that each is a part or the end of: dvc.yaml
needs none, for one machine ingests in one go, trains once, reads every capture in turn, and has its user before it."""


def load_run(name: str) -> Callable:
    """Import a step and return its `run`.

    Raises:
        ValueError: no such step.
    """
    if name not in STEPS:
        raise ValueError(f"no step is called {name!r}; there are {', '.join(STEPS)}")
    return importlib.import_module(f"components.{name}.step").run
