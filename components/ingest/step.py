"""ingest: a raw source becomes a record store; records that cannot be used go to quarantine.parquet."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from components.ingest.block import BLOCK, Outcome, Shape, in_order, read_block, uncollected, workers_for
from components.ingest.extras import write_extras
from components.ingest.fetch import local_folder
from components.ingest.privacy import disguise, hide_details
from components.ingest.splits import refuse_leakage, split_of_fold, with_folds
from components.progress import say, track
from ecg.records import SPLITS, BadRecord, StoreWriter, write_beside
from ecg.sources.registry import open_source
from ecg.sources.source import Entry, Source
from model.params import IngestParams
from model.typed import as_dict


@dataclass(frozen=True)
class IngestResult:
    """What came in. `left_out` counts records whose fold belongs to no split, `unlabelled` those without any label."""

    records: int
    patients: int
    splits: dict[str, int]
    quarantined: int
    reasons: dict[str, int]
    left_out: int
    unlabelled: int
    unknown_labels: dict[str, int]
    digest: str


def run(*, data: Path | str, records: Path, params: IngestParams, seed: int, salt: str = "",
        shard: tuple[int, int] | None = None) -> IngestResult:
    """Read a source into a record store.

    Args:
        data: folder of the source, or `s3://BUCKET/PREFIX`, which is fetched first.
        records: the store to write; `quarantine.parquet` (record, reason, detail) is put inside it.
        params: section `ingest`.
        shard: (3, 8) reads the third of eight parts, for `merge` to put together; the table is read, and folds and
            splits are settled, over the whole source.
        seed: unused. Folds hang on the patient alone, so that runs with other seeds have the same splits.
        salt: secret of the pseudonyms, needed with `hash_ids`; it is kept nowhere.

    Raises:
        ValueError: the source cannot be opened, the salt is missing, a patient falls into two splits, no record is
            left, or more records are quarantined than `max_quarantined`. Nothing is written then.
    """
    data = local_folder(data, params)
    _refuse_overlap(data, records)
    with uncollected():
        return _ingest(data, records, params, salt, shard)


def _ingest(data: Path, records: Path, params: IngestParams, salt: str, shard: tuple[int, int] | None) -> IngestResult:
    opened = open_source(params.source, data, labels=params.labels, rate=params.source_rate,
                         label_set=params.label_set, reports=params.reports)
    for file, count in opened.absent.items():
        say(f"ingest: {file} is not in {data}: its {count} records are left out")
    source, left_out = _select(opened, params, salt)
    if shard:
        source = _part(source, shard, params)
    with write_beside(records) as folder:
        writer = StoreWriter(folder, sampling_rate=params.sampling_rate,
                             samples=round(params.duration * params.sampling_rate), label_names=source.label_names)
        bad = hide_details(_fill(writer, source, params), params)
        if not shard:  # of a part alone it does not count: merge knows them all
            _refuse_losses(bad, len(source), params)
        pd.DataFrame([asdict(b) for b in bad], columns=["record", "reason", "detail"], dtype=str).to_parquet(
            folder / "quarantine.parquet", index=False)
        counts: dict[str, Any] = {"quarantined": len(bad), "reasons": _tally(bad), "left_out": left_out,
                                  "unlabelled": source.unlabelled, "unknown_labels": source.unknown_labels}
        extras = write_extras(folder, source, writer.column("record").to_pylist(), params)
        writer.cover(str(extras.get("pictures", "")).encode())
        split, patient = (writer.column(name) for name in ("split", "patient"))
        splits = {name: pc.sum(pc.equal(split, name)).as_py() or 0 for name in SPLITS}
        part = {"shard": shard, "max_quarantined": params.max_quarantined} if shard else {}
        digest = writer.finish({"source": source.name, "splits": splits, **counts, **part, **extras,
                                "made_with": {"ingest": as_dict(replace(params, workers=0))}})
    return IngestResult(records=len(writer), patients=pc.count_distinct(patient).as_py(), splits=splits, digest=digest,
                        **counts)


def _part(source: Source, shard: tuple[int, int], params: IngestParams) -> Source:
    """Return the records of one shard: neighbours, so that all shards in a row are the whole."""
    number, count = shard
    if not 1 <= number <= count:
        raise ValueError(f"shard: {number}/{count} is none of 1/{count} to {count}/{count}")
    extras = params.reports or any(isinstance(entry, Entry) and entry.picture for entry in source.entries)
    if extras and count > 1:
        raise ValueError("shard: reports and pictures are not put together again; ingest this source as a whole")
    first, last = ((n * len(source)) // count for n in (number - 1, number))
    return source.subset(source.entries[first:last])


def _select(source: Source, params: IngestParams, salt: str) -> tuple[Source, int]:
    """Settle the folds, leave out those of no split, and thin out to `limit`; returns how many were left out."""
    splits = split_of_fold(params)
    # Folds first: with pseudonyms and without, a patient is in the same one.
    entries = disguise(with_folds(source.entries), params, salt)
    refuse_leakage(entries, splits)
    wanted = [e for e in entries if isinstance(e, BadRecord) or e.fold in splits]
    left_out = len(entries) - len(wanted)
    if params.limit and params.limit < len(wanted):
        wanted = [wanted[i] for i in np.linspace(0, len(wanted) - 1, params.limit).round().astype(int)]
    if not wanted:
        raise ValueError(f"ingest.*_folds: none of the {len(entries)} records is in folds {sorted(splits)}")
    return source.subset(wanted), left_out


def _fill(writer: StoreWriter, source: Source, params: IngestParams) -> list[BadRecord]:
    """Read every record into the store; returns those that cannot be used."""
    splits = split_of_fold(params)
    bad: list[BadRecord] = []
    for entry, outcome in track(_outcomes(writer, source, params), total=len(source), label="ingest"):
        if isinstance(outcome, BadRecord):
            bad.append(outcome)
            continue
        assert isinstance(entry, Entry)
        rate, flags = outcome
        writer.add((entry.record, entry.patient, entry.source or source.name, rate, entry.age, entry.sex, entry.device,
                    entry.fold, splits[entry.fold], ";".join(flags)), entry.labels)
    return bad


def _outcomes(writer: StoreWriter, source: Source, params: IngestParams) -> Iterator[tuple[Entry | BadRecord, Outcome]]:
    """Read the signals block by block into the writer's file; yields what became of each entry, in order.

    Each block is written where it would stand if no record before it had been lost; the writer closes the gaps.
    """
    shape = Shape(params.sampling_rate, params.duration)
    starts = range(0, len(source), BLOCK)
    reader = source.subset([])
    calls = ((reader, source.entries[start:start + BLOCK], shape, str(writer.signals), writer.place(start))
             for start in starts)
    workers = workers_for(len(starts), params.workers)
    for start, outcomes in zip(starts, in_order(read_block, calls, workers=workers), strict=True):
        writer.keep(start, sum(not isinstance(outcome, BadRecord) for outcome in outcomes))
        yield from zip(source.entries[start:start + BLOCK], outcomes, strict=True)


def _refuse_losses(bad: list[BadRecord], total: int, params: IngestParams) -> None:
    if len(bad) > params.max_quarantined * total or len(bad) == total:
        reasons = ", ".join(f"{count} {reason}" for reason, count in _tally(bad).items())
        raise ValueError(f"{len(bad)} of {total} records cannot be used ({reasons}); ingest.max_quarantined allows a "
                         f"share of {params.max_quarantined:g}; the first, {bad[0].record}: {bad[0].detail}")


def _tally(bad: list[BadRecord]) -> dict[str, int]:
    return dict(Counter(b.reason for b in bad).most_common())


def _refuse_overlap(data: Path, records: Path) -> None:
    """The output replaces what stands in its place, so it must not be the data or a folder around them."""
    if records.resolve() in (data.resolve(), *data.resolve().parents):
        raise ValueError(f"{records}: the record store would replace the data in {data}; choose another place")
