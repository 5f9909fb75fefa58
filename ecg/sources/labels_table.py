"""labels.csv, the table of a source that a person made: one row a record, its findings separated by semicolons.

Every such source has the columns `labels` and, if there, `patient`, `age`, `sex` (F or M), `device`, `fold` (0 or
empty: none) and `report`, and one of its own that names the record's file below the folder.
"""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ecg.labels import LabelScheme, plain_scheme
from ecg.records import BadRecord
from ecg.sources.source import SEXES, Entry, Options, Source, age_of, below, read_files, refuse_repeated
from ecg.sources.wfdb_files import Signal
from ecg.tables import Table

TABLE = "labels.csv"
Finish = Callable[[Entry, dict[str, str]], Entry | BadRecord]


def table_source(folder: Path, options: Options, *, name: str, column: str, suffixes: tuple[str, ...] = (),
                 required: tuple[str, ...] = ("patient",), finish: Finish = lambda entry, _: entry,
                 signal_of: Callable[[Entry], Signal] = read_files) -> Source:
    """Open a folder that has a labels.csv.

    Args:
        folder: where labels.csv lies.
        options: `labels`: findings to keep, in this order; empty: all that occur, sorted.
        name: what `RawRecord.source` says.
        column: the column that names each record's file.
        suffixes: endings that are no part of a record's name.
        required: further columns that must be there.
        finish: adds to an entry what is the source's own.
        signal_of: reads an entry's signal.

    Raises:
        ValueError: labels.csv is missing or not a table, a record stands there twice, or none of `labels` occurs.
    """
    table = folder / TABLE
    rows = Table(table, required=(column, *required, "labels"))
    paths, statements = [], Counter()
    for row in rows:
        paths.append(row[column].strip())
        statements.update(split(row["labels"]))
    names = record_names(paths, suffixes)
    del paths  # a million of them are 100 MB
    refuse_repeated(names, table)
    scheme = plain_scheme(options.labels or sorted(statements))
    if options.labels and not statements.keys() & set(options.labels):
        raise ValueError(f"{table}: none of ingest.labels ({', '.join(options.labels)}) occurs; "
                         f"it has {', '.join(sorted(statements)) or 'none'}")
    entries: list[Entry | BadRecord] = []
    findings: dict[str, tuple[str, ...]] = {}
    for record, row in zip(names, rows, strict=True):
        entry = _entry(folder, record, row, column, _findings(row["labels"], scheme, findings), options)
        if isinstance(entry, Entry):
            entry = finish(entry, row)
        if isinstance(entry, Entry) and not entry.patient:
            entry = BadRecord(record, "no_patient", "the cell patient is empty")
        entries.append(entry)
    return Source(name, scheme.names, tuple(entries), dict(sorted(scheme.unknown(statements.elements()).items())),
                  signal_of=signal_of)


def record_names(paths: list[str], suffixes: tuple[str, ...] = ()) -> list[str]:
    """Name records after their files; with their folders, joined by "_", only where two files share a name."""
    names = [_bare(Path(path).name, suffixes) for path in paths]
    return names if len(set(names)) == len(names) else ["_".join(Path(path).parts) for path in paths]


def split(cell: str) -> list[str]:
    """Return the findings of a cell."""
    return [label for label in (part.strip() for part in cell.split(";")) if label]


def _bare(name: str, suffixes: tuple[str, ...]) -> str:
    return Path(name).stem if Path(name).suffix.lower() in suffixes else name


def _findings(cell: str, scheme: LabelScheme, known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return a cell's findings, the same object for the same cell."""
    if cell not in known:
        known[cell] = scheme.apply(split(cell))
    return known[cell]


def _entry(folder: Path, record: str, row: dict[str, str], column: str, findings: tuple[str, ...],
           options: Options) -> Entry | BadRecord:
    path = below(row[column].strip())
    if path is None:
        return BadRecord(record, "outside_folder", f"the path {row[column].strip()!r} is not one below the folder")
    try:
        age, fold = age_of(row.get("age", "")), _fold(row.get("fold", "").strip())
        sex = SEXES[row.get("sex", "").strip().upper()]
    except (ValueError, KeyError) as error:
        return BadRecord(record, "unreadable_row", f"age, fold or sex cannot be read ({error})")
    return Entry(record, f"{folder}/{path}", row.get("patient", "").strip(), findings, age, sex,
                 sys.intern(row.get("device", "").strip()), fold,
                 report=row.get("report", "") if options.reports else "")


def _fold(cell: str) -> int:
    """Read "3" or "3.0", as tables written with gaps have it; 0 for an empty cell."""
    fold = float(cell or 0)
    if not fold.is_integer() or fold < 0:
        raise ValueError(f"fold is {cell!r}, no whole number")
    return int(fold)
