"""Whether what is served still looks like what was measured: scores, findings, and how well the pages are found.

Two samples always differ. A difference counts as drift when it is larger than chance makes it, and large enough to
matter: the first alone would cry at every large log, the second alone at every small one.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp, norm

from model.params import MonitorParams

BINS = 10
FLOOR = 0.5
"""Counted into each bin, so that an empty one does not make the index infinite."""


@dataclass(frozen=True)
class Served:
    """Answers, as a table of numbers: N pages that were read, of `pages` that were sent."""

    label_names: tuple[str, ...]
    scores: np.ndarray
    """Float (N, C)."""
    present: np.ndarray
    """Bool (N, C): what was called."""
    confidence: np.ndarray
    """Float (N,), NaN where nothing is known of the page: how clearly its grid stood out."""
    quality: np.ndarray
    """Float (N,), NaN where nothing is known: how much the page looks like those that were learnt from."""
    doubtful: np.ndarray
    """Bool (N,): pages with a warning."""
    pages: int
    """Sent, those that could not be read included."""


@dataclass(frozen=True)
class Check:
    """One comparison, its numbers, and what came of it."""

    name: str
    value: float | None
    limit: float
    drifted: bool
    reference: float | None = None
    now: float | None = None
    detail: str = ""


def stability_index(reference: np.ndarray, now: np.ndarray, *, bins: int = BINS) -> float:
    """Return the population stability index of two samples, less what chance alone would give.

    The bins hold equal shares of the reference. Of two samples of one distribution the plain index has the
    expectation (bins - 1) (1/n + 1/m) (Yurdakul & Naranjo 2020), which is taken off; so it may be below 0.

    Args:
        reference: float (N,).
        now: float (M,).
        bins: at most; fewer where values repeat.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) + FLOOR
              for values in (reference, now)]
    then, today = (count / count.sum() for count in counts)
    plain = float(np.sum((today - then) * np.log(today / then)))
    return plain - len(edges) * (1 / len(reference) + 1 / len(now))


def compare(reference: Served, now: Served, params: MonitorParams) -> list[Check]:
    """Compare served answers with a reference.

    Args:
        reference: what was measured.
        now: what is served, of the same findings.
        params: section monitor of params.yaml.

    Returns:
        Checks of the pages first, then of each finding.
    """
    return [*_pages(reference, now, params), *(check for c, name in enumerate(now.label_names)
                                               for check in _finding(reference, now, c, name, params))]


def _pages(reference: Served, now: Served, params: MonitorParams) -> list[Check]:
    read = len(now.scores)
    refused, doubtful = 1 - read / now.pages, float(now.doubtful.mean()) if read else 0.0
    checks = [Check("pages refused", refused, params.refused, _above(refused, params.refused, now.pages, params.alpha),
                    now=refused, detail=f"{now.pages - read} of {now.pages}"),
              Check("pages doubtful", doubtful, params.doubtful, _above(doubtful, params.doubtful, read, params.alpha),
                    now=doubtful, detail=f"{int(now.doubtful.sum())} of {read}")]
    sure = now.confidence[~np.isnan(now.confidence)]
    if len(sure):
        middle = float(np.median(sure))
        checks.append(Check("locate confidence, median", middle, params.confidence, middle < params.confidence,
                            now=middle, detail="at least"))
    for name in ("confidence", "quality"):
        then, today = (values[~np.isnan(values)] for values in (getattr(reference, name), getattr(now, name)))
        if len(then) and len(today):
            checks.append(_distance(f"page {name}, distribution", then, today, params, tests=1))
    return checks


def _finding(reference: Served, now: Served, c: int, name: str, params: MonitorParams) -> list[Check]:
    then, today = reference.scores[:, c], now.scores[:, c]
    if not len(today):
        return []
    tests = len(now.label_names)
    index = stability_index(then, today)
    return [Check(f"{name}: score, stability index", index, params.psi, index > params.psi),
            _distance(f"{name}: score, distribution", then, today, params, tests=tests),
            _share(f"{name}: called", reference.present[:, c], now.present[:, c], params, tests=tests)]


def _distance(name: str, then: np.ndarray, today: np.ndarray, params: MonitorParams, *, tests: int) -> Check:
    """Largest distance of the two distributions (Kolmogorov-Smirnov)."""
    found = ks_2samp(then, today, method="auto")
    sure = found.pvalue * tests < params.alpha
    return Check(name, float(found.statistic), params.ks, bool(sure and found.statistic > params.ks),
                 reference=float(np.median(then)), now=float(np.median(today)), detail=f"p = {found.pvalue:.2g}")


def _share(name: str, then: np.ndarray, today: np.ndarray, params: MonitorParams, *, tests: int) -> Check:
    """Difference of two shares, with the pooled normal test."""
    before, after = float(then.mean()), float(today.mean())
    pooled = np.concatenate([then, today]).mean()
    error = np.sqrt(pooled * (1 - pooled) * (1 / len(then) + 1 / len(today)))
    p = float(2 * norm.sf(abs(after - before) / error)) if error > 0 else 1.0
    shift = abs(after - before)
    return Check(name, shift, params.prevalence, bool(p * tests < params.alpha and shift > params.prevalence),
                 reference=before, now=after, detail=f"p = {p:.2g}")


def _above(share: float, limit: float, count: int, alpha: float) -> bool:
    """Whether a share lies above a limit by more than chance makes it."""
    if not count:
        return False
    return bool(share - norm.isf(alpha) * np.sqrt(limit * (1 - limit) / count) > limit)
