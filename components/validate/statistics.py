"""What the expectations look at: the record table with the statistics of every lead beside it."""

import numpy as np
import pandas as pd

from components.progress import track
from ecg.leads import LEADS, limb_leads
from ecg.quality import FLAT_MV
from ecg.records import MICROVOLTS_PER_MILLIVOLT, SPLITS, RecordStore

BLOCK = 512
"""Records at a time: 12 leads of 10 s at 500 Hz are 123 MB as int32."""
RAIL = 0.5
"""How many standard deviations from the mean a value lies at least to be taken for a rail."""


def expectation_table(store: RecordStore) -> pd.DataFrame:
    """Join the records with what is computed about them; unknown values are None or NaN.

    Beside the store's own columns: `patient_splits`, in how many splits the record's patient stands;
    `in:<split>`, 1 for the records of a split; `<split>:<label>`, the label in one split and NaN elsewhere;
    and those of `block_statistics`.
    """
    table = store.table.reset_index(drop=True)
    for column in ("patient", "sex", "record"):
        table[column] = table[column].replace("", None)
    added = {"patient_splits": table.groupby("patient")["split"].transform("nunique")}
    for split in SPLITS:
        added[f"in:{split}"] = (table["split"] == split).astype(int)
        for name in store.label_names:
            added[f"{split}:{name}"] = table[f"label:{name}"].where(table["split"] == split).astype(float)
    return pd.concat([table, pd.DataFrame(added), signal_statistics(store.signals)], axis=1)


def signal_statistics(signals: np.ndarray) -> pd.DataFrame:
    """Compute `block_statistics` of all signals, int16 (N, 12, T) in µV, a block at a time."""
    starts = range(0, len(signals), BLOCK)
    blocks = [block_statistics(signals[start:start + BLOCK]) for start in track(starts, label="signal statistics")]
    return pd.concat(blocks, ignore_index=True)


def block_statistics(block: np.ndarray) -> pd.DataFrame:
    """Describe each record's leads.

    Args:
        block: int16, shape (B, 12, T), µV.

    Returns:
        One row a record: `amplitude_mv:<lead>` (greatest distance from zero), `std_mv:<lead>`,
        `flat_share` (of the leads), `clipped_share` (of the samples of the worst lead that lie on its own
        least or greatest value, as an amplifier at its rail leaves them; a quiet baseline is no rail),
        `einthoven_error_uv` (median of |I + III - II|) and `goldberger_error_uv` (the same of aVR, aVL, aVF
        against I and II, the worst of them).
    """
    x = block.astype(np.int32)
    low, high = x.min(axis=-1), x.max(axis=-1)
    flat = high - low <= FLAT_MV * MICROVOLTS_PER_MILLIVOLT
    mean, std = x.mean(axis=-1), block.std(axis=-1, dtype=np.float32)
    clipped = sum((x == rail[..., None]).mean(axis=-1) * (np.abs(rail - mean) > RAIL * std) for rail in (low, high))
    derived = np.abs(x[:, :6] - limb_leads(x[:, 0], x[:, 1]))
    errors = np.median(derived, axis=-1)
    amplitude = np.maximum(-low, high) / MICROVOLTS_PER_MILLIVOLT
    spread = std.astype(float) / MICROVOLTS_PER_MILLIVOLT
    return pd.DataFrame({**{f"amplitude_mv:{lead}": amplitude[:, i] for i, lead in enumerate(LEADS)},
                         **{f"std_mv:{lead}": spread[:, i] for i, lead in enumerate(LEADS)},
                         "flat_share": flat.mean(axis=-1), "clipped_share": np.where(flat, 0.0, clipped).max(axis=-1),
                         "einthoven_error_uv": errors[:, 2], "goldberger_error_uv": errors[:, 3:].max(axis=-1)})
