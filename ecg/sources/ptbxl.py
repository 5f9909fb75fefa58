"""PTB-XL in its own layout: ptbxl_database.csv, scp_statements.csv, records100/ and records500/ (Wagner et al. 2020).

The labels are the five diagnostic superclasses, folds and patients the official ones. Records without any
superclass are left out, as in the official benchmark.
"""

import math
from collections import Counter
from pathlib import Path

from ecg.labels import LabelScheme, parse_scp_codes, ptbxl_superclasses, read_table
from ecg.records import BadRecord
from ecg.sources.source import Entry, Source, refuse_repeated

FILE_COLUMN = {100: "filename_lr", 500: "filename_hr"}
SEXES = {"0": "M", "1": "F"}
AGE_OVER_89 = 300.0
"""What PTB-XL writes for every age above 89, so that nobody is identified by it."""


def open_ptbxl(folder: Path, *, labels: tuple[str, ...] = (), rate: int = 100) -> Source:
    """Open an unpacked PTB-XL.

    Args:
        folder: where ptbxl_database.csv lies.
        labels: superclasses to keep, in this order; empty: all five.
        rate: 100 or 500, which set of files is read.

    Raises:
        ValueError: a table is missing or damaged, or a label is no superclass.
    """
    scheme = ptbxl_superclasses(folder / "scp_statements.csv")
    strange = [label for label in labels if label not in scheme.names]
    if strange:
        raise ValueError(f"ingest.labels: {strange[0]!r} is no superclass of PTB-XL ({', '.join(scheme.names)})")
    table = folder / "ptbxl_database.csv"
    rows = read_table(table, required=("ecg_id", "patient_id", "scp_codes", "strat_fold", FILE_COLUMN[rate]))
    refuse_repeated([row["ecg_id"] for row in rows], table)
    kept = LabelScheme(labels or scheme.names, scheme.findings)
    return _collect(folder, rows, scheme, kept, FILE_COLUMN[rate])


def _collect(folder: Path, rows: list[dict], scheme: LabelScheme, kept: LabelScheme, column: str) -> Source:
    """Turn the table's rows into entries, and count what the scheme leaves aside."""
    entries: list[Entry | BadRecord] = []
    unknown: Counter = Counter()
    unlabelled = 0
    for row in rows:
        try:
            codes = parse_scp_codes(row["scp_codes"])
            unknown += scheme.unknown(codes)
            superclasses = scheme.apply(codes)
            unknown.update(name for name in superclasses if name not in kept.names)
            if superclasses:
                entries.append(_entry(folder, row, kept.apply(codes), column))
            else:
                unlabelled += 1
        except ValueError as error:
            entries.append(BadRecord(row["ecg_id"], "unreadable_row", " ".join(str(error).split())))
    return Source("ptbxl", kept.names, tuple(entries), dict(sorted(unknown.items())), unlabelled)


def _entry(folder: Path, row: dict[str, str], labels: tuple[str, ...], column: str) -> Entry | BadRecord:
    record = f"{int(row['ecg_id']):05d}"
    patient = row["patient_id"].strip()
    if not patient:
        return BadRecord(record, "no_patient", "the cell patient_id is empty")
    file = Path(row[column])
    if file.is_absolute() or ".." in file.parts:
        return BadRecord(record, "outside_folder", f"the path {row[column]!r} is not one below the folder")
    age = float(row.get("age") or "nan")
    over_89 = age == AGE_OVER_89
    sex = row.get("sex", "").strip().removesuffix(".0")
    return Entry(record, folder / file, _whole(patient), labels, 90.0 if over_89 else age, SEXES.get(sex, ""),
                 " ".join(row.get("device", "").split()), int(float(row["strat_fold"])),
                 ("age_over_89",) if over_89 else ())


def _whole(number: str) -> str:
    """Write "15709.0", as the table holds patient numbers, as "15709"."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"patient_id is {number!r}, no number")
    return str(int(value))
