"""Any folder of WFDB records with a labels.csv.

Columns: `record` (path without suffix, relative to the folder), `patient`, `labels` (separated by
semicolons; empty: no finding); and, if there, `age`, `sex` (F or M), `device` and `fold` (0 or empty: none).
"""

from collections import Counter
from pathlib import Path

from ecg.labels import LabelScheme, plain_scheme, read_table
from ecg.records import BadRecord
from ecg.sources.source import Entry, Source, refuse_repeated

REQUIRED = ("record", "patient", "labels")
SEXES = {"": "", "U": "", "UNKNOWN": "", "F": "F", "FEMALE": "F", "M": "M", "MALE": "M"}


def open_folder(folder: Path, *, labels: tuple[str, ...] = (), name: str = "wfdb_folder") -> Source:
    """Open a folder of WFDB records.

    Args:
        folder: where labels.csv lies.
        labels: findings to keep, in this order; empty: all that occur, sorted.
        name: what `RawRecord.source` says.

    Raises:
        ValueError: labels.csv is missing or not a table, a record stands there twice, or none of `labels` occurs.
    """
    table = folder / "labels.csv"
    rows = read_table(table, required=REQUIRED)
    names = record_names([row["record"].strip() for row in rows])
    refuse_repeated(names, table)
    statements = Counter(label for row in rows for label in _split(row["labels"]))
    scheme = plain_scheme(labels or sorted(statements))
    if labels and not statements.keys() & set(labels):
        raise ValueError(f"{table}: none of ingest.labels ({', '.join(labels)}) occurs; "
                         f"it has {', '.join(sorted(statements)) or 'none'}")
    entries = tuple(_entry(folder, record, row, scheme) for record, row in zip(names, rows, strict=True))
    return Source(name, scheme.names, entries, dict(sorted(scheme.unknown(statements.elements()).items())))


def record_names(paths: list[str]) -> list[str]:
    """Name records after their files; with their folders, joined by "_", only where two files share a name."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else ["_".join(Path(path).parts) for path in paths]


def _entry(folder: Path, record: str, row: dict[str, str], scheme: LabelScheme) -> Entry | BadRecord:
    path, patient = Path(row["record"].strip()), row["patient"].strip()
    if not path.name or path.is_absolute() or ".." in path.parts:
        return BadRecord(record, "outside_folder", f"the path {str(path)!r} is not one below the folder")
    if not patient:
        return BadRecord(record, "no_patient", "the cell patient is empty")
    try:
        age = float(row.get("age", "").strip() or "nan")
        fold = _fold(row.get("fold", "").strip())
        sex = SEXES[row.get("sex", "").strip().upper()]
    except (ValueError, KeyError) as error:
        return BadRecord(record, "unreadable_row", f"age, fold or sex cannot be read ({error})")
    return Entry(record, folder / path, patient, scheme.apply(_split(row["labels"])), age, sex,
                 row.get("device", "").strip(), fold)


def _fold(cell: str) -> int:
    """Read "3" or "3.0", as tables written with gaps have it; 0 for an empty cell."""
    fold = float(cell or 0)
    if not fold.is_integer() or fold < 0:
        raise ValueError(f"fold is {cell!r}, no whole number")
    return int(fold)


def _split(cell: str) -> list[str]:
    return [label for label in (part.strip() for part in cell.split(";")) if label]
