"""The twelve leads: their names, their order and the identities between the limb leads."""

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The order of every array's lead axis in this project."""

_INDEX = {name.upper(): i for i, name in enumerate(LEADS)}


def lead_index(name: str) -> int:
    """Return the position of a lead in `LEADS`, whatever the case of its name.

    Raises:
        ValueError: no such lead.
    """
    try:
        return _INDEX[name.strip().upper()]
    except KeyError:
        raise ValueError(f"unknown lead {name!r}: expected one of {', '.join(LEADS)}") from None


def lead_order(names: list[str]) -> list[int] | None:
    """Return where each of `LEADS` stands in `names`, or None when the set is not exactly the twelve."""
    place = {name.strip().upper(): i for i, name in enumerate(names)}
    if len(names) != len(LEADS) or place.keys() != _INDEX.keys():
        return None
    return [place[name.upper()] for name in LEADS]


def limb_leads(lead_i: np.ndarray, lead_ii: np.ndarray) -> np.ndarray:
    """Derive the six limb leads from I and II (Einthoven 1912, Goldberger 1942).

    III = II - I, aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2.

    Args:
        lead_i: lead I, any shape (..., T).
        lead_ii: lead II, the same shape.

    Returns:
        Shape (..., 6, T), in the order of `LEADS`.
    """
    return np.stack([lead_i, lead_ii, lead_ii - lead_i, -(lead_i + lead_ii) / 2,
                     lead_i - lead_ii / 2, lead_ii - lead_i / 2], axis=-2)
