"""Shards of one ingest become the store that the ingest of all of it would have written, with the same digest."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from components.progress import track
from ecg.records import COLUMNS, SPLITS, StoreWriter, read_batches, read_meta, store_digest, write_beside

ALIKE = ("sampling_rate", "samples", "label_names", "source", "left_out", "unlabelled", "unknown_labels",
         "max_quarantined")
"""What all shards of one ingest say alike in their store.json."""
SAID, HELD = ("absent", "pictures", "reports"), ("pictures.bin", "pictures.parquet", "reports.parquet")
"""What store.json and the folder have of a source with pictures or reports, which is one shard: ingest sees to that."""
BLOCK = 256


@dataclass(frozen=True)
class MergeResult:
    """What came together."""

    shards: int
    records: int
    splits: dict[str, int]
    quarantined: int
    reasons: dict[str, int]
    digest: str


def merge(*, shards: Sequence[Path], records: Path) -> MergeResult:
    """Put all shards of one ingest together, in whatever order they are named.

    Args:
        shards: stores that `ingest` wrote with `shard` 1/N to N/N.
        records: the store to write.

    Raises:
        ValueError: a shard is missing, there twice, damaged or of another ingest, a patient stands in two splits, or
            more records are quarantined than `max_quarantined` allowed. Nothing is written then.
    """
    metas = sorted(((read_meta(path), path) for path in shards), key=lambda found: found[0].get("shard", [0])[0])
    _refuse_gaps(metas)
    first = metas[0][0]
    with write_beside(records) as folder:
        writer = StoreWriter(folder, sampling_rate=first["sampling_rate"], samples=first["samples"],
                             label_names=tuple(first["label_names"]))
        split_of: dict[str, str] = {}
        for meta, path in track(metas, label="merge"):
            _copy(writer, meta, path, split_of)
        bad = pd.concat([pd.read_parquet(path / "quarantine.parquet") for _, path in metas], ignore_index=True)
        _refuse_losses(bad, len(writer), first["max_quarantined"])
        bad.to_parquet(folder / "quarantine.parquet", index=False)
        reasons = dict(Counter(bad["reason"]).most_common())
        splits = {name: sum(meta["splits"][name] for meta, _ in metas) for name in SPLITS}
        extras = {name: first[name] for name in SAID if name in first}
        writer.cover(str(extras.get("pictures", "")).encode())
        for held in (path / name for _, path in metas for name in HELD):
            if held.exists():
                shutil.copyfile(held, folder / held.name)
        digest = writer.finish({"splits": splits, "quarantined": len(bad), "reasons": reasons, **extras,
                                "made_with": first["made_with"],
                                **{name: first[name] for name in ALIKE[3:-1]}})
    return MergeResult(len(metas), len(writer), splits, len(bad), reasons, digest)


def _refuse_gaps(metas: list[tuple[dict, Path]]) -> None:
    for meta, path in metas:
        if "shard" not in meta:
            raise ValueError(f"{path}: is no shard; ingest it with --shard, or use it as it is")
    count = metas[0][0]["shard"][1]
    numbers = [tuple(meta["shard"]) for meta, _ in metas]
    wanted = [(number, count) for number in range(1, count + 1)]
    if numbers != wanted:
        said = ", ".join(f"{number}/{of}" for number, of in numbers)
        raise ValueError(f"shards {said} are here; all of 1/{count} to {count}/{count} are needed, each once")
    for meta, path in metas[1:]:
        strange = [name for name in ALIKE if meta[name] != metas[0][0][name]]
        if strange:
            raise ValueError(f"{path}: {strange[0]} is another than in {metas[0][1]}; the shards are of two ingests")


def _copy(writer: StoreWriter, meta: dict, path: Path, split_of: dict[str, str]) -> None:
    """Append a shard's records; its digest is proved on the way."""
    digest = hashlib.sha256()
    signals = np.load(path / "signals.npy", mmap_mode="r", allow_pickle=False) if meta["records"] else np.empty(0)
    for start in range(0, len(signals), BLOCK):
        block = np.ascontiguousarray(signals[start:start + BLOCK])
        digest.update(block)
        writer.write(block)
    for rows in read_batches(path):
        findings = rows[[f"label:{name}" for name in writer.label_names]].to_numpy(bool)
        for row, found in zip(rows[list(COLUMNS)].itertuples(index=False, name=None), findings, strict=True):
            patient, split = row[COLUMNS.index("patient")], row[COLUMNS.index("split")]
            if split_of.setdefault(patient, split) != split:
                raise ValueError(f"{path}: patient {patient!r} is in split {split} here and in {split_of[patient]} in "
                                 "another shard; the shards are of two ingests")
            writer.add(row, tuple(name for name, is_so in zip(writer.label_names, found, strict=True) if is_so))
    digest.update(str(meta.get("pictures", "")).encode())
    if store_digest(digest, path, meta["sampling_rate"], meta["label_names"]) != meta["digest"]:
        raise ValueError(f"{path}: its content does not have the digest that its store.json says; ingest it again")


def _refuse_losses(bad: pd.DataFrame, good: int, most: float) -> None:
    total = good + len(bad)
    if not good or len(bad) > most * total:
        raise ValueError(f"{len(bad)} of {total} records cannot be used; ingest.max_quarantined allows a share of "
                         f"{most:g}")
