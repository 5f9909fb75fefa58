"""Has the data changed? Each field of a store against the same field of a reference store.

PSI, the population stability index, sums (p - q) ln(p / q) over the reference's tenths (or over the values of a field
that is no number): below 0.1 nothing, above 0.25 a shift, by the custom of those who use it. KS is the greatest
distance between two cumulative distributions; with thousands of records any difference is significant, so its size is
judged and no p-value. Both are computed from the records alone: nothing is drawn.
"""

import numpy as np
import pandas as pd

from ecg.leads import LEADS

BINS = 10
LEAST_SHARE = 1e-4
"""Stands in for the share of an empty bin, which has no logarithm."""
WORDS = ("source", "device", "sex", "sampling_rate", "split")
NUMBERS = ("age", "noise_uv", "baseline_uv", "quality", "einthoven_error_uv", *(f"std_mv:{lead}" for lead in LEADS))


def drift(table: pd.DataFrame, reference: pd.DataFrame, label_names: tuple[str, ...]) -> pd.DataFrame:
    """Compare every field of two tables of `components.validate.statistics`.

    Returns:
        One row a field (`record` is its name, as for the expectations): `psi`; `ks`, NaN for what is no number; both
        NaN for a field that is unknown in one of them.
    """
    rows = [{"record": name, "psi": psi_of_words(reference[name], table[name]), "ks": np.nan} for name in WORDS]
    rows += [{"record": f"label:{name}", "psi": psi_of_words(reference[f"label:{name}"], table[f"label:{name}"]),
              "ks": np.nan} for name in label_names if f"label:{name}" in reference]
    for name in NUMBERS:
        old, new = (t[name].dropna().to_numpy(float) for t in (reference, table))
        rows.append({"record": name, "psi": psi_of_numbers(old, new), "ks": ks(old, new)})
    return pd.DataFrame(rows)


def psi(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return the population stability index of two lists of shares."""
    p, q = (np.maximum(np.asarray(shares, float), LEAST_SHARE) for shares in (expected, actual))
    return float(((q - p) * np.log(q / p)).sum())


def psi_of_words(old: pd.Series, new: pd.Series) -> float:
    """The index over the values of a field; a value that is not given counts as one of them."""
    shares = [series.astype(object).where(series.notna(), "").astype(str).value_counts(normalize=True)
              for series in (old, new)]
    values = sorted(set(shares[0].index) | set(shares[1].index))
    return psi(*(s.reindex(values, fill_value=0.0).to_numpy() for s in shares))


def psi_of_numbers(old: np.ndarray, new: np.ndarray) -> float:
    """The index over the tenths of `old`; NaN where either has no value."""
    if not len(old) or not len(new):
        return float("nan")
    edges = np.unique(np.quantile(old, np.linspace(0, 1, BINS + 1)[1:-1]))
    return psi(*(np.bincount(np.searchsorted(edges, x, side="left"), minlength=len(edges) + 1) / len(x)
                 for x in (old, new)))


def ks(old: np.ndarray, new: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov distance, 0-1; NaN where either has no value."""
    if not len(old) or not len(new):
        return float("nan")
    values = np.concatenate([old, new])
    below = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (old, new)]
    return float(np.abs(below[0] - below[1]).max())
