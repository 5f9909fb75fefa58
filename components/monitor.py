"""monitor: served pages against what was measured, as a report and an exit status for a recurring run."""

import html
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from ecg.files import write_whole
from ecg.records import write_beside
from model.checkpoint import read_json
from model.drift import Check, Served, compare
from model.file_reading import pages_of
from model.params import MonitorParams

DRIFT, TOO_FEW = 3, 4
"""Exit statuses: act; and wait for more pages."""
MAX_LOG_BYTES = 1 << 30
STATES = {0: "no drift", DRIFT: "drift", TOO_FEW: "too few pages to say"}


@dataclass(frozen=True)
class MonitorResult:
    """What came of it: the exit status, and the checks that drifted."""

    status: int
    state: str
    pages: int
    drifted: tuple[str, ...]


def run(*, answers: list[dict], reference: Path, report: Path, params: MonitorParams) -> MonitorResult:
    """Compare answers with a reference.

    Args:
        answers: as the server gives them, or `{"error": ...}` for a page that was not read.
        reference: what evaluate wrote about the served model, or a log of answers from a time that was good.
        report: the folder to write: report.html and monitor.json.
        params: section monitor of params.yaml.

    Raises:
        ValueError: no answer, or answers of other findings than the reference's; a file is damaged.
    """
    wanted = reference_of(reference, params)
    now = served(answers, wanted.label_names)
    checks = compare(wanted, now, params)
    drifted = tuple(check.name for check in checks if check.drifted)
    few = now.pages < params.least_pages
    # Pages that cannot be read are a reason to act however few they are to measure a score on.
    status = TOO_FEW if few else DRIFT if drifted else 0
    result = MonitorResult(status, STATES[status], now.pages, () if few else drifted)
    with write_beside(report) as folder:
        document = {**asdict(result), "at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "reference": str(reference), "models": _models(answers), "checks": [asdict(c) for c in checks]}
        write_whole(folder / "monitor.json", json.dumps(document, indent=1) + "\n")
        write_whole(folder / "report.html", _page(document, checks))
    return result


def read_log(path: Path) -> list[dict]:
    """Read answers: JSON lines, one answer each, or the array that `vizecg predict --json` writes.

    Of a file of several pages each page counts.

    Raises:
        ValueError: missing, too large, or a line is no answer.
    """
    try:
        if path.stat().st_size > MAX_LOG_BYTES:
            raise ValueError(f"{path}: {path.stat().st_size / 1e9:.1f} GB, the limit is {MAX_LOG_BYTES / 1e9:.1f} GB; "
                             "give one day of it")
        text = path.read_text()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; give a log of answers, or a folder of pages") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: no log of answers (not text)") from None
    if text.lstrip().startswith("["):
        lines = [(1, text)]
    else:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    answers: list[dict] = []
    for number, line in lines:
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not valid JSON ({error.msg})") from None
        answers += value if isinstance(value, list) else [value]
    if all(isinstance(answer, dict) and isinstance(answer.get("pages", []), list) for answer in answers):
        answers = [page for answer in answers for page in pages_of(answer)]
    if not answers or not all(isinstance(a, dict) and ("findings" in a or "error" in a) for a in answers):
        raise ValueError(f"{path}: an answer must have 'findings' or 'error'")
    for finding in (finding for answer in answers for finding in answer.get("findings", [])):
        if not isinstance(finding, dict) or not {"label", "probability", "present"} <= finding.keys():
            raise ValueError(f"{path}: a finding must have label, probability and present, not {str(finding)[:100]}")
    return answers


def served(answers: list[dict], label_names: tuple[str, ...]) -> Served:
    """Turn answers into numbers.

    Raises:
        ValueError: an answer is about other findings.
    """
    read = [answer for answer in answers if "findings" in answer]
    for answer in read:
        if tuple(finding["label"] for finding in answer["findings"]) != label_names:
            raise ValueError(f"answers: are about {', '.join(f['label'] for f in answer['findings'])}, the reference "
                             f"about {', '.join(label_names)}; give that of the same model")
    shape = (len(read), len(label_names))
    column = {key: np.array([[finding[key] for finding in answer["findings"]] for answer in read]).reshape(shape)
              for key in ("probability", "present")}
    pages = [answer.get("page", {}) for answer in read]
    return Served(label_names, column["probability"].astype(float), column["present"].astype(bool),
                  *(np.array([page.get(name, np.nan) for page in pages], float) for name in ("confidence", "quality")),
                  np.array([bool(page.get("warnings")) for page in pages], bool), len(answers))


def reference_of(path: Path, params: MonitorParams) -> Served:
    """Read the reference: an evaluation's test pages, or a log.

    Raises:
        ValueError: neither.
    """
    if path.is_file():
        answers = read_log(path)
        first = next((answer for answer in answers if "findings" in answer), None)
        if first is None:
            raise ValueError(f"{path}: no page in it was read; give a log of a time that was good")
        return served(answers, tuple(finding["label"] for finding in first["findings"]))
    metrics = read_json(path / "metrics.json", made_by="vizecg evaluate")
    thresholds = read_json(path / "thresholds.json", made_by="vizecg evaluate")
    try:
        table = pd.read_parquet(path / "predictions.parquet")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}/predictions.parquet: cannot be read ({error}); evaluate again") from None
    wanted = (table["split"] == "test") & table["capture"].isin(params.captures or table["capture"].unique())
    if not wanted.any():
        raise ValueError(f"monitor.captures: {path} has no test page of {', '.join(params.captures)}")
    names = tuple(metrics["label_names"])
    scores = table.loc[wanted, [f"p:{name}" for name in names]].to_numpy(float)
    return Served(names, scores, scores >= np.array([thresholds[name] for name in names]),
                  *np.full((2, len(scores)), np.nan), np.zeros(len(scores), bool), len(scores))


def _models(answers: list[dict]) -> dict[str, int]:
    """How many answers each version of the model gave."""
    versions = [answer["version"] for answer in answers if "version" in answer]
    return {version: versions.count(version) for version in sorted(set(versions))}


def _page(document: dict, checks: list[Check]) -> str:
    """One self-contained page."""
    rows = "\n".join(
        f"<tr class={'drift' if c.drifted else 'fine'}><td>{html.escape(c.name)}</td><td>{_number(c.reference)}</td>"
        f"<td>{_number(c.now)}</td><td>{_number(c.value)}</td><td>{_number(c.limit)}</td>"
        f"<td>{html.escape(c.detail)}</td><td>{'drift' if c.drifted else ''}</td></tr>" for c in checks)
    models = ", ".join(f"{html.escape(version)} ({count})" for version, count in document["models"].items())
    return f"""<!doctype html><html lang=en><meta charset=utf-8><title>Drift: {document['state']}</title>
<style>:root{{color-scheme:light dark}} body{{font:15px system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}} td,th{{padding:.25rem .5rem;border-bottom:1px solid #8884;text-align:left}}
td{{font-variant-numeric:tabular-nums}} .drift{{font-weight:600;background:#d9480f33}}</style>
<h1>{html.escape(document['state'].capitalize())}</h1>
<p>{document['pages']} pages, {document['at']}. Model versions that answered: {models or "unknown"}.
Reference: {html.escape(document['reference'])}.</p>
<table><tr><th>check<th>reference<th>now<th>value<th>limit<th>detail<th></tr>
{rows}
</table></html>
"""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
