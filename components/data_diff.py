"""data diff: which records two stores share, and what differs in those: signals, labels, fields."""

from pathlib import Path

import numpy as np
import pandas as pd

from ecg.records import COLUMNS, RecordStore

BLOCK = 512
"""Records whose signals are compared at a time."""
KEY = "record"


def diff(before: Path, after: Path) -> dict:
    """Compare two record stores by the names of their records.

    Returns:
        Plain values: `equal`; `digests`; `store`, what differs in how they were made ({field: [before, after]});
        `added`, `removed` and `changed_signals`, lists of records; `changed_labels`, {label: {"added", "removed":
        records}}; `changed_fields`, {field: {record: [before, after]}}; `labels_added`, `labels_removed`, names of
        findings that only one of them knows; `records`, the counts of both.

    Raises:
        ValueError: a folder is no store, or a record stands twice in one.
    """
    one, two = RecordStore.open(before), RecordStore.open(after)
    first, second = _indexed(one), _indexed(two)
    shared = first.index.intersection(second.index, sort=False)
    places = first["_place"].loc[shared].to_numpy(), second["_place"].loc[shared].to_numpy()
    a, b = first.loc[shared], second.loc[shared]
    found = {
        "digests": [one.digest, two.digest], "records": [len(one), len(two)],
        "store": {name: [x, y] for name in ("sampling_rate", "samples")
                  if (x := one.meta.get(name)) != (y := two.meta.get(name))},
        "labels_added": [n for n in two.label_names if n not in one.label_names],
        "labels_removed": [n for n in one.label_names if n not in two.label_names],
        "added": second.index.difference(first.index, sort=False).tolist(),
        "removed": first.index.difference(second.index, sort=False).tolist(),
        "changed_signals": shared[_signals_differ(one.signals, two.signals, *places)].tolist(),
        "changed_labels": _labels(a, b, [n for n in one.label_names if n in two.label_names]),
        "changed_fields": _fields(a, b, [c for c in COLUMNS if c != KEY]),
    }
    return {"equal": not any(found[key] for key in found.keys() - {"digests", "records"}), **found}


def _indexed(store: RecordStore) -> pd.DataFrame:
    table = store.table.assign(_place=np.arange(len(store)))
    twice = table[KEY][table[KEY].duplicated()]
    if len(twice):
        raise ValueError(f"{store.path}: record {twice.iloc[0]!r} stands there twice; validate the store")
    return table.set_index(KEY)


def _signals_differ(one: np.ndarray, two: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Say for each pair of rows whether the samples differ; a block at a time, so that memory stays bounded."""
    if one.shape[1:] != two.shape[1:]:
        return np.ones(len(rows), bool)
    differs = np.zeros(len(rows), bool)
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        differs[part] = (one[rows[part]] != two[others[part]]).any(axis=(1, 2))
    return differs


def _labels(a: pd.DataFrame, b: pd.DataFrame, names: list[str]) -> dict[str, dict[str, list[str]]]:
    changes = {}
    for name in names:
        old, new = a[f"label:{name}"].to_numpy(bool), b[f"label:{name}"].to_numpy(bool)
        if (old != new).any():
            changes[name] = {"added": a.index[new & ~old].tolist(), "removed": a.index[old & ~new].tolist()}
    return changes


def _fields(a: pd.DataFrame, b: pd.DataFrame, names: list[str]) -> dict[str, dict[str, list]]:
    changes = {}
    for name in names:
        old, new = a[name], b[name]
        differs = ~((old == new) | (old.isna() & new.isna())).to_numpy()
        if differs.any():
            changes[name] = {record: [_plain(x), _plain(y)] for record, x, y in
                             zip(a.index[differs], old[differs], new[differs], strict=True)}
    return changes


def _plain(value):
    value = value.item() if isinstance(value, np.generic) else value
    return None if value is None or value != value else value


def lines(found: dict, *, most: int = 10) -> list[str]:
    """Return the differences as a table, `most` records named for each kind."""
    if found["equal"]:
        return [f"equal: {found['records'][0]} records, the same signals, labels and fields",
                *(["their digests differ: the order of the records, or how they were written"]
                  if found["digests"][0] != found["digests"][1] else [])]
    rows = [(f"{name}: {x} → {y}", None, "") for name, (x, y) in found["store"].items()]
    rows += [(f"finding {name} {what}", None, "") for what in ("added", "removed") for name in found[f"labels_{what}"]]
    rows += [(what.replace("_", " "), len(found[what]), _some(found[what], most))
             for what in ("added", "removed", "changed_signals") if found[what]]
    for name, change in found["changed_labels"].items():
        rows += [(f"label {name} {what}", len(change[what]), _some(change[what], most))
                 for what in ("added", "removed") if change[what]]
    for name, change in found["changed_fields"].items():
        some = [f"{record} ({_said(old)} → {_said(new)})" for record, (old, new) in list(change.items())[:most]]
        rows.append((f"field {name}", len(change), _some(some, most, of=len(change))))
    wide = max(len(row[0]) for row in rows)
    return [f"{found['records'][0]} records before, {found['records'][1]} after",
            *(f"  {what:{wide}}  {'' if count is None else count:>7}  {some}".rstrip() for what, count, some in rows)]


def _some(records: list[str], most: int, *, of: int | None = None) -> str:
    more = (len(records) if of is None else of) - most
    return ", ".join(records[:most]) + (f" and {more} more" if more > 0 else "")


def _said(value) -> str:
    return "nothing" if value is None or value == "" else str(value)
