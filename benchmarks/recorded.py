"""The recorded runs of `bench accuracy`: in MLflow, each known by what was trained, and in a file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from jsonschema import Draft202012Validator

from components.tracking import connect, flat_params, metric_name
from components.train.step import INDIFFERENT
from ecg.files import write_whole
from ecg.pages import PageSet
from model.params import Params, TrackingParams

KEPT = Path(__file__).with_name("accuracy.jsonl")
"""The runs that the table of the README was printed from."""
RUN, ARTIFACT = "accuracy_run", "accuracy.json"
"""Tag by which a run of this benchmark is known, a digest of what it says; and its artifact, all but the parameters."""
SECTIONS, SEED = ("train", "model", "page", "evaluate"), "seed"
OTHERS = OTHERS_SEED, OTHERS_ROWS = "others_seed", "others_rows"
"""Of the rows that a row builds on: their seed, and a digest of their lines of accuracy.yaml."""
NEUTRAL: Mapping[str, str] = {}
"""Parameters that came, or went, after runs of `KEPT` were recorded, and the value at which each changes nothing: a
run that lacks one had this value, and so has code that lacks one. Today's default may be another."""
_INDIFFERENT = {f"train.{name}" for name in INDIFFERENT}
SCHEMA = 1
_ANOTHER_FILE = "name a file that 'vizecg bench accuracy --export' wrote"
_FILE = Draft202012Validator(json.loads(Path(__file__).with_suffix(".schema.json").read_text()))


@dataclass(frozen=True)
class Run:
    """One row of the table, trained and measured with one seed; recorded.schema.json says what its parts hold."""

    row: str
    reads: str
    seed: int
    params: dict[str, str]
    """Every value that decided the figures, by `section.key`; teachers and a start are names of other rows."""
    pages: dict
    """Of the pages it was measured on: digests, findings, captures, geometry, records of each split, folds."""
    figures: dict
    made: dict[str, str]
    """Where it came from: commit, digests of records and checkpoint, training run, seed of the rows it builds on."""
    at: int
    """When it was recorded, in milliseconds since 1970."""
    schema: int = SCHEMA

    @property
    def digest(self) -> str:
        """Which run this is, wherever and whenever it is recorded."""
        said = json.dumps([self.row, self.params, self.pages["digest"], self.figures, self.identity], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()

    @property
    def identity(self) -> dict[str, str]:
        """By what it is found: its parameters, its seed, and what it says of the rows it builds on."""
        return identity(self.params, self.seed, {key: self.made[key] for key in OTHERS if key in self.made})


def settings(params: Params) -> dict[str, str]:
    """Return all that decides a row's figures: `section.key` → value."""
    flat = flat_params(**{name: getattr(params, name) for name in SECTIONS})
    return {key: value for key, value in flat.items() if key not in _INDIFFERENT}


def identity(params: Mapping[str, str], seed: int, others: Mapping[str, str]) -> dict[str, str]:
    """Return by what a run is found, as MLflow logs it; `others` by `OTHERS`."""
    return {**params, SEED: str(seed), **others}


def same(run: Mapping[str, str], wanted: Mapping[str, str], neutral: Mapping[str, str] = NEUTRAL) -> bool:
    """Tell whether a run was trained and measured as is wanted; what one side lacks must be `neutral` on the other."""
    return all(run.get(key, neutral.get(key)) == wanted.get(key, neutral.get(key))
               for key in (run.keys() | wanted.keys()) - _INDIFFERENT)


def described(pages: PageSet) -> dict:
    """Return what a run remembers of the pages it was measured on."""
    ingested = pages.made_with.get("ingest", {})
    return {"digest": pages.digest, "data_digest": pages.data_digest, "label_names": list(pages.label_names),
            "captures": list(pages.captures), "page": pages.page,
            "records": {split: int(count) for split, count in pages.index["split"].value_counts().items()},
            "folds": {split: list(ingested.get(f"{split}_folds", [])) for split in ("train", "validate", "test")}}


def record(tracking: TrackingParams, run: Run) -> None:
    """Write a run into MLflow; one that breaks off is never found, since it is not finished."""
    mlflow = connect(tracking)
    client, experiment = mlflow.MlflowClient(), mlflow.get_experiment_by_name(tracking.experiment)
    made = client.create_run(experiment.experiment_id, start_time=run.at, run_name=f"accuracy: {run.row}",
                             tags={**run.made, RUN: run.digest})
    client.log_batch(made.info.run_id, params=[mlflow.entities.Param(*pair) for pair in run.identity.items()])
    for name, value in _shown(run.figures):
        client.log_metric(made.info.run_id, metric_name(name), value, timestamp=run.at)
    client.log_dict(made.info.run_id, {key: value for key, value in asdict(run).items() if key != "params"}, ARTIFACT)
    client.set_terminated(made.info.run_id, end_time=run.at)


def _shown(figures: dict) -> Iterator[tuple[str, float]]:
    """The figures that MLflow's own tables and charts show."""
    yield "validate_auroc", figures["validate_auroc"]
    for capture, macro in figures["test"].items():
        for metric in ("auroc", "f1"):
            if macro[metric]["value"] is not None:
                yield f"test.{capture}.macro.{metric}", macro[metric]["value"]


def recorded(tracking: TrackingParams) -> list:
    """Return MLflow's finished runs of this benchmark, newest first, as MLflow has them."""
    return connect(tracking).search_runs(filter_string=f"tags.{RUN} != '' AND attributes.status = 'FINISHED'",
                                         order_by=["attributes.start_time DESC"], output_format="list")


def found(among: list, wanted: Mapping[str, str], *, pages: PageSet | None = None) -> list[Run]:
    """Return the runs of this identity, on these pages of these records or on any, in the order of `among`."""
    runs = [_loaded(entity) for entity in among if same(entity.data.params, wanted)]
    return [run for run in runs if pages is None or
            (run.pages["digest"], run.pages["data_digest"]) == (pages.digest, pages.data_digest)]


def _loaded(entity) -> Run:
    import mlflow

    place, remedy = f"{entity.info.artifact_uri}/{ARTIFACT}", f"delete the run {entity.info.run_id} in MLflow"
    try:
        rest = dict(mlflow.artifacts.load_dict(place))
    except (mlflow.exceptions.MlflowException, OSError, TypeError, ValueError):
        raise ValueError(f"{place}: is lost, or not what a run of this benchmark has; {remedy}") from None
    params = {key: value for key, value in entity.data.params.items() if key not in (SEED, *OTHERS)}
    return _run({**rest, "params": params}, place, remedy)


def _run(raw: object, where: str, remedy: str) -> Run:
    wrong = next(iter(sorted(_FILE.iter_errors(raw), key=lambda error: list(map(str, error.path)))), None)
    if wrong:
        field = ".".join(map(str, wrong.path)) or "the whole"
        raise ValueError(f"{where}: {field} is not as in a recorded run ({wrong.message[:100]}); {remedy}")
    return Run(**raw)


def export(tracking: TrackingParams, file: Path) -> int:
    """Write all recorded runs into `file`, one a line, beside those that it has; return how many came in."""
    runs = {run.digest: run for run in read(file)} if file.is_file() else {}
    before = len(runs)
    runs |= {run.digest: run for run in map(_loaded, recorded(tracking))}
    write_whole(file, "".join(json.dumps(asdict(run), sort_keys=True) + "\n" for run in
                              sorted(runs.values(), key=lambda run: (run.at, run.digest))))
    return len(runs) - before


def take(tracking: TrackingParams, file: Path) -> int:
    """Record the runs of `file` in MLflow but those that it has; return how many were new.

    Raises:
        ValueError: no such file, or a line that is no run; then none is recorded.
    """
    runs = {run.digest: run for run in read(file)}
    known = {entity.data.tags[RUN] for entity in recorded(tracking)}
    for digest in runs.keys() - known:
        record(tracking, runs[digest])
    return len(runs.keys() - known)


def read(file: Path) -> list[Run]:
    """Read the runs of a file that `export` wrote.

    Raises:
        ValueError: no such file, or a line that is no run.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"{file}: cannot be read ({why}); {_ANOTHER_FILE}") from None
    runs = []
    for number, line in enumerate(lines, 1):
        try:
            raw = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{file}: line {number} is no JSON ({error}); {_ANOTHER_FILE}") from None
        runs.append(_run(raw, f"{file}: line {number}", _ANOTHER_FILE))
    return runs
