"""The registry's champion as the gate compares with it: measured on the pages of the model that is judged.

The registry keeps what was measured of the champion when it was registered. Where the pages are others by now, because
records came or pages are drawn otherwise, its package reads them, so that a schedule that trains anew on each month's
records compares on these.
"""

import json
from pathlib import Path

import pandas as pd

from components.moves import CHAMPION, holder
from components.progress import track
from components.tracking import connect
from components.versions import fetch_package, fetch_papers
from ecg.pages import PageSet
from ecg.records import write_beside
from model.checkpoint import folder_digest, read_json
from model.claims import SCHEMA_VERSION
from model.evaluation import measure, thresholds_of
from model.inference import predict_pages
from model.package import check_package, evaluation_digest, package_digest
from model.params import EvaluateParams, TrackingParams
from model.reading import PageReading
from model.typed import as_dict, from_dict

DESCRIBED = ("record", "patient", "split", "sex", "age")


def champion_evaluation(*, pages: Path, scratch: Path, name: str, tracking: TrackingParams) -> Path | None:
    """Fetch what was measured of the champion, or measure it on these pages.

    Args:
        pages: on which the model that is judged was evaluated.
        scratch: a folder for what is fetched and made.
        name: of the registered model.
        tracking: section of params.yaml.

    Returns:
        An evaluation as `components.gate.step.run` takes it; None where there is no champion.

    Raises:
        ValueError: the champion's papers or package were changed after it was registered; or it reads other findings,
            or pages of another geometry.
    """
    mlflow = connect(tracking)
    champion = holder(mlflow.MlflowClient(), name, CHAMPION)
    if champion is None:
        return None
    who = f"{name} version {champion.version}"
    evaluation, _ = fetch_papers(mlflow, champion, scratch)
    if evaluation_digest(evaluation) != champion.tags.get("evaluation_digest"):
        raise ValueError(f"{who}: the evaluation in its run is not the one that was registered (evaluation_digest); "
                         "roll back to a version that holds, or register it again")
    page_set = PageSet.open(pages)
    metrics = read_json(evaluation / "metrics.json", made_by="vizecg evaluate")
    if metrics["pages_digest"] == page_set.digest:
        return evaluation
    package = fetch_package(mlflow, champion, scratch)
    check_package(package)
    if package_digest(package) != champion.tags.get("package_digest"):
        raise ValueError(f"{who}: its package is not the one that was registered (package_digest); roll back to a "
                         "version that holds, or register it again")
    params = from_dict(EvaluateParams, metrics["params"], f"{who}: params of its evaluation")
    return measured_on(page_set, package, scratch / "champion", who=who, params=params, seed=metrics["seed"])


def measured_on(pages: PageSet, package: Path, folder: Path, *, who: str, params: EvaluateParams, seed: int) -> Path:
    """Read pages with a package and write what the gate needs of an evaluation.

    Args:
        pages: to read.
        package: the reader.
        folder: to write.
        who: the reader's name, for messages.
        params, seed: of its own evaluation.

    Raises:
        ValueError: it reads other findings, or pages of another geometry.
    """
    reading = PageReading.open(package)
    for stated, own in (("label_names", tuple(reading.meta["label_names"])), ("page", reading.meta["page"])):
        if (found := getattr(pages, stated)) != own:
            raise ValueError(f"{pages.path}/pages.json: {stated} is {found}, but the champion, {who}, reads {own}: the "
                             "two cannot be compared; register readers of such pages under a name of their own "
                             "(register.name)")
    predictions = _predict(reading, pages, params.batch_size)
    known = {"label_names": pages.label_names, "params": params}
    with write_beside(folder) as made:
        predictions.to_parquet(made / "predictions.parquet", index=False)
        metrics = {"schema": SCHEMA_VERSION, **measure(predictions, **known, seed=seed), "params": as_dict(params),
                   "label_names": list(pages.label_names), "seed": seed, "pages_digest": pages.digest,
                   "data_digest": pages.data_digest, "checkpoint_digest": reading.meta["checkpoint_digest"],
                   "predictions_digest": folder_digest(made, ("predictions.parquet",))}
        for file, value in (("metrics", metrics), ("thresholds", thresholds_of(predictions, **known))):
            (made / f"{file}.json").write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
    return folder


def _predict(reading: PageReading, pages: PageSet, batch_size: int) -> pd.DataFrame:
    """The table of predictions of `model.evaluation`, one capture after the other."""
    truth = [f"label:{name}" for name in pages.label_names]
    known = pages.index[[*(name for name in DESCRIBED if name in pages.index), *truth]].reset_index(drop=True)
    tables = []
    for capture in track(pages.captures, label="the champion reads"):
        scores = predict_pages(reading.reader, pages.array(capture), batch_size=batch_size)
        columns = pd.DataFrame(scores, columns=[f"p:{name}" for name in pages.label_names])
        tables.append(pd.concat([known.assign(capture=capture), columns], axis=1))
    return pd.concat(tables, ignore_index=True)
