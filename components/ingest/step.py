"""ingest: a raw source becomes a record store; records that cannot be used go to quarantine.parquet."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.ingest.splits import refuse_leakage, split_of_fold, with_folds
from components.progress import track
from ecg.quality import LIMIT_MV, fault, notes
from ecg.records import MICROVOLTS_PER_MILLIVOLT, SPLITS, BadRecord, RawRecord, StoreWriter, write_beside
from ecg.resample import standardise
from ecg.sources.registry import open_source
from ecg.sources.source import Source
from model.params import IngestParams


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


def run(*, data: Path, records: Path, params: IngestParams, seed: int) -> IngestResult:
    """Read a source into a record store.

    Args:
        data: folder of the source.
        records: the store to write; `quarantine.parquet` (record, reason, detail) is put inside it.
        params: section `ingest`.
        seed: unused. Folds hang on the patient alone, so that runs with other seeds have the same splits.

    Raises:
        ValueError: the source cannot be opened, a patient falls into two splits, no record is left, or more
            records are quarantined than `max_quarantined`. Nothing is written then.
    """
    _refuse_overlap(data, records)
    source, left_out = _select(open_source(params.source, data, labels=params.labels, rate=params.source_rate), params)
    with write_beside(records) as folder:
        writer = StoreWriter(folder, sampling_rate=params.sampling_rate,
                             samples=round(params.duration * params.sampling_rate), label_names=source.label_names)
        bad = _fill(writer, source, params)
        _refuse_losses(bad, len(source), params)
        pd.DataFrame([asdict(b) for b in bad], columns=["record", "reason", "detail"], dtype=str).to_parquet(
            folder / "quarantine.parquet", index=False)
        counts: dict[str, Any] = {"quarantined": len(bad), "reasons": _tally(bad), "left_out": left_out,
                                  "unlabelled": source.unlabelled, "unknown_labels": source.unknown_labels}
        table = writer.table()
        splits = {name: int((table["split"] == name).sum()) for name in SPLITS}
        digest = writer.finish({"source": source.name, "splits": splits, **counts})
    return IngestResult(records=len(table), patients=table["patient"].nunique(), splits=splits, digest=digest, **counts)


def _select(source: Source, params: IngestParams) -> tuple[Source, int]:
    """Settle the folds, leave out those of no split, and thin out to `limit`; returns how many were left out."""
    splits = split_of_fold(params)
    entries = with_folds(source.entries)
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
    for item in track(source, total=len(source), label="ingest"):
        if isinstance(item, BadRecord):
            bad.append(item)
        elif found := fault(item.signal_mv, item.sampling_rate):
            bad.append(BadRecord(item.record, *found))
        else:
            _append(writer, item, splits[item.fold], params)
    return bad


def _append(writer: StoreWriter, item: RawRecord, split: str, params: IngestParams) -> None:
    signal, fitted = standardise(item.signal_mv, rate=item.sampling_rate, target=params.sampling_rate,
                                 duration=params.duration)
    flags = [*item.flags, *notes(item.signal_mv), *([fitted] if fitted else [])]
    microvolt = np.rint(np.clip(signal, -LIMIT_MV, LIMIT_MV) * MICROVOLTS_PER_MILLIVOLT).astype(np.int16)
    row = {"record": item.record, "patient": item.patient, "source": item.source,
           "sampling_rate": item.sampling_rate, "age": item.age, "sex": item.sex, "device": item.device,
           "fold": item.fold, "split": split, "flags": ";".join(flags)}
    writer.append(row, microvolt, item.labels)


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
