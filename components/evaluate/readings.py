"""What several machines read of one page set, each a capture, put together again."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ecg.pages import PageSet
from ecg.records import write_beside
from model.checkpoint import read_json

TABLE, ORIGIN = "predictions.parquet", "readings.json"


def one_capture(pages: PageSet, capture: str) -> PageSet:
    """Return the page set with one capture alone.

    Raises:
        ValueError: it has no such capture.
    """
    if capture not in pages.captures:
        raise ValueError(f"captures: {pages.path} has no {capture!r}; it has {', '.join(pages.captures)}, as "
                         "render.captures said")
    return replace(pages, captures=(capture,))


def write_readings(folder: Path, predictions: pd.DataFrame, *, checkpoint: str, pages: PageSet) -> None:
    """Write one capture's predictions, and of which checkpoint (digest) and pages they are."""
    with write_beside(folder) as scratch:
        predictions.to_parquet(scratch / TABLE, index=False)
        origin = {"checkpoint_digest": checkpoint, "pages_digest": pages.digest, "capture": pages.captures[0]}
        (scratch / ORIGIN).write_text(json.dumps(origin) + "\n")


def gathered(folders: tuple[Path, ...], *, checkpoint: str, pages: PageSet) -> pd.DataFrame:
    """Return the predictions of every capture, in the order in which one machine alone would have them.

    Raises:
        ValueError: a capture is missing or there twice, or was read by another model or from other pages.
    """
    tables: dict[str, pd.DataFrame] = {}
    for folder in folders:
        origin = read_json(folder / ORIGIN, made_by="the task read-capture")
        if (origin["checkpoint_digest"], origin["pages_digest"]) != (checkpoint, pages.digest):
            raise ValueError(f"{folder}: was not read by this checkpoint from these pages; read again")
        if origin["capture"] in tables:
            raise ValueError(f"captures: {origin['capture']!r} is there twice")
        tables[origin["capture"]] = pd.read_parquet(folder / TABLE)
    missing = [name for name in pages.captures if name not in tables]
    if missing:
        raise ValueError(f"captures: {missing[0]!r} was drawn and not read; name each of render.captures")
    return pd.concat([tables[name] for name in pages.captures], ignore_index=True)
