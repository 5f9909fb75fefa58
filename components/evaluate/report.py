"""The report: one self-contained HTML page, from the evidence and report.html."""

from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.evaluate.charts import Series, line_chart, unit_chart, whisker
from components.evaluate.evidence import Evidence, figure, interval, percent, percent_interval, signed
from components.evaluate.examples import examples
from model.metrics import METRICS

NAMES = {"auroc": "AUROC", "auprc": "AUPRC", "f1": "F1", "precision": "Precision", "recall": "Recall",
         "specificity": "Specificity", "brier": "Brier"}
RULES = {"f1": "greatest F1", "youden": "greatest sensitivity + specificity"}
LARGEST_DOT, DOT = 90.0, 14.0
"""Areas in square units of the charts: of a reliability bin with every record in it, of an epoch."""
AXES = {"roc": ("fpr", "tpr"), "pr": ("recall", "precision"), "reliability": ("probability", "observed"),
        "calibrated": ("probability", "observed")}
DOTTED = ("reliability", "calibrated")


def render_report(evidence: Evidence) -> str:
    """Return the whole page as HTML; it refers to nothing outside itself."""
    hits, misses = examples(evidence)
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": figure, "interval": interval, "signed": signed, "percent": percent,
                            "percent_interval": percent_interval}
    return environment.get_template("report.html").render(
        meta=evidence.meta, metrics=evidence.metrics, names=evidence.names, captures=evidence.captures,
        metric_names=NAMES, metric_keys=METRICS, rule=RULES[evidence.metrics["params"]["threshold"]],
        warnings=evidence.warnings, whiskers=_whiskers(evidence),
        panels=[_panel(evidence, name) for name in evidence.names], training=_training(evidence.history),
        sure_rows=lambda block: [*block["classes"].items(), ("Macro", block["macro"])],
        subgroups=_subgroups(evidence), gaps=evidence.gaps, comparisons=evidence.comparisons,
        splits=split_table(evidence), hits=hits, misses=misses)


def split_table(evidence: Evidence) -> list[dict]:
    """Count records, patients, sexes and ages in each split of the pages."""
    rows = []
    for split, table in evidence.pages.index.groupby("split", sort=True):
        ages = table["age"].dropna()
        rows.append({"split": split, "records": len(table), "patients": table["patient"].nunique(),
                     "female": int((table["sex"] == "F").sum()), "male": int((table["sex"] == "M").sum()),
                     "age": f"{ages.median():.0f} ({ages.min():.0f}–{ages.max():.0f})" if len(ages) else "unknown"})
    return rows


def _whiskers(evidence: Evidence) -> dict[str, dict[str, Markup]]:
    return {capture: {name: Markup(whisker(**values["auroc"])) for name, values in block["classes"].items()}
            for capture, block in evidence.test.items()}


def _panel(evidence: Evidence, name: str) -> dict:
    """The three curves of one finding, a line for each capture, with the first one's operating point."""
    first = evidence.test[evidence.captures[0]]["classes"][name]
    measured = first["auroc"]["value"] is not None
    fpr = 1 - first["specificity"]["value"] if measured else 0.0
    at = {kind: _series(evidence, kind, name) for kind in AXES}
    charts = [
        unit_chart(at["roc"], x_label="False positive rate", y_label="Recall", diagonal=True, title=f"ROC, {name}",
                   mark=(fpr, first["recall"]["value"]) if measured else None),
        unit_chart(at["pr"], x_label="Recall", y_label="Precision", level=first["prevalence"],
                   title=f"Precision and recall, {name}",
                   mark=(first["recall"]["value"], first["precision"]["value"]) if measured else None),
        unit_chart(at["reliability"], x_label="Probability", y_label="Observed share", diagonal=True,
                   title=f"Reliability, {name}"),
        unit_chart(at["calibrated"], x_label="Calibrated probability", y_label="Observed share", diagonal=True,
                   title=f"Reliability after calibration, {name}")]
    return {"name": name, "charts": [Markup(chart) for chart in charts], "figures": first}


def _series(evidence: Evidence, kind: str, name: str) -> list[Series]:
    lines = []
    for capture in evidence.captures:
        points = [p for p in evidence.curves[kind] if p["label"] == name and p["capture"] == capture]
        areas = np.array([p["records"] for p in points]) if kind in DOTTED else None
        lines.append(Series(capture, np.array([[p[axis] for axis in AXES[kind]] for p in points]).reshape(-1, 2),
                            None if areas is None else LARGEST_DOT * areas / areas.sum()))
    return lines


def _training(history: list[dict]) -> list[Markup]:
    """The loss and the watched AUROC over the epochs, each where the history has it."""
    charts = []
    for key, label in (("loss", "Training loss"), ("validate_auroc", "Validation AUROC, image alone")):
        points = np.array([[row["epoch"], row[key]] for row in history if row.get(key) is not None], float)
        if len(points):
            chart = line_chart([Series(label, points, DOT * np.ones(len(points)))], x_label="Epoch", y_label=label,
                               title=f"{label} by epoch")
            charts.append(Markup(chart))
    return charts


def _subgroups(evidence: Evidence) -> list[dict]:
    return [{**row, "whisker": Markup(whisker(**row["auroc"]))} for row in evidence.subgroups]
