"""The record store: the one format between the steps of the pipeline.

A store is a folder of three files: `signals.npy` (int16, shape (N, 12, T), 1 LSB = 1 µV, leads in
the order of `ecg.leads.LEADS`, memory-mapped), `records.parquet` (one row a record) and `store.json`
(schema version, sampling rate, label names, counts, content digest). A store is written beside its
place and renamed into it, so a half-written one never has its name.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ecg.leads import LEADS

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
    def open(cls, path: Path | str) -> "RecordStore":
        """Open a store read-only.

        Raises:
            ValueError: the folder is not a record store, or one of another schema version.
        """
        path = Path(path)
        meta = _read_meta(path)
        signals = np.load(path / "signals.npy", mmap_mode="r")
        table = pd.read_parquet(path / "records.parquet")
        if len(table) != len(signals):
            raise ValueError(f"{path}: {len(table)} rows but {len(signals)} signals; ingest it again")
        return cls(path, signals, table, tuple(meta["label_names"]), float(meta["sampling_rate"]),
                   meta["digest"], meta)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def labels(self) -> np.ndarray:
        """The findings, uint8 of shape (N, C), columns in the order of `label_names`."""
        return self.table[[f"label:{name}" for name in self.label_names]].to_numpy(np.uint8)

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


class StoreWriter:
    """Collect records into a store; memory stays bounded, the table alone is held.

    Use inside `write_beside`, which puts the finished folder in its place.
    """

    def __init__(self, path: Path, *, sampling_rate: float, samples: int, label_names: tuple[str, ...]):
        self.path, self.sampling_rate, self.samples, self.label_names = path, sampling_rate, samples, label_names
        self._rows: list[dict] = []
        self._hash = hashlib.sha256()
        self._raw = open(path / "signals.raw", "wb")  # noqa: SIM115 - closed by finish

    def append(self, row: dict, signal_uv: np.ndarray, labels: tuple[str, ...]) -> None:
        """Add one record: its row (keys as in `COLUMNS`), int16 µV signal (12, samples), label names."""
        assert signal_uv.shape == (len(LEADS), self.samples) and signal_uv.dtype == np.int16
        data = np.ascontiguousarray(signal_uv).tobytes()
        self._raw.write(data)
        self._hash.update(data)
        self._rows.append({**{name: row[name] for name in COLUMNS},
                           **{f"label:{name}": np.uint8(name in labels) for name in self.label_names}})

    def __len__(self) -> int:
        return len(self._rows)

    def table(self) -> pd.DataFrame:
        """Return the rows so far, in the form of records.parquet."""
        return pd.DataFrame(self._rows, columns=[*COLUMNS, *(f"label:{n}" for n in self.label_names)])

    def finish(self, extra: dict) -> str:
        """Write the table and the description; returns the content digest.

        Args:
            extra: further plain values for store.json.
        """
        self._raw.close()
        table = self.table()
        _prepend_npy_header(self.path / "signals.raw", self.path / "signals.npy",
                            (len(table), len(LEADS), self.samples))
        table.to_parquet(self.path / "records.parquet", index=False)
        self._hash.update(table.to_csv(index=False).encode())
        self._hash.update(json.dumps([self.sampling_rate, self.label_names]).encode())
        digest = self._hash.hexdigest()
        meta = {"schema": SCHEMA_VERSION, "digest": digest, "records": len(table), "samples": self.samples,
                "sampling_rate": self.sampling_rate, "unit": "uV", "leads": LEADS,
                "label_names": self.label_names, **extra}
        (self.path / "store.json").write_text(json.dumps(meta, indent=2) + "\n")
        return digest


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
    scratch = path.with_name(f".{path.name}.writing")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    (scratch / marker).touch()
    shutil.rmtree(path, ignore_errors=True)
    scratch.rename(path)


def _refuse_foreign(path: Path, marker: str) -> None:
    """A mistyped output must not cost anyone a folder: only our own, or an empty one, is replaced."""
    if path.exists() and not (path / marker).exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{path}: stands in the way and was not written by this program; choose another output, or "
                         "delete it")


def _prepend_npy_header(raw: Path, target: Path, shape: tuple[int, int, int]) -> None:
    """Turn a file of plain int16 values into an .npy, copying in blocks so that memory stays bounded."""
    with open(target, "wb") as out, open(raw, "rb") as values:
        np.lib.format.write_array_header_2_0(out, {"descr": "<i2", "fortran_order": False, "shape": shape})
        shutil.copyfileobj(values, out, 1 << 22)
    raw.unlink()


def _read_meta(path: Path) -> dict:
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
