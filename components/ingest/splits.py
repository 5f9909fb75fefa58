"""Which fold and which split a record belongs to; no patient may stand in two splits."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from ecg.records import BadRecord
from ecg.sources.source import Entry
from model.params import IngestParams

FOLDS = 10


def fold_of(patient: str) -> int:
    """Return a patient's fold, 1-10, from the patient alone: stable over runs, machines and archives."""
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") % FOLDS + 1


def split_of_fold(params: IngestParams) -> dict[int, str]:
    """Return the split of each fold; folds that are not in it belong to none."""
    splits = {"train": params.train_folds, "validate": params.validate_folds, "test": params.test_folds}
    return {fold: name for name, folds in splits.items() for fold in folds}


def with_folds(entries: Iterable[Entry | BadRecord]) -> list[Entry | BadRecord]:
    """Give every entry without a fold that of its patient's other records, or else the hashed one."""
    entries = list(entries)
    given = {e.patient: e.fold for e in entries if isinstance(e, Entry) and e.fold}
    return [e if isinstance(e, BadRecord) or e.fold else replace(e, fold=given.get(e.patient, fold_of(e.patient)))
            for e in entries]


def refuse_leakage(entries: Iterable[Entry | BadRecord], splits: dict[int, str]) -> None:
    """Raise ValueError when a patient's records fall into two splits."""
    first: dict[str, Entry] = {}
    for entry in entries:
        if isinstance(entry, BadRecord) or entry.fold not in splits:
            continue
        other = first.setdefault(entry.patient, entry)
        if splits[other.fold] != splits[entry.fold]:
            raise ValueError(f"patient {entry.patient!r} is in fold {other.fold} ({splits[other.fold]}, record "
                             f"{other.record}) and in fold {entry.fold} ({splits[entry.fold]}, record {entry.record}); "
                             "give all records of a patient folds of one split")
