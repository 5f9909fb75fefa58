"""The recorded runs of `bench accuracy`: in MLflow, each known by what was trained, and in a file."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from components.tracking import connect, flat_params
from components.train.step import INDIFFERENT
from ecg.files import write_whole
from ecg.pages import PageSet
from model.params import Params, TrackingParams

KEPT = Path(__file__).with_name("accuracy.jsonl")
"""The runs that the tables of docs/accuracy.md were printed from."""
RUN, ARTIFACT = "accuracy_run", "accuracy.json"
"""Tag by which a run of this benchmark is known, a digest of what it says; and its artifact, all but the parameters."""
SECTIONS, SEED = ("train", "model", "page", "evaluate"), "seed"


@dataclass(frozen=True)
class Run:
    """One row of the table, trained and measured with one seed."""

    row: str
    reads: str
    seed: int
    params: dict[str, str]
    """Every value that decided the figures, by `section.key`; teachers and a start are names of other rows."""
    pages: dict
    """Of the pages it was measured on: digests, findings, captures, geometry, records of each split, folds."""
    figures: dict
    made: dict[str, str]
    """Where it came from: commit, digest of the records, training run."""
    at: int
    """When it was recorded, in milliseconds since 1970."""

    @property
    def digest(self) -> str:
        """Which run this is, wherever and whenever it is recorded."""
        said = json.dumps([self.row, self.seed, self.params, self.pages["digest"], self.figures], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()


def settings(params: Params) -> dict[str, str]:
    """Return all that decides a row's figures: `section.key` → value."""
    flat = flat_params(**{name: getattr(params, name) for name in SECTIONS})
    return {key: value for key, value in flat.items() if key not in {f"train.{name}" for name in INDIFFERENT}}


def same(run: dict[str, str], wanted: dict[str, str]) -> bool:
    """Tell whether a run was trained and measured as is wanted.

    What it was recorded without came later, and counts as what it is by default, at which it changes nothing: a new
    parameter orphans no run, and neither does a default that changes, since a run holds every value there was.
    """
    default = settings(Params())
    return run.keys() <= wanted.keys() and all(
        (run[key] if key in run else default.get(key)) == value for key, value in wanted.items())


def described(pages: PageSet) -> dict:
    """Return what a run remembers of the pages it was measured on."""
    ingested = pages.made_with.get("ingest", {})
    return {"digest": pages.digest, "data_digest": pages.data_digest, "label_names": list(pages.label_names),
            "captures": list(pages.captures), "page": pages.page,
            "records": {split: int(count) for split, count in pages.index["split"].value_counts().items()},
            "folds": {split: list(ingested.get(f"{split}_folds", [])) for split in ("train", "validate", "test")}}


def record(tracking: TrackingParams, run: Run) -> None:
    """Write a run into MLflow; one that breaks off is never found, since it is not finished."""
    client, experiment = _client(tracking)
    from mlflow.entities import Param

    made = client.create_run(experiment, start_time=run.at, run_name=f"accuracy: {run.row}",
                             tags={**run.made, RUN: run.digest})
    client.log_batch(made.info.run_id, params=[Param(key, value) for key, value in
                                               {**run.params, SEED: str(run.seed)}.items()])
    for name, value in _shown(run.figures):
        client.log_metric(made.info.run_id, name, value, timestamp=run.at)
    client.log_dict(made.info.run_id, {key: value for key, value in asdict(run).items() if key != "params"}, ARTIFACT)
    client.set_terminated(made.info.run_id, end_time=run.at)


def _shown(figures: dict) -> Iterator[tuple[str, float]]:
    """The figures that MLflow's own tables and charts show."""
    yield "validate_auroc", figures["validate_auroc"]
    for capture, macro in figures["test"].items():
        for metric in ("auroc", "f1"):
            yield f"test.{capture}.macro.{metric}", macro[metric]["value"]


def recorded(tracking: TrackingParams) -> list:
    """Return MLflow's finished runs of this benchmark, newest first, as MLflow has them."""
    return connect(tracking).search_runs(filter_string=f"tags.{RUN} != '' AND attributes.status = 'FINISHED'",
                                         order_by=["attributes.start_time DESC"], output_format="list")


def found(among: list, params: Params, seed: int, *, pages: str | None = None) -> list[Run]:
    """Return the runs with these parameters and seed, on pages of this digest or on any, in the order of `among`."""
    wanted = {**settings(params), SEED: str(seed)}
    runs = [_loaded(entity) for entity in among if same(entity.data.params, wanted)]
    return [run for run in runs if pages in (None, run.pages["digest"])]


def export(tracking: TrackingParams, file: Path) -> int:
    """Write all recorded runs into `file`, one a line, beside those that it has; return how many came in."""
    runs = {run.digest: run for run in read(file)} if file.exists() else {}
    before = len(runs)
    runs |= {run.digest: run for run in map(_loaded, recorded(tracking))}
    write_whole(file, "".join(json.dumps(asdict(run), sort_keys=True) + "\n" for run in
                              sorted(runs.values(), key=lambda run: (run.at, run.digest))))
    return len(runs) - before


def take(tracking: TrackingParams, file: Path) -> int:
    """Record the runs of `file` in MLflow but those that it has; return how many were new.

    Raises:
        ValueError: no such file, or a line that is no run.
    """
    runs, known = read(file), {entity.data.tags[RUN] for entity in recorded(tracking)}
    new = [run for run in runs if run.digest not in known]
    for run in new:
        record(tracking, run)
    return len(new)


def read(file: Path) -> list[Run]:
    """Read the runs of a file that `export` wrote.

    Raises:
        ValueError: no such file, or a line that is no run.
    """
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise ValueError(f"{file}: cannot be read ({error.strerror}); name a file that --export wrote") from None
    runs = []
    for number, line in enumerate(lines, 1):
        try:
            run = Run(**json.loads(line))
            run.digest  # noqa: B018  what lacks one of its parts is no run
        except (TypeError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(f"{file}: line {number} is no recorded run ({error}); name a file that --export wrote"
                             ) from None
        runs.append(run)
    return runs


def _client(tracking: TrackingParams) -> tuple:
    mlflow = connect(tracking)
    return mlflow.MlflowClient(), mlflow.get_experiment_by_name(tracking.experiment).experiment_id


def _loaded(entity) -> Run:
    import mlflow

    rest = mlflow.artifacts.load_dict(f"{entity.info.artifact_uri}/{ARTIFACT}")
    return Run(params={key: value for key, value in entity.data.params.items() if key != SEED}, **rest)


def now() -> int:
    """The time as runs have it."""
    return int(time.time() * 1000)
