"""Simulated 12-lead records: an archive of ordinary WFDB files with labels, made from a seed.

One call writes `records/*.hea|.dat` (100 Hz, 10 s, format 16, 5 µV steps), `labels.csv` and `simulation.json`.
"""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import wfdb

from ecg.leads import LEADS
from ecg.records import write_beside
from ecg.sources.simulator.cohort import FINDINGS, Visit, plan
from ecg.sources.simulator.morphology import morphology
from ecg.sources.simulator.recording import GAIN, SAMPLING_RATE, SECONDS, breathe, inner_time, record
from ecg.sources.simulator.rhythm import (
    Rhythm,
    fibrillation_intervals,
    fibrillatory_waves,
    place_premature,
    regular,
    sinus_intervals,
)

COLUMNS = ("record", "patient", "age", "sex", "device", "fold", "labels")
LABEL_NAMES = FINDINGS
_MARK = "simulation.json"


def write_archive(folder: Path | str, *, records: int, seed: int,
                  watch: Callable[[Iterable[Visit]], Iterable[Visit]] = iter) -> list[Visit]:
    """Write a simulated archive; the same seed and count give the same bytes.

    Args:
        folder: its place; made anew when it is empty or a simulated archive already.
        records: how many records.
        seed: of everything drawn.
        watch: wraps the loop over the records, for a progress bar.

    Returns:
        The records that were made, in the order of labels.csv.

    Raises:
        ValueError: `records` is not positive, `seed` is negative, or `folder` holds something else.
    """
    folder = Path(folder).absolute()
    _check(folder, records, seed)
    visits = plan(records=records, seed=seed)
    with write_beside(folder, marker=_MARK) as scratch:
        (scratch / "records").mkdir()
        for visit in watch(visits):
            write_record(scratch / "records", visit, seed=seed)
        write_labels(scratch / "labels.csv", visits)
        (scratch / _MARK).write_text(json.dumps({"schema": 1, "records": records, "seed": seed}) + "\n")
    return visits


def simulate(visit: Visit, *, seed: int) -> np.ndarray:
    """Make the signal of one record: int16 (12, 1000), leads as in `LEADS`, 1 LSB = 5 µV."""
    rng = np.random.default_rng([seed, visit.number])
    time, breath_hz = inner_time(), rng.uniform(0.2, 0.3)
    beats = morphology(rng, visit.patient, visit.findings)
    vector = beats.waves(_rhythm(rng, visit, breath_hz)).heart_vector(time)
    if "AFIB" in visit.findings:
        vector = vector + fibrillatory_waves(rng, time)
    vector = breathe(rng, vector, time, breath_hz)
    return record(rng, vector, time, breath_hz=breath_hz, device=visit.device)


def _rhythm(rng: np.random.Generator, visit: Visit, breath_hz: float) -> Rhythm:
    patient, seconds = visit.patient, SECONDS + 2.0
    if "AFIB" in visit.findings:
        intervals = fibrillation_intervals(rng, rate=patient.rate + rng.uniform(5, 40), seconds=seconds)
    else:
        # A long PR needs a diastole to lie in: at a fast rate its P would hide in the T wave before it.
        rate = min(patient.rate, 76.0) if "1AVB" in visit.findings else patient.rate + 8.0 * ("STE" in visit.findings)
        intervals = sinus_intervals(rng, rate=rate + rng.normal(0, 3), age=patient.age, breath_hz=breath_hz,
                                    seconds=seconds)
    return place_premature(rng, intervals, seconds=SECONDS) if "PVC" in visit.findings else regular(intervals)


def write_record(folder: Path, visit: Visit, *, seed: int) -> None:
    """Simulate one record and write its .hea and .dat into an existing folder."""
    steps = simulate(visit, seed=seed)
    wfdb.wrsamp(f"{visit.number:05d}", fs=SAMPLING_RATE, units=["mV"] * len(LEADS), sig_name=list(LEADS),
                d_signal=steps.T.astype(np.int64), fmt=["16"] * len(LEADS), adc_gain=[float(GAIN)] * len(LEADS),
                baseline=[0] * len(LEADS), write_dir=str(folder),
                comments=[f"Age: {visit.patient.age}", f"Sex: {'Female' if visit.patient.sex == 'F' else 'Male'}"])


def write_labels(path: Path, visits: list[Visit]) -> None:
    """Write labels.csv: a row a record, columns as in `COLUMNS`, labels joined by semicolons."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for visit in visits:
            who = visit.patient
            rows.writerow((f"records/{visit.number:05d}", who.name, who.age, who.sex, visit.device, visit.fold,
                           visit.labels))


def _check(folder: Path, records: int, seed: int) -> None:
    if records < 1:
        raise ValueError(f"records: {records} is not a positive number")
    if seed < 0:
        raise ValueError(f"seed: {seed} is below zero; give a whole number from 0")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; name a folder for the simulated archive")
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise ValueError(f"{folder}: not empty and no simulated archive; name a new folder")
