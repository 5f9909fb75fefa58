"""Small archives of real WFDB files for the tests of sources, ingest and validate."""

import csv
from pathlib import Path

import numpy as np
import wfdb

from ecg.leads import LEADS, limb_leads

SCP_STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NORM,normal ECG,1.0,,,NORM,NORM
IMI,inferior infarction,1.0,,,MI,IMI
NDT,non-diagnostic T abnormalities,1.0,1.0,,STTC,STTC
CRBBB,complete right bundle branch block,1.0,,,CD,CRBBB
LVH,left ventricular hypertrophy,1.0,,,HYP,LVH
SR,sinus rhythm,,,1.0,,
LVOLT,low QRS voltages,,1.0,,,
"""
PTBXL_COLUMNS = ("ecg_id", "patient_id", "age", "sex", "device", "scp_codes", "strat_fold", "filename_lr",
                 "filename_hr")


def beats(seed: int, *, rate: float = 100.0, seconds: float = 10.0) -> np.ndarray:
    """Make a signal that reminds of an ECG and keeps the limb-lead identities: float64 (12, T), millivolt."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(rate * seconds)) / rate
    pulse = np.exp(-(((time % 0.83) - 0.4) / 0.02) ** 2)
    wave = 0.1 * np.sin(2 * np.pi * 1.25 * time)
    ripple = 0.01 * rng.standard_normal((8, 1)) * np.sin(2 * np.pi * 3.1 * time)
    limb = limb_leads(0.7 * pulse + wave + ripple[0], 1.1 * pulse + 0.5 * wave + ripple[1])
    chest = np.stack([(0.3 + 0.2 * i) * pulse - wave for i in range(6)]) + ripple[2:]
    return np.concatenate([limb, chest])


def write_record(path: Path, signal_mv: np.ndarray, *, rate: float = 100.0, names=LEADS, unit: str = "mV",
                 gain: float = 1000.0, fmt: str = "16") -> None:
    """Write one record (.hea and .dat) with the wfdb package; NaN becomes a missing sample."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(names)
    scale = {"mV": 1.0, "uV": 1000.0}.get(unit, 1.0)
    wfdb.wrsamp(path.name, fs=rate, units=[unit] * count, sig_name=list(names), p_signal=signal_mv.T * scale,
                fmt=[fmt] * count, adc_gain=[gain / scale] * count, baseline=[0] * count, write_dir=str(path.parent))


def write_folder(folder: Path, rows: list[dict], *, seconds: float = 10.0) -> Path:
    """Write labels.csv and a record for each row that names none there yet; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        if not (folder / f"{row['record']}.hea").exists():
            write_record(folder / row["record"], beats(number, seconds=seconds))
    write_csv(folder / "labels.csv", rows)
    return folder


def folder_rows(count: int, **columns) -> list[dict]:
    """Rows of labels.csv: one patient a record, folds 1-10 in turn, findings NORM and AFIB in turn."""
    return [{"record": f"r{i:03d}", "patient": f"p{i}", "age": 40 + i % 40, "sex": "FM"[i % 2], "device": "cart",
             "fold": i % 10 + 1, "labels": "AFIB" if i % 20 >= 10 else "NORM", **columns} for i in range(count)]


def write_ptbxl(folder: Path, rows: list[dict], *, rate: int = 100) -> Path:
    """Write an archive in PTB-XL's layout; a row may leave out any column but scp_codes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scp_statements.csv").write_text(SCP_STATEMENTS)
    table = []
    for number, row in enumerate(rows, start=1):
        names = {"filename_lr": f"records100/00000/{number:05d}_lr", "filename_hr": f"records500/00000/{number:05d}_hr"}
        full = {"ecg_id": number, "patient_id": f"{1000 + number}.0", "age": "56.0", "sex": "0", "device": "CS-12   E",
                "strat_fold": number % 10 + 1, **names, **row}
        file = names["filename_lr" if rate == 100 else "filename_hr"]
        write_record(folder / file, beats(number, rate=rate), rate=rate)
        table.append({name: full[name] for name in PTBXL_COLUMNS})
    write_csv(folder / "ptbxl_database.csv", table)
    return folder


def write_csv(path: Path, rows: list[dict]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
