"""Every source by its name in params.yaml (`ingest.source`)."""

from collections.abc import Callable
from pathlib import Path

from ecg.sources.ptbxl import open_ptbxl
from ecg.sources.source import Source
from ecg.sources.wfdb_folder import open_folder

SOURCES: dict[str, Callable[[Path, tuple[str, ...], int], Source]] = {
    "simulated": lambda folder, labels, rate: open_folder(folder, labels=labels, name="simulated"),
    "wfdb_folder": lambda folder, labels, rate: open_folder(folder, labels=labels),
    "ptbxl": lambda folder, labels, rate: open_ptbxl(folder, labels=labels, rate=rate),
}


def open_source(name: str, folder: Path, *, labels: tuple[str, ...] = (), rate: int = 100) -> Source:
    """Open the source `name` at `folder`.

    Args:
        name: a key of `SOURCES`.
        folder: where its files lie.
        labels: findings to keep, in this order; empty: the source's own list.
        rate: which of PTB-XL's two sets of files, 100 or 500 Hz; other sources have one.

    Raises:
        ValueError: no such source or folder, or the source's tables cannot be used.
    """
    if name not in SOURCES:
        raise ValueError(f"ingest.source: unknown source {name!r}; there are {', '.join(SOURCES)}")
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; name the data with ingest.data or --data")
    return SOURCES[name](folder, labels, rate)
