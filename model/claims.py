"""Reading an evaluation without believing it: every figure must be what its predictions give."""

from pathlib import Path

import pandas as pd

from model.checkpoint import read_json
from model.evaluation import measure, thresholds_of
from model.params import EvaluateParams
from model.typed import from_dict

SCHEMA_VERSION = 1
FIELDS = ("test", "validate", "label_names", "params", "seed", "checkpoint_digest", "pages_digest", "data_digest")
TOLERANCE = 1e-6


def read_evaluation(folder: Path) -> dict:
    """Read metrics.json and measure the predictions again, intervals and thresholds included.

    The bootstrap is drawn from the seed in metrics.json, so that the same predictions give the same figures.

    Raises:
        ValueError: a file is missing or damaged, or a figure or threshold is not what the predictions give.
    """
    metrics = read_json(folder / "metrics.json", made_by="vizecg evaluate")
    if metrics.get("schema") != SCHEMA_VERSION:
        raise ValueError(f"{folder}/metrics.json: field schema is {metrics.get('schema')!r}, this version reads "
                         f"{SCHEMA_VERSION}; evaluate again")
    missing = [name for name in FIELDS if name not in metrics]
    if missing:
        raise ValueError(f"{folder}/metrics.json: no field {missing[0]}; evaluate again")
    known = dict(label_names=tuple(metrics["label_names"]),
                 params=from_dict(EvaluateParams, metrics["params"], f"{folder}/metrics.json: params"))
    predictions = _read_predictions(folder / "predictions.parquet", known["label_names"])
    again = measure(predictions, **known, seed=metrics["seed"])
    if "test" not in again:
        raise ValueError(f"{folder}/predictions.parquet: no page of the test split; evaluate again")
    splits = predictions["split"].unique()
    _refuse_difference(folder / "metrics.json", {name: metrics.get(name) for name in splits}, again)
    thresholds = read_json(folder / "thresholds.json", made_by="vizecg evaluate")
    _refuse_difference(folder / "thresholds.json", thresholds, thresholds_of(predictions, **known))
    return metrics


def predictions_of(evaluation: Path, metrics: dict) -> pd.DataFrame:
    """Read the table of predictions of an evaluation.

    Raises:
        ValueError: missing, damaged, or without a column that the figures need.
    """
    return _read_predictions(evaluation / "predictions.parquet", tuple(metrics["label_names"]))


def figures(metrics: dict) -> dict[str, dict]:
    """Return every figure of metrics.json ({value, low, high}) under its dotted path."""
    found: dict[str, dict] = {}

    def walk(node, path: tuple[str, ...]) -> None:
        if isinstance(node, dict) and "value" in node:
            found[".".join(path)] = node
        elif isinstance(node, dict):
            for name, child in node.items():
                walk(child, (*path, name))

    walk(metrics, ())
    return found


def _read_predictions(path: Path, label_names: tuple[str, ...]) -> pd.DataFrame:
    try:
        predictions = pd.read_parquet(path)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; make it with 'vizecg evaluate'") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); evaluate again") from None
    needed = ["patient", "split", "capture", *(f"{kind}:{name}" for kind in ("p", "label") for name in label_names)]
    missing = [name for name in needed if name not in predictions]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]}; evaluate again")
    return predictions


def _refuse_difference(path: Path, stated: dict, measured: dict) -> None:
    stated, measured = _leaves(stated), _leaves(measured)
    for name in [*measured, *(name for name in stated if name not in measured)]:
        if not _same(stated.get(name), measured.get(name)):
            raise ValueError(f"{path}: {name} is {stated.get(name)!r}, but predictions.parquet gives "
                             f"{measured.get(name)!r}; evaluate again")


def _leaves(node, path: str = "") -> dict:
    if not isinstance(node, dict):
        return {path: node}
    return {name: leaf for key, child in node.items()
            for name, leaf in _leaves(child, f"{path}.{key}" if path else str(key)).items()}


def _same(a, b) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b))
    return abs(a - b) <= TOLERANCE if numbers else a == b
