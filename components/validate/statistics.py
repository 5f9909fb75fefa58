"""What the expectations look at: the record table with the statistics of every lead beside it."""

import sys
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from components.progress import track
from ecg.acceptability import ACCEPTABLE, interchanged, lead_scores, measure_leads, score
from ecg.leads import LEADS, limb_leads
from ecg.records import RecordStore

BLOCK_SAMPLES = 2_000_000
"""Samples that are looked at together: some 8 MB as float32, and a dozen times that while they are."""
DOUBT = 0.5
"""Score of a condition under which a record's `doubts` name it."""


def expectation_table(store: RecordStore, pairs: Sequence[tuple[str, str]] = ()) -> pd.DataFrame:
    """Join the records with what is computed about them; unknown values are None or NaN.

    Beside the store's own columns: `patient_splits`, in how many splits the record's patient stands;
    `both:<label>:<label>`, 1 for records with both findings of one of `pairs`; `upsampled`, 1 where the source has
    fewer samples a second than the store; and those of `block_statistics`.
    """
    table = store.table.reset_index(drop=True)
    for column in ("patient", "sex", "record"):
        table[column] = table[column].mask(table[column] == "")
    added = {"patient_splits": _splits_of_patients(table),
             **{f"both:{a}:{b}": table[f"label:{a}"] & table[f"label:{b}"] for a, b in pairs},
             "upsampled": (table["sampling_rate"] < store.sampling_rate).astype(np.uint8)}
    pa.default_memory_pool().release_unused()
    # Not concatenated: that copies, and a million rows are some hundred megabytes.
    return pd.DataFrame({**table, **added, **signal_statistics(store)}, copy=False)


def columns_of(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Return columns of an `expectation_table`, and those that are computed when they are wanted.

    `in:<split>`: 1 for the records of a split; `<split>:<label>`: the label in one split, NaN elsewhere.
    """
    found = {}
    for name in names:
        kind, _, rest = name.partition(":")
        if name in table:
            found[name] = table[name]
        elif kind == "in":
            found[name] = (table["split"] == rest).astype(np.uint8)
        else:
            found[name] = table[f"label:{rest}"].where(table["split"] == kind).astype(np.float32)
    return pd.DataFrame(found, copy=False)


def _splits_of_patients(table: pd.DataFrame) -> np.ndarray:
    """For each row in how many splits its patient stands; NaN for a row without patient."""
    patient, split = pd.factorize(table["patient"])[0], pd.factorize(table["split"])[0]
    pairs = np.unique(patient * (split.max(initial=0) + 1) + split) // (split.max(initial=0) + 1)
    counts = np.bincount(pairs[pairs >= 0], minlength=patient.max(initial=0) + 1)
    return np.where(patient < 0, np.nan, counts[patient]).astype(np.float32)


def signal_statistics(store: RecordStore) -> pd.DataFrame:
    """Compute `block_statistics` of all signals of a store, a block at a time."""
    size = max(1, BLOCK_SAMPLES // (len(LEADS) * store.signals.shape[-1]))
    columns: dict[str, np.ndarray] = {}
    for start in track(range(0, len(store), size), label="signal statistics"):
        block = block_statistics(store.read(start, start + size), rate=store.sampling_rate)
        for name, values in block.items():
            if start == 0:
                columns[name] = np.empty(len(store), values.dtype)
            columns[name][start:start + len(block)] = values
    return pd.DataFrame(columns, copy=False)


def block_statistics(block: np.ndarray, *, rate: float = 100.0) -> pd.DataFrame:
    """Describe each record's leads.

    Args:
        block: int16, shape (B, 12, T), µV.
        rate: Hz.

    Returns:
        One row a record: `amplitude_mv:<lead>` (greatest distance from zero), `std_mv:<lead>`,
        `flat_share` (of the leads), `clipped_share` (of the samples of the worst lead that lie on its own
        least or greatest value, as an amplifier at its rail leaves them; a quiet baseline is no rail), `flat_s`
        (longest time without change of a lead that is not flat), `noise_uv` and `baseline_uv` of the worst lead,
        `einthoven_error_uv` (median of |I + III - II|) and `goldberger_error_uv` (the same of aVR, aVL, aVF
        against I and II, the worst of them), `reversed`, 1 for signs of interchanged electrodes, `quality`, 0-1
        (`ecg.acceptability`), and `doubts`, the names of what lowers it, separated by semicolons.
    """
    measures = measure_leads(block, rate=rate)
    x = block[:, :6].astype(np.float32)
    errors = np.median(np.abs(x - limb_leads(x[:, 0], x[:, 1])), axis=-1)
    scores, swapped = lead_scores(measures), interchanged(block, measures)
    signs = {**{name: values.min(axis=-1) < DOUBT for name, values in scores.items()},
             **{f"reversed:{name}": found for name, found in swapped.items()}}
    return pd.DataFrame({
        **{f"amplitude_mv:{lead}": measures.amplitude_mv[:, i] for i, lead in enumerate(LEADS)},
        **{f"std_mv:{lead}": measures.std_mv[:, i] for i, lead in enumerate(LEADS)},
        "flat_share": measures.flat.mean(axis=-1, dtype=np.float32), "clipped_share": measures.clipped.max(axis=-1),
        "flat_s": np.where(measures.flat, 0, measures.flat_s).max(axis=-1), "noise_uv": measures.noise_uv.max(axis=-1),
        "baseline_uv": measures.baseline_uv.max(axis=-1), "einthoven_error_uv": errors[:, 2],
        "goldberger_error_uv": errors[:, 3:].max(axis=-1),
        "reversed": np.any(list(swapped.values()), axis=0).astype(np.uint8),
        "quality": score(scores), "doubts": _named(signs)})


def _named(signs: dict[str, np.ndarray]) -> list[str]:
    """For each record the names of the signs that it shows."""
    shown = np.column_stack(list(signs.values()))
    names = np.array(list(signs), dtype=object)
    return [sys.intern(";".join(names[row])) if row.any() else "" for row in shown]


QUALITY = ("quality", "doubts", "noise_uv", "baseline_uv", "flat_s", "clipped_share", "reversed")
"""What quality.parquet keeps of each record."""


def quality_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return how good each recording is: `record`, `acceptable` and the columns of `QUALITY`."""
    kept = table[["record", *QUALITY]].copy()
    kept["record"] = kept["record"].astype(object)
    kept.insert(1, "acceptable", (kept["quality"] >= ACCEPTABLE).astype(np.uint8))
    return kept
