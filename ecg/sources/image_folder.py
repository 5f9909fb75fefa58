"""Own scans or photos of printed pages, with a labels.csv: pages that are not drawn.

Columns: `image` (path relative to the folder), `patient`, `labels`, `signal` (path of a WFDB record without suffix, or
empty: the page has no signal), and those of `labels_table`. A record without signal is flagged `no_signal` and its
signal is zero: a model is measured on its page, and nothing is learnt from it.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg.leads import LEADS
from ecg.paper.files import read_image
from ecg.quality import NO_SIGNAL
from ecg.records import BadRecord
from ecg.sources.labels_table import table_source
from ecg.sources.source import Entry, Options, Source, below
from ecg.sources.wfdb_files import Signal, SignalError, read_signal

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


def open_images(folder: Path, options: Options) -> Source:
    """Open a folder of pictures; raises as `table_source`."""
    return table_source(folder, options, name="image_folder", column="image", suffixes=SUFFIXES,
                        finish=lambda entry, row: _with_signal(folder, entry, row), signal_of=read_page)


def read_page(entry: Entry) -> Signal:
    """Decode an entry's picture, to know that it can be read, and read its signal where it has one.

    Raises:
        SignalError: the picture is missing, none, or too large; or as `read_signal`.
    """
    if not os.path.isfile(entry.picture):  # the Path's own raises on a name too long for any file
        raise SignalError("missing_file", f"{entry.picture.name} is not there")
    try:
        read_image(entry.picture)
    except ValueError as error:
        raise SignalError("unreadable_picture", str(error).removeprefix(f"{entry.picture}: ")) from None
    if NO_SIGNAL in entry.flags:
        return Signal(np.zeros((len(LEADS), 0), np.float32), float("nan"))
    return read_signal(entry.path)


def _with_signal(folder: Path, entry: Entry, row: dict[str, str]) -> Entry | BadRecord:
    named = row.get("signal", "").strip()
    if not named:
        return replace(entry, picture=Path(entry.path), flags=(NO_SIGNAL,))
    path = below(named)
    if path is None:
        return BadRecord(entry.record, "outside_folder", f"the path {named!r} is not one below the folder")
    return replace(entry, picture=Path(entry.path), path=folder / path)
