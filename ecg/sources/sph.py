"""The database of Shandong Provincial Hospital (Liu et al. 2022): metadata.csv, code.csv and records/*.h5.

A record holds `ecg` (12, T) at 500 Hz in millivolt. Its statements are codes of AHA/ACC/HRS (Mason et al. 2007),
separated by semicolons, each with its modifiers after plus signs: "60+310;22". Findings are the primary statements;
modifiers are counted and left aside.
"""

from pathlib import Path

from ecg.labels import Choice, LabelScheme, choose
from ecg.leads import LEADS
from ecg.records import BadRecord
from ecg.sources.hdf5_files import MAX_SAMPLES, dataset, hdf5, twelve
from ecg.sources.source import SEXES, Entry, Options, Source, age_of, below
from ecg.sources.wfdb_files import Signal
from ecg.tables import Table, once, read_table

RATE = 500.0
FIRST_SECONDARY = 200
"""Of the AHA's codes: primary statements lie below, secondary ones and modifiers from here on."""


def open_sph(folder: Path, options: Options) -> Source:
    """Open the database.

    Raises:
        ValueError: a table is missing or damaged, or a label is no primary statement of code.csv.
    """
    scheme = _scheme(folder / "code.csv")
    choice = choose(scheme, options.labels, "primary statement of code.csv")
    table = folder / "metadata.csv"
    rows = Table(table, required=("ECG_ID", "AHA_Code", "Patient_ID", "Age", "Sex"))
    entries: list[Entry | BadRecord] = []
    unlabelled = 0
    for row in once(rows, "ECG_ID", table):
        if row["AHA_Code"].strip(" ;"):
            entries.append(_entry(folder, row, choice))
        else:
            unlabelled += 1
    return Source("sph", choice.names, tuple(entries), choice.unknown, unlabelled, signal_of=read_ecg)


def parse_aha(cell: str) -> tuple[list[str], list[str]]:
    """Split "60+310;22" into statements, "60" and "22", and modifiers, "+310"."""
    statements, modifiers = [], []
    for part in cell.split(";"):
        first, *others = (code.strip() for code in part.split("+"))
        statements += [first] if first else []
        modifiers += [f"+{code}" for code in others if code]
    return statements, modifiers


def read_ecg(entry: Entry) -> Signal:
    """Read a record's file.

    Raises:
        SignalError: it is missing or damaged, or has other leads than twelve.
    """
    with hdf5(entry.path) as file:
        ecg = dataset(file, "ecg", lambda s: len(s) == 2 and s[0] == len(LEADS) and s[1] <= MAX_SAMPLES,
                      f"({len(LEADS)}, T)")
        return Signal(twelve(ecg[:]), RATE)


def _scheme(path: Path) -> LabelScheme:
    """Primary statements under their descriptions; the table's other codes are known and give no finding."""
    findings = {}
    for row in read_table(path, required=("Code", "Description")):
        code = row["Code"].strip()
        primary = code.isdecimal() and int(code) < FIRST_SECONDARY
        findings[code] = " ".join(row["Description"].split()) if primary else ""
    return LabelScheme(tuple(dict.fromkeys(filter(None, findings.values()))), findings)


def _entry(folder: Path, row: dict[str, str], choice: Choice) -> Entry | BadRecord:
    record, patient = row["ECG_ID"].strip(), row["Patient_ID"].strip()
    place = below(f"records/{record}.h5")
    if place is None or not record:
        return BadRecord(record, "outside_folder", f"ECG_ID {record!r} names no file of records/")
    if not patient:
        return BadRecord(record, "no_patient", "the cell Patient_ID is empty")
    try:
        age, sex = age_of(row["Age"]), SEXES[row["Sex"].strip().upper()]
    except (ValueError, KeyError) as error:
        return BadRecord(record, "unreadable_row", f"Age or Sex cannot be read ({error})")
    statements, modifiers = parse_aha(row["AHA_Code"])
    choice.left_aside.update(modifiers)
    return Entry(record, folder / place, patient, choice.read(statements), age, sex)
