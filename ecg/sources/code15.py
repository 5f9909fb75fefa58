"""CODE-15 % (Ribeiro et al. 2021): exams.csv, and exams_part*.hdf5 with 20,000 exams each.

A part holds `exam_id` (N,) and `tracings` (N, 4096, 12): 400 Hz, leads DI, DII, DIII, AVR, AVL, AVF, V1 to V6, in
millivolt as the CinC challenge of 2025 converts them, exams of 7 or 10 s in the middle of zeros, which are cut off
here. The last row of a part is a filler with exam_id 0. Parts that are not in the folder are left out and counted.
"""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg.labels import Choice, choose, plain_scheme
from ecg.leads import LEADS
from ecg.records import BadRecord
from ecg.sources.hdf5_files import MAX_SAMPLES, dataset, hdf5, twelve
from ecg.sources.source import Entry, Options, Source, age_of, below
from ecg.sources.wfdb_files import Signal, SignalError
from ecg.tables import Table, once

FINDINGS = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")
RATE = 400.0
FILLER = 0
"""exam_id of the row that stands for none."""
TRUTH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def open_code15(folder: Path, options: Options) -> Source:
    """Open exams.csv and the parts that are there.

    Raises:
        ValueError: the table is missing or damaged, no part is there, or a label is none of the six.
    """
    table = folder / "exams.csv"
    rows = Table(table, required=("exam_id", "age", "is_male", *FINDINGS, "patient_id", "trace_file"))
    choice = choose(plain_scheme(FINDINGS), options.labels, "finding of CODE-15")
    parts: dict[str, dict[int, int] | BadRecord | None] = {}
    absent: Counter = Counter()
    entries: list[Entry | BadRecord] = []
    for row in once(rows, "exam_id", table):
        name = row["trace_file"].strip()
        if name not in parts:
            parts[name] = _exams(folder, name)
        if parts[name] is None:
            absent[name] += 1
        else:
            entries.append(_entry(folder, row, parts[name], choice))
    if not entries:
        raise ValueError(f"{folder}: none of the parts that exams.csv names is there ({', '.join(sorted(absent)[:3])}, "
                         "...); unpack at least one exams_part*.zip into it")
    return Source("code15", choice.names, tuple(entries), choice.unknown, absent=dict(sorted(absent.items())),
                  signal_of=read_tracing)


def read_tracing(entry: Entry) -> Signal:
    """Read an exam's row of its part, without the zeros around it.

    Raises:
        SignalError: the part is damaged, or the row holds zeros alone.
    """
    with hdf5(entry.path, keep=True) as file:
        tracings = dataset(file, "tracings", lambda s: len(s) == 3 and s[2] == len(LEADS) and s[1] <= MAX_SAMPLES,
                           f"(N, T, {len(LEADS)})")
        if not entry.row < len(tracings):
            raise SignalError("truncated", f"{entry.path.name}: {len(tracings)} tracings, none in row {entry.row}")
        values = trimmed(tracings[entry.row])
    if not len(values):
        raise SignalError("flat", f"{entry.path.name}: row {entry.row} holds zeros alone")
    return Signal(twelve(values.T), RATE)


def trimmed(values: np.ndarray) -> np.ndarray:
    """Cut samples at both ends where all leads are zero: (T, 12) to (at most T, 12)."""
    filled = np.flatnonzero((values != 0).any(axis=1))
    return values[filled[0]:filled[-1] + 1] if len(filled) else values[:0]


def _exams(folder: Path, name: str) -> dict[int, int] | BadRecord | None:
    """Return each exam's row in a part; None for a part that is not there; a BadRecord for one that is damaged."""
    place = below(name)
    if place is None:
        return BadRecord("", "outside_folder", f"the path {name!r} is not one below the folder")
    if not os.path.exists(folder / place):  # the Path's own raises on a name too long for any file
        return None
    try:
        with hdf5(folder / place) as file:
            exams = dataset(file, "exam_id", lambda s: len(s) == 1, "(N,)")[:]
    except SignalError as error:
        return BadRecord("", error.reason, error.detail)
    return {int(exam): row for row, exam in enumerate(exams) if exam != FILLER}


def _entry(folder: Path, row: dict[str, str], exams: dict[int, int] | BadRecord, choice: Choice) -> Entry | BadRecord:
    record = row["exam_id"].strip()
    if isinstance(exams, BadRecord):
        return replace(exams, record=record)
    if not row["patient_id"].strip():
        return BadRecord(record, "no_patient", "the cell patient_id is empty")
    try:
        exam, age = int(record), age_of(row["age"])
        found = [name for name in FINDINGS if TRUTH[row[name].strip().lower()]]
        sex = {True: "M", False: "F"}[TRUTH[row["is_male"].strip().lower()]] if row["is_male"].strip() else ""
    except (ValueError, KeyError) as error:
        return BadRecord(record, "unreadable_row", f"exam_id, age, is_male or a finding cannot be read ({error})")
    if exam not in exams:
        return BadRecord(record, "missing_file", f"{row['trace_file']} holds no exam {exam}")
    return Entry(record, folder / row["trace_file"].strip(), row["patient_id"].strip(), choice.read(found), age, sex,
                 row=exams[exam])
