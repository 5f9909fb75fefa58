"""The record store: the one format between the steps of the pipeline.

A store is a folder of three files: `signals.npy` (int16, shape (N, 12, T), 1 LSB = 1 µV, leads in
the order of `ecg.leads.LEADS`, memory-mapped), `records.parquet` (one row a record) and `store.json`
(schema version, sampling rate, label names, counts, content digest). A store is written beside its
place and renamed into it, so a half-written one never has its name.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ecg.files import scratch_folder, take_place
from ecg.leads import LEADS
from ecg.quality import NO_SIGNAL

SCHEMA_VERSION = 1
SPLITS = ("train", "validate", "test")
COLUMNS = ("record", "patient", "source", "sampling_rate", "age", "sex", "device", "fold", "split", "flags")
"""The columns of records.parquet before those of the labels (one 0/1 column each, `label:<name>`).

`sampling_rate` is the source's own, before resampling; `flags` are separated by semicolons."""

MICROVOLTS_PER_MILLIVOLT = 1000.0


@dataclass(frozen=True)
class RawRecord:
    """One record as a source yields it, before it enters a store.

    `signal_mv` is float32, shape (12, T), in millivolt, leads ordered as `LEADS`. `labels` are names of
    the source's label scheme. `fold` is 1-10, or 0 when the source has none (ingest then hashes the
    patient). `flags` are short notes on quality. `age` is NaN and `sex` is "" when unknown ("F" or "M" else).
    """

    record: str
    patient: str
    source: str
    sampling_rate: float
    signal_mv: np.ndarray
    labels: tuple[str, ...]
    age: float = float("nan")
    sex: str = ""
    device: str = ""
    fold: int = 0
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class BadRecord:
    """A record that could not be read, and why: `reason` is a short fixed word, `detail` a sentence."""

    record: str
    reason: str
    detail: str


@dataclass(frozen=True)
class RecordStore:
    """An opened store. `signals` stays on disk until it is indexed."""

    path: Path
    signals: np.ndarray
    table: pd.DataFrame
    label_names: tuple[str, ...]
    sampling_rate: float
    digest: str
    meta: dict = field(repr=False)

    @classmethod
    def open(cls, path: Path | str, *, compact: bool = False) -> "RecordStore":
        """Open a store read-only.

        Args:
            path: its folder.
            compact: hold the table in a fifth of the room: words that repeat as categories, names as Arrow's strings.

        Raises:
            ValueError: the folder is not a record store, or one of another schema version.
        """
        path = Path(path)
        meta = read_meta(path)
        signals = np.load(path / "signals.npy", mmap_mode="r")
        table = _read_compact(path) if compact else pd.read_parquet(path / "records.parquet")
        pa.default_memory_pool().release_unused()
        if len(table) != len(signals):
            raise ValueError(f"{path}: {len(table)} rows but {len(signals)} signals; ingest it again")
        return cls(path, signals, table, tuple(meta["label_names"]), float(meta["sampling_rate"]),
                   meta["digest"], meta)

    def __len__(self) -> int:
        return len(self.table)

    def __reduce__(self):
        """To another process goes the path: it opens the store anew, and the signals stay on disk."""
        return type(self).open, (self.path,)

    @property
    def made_with(self) -> dict:
        """The parameters that the store was made with; empty for a store of an earlier version."""
        return self.meta.get("made_with", {})

    @property
    def labels(self) -> np.ndarray:
        """The findings, uint8 of shape (N, C), columns in the order of `label_names`."""
        return self.table[[f"label:{name}" for name in self.label_names]].to_numpy(np.uint8)

    def read(self, first: int, last: int) -> np.ndarray:
        """Read the signals of the rows from `first` to before `last` into memory of their own.

        What is looked at through `signals` counts as resident until the system needs the room; this is gone after use.
        """
        whole = self.signals
        if not isinstance(whole, np.memmap):
            return whole[first:last]
        size = whole.dtype.itemsize * math.prod(whole.shape[1:])
        last = min(last, len(whole))
        return np.fromfile(self.path / "signals.npy", whole.dtype, (last - first) * math.prod(whole.shape[1:]),
                           offset=whole.offset + first * size).reshape(-1, *whole.shape[1:])

    def refuse_without_signal(self, rows: np.ndarray, needs: str) -> None:
        """Raise ValueError when one of the rows has a picture alone; `needs` says what wants its signal."""
        lacking = int((~self.with_signal(rows)).sum())
        if lacking:
            raise ValueError(f"{self.path}: {lacking} of {len(rows)} records have no signal; {needs}")

    def with_signal(self, rows: np.ndarray) -> np.ndarray:
        """Which of the rows have a signal, not a picture alone: bool, as many."""
        flags = self.table["flags"].iloc[rows].str.split(";")
        return np.array([NO_SIGNAL not in of_record for of_record in flags], bool)

    def rows(self, split: str) -> np.ndarray:
        """The positions of one split's records, ascending.

        Raises:
            ValueError: no record belongs to the split.
        """
        found = np.flatnonzero(self.table["split"].to_numpy() == split)
        if not len(found):
            have = ", ".join(sorted(set(self.table["split"])))
            raise ValueError(f"{self.path}: no record in split {split!r} (it has {have}); see ingest.*_folds in "
                             "params.yaml")
        return found


ROW_GROUP = 16384
"""Rows of the table that a writer holds before it writes them."""
_TYPES = {"sampling_rate": pa.float64(), "age": pa.float64(), "fold": pa.int64()}


class StoreWriter:
    """Collect records into a store, in memory that does not grow with their number.

    Either `append` takes a record at a time, or others write signals into `signals.npy` at `place(i)`, `keep` takes
    over those that are to stay, in order, and `add` takes the row of each. Use inside `write_beside`, which puts the
    finished folder in its place.
    """

    def __init__(self, path: Path, *, sampling_rate: float, samples: int, label_names: tuple[str, ...]):
        self.path, self.sampling_rate, self.samples, self.label_names = path, sampling_rate, samples, label_names
        self.signals = path / "signals.npy"
        self._columns = [*COLUMNS, *(f"label:{name}" for name in label_names)]
        self._held: list[tuple] = []
        self._findings: dict[tuple[str, ...], tuple[int, ...]] = {}
        self._kept = self._rows = 0
        self._hash = hashlib.sha256()
        self._file = open(self.signals, "w+b")  # noqa: SIM115 - closed by finish
        self._start = self._write_header()
        types = [pa.field(name, _TYPES.get(name, pa.string() if name in COLUMNS else pa.uint8()))
                 for name in self._columns]
        self._table: pq.ParquetWriter | None = pq.ParquetWriter(path / "records.parquet", pa.schema(types))

    def place(self, number: int) -> int:
        """Return the byte of `signals.npy` at which the signal of a record begins."""
        return self._start + number * len(LEADS) * self.samples * np.dtype(np.int16).itemsize

    def keep(self, first: int, count: int) -> None:
        """Take over `count` signals that were written from place `first` on, closing any gap before them."""
        data = os.pread(self._file.fileno(), self.place(count) - self._start, self.place(first))
        assert len(data) == self.place(count) - self._start and first >= self._kept
        if first > self._kept:
            os.pwrite(self._file.fileno(), data, self.place(self._kept))
        self._hash.update(data)
        self._kept += count

    def add(self, row: tuple, labels: tuple[str, ...]) -> None:
        """Add the row of the next record: its values in the order of `COLUMNS`, and its label names."""
        findings = self._findings.get(labels)
        if findings is None:
            findings = self._findings[labels] = tuple(int(name in labels) for name in self.label_names)
        self._held.append(row + findings)
        self._rows += 1
        if len(self._held) >= ROW_GROUP:
            self._write_rows()

    def write(self, signals_uv: np.ndarray) -> None:
        """Add signals, int16 (B, 12, samples) in µV, after those that were kept."""
        os.pwrite(self._file.fileno(), np.ascontiguousarray(signals_uv), self.place(self._kept))
        self.keep(self._kept, len(signals_uv))

    def append(self, row: dict, signal_uv: np.ndarray, labels: tuple[str, ...]) -> None:
        """Add one record: its row (keys as in `COLUMNS`), int16 µV signal (12, samples), label names."""
        assert signal_uv.shape == (len(LEADS), self.samples) and signal_uv.dtype == np.int16
        self.write(signal_uv[None])
        self.add(tuple(row[name] for name in COLUMNS), labels)

    def cover(self, data: bytes) -> None:
        """Let the store's digest depend on something else that lies in its folder."""
        self._hash.update(data)

    def __len__(self) -> int:
        return self._rows

    def table(self) -> pd.DataFrame:
        """Return the rows in the form of records.parquet; none can be added afterwards."""
        self._close_table()
        return pd.read_parquet(self.path / "records.parquet")

    def column(self, name: str) -> pa.ChunkedArray:
        """Return one column of the table; no row can be added afterwards."""
        self._close_table()
        return pq.read_table(self.path / "records.parquet", columns=[name]).column(0)

    def finish(self, extra: dict) -> str:
        """Write the table and the description; returns the content digest.

        Args:
            extra: further plain values for store.json.
        """
        assert self._kept == self._rows
        self._close_table()
        self._file.truncate(self.place(self._rows))
        self._write_header()
        self._file.close()
        digest = store_digest(self._hash, self.path, self.sampling_rate, self.label_names)
        meta = {"schema": SCHEMA_VERSION, "digest": digest, "records": self._rows, "samples": self.samples,
                "sampling_rate": self.sampling_rate, "unit": "uV", "leads": LEADS,
                "label_names": self.label_names, **extra}
        (self.path / "store.json").write_text(json.dumps(meta, indent=2) + "\n")
        return digest

    def _write_header(self) -> int:
        """Write the header of signals.npy for the rows so far; its length is the same for any number of them."""
        self._file.seek(0)
        shape = (self._rows, len(LEADS), self.samples)
        np.lib.format.write_array_header_2_0(self._file, {"descr": "<i2", "fortran_order": False, "shape": shape})
        self._file.flush()
        return self._file.tell()

    def _write_rows(self) -> None:
        assert self._table is not None, "the table is closed"
        columns = zip(*self._held, strict=True) if self._held else ([] for _ in self._columns)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._table.schema, strict=True)]
        self._table.write_table(pa.Table.from_arrays(arrays, schema=self._table.schema))
        self._held.clear()

    def _close_table(self) -> None:
        if self._table is not None:
            self._write_rows()
            self._table.close()
            self._table = None


def store_digest(signals, path: Path, sampling_rate: float, label_names: Sequence[str]) -> str:
    """Return a store's content digest from the SHA-256 of its signals so far and the table in its folder."""
    for number, rows in enumerate(read_batches(path)):
        signals.update(rows.to_csv(index=False, header=number == 0).encode())
    signals.update(json.dumps([sampling_rate, label_names]).encode())
    return signals.hexdigest()


REPEATED = ("source", "sex", "device", "split", "flags")


def _read_compact(path: Path) -> pd.DataFrame:
    table = pq.read_table(path / "records.parquet", read_dictionary=list(REPEATED))
    return table.to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow")}.get, split_blocks=True,
                           self_destruct=True)


def read_batches(path: Path) -> Iterator[pd.DataFrame]:
    """Read a store's table a part at a time."""
    with pq.ParquetFile(path / "records.parquet") as file:
        yield from (batch.to_pandas() for batch in file.iter_batches(batch_size=ROW_GROUP))


MARKER = ".vizecg"
"""An empty file in every folder that `write_beside` made."""


@contextmanager
def write_beside(path: Path, *, marker: str = MARKER) -> Iterator[Path]:
    """Yield a scratch folder beside `path` that takes its place on success and vanishes on failure.

    Args:
        path: the folder to write.
        marker: file by which a folder is known as ours, and may be replaced.

    Raises:
        ValueError: at `path` stands something that this function did not write; it is left alone.
    """
    path = Path(path)
    _refuse_foreign(path, marker)
    with scratch_folder(path) as scratch:
        yield scratch
        (scratch / marker).touch()
        take_place(scratch, path)


def _refuse_foreign(path: Path, marker: str) -> None:
    """A mistyped output must not cost anyone a folder: only our own, or an empty one, is replaced."""
    if path.exists() and not (path / marker).exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{path}: stands in the way and was not written by this program; choose another output, or "
                         "delete it")


def read_meta(path: Path) -> dict:
    """Read a store's store.json.

    Raises:
        ValueError: it is missing, no JSON or of another version.
    """
    try:
        meta = json.loads((path / "store.json").read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: not a record store (no store.json); make one with 'vizecg ingest'") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}/store.json: not valid JSON ({error}); ingest it again") from None
    if meta.get("schema") != SCHEMA_VERSION:
        raise ValueError(f"{path}/store.json: field schema is {meta.get('schema')!r}, this version reads "
                         f"{SCHEMA_VERSION}; ingest it again")
    return meta
