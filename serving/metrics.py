"""What Prometheus is told about the pages that were read: outcomes, findings, quality, time of each stage.

The names are declared in metrics.yaml; TorchServe drops every other. Nothing of a page but these figures leaves here.
"""

import re

import requests

from model.file_reading import error_answer, pages_of

_LINE = re.compile(r"^(?P<name>\w+?)(?:_total)?\{(?P<labels>.*)\} (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_UNSAFE = re.compile(r"[^\w .+-]")
"""TorchServe takes a metric apart at commas, colons and bars."""


class Meter:
    """Counts answers on the metrics of a TorchServe context; one a worker."""

    def __init__(self, version: str):
        self.version = label(version)

    def count(self, metrics, answer: dict | Exception) -> None:
        """Count one request's answer: that of the reading path, or the exception that took its place."""
        if isinstance(answer, Exception):
            code = error_answer(answer)["code"] if isinstance(answer, ValueError) else "fault"
            self._add(metrics, "vizecg_pages", 1, code)
            return
        for page in pages_of(answer):
            self._page(metrics, page)

    def _page(self, metrics, page: dict) -> None:
        self._add(metrics, "vizecg_pages", 1, page.get("code", "read"))
        if "error" in page:
            return
        for finding in page["findings"]:
            if finding["present"]:
                self._add(metrics, "vizecg_findings", 1, finding["label"])
        if page["page"]["doubtful"]:
            self._add(metrics, "vizecg_doubtful", 1)
        for figure in ("quality", "confidence"):
            if figure in page["page"]:
                self._add(metrics, f"vizecg_{figure}", page["page"][figure], kind="HISTOGRAM")
        for stage, took_ms in page.get("timing_ms", {}).items():
            self._add(metrics, "vizecg_stage_seconds", took_ms / 1000, stage, kind="HISTOGRAM")

    def _add(self, metrics, name: str, value: float, *labels: str, kind: str = "COUNTER") -> None:
        from ts.metrics.metric_type_enum import MetricTypes  # there where a worker runs, and deploy needs it not

        metric = metrics.get_metric(name, metric_type=MetricTypes[kind])
        metric.add_or_update(round(float(value), 6), [*map(label, labels), self.version])


def label(text: str) -> str:
    """Make a label's value safe for TorchServe's lines: findings are called what the data's owners like."""
    return _UNSAFE.sub("_", text)[:64] or "_"



def scrape(address: str, *, timeout_s: float = 10.0) -> str:
    """Fetch what the metrics address says, in Prometheus' text format.

    Raises:
        RuntimeError: it does not answer.
    """
    try:
        reply = requests.get(f"{address.rstrip('/')}/metrics", timeout=timeout_s)
        reply.raise_for_status()
    except requests.RequestException as error:
        raise RuntimeError(f"{address}: no metrics there ({type(error).__name__})") from None
    return reply.text


def counted(text: str, name: str, **labels: str) -> float:
    """Sum a metric over all lines that carry the given labels; 0 where there is none."""
    wanted, total = {key: label(value) for key, value in labels.items()}.items(), 0.0
    for line in text.splitlines():
        if (found := _LINE.match(line)) and found["name"] == name and wanted <= dict(
                _LABEL.findall(found["labels"])).items():
            total += float(found["value"])
    return total
