"""PTB-XL in its own layout: ptbxl_database.csv, scp_statements.csv, records100/ and records500/ (Wagner et al. 2020).

The labels are the five diagnostic superclasses or another set of its benchmark, folds and patients the official
ones. Records without any finding of the set are left out, as in the benchmark.
"""

import math
import sys
from collections.abc import Iterable
from pathlib import Path

from ecg.labels import Choice, Reading, choose, parse_scp_codes, ptbxl_scheme
from ecg.records import BadRecord
from ecg.sources.source import Entry, Options, Source, below
from ecg.tables import Row, Table, once

FILE_COLUMN = {100: "filename_lr", 500: "filename_hr"}
SEXES = {"0": "M", "1": "F"}
AGE_OVER_89 = 300.0
"""What PTB-XL writes for every age above 89, so that nobody is identified by it."""


def open_ptbxl(folder: Path, options: Options) -> Source:
    """Open an unpacked PTB-XL.

    Args:
        folder: where ptbxl_database.csv lies.
        options: `label_set` is one that `ecg.labels.ptbxl_scheme` knows, `rate` 100 or 500: which set of files is read.

    Raises:
        ValueError: a table is missing or damaged, or a label is not in the set.
    """
    scheme = ptbxl_scheme(folder / "scp_statements.csv", options.label_set)
    choice = choose(scheme, options.labels, f"{options.label_set} of PTB-XL")
    table = folder / "ptbxl_database.csv"
    rows = Table(table, required=("ecg_id", "patient_id", "scp_codes", "strat_fold", FILE_COLUMN[options.rate]))
    return _collect(folder, once(rows, "ecg_id", table), choice, options)


def _collect(folder: Path, rows: Iterable[Row], choice: Choice, options: Options) -> Source:
    """Turn the table's rows into entries, and count what the scheme leaves aside."""
    entries: list[Entry | BadRecord] = []
    readings: dict[str, Reading] = {}  # a cell stands in many rows
    unlabelled = 0
    for row in rows:
        cell = row["scp_codes"]
        try:
            if cell not in readings:
                readings[cell] = choice.sort(parse_scp_codes(cell))
            reading = choice.count(readings[cell])
            if reading.labelled:
                entries.append(_entry(folder, row, reading.kept, options))
            else:
                unlabelled += 1
        except (ValueError, OverflowError) as error:  # int(inf) overflows
            entries.append(BadRecord(_name(row), "unreadable_row", " ".join(str(error).split())))
    return Source("ptbxl", choice.names, tuple(entries), choice.unknown, unlabelled)


def _name(row: dict[str, str]) -> str:
    """What a record is called, of five digits as its files are; a cell that is no number stays as it is."""
    cell = row["ecg_id"].strip()
    return f"{int(cell):05d}" if cell.isdecimal() else cell


def _entry(folder: Path, row: dict[str, str], labels: tuple[str, ...], options: Options) -> Entry | BadRecord:
    column = FILE_COLUMN[options.rate]
    record = _name(row)
    patient = row["patient_id"].strip()
    if not patient:
        return BadRecord(record, "no_patient", "the cell patient_id is empty")
    file = below(row[column])
    if file is None:
        return BadRecord(record, "outside_folder", f"the path {row[column]!r} is not one below the folder")
    age = float(row.get("age") or "nan")
    over_89 = age == AGE_OVER_89
    sex = row.get("sex", "").strip().removesuffix(".0")
    return Entry(record, f"{folder}/{file}", _whole(patient), labels, 90.0 if over_89 else age, SEXES.get(sex, ""),
                 sys.intern(" ".join(row.get("device", "").split())), int(float(row["strat_fold"])),
                 ("age_over_89",) if over_89 else (), report=row.get("report", "") if options.reports else "")


def _whole(number: str) -> str:
    """Write "15709.0", as the table holds patient numbers, as "15709"."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"patient_id is {number!r}, no number")
    return str(int(value))
