"""evaluate: checkpoint and frozen pages to figures, curves, predictions, a report and a model card."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from components.evaluate.card import model_card
from components.evaluate.evidence import Evidence
from components.evaluate.report import render_report
from components.progress import track
from ecg.pages import PageSet
from ecg.records import RecordStore, write_beside
from model.baselines import Network
from model.calibration import reliability
from model.checkpoint import checkpoint_digest, load_checkpoint, read_json
from model.curves import pr_points, roc_points
from model.data import millivolts
from model.evaluation import measure, measure_subgroups, scores_of, thresholds_of, truth_of
from model.inference import predict_batches, predict_pages
from model.network import PageReader
from model.params import EvaluateParams, as_dict
from model.task import Batch

SCHEMA_VERSION = 1
CURVES = {"roc": (roc_points, ("fpr", "tpr")), "pr": (pr_points, ("recall", "precision")),
          "reliability": (reliability, ("probability", "observed", "records"))}


@dataclass(frozen=True)
class EvaluateResult:
    """Macro figures of the image alone on the test split of the first capture, with their intervals."""

    records: int
    auroc: float
    auroc_low: float
    auroc_high: float
    auprc: float
    auprc_low: float
    auprc_high: float
    f1: float
    f1_low: float
    f1_high: float


def run(*, checkpoint: Path, pages: Path, evaluation: Path, params: EvaluateParams, seed: int,
        records: Path | None = None) -> EvaluateResult:
    """Read every page with the image stream alone, and write what comes of it.

    Args:
        checkpoint: the checkpoint folder.
        pages: the pages folder; it must have the splits validate, for the thresholds, and test.
        evaluation: the folder to write.
        params: section evaluate of params.yaml.
        seed: of the bootstrap.
        records: the record store of the pages, for a baseline that reads signals.

    Raises:
        ValueError: the pages show other findings or have another geometry than the checkpoint was trained on,
            lack a split, or an input is damaged.
    """
    net, meta = load_checkpoint(checkpoint)
    page_set = PageSet.open(pages)
    _refuse_other_pages(meta, page_set)
    predictions = _predict(net, page_set, params.batch_size, _signals(net, page_set, records))
    names = page_set.label_names
    measured = measure(predictions, label_names=names, params=params, seed=seed)
    metrics = {"schema": SCHEMA_VERSION, **measured, "label_names": list(names), "params": as_dict(params),
               "seed": seed, "checkpoint_digest": checkpoint_digest(checkpoint), "pages_digest": page_set.digest,
               "data_digest": page_set.data_digest}
    evidence = Evidence(meta=meta, history=read_json(checkpoint / "history.json", made_by="vizecg train"),
                        metrics=metrics, pages=page_set, predictions=predictions, curves=_curves(predictions, names),
                        subgroups=measure_subgroups(predictions, label_names=names, params=params, seed=seed),
                        thresholds=thresholds_of(predictions, label_names=names, params=params))
    with write_beside(evaluation) as folder:
        _write(folder, evidence)
    return _result(measured["test"][page_set.captures[0]])


def _signals(net: Network, pages: PageSet, records: Path | None) -> np.ndarray | None:
    """Return the records' signals in millivolt, (N, 12, T), in the order of the pages; None for page readers."""
    if net.reads == ("page",):
        return None
    if records is None:
        raise ValueError(f"records: the checkpoint reads {' and '.join(net.reads)}; give its record store (--records)")
    store = RecordStore.open(records)
    if store.digest != pages.data_digest:
        raise ValueError(f"{records}: not the record store that {pages.path} was drawn from; render again")
    place = {record: row for row, record in enumerate(store.table["record"])}
    return millivolts(store.signals[[place[record] for record in pages.index["record"]]])


def _predict(net: Network, pages: PageSet, batch_size: int, signals: np.ndarray | None) -> pd.DataFrame:
    """The table of predictions of `model.evaluation`, one capture after the other."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = net.to(device)
    tables = []
    for capture in pages.captures:
        array = pages.array(capture)
        starts = track(range(0, len(array), batch_size), label=f"evaluate {capture}")
        scores = np.concatenate([_scores(net, array[s:s + batch_size],
                                         None if signals is None else signals[s:s + batch_size], device)
                                 for s in starts])
        known = pages.index[["record", "patient", "split", "sex", "age"]].assign(capture=capture)
        probabilities = pd.DataFrame(scores, columns=[f"p:{name}" for name in pages.label_names])
        tables.append(pd.concat([known, probabilities, pages.index[[f"label:{n}" for n in pages.label_names]]], axis=1))
    return pd.concat(tables, ignore_index=True)


def _scores(net: Network, pages: np.ndarray, signals: np.ndarray | None, device: str) -> np.ndarray:
    if signals is None:
        return predict_pages(PageReader(net), pages, batch_size=len(pages))
    batch = Batch(torch.from_numpy(np.array(pages)), torch.from_numpy(signals), torch.empty(len(pages), 0))
    return predict_batches(net, [batch], device=device)


def _curves(predictions: pd.DataFrame, names: tuple[str, ...]) -> dict[str, list[dict]]:
    """Flat points of the test split for each kind of curve, each with its finding (`label`) and its capture."""
    curves: dict[str, list[dict]] = {kind: [] for kind in CURVES}
    for capture, table in predictions[predictions["split"] == "test"].groupby("capture", sort=False):
        columns = zip(names, scores_of(table, names).T, truth_of(table, names).T, strict=True)
        for name, score, truth in columns:
            for kind, (function, axes) in CURVES.items():
                curves[kind] += [{"label": name, "capture": capture, **dict(zip(axes, point, strict=True))}
                                 for point in function(score, truth).round(6).tolist()]
    return curves


def _write(folder: Path, evidence: Evidence) -> None:
    _write_json(folder / "metrics.json", evidence.metrics)
    _write_json(folder / "thresholds.json", evidence.thresholds)
    _write_json(folder / "subgroups.json", evidence.subgroups)
    (folder / "curves").mkdir()
    for kind, points in evidence.curves.items():
        _write_json(folder / "curves" / f"{kind}.json", points)
    evidence.predictions.to_parquet(folder / "predictions.parquet", index=False)
    (folder / "report.html").write_text(render_report(evidence), encoding="utf-8")
    (folder / "model_card.md").write_text(model_card(evidence), encoding="utf-8")


def _write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")


def _result(block: dict) -> EvaluateResult:
    ends = {"value": "", "low": "_low", "high": "_high"}
    figures = {f"{name}{suffix}": block["macro"][name][end] for name in ("auroc", "auprc", "f1")
               for end, suffix in ends.items()}
    return EvaluateResult(records=block["records"], **{k: float("nan") if v is None else v for k, v in figures.items()})


def _refuse_other_pages(meta: dict, pages: PageSet) -> None:
    if tuple(meta["label_names"]) != pages.label_names:
        raise ValueError(f"{pages.path}/pages.json: label_names are {', '.join(pages.label_names)}, the checkpoint's "
                         f"are {', '.join(meta['label_names'])}; render the store that it was trained on")
    for name, value in meta["page"].items():
        if pages.page.get(name) != value:
            raise ValueError(f"{pages.path}/pages.json: page.{name} is {pages.page.get(name)!r}, the checkpoint's is "
                             f"{value!r}; render again with the page that it was trained on")
    if "test" not in set(pages.index["split"]):
        raise ValueError(f"{pages.path}: no page of the test split; add it to render.splits in params.yaml and "
                         "render again")
