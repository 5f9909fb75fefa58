"""summary: the figures of the last evaluation, as a table, and where its report lies."""

import json
from pathlib import Path

SHOWN = ("auroc", "auprc", "f1", "precision", "recall", "specificity")
LABEL, WIDE = 10, 13


def run(*, evaluation: Path, decision: Path) -> str:
    """Return the text to print.

    Args:
        evaluation: what evaluate wrote.
        decision: what gate wrote; its verdict is left out when there is none yet.

    Raises:
        ValueError: there is no evaluation.
    """
    test = _read(evaluation / "metrics.json")["test"]
    lines = _by_capture(test) if len(test) > 1 else []
    for capture, figures in test.items():
        lines += [f"test split, {capture} pages: {figures['records']} records of {figures['patients']} patients",
                  *_table(figures), ""]
    if (decision / "decision.json").exists():
        lines += _verdict(_read(decision / "decision.json"))
    return "\n".join([*lines, f"report: {evaluation / 'report.html'}"])


def _by_capture(test: dict) -> list[str]:
    """A row a capture, and the mean over the layouts of clean pages where there are several."""
    rows = {capture: [figures["macro"][key]["value"] for key in SHOWN] for capture, figures in test.items()}
    clean = [values for capture, values in rows.items() if capture.partition("@")[0] == "clean"]
    if len(clean) > 1:
        rows[f"mean, clean x {len(clean)}"] = [_mean(column) for column in zip(*clean, strict=True)]
    width = max(map(len, rows)) - LABEL + 2
    return ["test split, macro, by capture@layout:", f"{'':{LABEL + width}}" + "".join(f"{n:>{WIDE}}" for n in SHOWN),
            *(f"{capture:{LABEL + width}}" + _row("", values)[LABEL:] for capture, values in rows.items()), ""]


def _mean(values: tuple[float | None, ...]) -> float | None:
    return None if None in values else sum(values) / len(values)


def _table(figures: dict) -> list[str]:
    """The macro row with the ends of its intervals below it, then a row a class."""
    macro = figures["macro"]
    ends = [_row(f"  {end}", [macro[key].get(end) for key in SHOWN]) for end in ("low", "high")]
    classes = [_row(label, [row[key]["value"] for key in SHOWN]) for label, row in figures["classes"].items()]
    return [f"{'':{LABEL}}" + "".join(f"{name:>{WIDE}}" for name in SHOWN),
            _row("macro", [macro[key]["value"] for key in SHOWN]), *ends, *classes]


def _row(label: str, values: list[float | None]) -> str:
    return f"{label:{LABEL}}" + "".join(f"{'-' if value is None else f'{value:.3f}':>{WIDE}}" for value in values)


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
