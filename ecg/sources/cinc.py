"""The training sets of the CinC challenges of 2020 and 2021: WFDB records whose headers carry SNOMED-CT codes.

A record is `<name>.hea`, with `#Age`, `#Sex` and `#Dx` below the leads, and `<name>.mat` (MATLAB version 4). The sets
lie in one folder or in many (`training/georgia/g1/`); which one a record is of, its folder or its name's letters say.
Headers name no patients: each record counts as one, unless a `patients.csv` (record, patient and, if there, fold) lies
in the folder.
"""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from ecg.labels import Choice, LabelScheme, choose
from ecg.records import BadRecord
from ecg.snomed import snomed_scheme
from ecg.sources.source import SEXES, Entry, Options, Source, refuse_repeated
from ecg.tables import read_table

SETS = {"cpsc_2018": "A", "cpsc_2018_extra": "Q", "st_petersburg_incart": "I", "ptb": "S", "ptb-xl": "HR",
        "georgia": "E", "chapman_shaoxing": "JS", "ningbo": "JS"}
"""The member sets by their folders' names of 2021, and the letters that begin their records' names."""
FIRST_OF_NINGBO = 10647
"""Chapman-Shaoxing and Ningbo share their letters: the former's records are JS00001 to JS10646."""
PATIENTS = "patients.csv"
MAX_HEADER_BYTES = 1 << 20
"""A header longer than this is none."""
MAX_AGE = 120.0

_COMMENT = re.compile(r"#\s*(Age|Sex|Dx)\s*:\s*(.*)", re.IGNORECASE)
_CODE = re.compile(r"\d+")


def open_cinc(folder: Path, options: Options) -> Source:
    """Open one or more of the member sets.

    Args:
        folder: the records lie in it or in folders below.
        options: `label_set` is one of `ecg.snomed.SNOMED_SETS`; of `all`, the findings that occur are kept.

    Raises:
        ValueError: no record is there, two have the same name, or a label is not in the set.
    """
    headers = sorted(folder.rglob("*.hea"))
    if not headers:
        raise ValueError(f"{folder}: no *.hea below it; name the folder of the training sets (ingest.data)")
    refuse_repeated([path.stem for path in headers], folder)
    notes = [_notes(path) for path in headers]
    scheme = snomed_scheme(options.label_set)
    if options.label_set == "all":
        scheme = _occurring(scheme, notes)
    choice = choose(scheme, options.labels, f"finding of the set {options.label_set!r}")
    patients = _patients(folder / PATIENTS)
    entries: list[Entry | BadRecord] = []
    unlabelled = 0
    for path, note in zip(headers, notes, strict=True):
        entry = _entry(folder, path, note, choice)
        if isinstance(entry, Entry) and not _codes(note):
            unlabelled += 1
        else:
            entries.append(_with_patient(entry, patients))
    return Source("cinc", choice.names, tuple(entries), choice.unknown, unlabelled)


def member_set(path: Path) -> str:
    """Return the set that a record is of, a key of `SETS`, or "" when neither its folders nor its name say."""
    for part in reversed(path.parent.parts):
        if part.lower() in SETS:
            return part.lower()
    found = re.fullmatch(r"([A-Z]+)(\d+)", path.stem)
    letters, number = (found[1], int(found[2])) if found else ("", 0)
    if letters == "JS":
        return "ningbo" if number >= FIRST_OF_NINGBO else "chapman_shaoxing"
    return next((name for name, mine in SETS.items() if mine == letters), "")


def _notes(path: Path) -> dict[str, str] | BadRecord:
    """Return a header's age, sex and codes as text, their names in small letters."""
    try:
        with open(path, encoding="utf-8", errors="strict") as file:
            text = file.read(MAX_HEADER_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        return BadRecord(path.stem, "unreadable_header", f"{path.name}: {' '.join(str(error).split())}")
    found = (_COMMENT.fullmatch(line.strip()) for line in text.splitlines() if line.startswith("#"))
    return {match[1].lower(): match[2].strip() for match in found if match}


def _codes(notes: dict[str, str]) -> list[str]:
    return _CODE.findall(notes.get("dx", ""))


def _occurring(scheme: LabelScheme, notes: list[dict[str, str] | BadRecord]) -> LabelScheme:
    """Leave out of a scheme the findings that no record has."""
    occur = Counter(scheme.findings.get(code) for note in notes if isinstance(note, dict) for code in _codes(note))
    return replace(scheme, names=tuple(name for name in scheme.names if occur[name]))


def _entry(folder: Path, path: Path, notes: dict[str, str] | BadRecord, choice: Choice) -> Entry | BadRecord:
    if isinstance(notes, BadRecord):
        return notes
    member = member_set(path.relative_to(folder.parent))
    return Entry(path.stem, path.with_suffix(""), path.stem, choice.read(_codes(notes)), _age(notes.get("age", "")),
                 SEXES.get(notes.get("sex", "").upper(), ""), source=f"cinc:{member}" if member else "cinc")


def _age(text: str) -> float:
    """Read an age: the sets write NaN, -1 and words for an unknown one, 300 for one above 89."""
    try:
        age = float(text)
    except ValueError:
        return float("nan")
    return age if 0 <= age <= MAX_AGE else float("nan")


def _patients(table: Path) -> dict[str, dict[str, str]]:
    if not table.exists():
        return {}
    return {row["record"].strip(): row for row in read_table(table, required=("record", "patient"))}


def _with_patient(entry: Entry | BadRecord, patients: dict[str, dict[str, str]]) -> Entry | BadRecord:
    row = patients.get(entry.record)
    if row is None or isinstance(entry, BadRecord):
        return entry
    fold = row.get("fold", "").strip()
    if not row["patient"].strip() or not (fold or "0").isdecimal():
        return BadRecord(entry.record, "unreadable_row", f"{PATIENTS}: patient is empty or fold is no whole number")
    return replace(entry, patient=row["patient"].strip(), fold=int(fold or 0))
