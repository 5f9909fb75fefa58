"""scans: a folder or bucket of page files to readings, by the registered champion, on as many machines as one likes."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from components import predict
from components.deploy.trust import check_version
from components.register.step import PACKAGE_ARTIFACT
from components.scans.bucket import Objects, is_bucket
from components.tracking import connect
from ecg.records import write_beside
from model.checkpoint import read_json
from model.package import package_digest
from model.papers import EVALUATION
from model.params import TrackingParams

ANSWERS, TABLE = "readings.json", "readings.parquet"
AT_A_TIME = 128
"""Objects of a bucket that lie on disk together."""


@dataclass(frozen=True)
class Fetched:
    """The version that reads."""

    name: str
    version: str
    package_digest: str


@dataclass(frozen=True)
class Read:
    """How many files were read, and how many could not be."""

    files: int
    unread: int


def fetch(*, name: str, alias: str, package: Path, evaluation: Path, tracking: TrackingParams) -> Fetched:
    """Bring a registered version's package here, and what was measured of it where its run kept that.

    Raises:
        ValueError: no version has the alias, or what `check_version` raises: it is another package, or did not pass.
    """
    mlflow = connect(tracking)
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient()
    try:
        version = client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        raise ValueError(f"{name}: no version has the alias {alias}; deploy one first ({error.message})") from None
    with tempfile.TemporaryDirectory(prefix="vizecg-fetch-") as scratch:
        model = mlflow.artifacts.download_artifacts(f"models:/{name}/{version.version}", dst_path=scratch)
        found = Path(model) / "artifacts" / PACKAGE_ARTIFACT
        # An alias is easily set by hand: what reads an archive must have passed like what is served.
        check_version(mlflow, version, found, Path(scratch))
        digest = package_digest(found)
        with write_beside(package) as folder:
            shutil.copytree(found, folder, dirs_exist_ok=True)
        kept = [each.path for each in client.list_artifacts(version.run_id)]
        with write_beside(evaluation) as folder:
            if EVALUATION in kept:
                measured = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path=EVALUATION,
                                                               dst_path=scratch)
                shutil.copytree(measured, folder, dirs_exist_ok=True)
    return Fetched(name, str(version.version), digest)


def read(*, scans: str, package: Path, readings: Path, part: int, parts: int, layout: str = "") -> Read:
    """Read the files of one part: of the sorted names, every `parts`-th from `part` on.

    Args:
        scans: folder, or s3://BUCKET/PREFIX; files directly in it whose endings are those of pages.
        package: what reads.
        readings: the folder to write; readings.json holds an answer or an error for each file.
        part, parts: which share, from 0, and of how many.
        layout: how the pages are arranged; empty: as the package expects.

    Raises:
        ValueError: no page file is there, the place cannot be reached, the share is none, or there is no such layout.
    """
    if not 0 <= part < parts:
        raise ValueError(f"parts: {part} is no part of {parts}; number them 0 to {parts - 1}")
    answers: list[dict] = []
    for files, name in _portions(scans, part, parts):
        answers += [{**answer, "file": name(answer["file"])} for answer in
                    predict.run(page_paths=files, package=package, layout=layout or None)]
    with write_beside(readings) as folder:
        (folder / ANSWERS).write_text(json.dumps(answers, indent=1) + "\n")
    return Read(len(answers), sum("error" in answer for answer in answers))


def gather(*, parts: tuple[Path, ...], readings: Path) -> Read:
    """Put the parts together: readings.json, and readings.parquet with a row a finding of each page.

    Raises:
        ValueError: a part is damaged, or a file was read twice.
    """
    answers = sorted((answer for part in parts for answer in read_json(part / ANSWERS, made_by="the task read-scans")),
                     key=lambda answer: answer["file"])
    names = [answer["file"] for answer in answers]
    twice = next((a for a, b in zip(names, names[1:], strict=False) if a == b), None)
    if twice:
        raise ValueError(f"parts: {twice} was read twice; each part must be given once")
    with write_beside(readings) as folder:
        (folder / ANSWERS).write_text(json.dumps(answers, indent=1) + "\n")
        pd.DataFrame(list(_rows(answers)), columns=list(COLUMNS)).astype(COLUMNS).to_parquet(folder / TABLE,
                                                                                            index=False)
    return Read(len(answers), sum("error" in answer for answer in answers))


COLUMNS = {"file": "string", "page": "Int32", "label": "string", "probability": "Float64", "present": "boolean",
           "warnings": "string", "error": "string"}
"""Of readings.parquet; a page that could not be read has one row, with its error."""


def _rows(answers: list[dict]) -> Iterator[dict]:
    for answer in answers:
        for number, page in enumerate(answer.get("pages", [answer]), 1):
            known = {"file": answer["file"], "page": number}
            if "error" in page:
                yield {**known, "error": str(page["error"])}
            for finding in page.get("findings", []):
                yield {**known, "warnings": "; ".join(page.get("page", {}).get("warnings", [])),
                       **{key: finding[key] for key in ("label", "probability", "present")}}


def _portions(scans: str, part: int, parts: int) -> Iterator[tuple[list[Path], object]]:
    """Yield files on disk, and what turns the name of each into the one that the user knows."""
    if not is_bucket(scans):
        mine = predict.image_files([Path(scans)])[part::parts]
        if mine:
            yield mine, str
        return
    objects = Objects(scans)
    mine = objects.pages()[part::parts]
    for start in range(0, len(mine), AT_A_TIME):
        with tempfile.TemporaryDirectory(prefix="vizecg-scans-") as folder:
            known = objects.bring(mine[start:start + AT_A_TIME], Path(folder))
            yield list(known), lambda file, known=known: known[Path(file)]
