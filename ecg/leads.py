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


def complete_leads(names: list[str], signals: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Put the leads of a record in order and derive the limb leads that two others give; the rest stays absent.

    Args:
        names: of the leads given, in any order and case; others than the twelve are left out.
        signals: (len(names), T), any unit.

    Returns:
        float32 (12, T), NaN where a lead is absent, and sentences saying which were derived and which are absent.

    Raises:
        ValueError: a lead is given twice, or none of the twelve is there.
    """
    twelve = np.full((len(LEADS), signals.shape[1]), np.nan, np.float32)
    known = [(_INDEX[name.strip().upper()], row) for name, row in zip(names, signals, strict=True)
             if name.strip().upper() in _INDEX]
    given = [lead for lead, _ in known]
    if not given or len(set(given)) < len(given):
        raise ValueError(f"leads: {', '.join(names)}: each of the twelve may stand once, and one must be there")
    for lead, row in known:
        twelve[lead] = row
    derived = _derive_limb(twelve, set(given))
    absent = [name for i, name in enumerate(LEADS) if i not in given and i not in derived]
    said = (("derived from the other limb leads", [LEADS[i] for i in derived]), ("not in the record", absent))
    return twelve, tuple(f"{what}: {', '.join(leads)}" for what, leads in said if leads)


_LIMB_AXES = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])
"""The six limb leads as sums of I and II; see `limb_leads`."""


def _derive_limb(twelve: np.ndarray, given: set[int]) -> list[int]:
    """Fill in the limb leads that are absent, from the first two that are there; returns which."""
    source = sorted(lead for lead in given if lead < len(_LIMB_AXES))[:2]
    if len(source) < 2:
        return []
    wanted = [lead for lead in range(len(_LIMB_AXES)) if lead not in given]
    weights = _LIMB_AXES[wanted] @ np.linalg.inv(_LIMB_AXES[source])
    twelve[wanted] = (weights @ twelve[source]).astype(np.float32)
    return wanted
