"""summary: the figures of the last evaluation, as a table, and where its report lies."""

import json
from pathlib import Path

SHOWN = ("auroc", "auprc", "f1", "precision", "recall", "specificity")
WIDE = 24


def run(*, evaluation: Path, decision: Path) -> str:
    """Return the text to print.

    Args:
        evaluation: what evaluate wrote.
        decision: what gate wrote; its verdict is left out when there is none yet.

    Raises:
        ValueError: there is no evaluation.
    """
    lines = []
    for capture, figures in _read(evaluation / "metrics.json")["test"].items():
        lines += [f"test split, {capture} pages: {figures['records']} records of {figures['patients']} patients",
                  *_table(figures), ""]
    if (decision / "decision.json").exists():
        lines += _verdict(_read(decision / "decision.json"))
    return "\n".join([*lines, f"report: {evaluation / 'report.html'}"])


def _table(figures: dict) -> list[str]:
    """The macro row with its intervals first, a row a class below."""
    header = f"{'':8}" + "".join(f"{name:>{WIDE}}" for name in SHOWN)
    rows = [("macro", figures["macro"]), *figures["classes"].items()]
    return [header, *(f"{name:8}" + "".join(f"{_figure(row[key]):>{WIDE}}" for key in SHOWN) for name, row in rows)]


def _figure(metric: dict) -> str:
    if metric["value"] is None:
        return "-"
    if metric.get("low") is None:
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f} ({metric['low']:.3f}-{metric['high']:.3f})"


def _verdict(decision: dict) -> list[str]:
    rules = [f"  {'passed' if rule['passed'] else 'FAILED'}  {rule['reason']}" for rule in decision["rules"]]
    return [f"gate: {'passed' if decision['passed'] else 'not passed'}", *rules]


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; run 'dvc repro' or 'vizecg evaluate' first") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not valid JSON ({error}); write it anew with its step") from None
