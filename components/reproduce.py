"""reproduce: a registered version made again from what is recorded of it, and its figures compared.

The recorded commit is checked out into a folder of its own, that commit's own command line runs ingest to evaluate
with the recorded parameters, and the record store must have the recorded digest before anything is trained.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from components.lineage import ROOT
from components.progress import say
from components.promote import named
from components.register.step import PARAMS_FILE
from components.tracking import connect
from components.versions import fetch_papers
from model.checkpoint import read_json
from model.claims import figures
from model.params import Params, TrackingParams
from model.typed import as_dict, from_dict

VERBS = ("ingest", "validate", "render", "train", "evaluate")
COMPARED = ("auroc", "auprc", "f1", "precision", "recall", "specificity")
OTHER_DATA = 9
DRIVER = f"""
import json, sys
from components.cli import main

digest, *verbs = sys.argv[1:]
for verb in verbs:
    print("--", verb, flush=True)
    if status := main([verb]):
        sys.exit(status)
    if verb == "ingest":
        with open("artifacts/ingest/store.json") as file:
            found = json.load(file)["digest"]
        if found != digest:
            print("gives a record store of digest", found, "and recorded is", digest + ": other data")
            sys.exit({OTHER_DATA})
"""
"""One process for all verbs: each would import the same libraries anew."""
LEARNT_NOTHING_FROM = {"validate": {"min_records": 0, "min_prevalence": 0.0, "max_prevalence": 1.0}}
"""Settings that decide whether a run goes on, not what it comes to, and that a version does not record."""


@dataclass(frozen=True)
class Reproduced:
    """The figures that were recorded and those of the second run."""

    version: str
    commit: str
    data_digest: str
    tolerance: float
    rows: tuple[tuple[str, float | None, float | None], ...]

    @property
    def same(self) -> bool:
        """Whether every figure lies within the tolerance."""
        return all(self.within(then, now) for _, then, now in self.rows)

    def within(self, then: float | None, now: float | None) -> bool:
        """Whether two figures are the same; what could not be measured then cannot be now."""
        return then is now or (None not in (then, now) and abs(then - now) <= self.tolerance)

    def table(self) -> str:
        """The lines that a person reads."""
        width = max(len(name) for name, _, _ in self.rows)
        lines = [f"{'figure':{width}}  {'recorded':>9}  {'again':>9}  {'difference':>10}"]
        for name, then, now in self.rows:
            shown = ["-" if v is None else f"{v:.6f}" for v in (then, now)]
            difference = "-" if None in (then, now) else f"{now - then:+.6f}"
            mark = "" if self.within(then, now) else "  DIFFERS"
            lines.append(f"{name:{width}}  {shown[0]:>9}  {shown[1]:>9}  {difference:>10}{mark}")
        ending = "reproduced" if self.same else "NOT reproduced"
        return "\n".join([*lines, f"version {self.version} {ending} within {self.tolerance:g}: commit {self.commit}, "
                                  f"data {self.data_digest}"])


def run(*, wanted: str, name: str, tracking: TrackingParams, data: Path | None = None, tolerance: float = 0.02,
        keep: Path | None = None, repository: Path | None = None) -> Reproduced:
    """Make a version again.

    Args:
        wanted: number of the version, or an alias that it has.
        name: of the registered model.
        tracking: section of params.yaml: where the version is registered. The second run is recorded apart.
        data: where the source lies now; where it was recorded to lie when it is None.
        tolerance: largest difference of a figure that counts as the same.
        keep: folder to work in and to leave; a temporary one when it is None.
        repository: git repository that has the recorded commit; this code's when it is None.

    Raises:
        ValueError: no such version, or one that does not say what it was made from; the commit or the data are
            not to be had; the data is not what it was.
        RuntimeError: a step of the second run failed.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"--tolerance: must be at least 0 and below 1, not {tolerance:g}")
    mlflow = connect(tracking)
    version = named(mlflow.MlflowClient(), name, wanted)
    with _workplace(keep) as folder:
        recorded, params, seed = _recorded(mlflow, version, folder)
        params = _with_data(params, data)
        with _checkout(repository or ROOT, _commit_of(version), folder / "code") as code:
            _write_params(folder, params, seed)
            _run_verbs(code, folder, version.tags["data_digest"])
        again = read_json(folder / "artifacts" / "evaluate" / "metrics.json", made_by="vizecg evaluate")
    return Reproduced(str(version.version), version.tags["git_commit"], version.tags["data_digest"], tolerance,
                      tuple(_compare(recorded, again)))


@contextmanager
def _workplace(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="vizecg-reproduce-") as scratch:
            yield Path(scratch)
        return
    if keep.exists() and any(keep.iterdir()):
        raise ValueError(f"{keep}: is not empty; give --keep a new folder")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()


def _recorded(mlflow, version, folder: Path) -> tuple[dict, dict, int]:
    """The version's figures, its parameters by section, and its seed."""
    from mlflow.exceptions import MlflowException

    evaluation, _ = fetch_papers(mlflow, version, folder / "recorded")
    try:
        text = mlflow.artifacts.load_text(f"runs:/{version.run_id}/{PARAMS_FILE}")
    except (MlflowException, OSError):
        raise ValueError(f"{version.name} version {version.version}: its run holds no {PARAMS_FILE}; it was registered "
                         "before parameters were recorded") from None
    params = yaml.safe_load(text)
    missing = [section for section in ("ingest", "render", "page", "model", "train", "evaluate", "seed")
               if section not in params]
    if missing:
        raise ValueError(f"{version.name} version {version.version}: {PARAMS_FILE} has no section {missing[0]}; its "
                         "data or pages were made by an earlier version of this program")
    return read_json(evaluation / "metrics.json", made_by="vizecg register"), params, params.pop("seed")


def _commit_of(version) -> str:
    commit = version.tags.get("git_commit", "unknown")
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise ValueError(f"{version.name} version {version.version}: git_commit is {commit[:60]!r}: made from code "
                         "that no commit holds, so that nobody can make it again")
    return commit


def _with_data(params: dict, data: Path | None) -> dict:
    place = Path(data or params["ingest"]["data"]).absolute()
    if not place.is_dir():
        raise ValueError(f"{place}: no such folder; say where the data lies with --data DIR")
    return {**params, "ingest": {**params["ingest"], "data": str(place)}}


@contextmanager
def _checkout(repository: Path, commit: str, target: Path) -> Iterator[Path]:
    """Yield the code of a commit, in a worktree that is removed again."""
    say(f"reproduce: checking out {commit}")
    _git(repository, "worktree", "add", "--detach", str(target), commit)
    try:
        yield target
    finally:
        shutil.rmtree(target, ignore_errors=True)
        _git(repository, "worktree", "prune")


def _git(repository: Path, *arguments: str) -> None:
    done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ValueError(f"{repository}: git {arguments[0]} failed: {reason}; 'git fetch' may bring the commit")


def _write_params(folder: Path, params: dict, seed: int) -> None:
    """Write params.yaml of the second run: defaults, the recorded sections over them, its own MLflow."""
    whole = {**as_dict(Params()), "seed": seed}
    for section, values in (params | LEARNT_NOTHING_FROM).items():
        whole[section] = {**whole[section], **values}
    # Today's program must understand it; then only what was recorded goes to the commit's own, which may know less.
    from_dict(Params, whole)
    whole = {"seed": seed, **params, **LEARNT_NOTHING_FROM,
             "tracking": {"uri": f"sqlite:///{folder}/mlflow.db", "experiment": "reproduce"}}
    (folder / "params.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))


def _run_verbs(code: Path, folder: Path, data_digest: str) -> None:
    """Run the commit's own command line in a process of its own; its output goes to `reproduce.log`."""
    environment = {**os.environ, "PYTHONPATH": str(code)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-c", DRIVER, data_digest, *VERBS]
    with open(folder / "reproduce.log", "w+") as log:
        status = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT).returncode
        log.seek(0)
        last = (log.read().strip().splitlines() or ["no reason given"])[-1]
    if status == OTHER_DATA:
        raise ValueError(f"--data: {last}")
    if status:
        raise RuntimeError(f"reproduce: the recorded commit's pipeline failed: {last}")


def _compare(recorded: dict, again: dict) -> Iterator[tuple[str, float | None, float | None]]:
    """Yield the test split's figures: name, recorded, again."""
    then, now = ({name: node["value"] for name, node in figures({"test": metrics["test"]}).items()}
                 for metrics in (recorded, again))
    for name in then:
        if name.rpartition(".")[2] in COMPARED:
            yield name, then[name], now.get(name)
