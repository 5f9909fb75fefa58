"""Groups of pages for which the figures are given apart, and how far the groups of a kind lie from each other."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

AGE_BANDS = ((0, 40, "under 40"), (40, 60, "40-59"), (60, 75, "60-74"), (75, np.inf, "75 and over"))
SEXES = (("F", "female"), ("M", "male"))
LEAST_PATIENTS = 20
"""A group of fewer patients is counted, and named too small to measure."""
MOST_DEVICES = 8
"""The devices with most records are groups of their own, the rest together."""
SIGNAL_QUALITY = ((-np.inf, 0.7, "below 0.7, not acceptable"), (0.7, 0.95, "0.7-0.95"), (0.95, np.inf, "0.95-1"))
"""Scores of the recording, `ecg.acceptability`."""
QUALITY = ("least clear quarter", "second quarter", "third quarter", "clearest quarter")


def subgroups(table: "pd.DataFrame") -> list[tuple[str, str, np.ndarray]]:
    """Return every group that has a record.

    Args:
        table: with the columns `sex` ("F", "M" or "") and `age` (years, NaN when unknown), and, if known, `device`
            (text), `signal_quality` (of the recording, `ecg.acceptability`) and `quality` (of the page,
            `model.refusal`).

    Returns:
        (what divides, the group's name, bool mask of shape (N,)); records without the value form the group "unknown".
    """
    sex, age = table["sex"].to_numpy(object), table["age"].to_numpy(float)
    groups = [("sex", name, sex == code) for code, name in SEXES]
    groups.append(("sex", "unknown", ~np.isin(sex, [code for code, _ in SEXES])))
    groups += [("age", name, (age >= low) & (age < high)) for low, high, name in AGE_BANDS]
    groups.append(("age", "unknown", ~(age >= 0)))
    if "device" in table:
        groups += _devices(table["device"].fillna("").to_numpy(str))
    if "signal_quality" in table:
        score = table["signal_quality"].to_numpy(float)
        groups += [("signal quality", name, (score >= low) & (score < high)) for low, high, name in SIGNAL_QUALITY]
        groups.append(("signal quality", "unknown", np.isnan(score)))
    if "quality" in table:
        groups += _quarters(table["quality"].to_numpy(float))
    return [group for group in groups if group[2].any()]


def gaps(rows: list[dict], metrics: tuple[str, ...]) -> list[dict]:
    """Return how far the best and the worst measured group of a kind lie apart.

    Args:
        rows: of `measure_subgroups`.
        metrics: names of the figures.

    Returns:
        A row a capture and kind of group: capture, by, and of each metric the gap, the groups, and `apart`:
        whether the two groups' intervals do not overlap. The group "unknown" does not count; kinds of which fewer
        than two groups can be measured have no row.
    """
    found = []
    for capture, by in dict.fromkeys((row["capture"], row["by"]) for row in rows):
        groups = [row for row in rows if (row["capture"], row["by"]) == (capture, by) and row["group"] != "unknown"]
        of_metric = {metric: _gap(groups, metric) for metric in metrics}
        if any(of_metric.values()):
            found.append({"capture": capture, "by": by, **of_metric})
    return found


def _gap(groups: list[dict], metric: str) -> dict | None:
    known = sorted((row for row in groups if row[metric]["value"] is not None), key=lambda row: row[metric]["value"])
    if len(known) < 2:
        return None
    low, high = known[0], known[-1]
    return {"value": high[metric]["value"] - low[metric]["value"], "highest": high["group"], "lowest": low["group"],
            "apart": None not in (high[metric]["low"], low[metric]["high"])
            and high[metric]["low"] > low[metric]["high"]}


def _devices(device: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    names, counts = np.unique(device[device != ""], return_counts=True)
    largest = names[np.argsort(-counts, kind="stable")][:MOST_DEVICES]
    groups = [("device", str(name).strip(), device == name) for name in largest]
    return [*groups, ("device", "other devices", ~np.isin(device, [*largest, ""])), ("device", "unknown", device == "")]


def _quarters(quality: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    """Pages by how clearly they show an ECG, in four groups of the same size."""
    rank = np.argsort(np.argsort(quality, kind="stable"), kind="stable") * len(QUALITY) // max(len(quality), 1)
    return [("quality", name, rank == number) for number, name in enumerate(QUALITY)]
