"""Open a source by its name in params.yaml (`ingest.source`)."""

import importlib
from pathlib import Path

from ecg.sources.kinds import KINDS, Kind
from ecg.sources.source import Options, Source

DEFAULT_SET = "default"
"""The value of `ingest.label_set` that stands for each source's first set."""


def open_source(name: str, folder: Path, *, labels: tuple[str, ...] = (), rate: int = 100,
                label_set: str = DEFAULT_SET, reports: bool = False) -> Source:
    """Open the source `name` at `folder`.

    Args:
        name: a key of `KINDS`.
        folder: where its files lie.
        labels: findings to keep, in this order; empty: the source's own list.
        rate: which of PTB-XL's two sets of files, 100 or 500 Hz; other sources have one.
        label_set: one of the source's sets of findings, or `default`.
        reports: take the free text of reports along.

    Raises:
        ValueError: no such source, folder or set, or the source's tables cannot be used.
    """
    if name not in KINDS:
        raise ValueError(f"ingest.source: unknown source {name!r}; there are {', '.join(KINDS)}")
    kind = KINDS[name]
    options = Options(labels, rate, _label_set(kind, label_set), reports)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; name the data with ingest.data or --data")
    module, function = kind.opener.split(":")
    return getattr(importlib.import_module(f"ecg.sources.{module}"), function)(folder, options)


def _label_set(kind: Kind, wanted: str) -> str:
    if wanted == DEFAULT_SET:
        return kind.label_sets[0] if kind.label_sets else ""
    if wanted not in kind.label_sets:
        has = f"has {', '.join(kind.label_sets)}" if kind.label_sets else "has one set of findings"
        raise ValueError(f"ingest.label_set: {wanted!r} is none of the source {kind.name}, which {has}; "
                         f"leave it at {DEFAULT_SET!r} for its usual one")
    return wanted
