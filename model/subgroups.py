"""Groups of patients for which the figures are given apart."""

import numpy as np
import pandas as pd

AGE_BANDS = ((0, 40, "under 40"), (40, 60, "40-59"), (60, 75, "60-74"), (75, np.inf, "75 and over"))
SEXES = (("F", "female"), ("M", "male"))
LEAST_PATIENTS = 20
"""A group of fewer patients is counted, and named too small to measure."""


def subgroups(table: pd.DataFrame) -> list[tuple[str, str, np.ndarray]]:
    """Return every group that has a record.

    Args:
        table: with the columns `sex` ("F", "M" or "") and `age` (years, NaN when unknown).

    Returns:
        (what divides, the group's name, bool mask of shape (N,)); records without the value form the group "unknown".
    """
    sex, age = table["sex"].to_numpy(object), table["age"].to_numpy(float)
    groups = [("sex", name, sex == code) for code, name in SEXES]
    groups.append(("sex", "unknown", ~np.isin(sex, [code for code, _ in SEXES])))
    groups += [("age", name, (age >= low) & (age < high)) for low, high, name in AGE_BANDS]
    groups.append(("age", "unknown", ~(age >= 0)))
    return [group for group in groups if group[2].any()]
