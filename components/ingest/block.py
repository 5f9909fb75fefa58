"""Blocks of records are read into the store's file by any of several processes, in an order that is always the same."""

import gc
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from ecg.cores import cores
from ecg.leads import LEADS
from ecg.quality import LIMIT_MV, NO_SIGNAL, fault, notes
from ecg.records import MICROVOLTS_PER_MILLIVOLT, BadRecord
from ecg.resample import standardise
from ecg.sources.source import Entry, Source
from ecg.sources.wfdb_files import read_microvolt
from ecg.sources.wfdb_samples import NOT_SOUND, flags_of

T = TypeVar("T")
BLOCK = 128
"""Records at a time: 3 MB in the store's usual form."""
FEWEST_BLOCKS = 8
"""Below so many a source is read before other processes have started."""


@dataclass(frozen=True)
class Shape:
    """The store's sampling rate, in Hz, and duration, in seconds."""

    rate: float
    duration: float

    @property
    def samples(self) -> int:
        """Samples of each lead."""
        return round(self.duration * self.rate)


Outcome = tuple[float, tuple[str, ...]] | BadRecord
"""What became of a record: its own sampling rate and its flags, or why it cannot be used."""


def read_one(source: Source, entry: Entry | BadRecord, shape: Shape, out: np.ndarray) -> Outcome:
    """Read one record into `out`, int16 (12, samples), in microvolt."""
    if isinstance(entry, BadRecord):
        return entry
    if source.direct and (bits := read_microvolt(os.fspath(entry.path), shape.rate, out)) != NOT_SOUND:
        return shape.rate, (*entry.flags, *flags_of(bits))
    item = source.read(entry)
    if isinstance(item, BadRecord):
        return item
    if NO_SIGNAL in item.flags:
        out[:] = 0
        return item.sampling_rate, item.flags
    if found := fault(item.signal_mv, item.sampling_rate):
        return BadRecord(item.record, *found)
    signal, fitted = standardise(item.signal_mv, rate=item.sampling_rate, target=shape.rate, duration=shape.duration)
    out[:] = np.rint(np.clip(signal, -LIMIT_MV, LIMIT_MV) * MICROVOLTS_PER_MILLIVOLT)
    return item.sampling_rate, (*item.flags, *notes(item.signal_mv), *([fitted] if fitted else []))


def read_block(source: Source, entries: Sequence[Entry | BadRecord], shape: Shape, file: str,
               place: int) -> list[Outcome]:
    """Read records and write the usable ones, side by side, into `file` from byte `place` on."""
    signals = np.empty((len(entries), len(LEADS), shape.samples), np.int16)
    outcomes: list[Outcome] = []
    used = 0
    for entry in entries:
        outcomes.append(outcome := read_one(source, entry, shape, signals[used]))
        used += not isinstance(outcome, BadRecord)
    handle = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        left = memoryview(signals[:used]).cast("B") if used else memoryview(b"")
        while left:
            written = os.pwrite(handle, left, place)
            left, place = left[written:], place + written
    finally:
        os.close(handle)
    return outcomes


def in_order(function: Callable[..., T], calls: Iterable[tuple[Any, ...]], *, workers: int) -> Iterator[T]:
    """Yield `function(*call)` for each call, in their order, done by `workers` processes; 1: in this one.

    Only twice as many calls as workers are under way, so that memory stays bounded.

    Raises:
        RuntimeError: a process was killed.
    """
    if workers <= 1:
        yield from (function(*call) for call in calls)
        return
    # A fork costs nothing, and ours only read files and calculate. Elsewhere than on Linux it is not safe.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    calls = iter(calls)
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            waiting = deque(pool.submit(function, *call) for call in islice(calls, 2 * workers))
            while waiting:
                found = waiting.popleft().result()
                waiting.extend(pool.submit(function, *call) for call in islice(calls, 1))
                yield found
        except BrokenProcessPool:
            raise RuntimeError("ingest: one of its processes was killed, as for want of memory; ingest.workers=1 does "
                               "without them") from None
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile: a table's million entries are none, and would be looked through again and again.

    What was there before is left out of the search by the processes that are forked, too, and so stays shared.
    """
    searches = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searches:
            gc.enable()


def workers_for(blocks: int, wanted: int) -> int:
    """Return how many processes read so many blocks; `wanted` 0 is one for each core."""
    return (wanted or cores()) if blocks >= FEWEST_BLOCKS else 1
