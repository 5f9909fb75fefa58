"""HDF5 files from outside: every fault of theirs is a `SignalError`."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ecg.leads import LEADS
from ecg.sources.wfdb_files import SignalError

OPEN_FILES = 4
"""Files that a process keeps open; archives of few large files are read in their order."""
CHUNK_CACHE_BYTES = 64 << 20
"""Room for the chunks that neighbouring records share, so that none is unpacked twice."""
MAX_SAMPLES = 10_000_000
"""Of a lead; 5 hours at 500 Hz. What claims more is not read."""


@contextmanager
def hdf5(path: Path, *, keep: bool = False) -> Iterator[h5py.File]:
    """Yield an open file; `keep` leaves it open for the records beside this one.

    Raises:
        SignalError: it is missing or no HDF5 file, or whatever h5py meets inside the block.
    """
    if not os.path.isfile(path):  # the Path's own raises on a name too long for any file
        raise SignalError("missing_file", f"{path.name} is not there")
    try:
        if keep:
            yield _kept(path, path.stat().st_mtime_ns, os.getpid())
        else:
            with _open(path) as file:
                yield file
    except SignalError:
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError, ValueError on damage
        detail = " ".join(str(error).split()) or type(error).__name__
        raise SignalError("unreadable_signal", f"{path.name}: {detail}") from None


@lru_cache(maxsize=OPEN_FILES)
def _kept(path: Path, _changed: int, _process: int) -> h5py.File:
    return _open(path)


def _open(path: Path) -> h5py.File:
    # No lock: archives lie on read-only and on network file systems.
    return h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE_BYTES, locking=False)


def dataset(file: h5py.File, name: str, fits: Callable[[tuple[int, ...]], bool], shape: str) -> Any:
    """Return a dataset of numbers once its shape is known to fit; nothing is read.

    Raises:
        SignalError: there is no such dataset, it holds no numbers, or has another shape.
    """
    found = file.get(name) if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    # What a file links to or stores elsewhere could be any file of this machine.
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "fiu" or found.external or found.is_virtual:
        raise SignalError("unreadable_signal", f"{Path(file.filename).name}: no dataset {name!r} of numbers")
    if not fits(found.shape):
        raise SignalError("wrong_leads" if len(found.shape) > 1 else "unreadable_signal",
                          f"{Path(file.filename).name}: {name} has shape {found.shape}, expected {shape}")
    return found


def twelve(values: np.ndarray) -> np.ndarray:
    """Return values (12, T) as float32, C-ordered."""
    assert values.ndim == 2 and len(values) == len(LEADS)
    return np.ascontiguousarray(values, np.float32)
