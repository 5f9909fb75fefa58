"""Whether a canonical page shows a 12-lead ECG at all, and how well: what does not is refused, not read.

locate finds a grid and strokes, which charts, tables and photographs have too. What only an ECG has is measured
on the page that it drew: one thin trace in nearly every column of each row, mostly level, with tall narrow strokes,
and these at the same moments in all rows, because all leads look at one heart. A logistic regression on those
measures, their squares (so that too much is as strange as too little) and their products (what is ordinary alone may be
strange together) gives the score; its weights come from
`python -m benchmarks.refusal --fit`, the bound below which a page is refused from the validation pages.
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from ecg.paper.layout import block_origin, fitted, layout
from model.params import PageParams

FEATURES = ("ink share", "grey share", "columns with ink", "columns with ink, least row", "strokes in a column",
            "ink in a column", "usual height of a column", "heights of tall columns", "share of tall columns",
            "rows move together", "ink near the baselines", "jumps between columns", "rhythm", "peaks of activity",
            "highest activity", "level columns", "tall over usual columns", "steps between columns",
            "level over upright edges", "upright edges")
WEIGHTS = Path(__file__).with_name("refusal.json")
_DARK, _GREY = 0.3, (0.15, 0.6)
_TALL_MM, _NEAR_MM, _LEVEL_MM = 6.0, 5.0, 2.0
_MOST_PEAKED = 20.0
_BEAT_MM = (8, 50)
"""From one beat to the next on paper: 190 to 30 a minute."""
_LEAST_INK = 1e-3
_FURTHEST = 6.0
"""Standard deviations: what is stranger counts no more, so that one feature alone does not decide."""
BLANK = 255
"""What a page is filled with on which no ECG was found."""


class PageRefusedError(ValueError):
    """A picture was located and shows no 12-lead ECG."""

    def __init__(self, quality: float, least: float, reasons: tuple[str, ...]):
        super().__init__(f"no 12-lead ECG page: quality {quality:.3f}, at least {least:.3f} is needed "
                         f"({'; '.join(reasons)})")
        self.quality, self.reasons = quality, reasons


@dataclass(frozen=True)
class Refusal:
    """The test for an ECG page, as packages carry it."""

    centre: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    """Of the features, of their squares, and of their products; a package from before these has fewer."""
    intercept: float
    least: float
    """A quality below this is refused."""

    def quality(self, features: np.ndarray) -> np.ndarray:
        """Return the score, 0-1, of pages' features (N, F): (N,)."""
        return 1 / (1 + np.exp(-np.clip(self.terms(features).sum(axis=1) + self.intercept, -30, 30)))

    def reasons(self, features: np.ndarray) -> tuple[str, ...]:
        """Say which features speak most against one page, (F,), the worst first."""
        z = (np.clip((features - self.centre) / self.spread, -_FURTHEST, _FURTHEST))
        terms = self._share(self.terms(features[None])[0])
        return tuple(f"{FEATURES[i]}: {'too little' if z[i] < 0 else 'too much'}"
                     for i in np.argsort(terms)[:3] if terms[i] < 0)

    def check(self, page: np.ndarray, params: PageParams) -> float:
        """Return the quality of one canonical page, uint8 (H, W).

        Raises:
            PageRefusedError: it is below `least`.
        """
        features = page_features(page, params)
        quality = float(self.quality(features[None])[0])
        if quality < self.least:
            raise PageRefusedError(quality, self.least, self.reasons(features) or ("nothing stands out",))
        return quality

    def terms(self, features: np.ndarray) -> np.ndarray:
        """Return what each feature, each square and each product adds to the log-odds, (N, F + F + F (F - 1) / 2)."""
        z = np.clip((features - np.array(self.centre)) / np.array(self.spread), -_FURTHEST, _FURTHEST)
        one, other = np.triu_indices(z.shape[1], 1)
        return np.concatenate([z, z * z, z[:, one] * z[:, other]], axis=1)[:, :len(self.weights)] * self.weights

    def _share(self, terms: np.ndarray) -> np.ndarray:
        """Return what each feature adds, (F,): half of each product in which it is."""
        count = len(self.centre)
        share = terms[:count] + terms[count:2 * count]
        products = terms[2 * count:]
        for side in np.triu_indices(count, 1):
            share = share + np.bincount(side[:len(products)], products / 2, minlength=count)
        return share


@cache
def fitted_refusal() -> Refusal:
    """Return the test that comes with the project; its bound tells pages of every layout from other pictures."""
    return Refusal(**{name: tuple(value) if isinstance(value, list) else value
                      for name, value in json.loads(WEIGHTS.read_text()).items()})


def bounded_on(quality: np.ndarray, *, refused: float) -> Refusal:
    """Return the test with a bound that refuses at most a share of validation pages.

    Args:
        quality: of those pages on which an ECG was found, (N,).
        refused: that share.
    """
    known = fitted_refusal()
    if not len(quality):
        return known
    return replace(known, least=min(known.least, float(np.sort(quality)[int(refused * len(quality))])))


def features_of(pages: np.ndarray, params: PageParams) -> np.ndarray:
    """Return the features of canonical pages, uint8 (N, H, W): float64 (N, F)."""
    return np.stack([page_features(page, params) for page in pages])


def page_features(page: np.ndarray, params: PageParams) -> np.ndarray:
    """Measure one canonical page, uint8 (H, W): float64 (F,), in the order of `FEATURES`."""
    size = round(params.width / params.px_per_mm), round(params.height / params.px_per_mm)
    darkness = 1 - cv2.resize(page, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    ink = darkness > _DARK
    bands = [ink[top:bottom] for top, bottom in _bands(params, size[1])]
    rows = [_row(band) for band in bands]
    covered = np.array([(row.runs > 0).mean() for row in rows])
    near = sum(band[max(0, len(band) // 2 - int(_NEAR_MM)):len(band) // 2 + int(_NEAR_MM)].sum() for band in bands)
    activity = np.stack([row.height for row in rows])
    return np.array([ink.mean(), ((darkness > _GREY[0]) & (darkness < _GREY[1])).mean(), covered.mean(), covered.min(),
                     *_columns(rows), _together(activity), near / max(ink.sum(), 1), _jumps(rows),
                     *_moments(activity.sum(axis=0)), *_levels(rows), *_edges(darkness)], np.float64)


def _columns(rows: list["_Row"]) -> tuple[float, ...]:
    """Strokes and ink in a column, its usual height, that of tall ones, and their share; 0 without ink."""
    runs, thick, heights = (np.concatenate([getattr(row, name)[row.runs > 0] for row in rows])
                            for name in ("runs", "ink", "height"))
    if not len(runs):
        return (0.0,) * 5
    return runs.mean(), np.median(thick), np.median(heights), np.quantile(heights, 0.97), (heights > _TALL_MM).mean()


def _levels(rows: list["_Row"]) -> tuple[float, ...]:
    """Share of level columns, how much taller the tall ones are than the usual, steps from column to column."""
    heights = np.concatenate([row.height[row.runs > 0] for row in rows])
    if len(heights) < 2:
        return (0.0,) * 3
    taller = np.log((np.quantile(heights, 0.97) + 1) / (np.median(heights) + 1))
    return (heights <= _LEVEL_MM).mean(), taller, np.abs(np.diff(heights)).mean()


def _jumps(rows: list["_Row"]) -> float:
    jumps = np.concatenate([np.abs(np.diff(row.middle)) for row in rows])
    return float(np.median(np.nan_to_num(jumps, nan=0.0)))


def _edges(darkness: np.ndarray) -> tuple[float, float]:
    """How much stronger edges of level things are than of upright ones, and these."""
    across, down = np.abs(np.diff(darkness, axis=1)).mean(), np.abs(np.diff(darkness, axis=0)).mean()
    return float(np.log(down / max(across, 1e-4) + 1e-3)), float(across)


def _moments(activity: np.ndarray) -> tuple[float, float, float]:
    """Of the rows' summed heights, (W,): the rhythm, how peaked they are, the highest over the usual."""
    spread = activity - activity.mean()
    peaked = float((spread ** 4).mean() / max(activity.var() ** 2, 1e-6))
    smooth = cv2.GaussianBlur(activity[None].astype(np.float32), (0, 0), 1.0)[0]
    highest = float(np.quantile(smooth, 0.97) / max(float(np.median(smooth)), 1.0))
    return _rhythm(activity), min(peaked, _MOST_PEAKED), highest


@dataclass(frozen=True)
class _Row:
    """What the columns of a row's band hold, each (W,) in mm."""

    runs: np.ndarray
    ink: np.ndarray
    height: np.ndarray
    middle: np.ndarray
    """NaN where there is no ink."""


def _row(band: np.ndarray) -> _Row:
    ink = band.sum(axis=0)
    starts = band[0].astype(int) + (band[1:] & ~band[:-1]).sum(axis=0)
    first, last = band.argmax(axis=0), len(band) - 1 - band[::-1].argmax(axis=0)
    height = np.where(ink > 0, last - first + 1, 0)
    y = np.arange(len(band))[:, None]
    middle = np.where(ink > 0, (band * y).sum(axis=0) / np.maximum(ink, 1), np.nan)
    return _Row(starts, ink, height.astype(float), middle)


def _bands(params: PageParams, height: int) -> list[tuple[int, int]]:
    """The rows of the page's layout, top and bottom in mm."""
    arranged = fitted(layout(params.layout), height_mm=params.height / params.px_per_mm)
    _, top = block_origin(arranged, width_mm=params.width / params.px_per_mm, height_mm=height)
    rows = len(arranged.rows) + len(arranged.rhythm)
    ends = [(top + arranged.row_mm * row, top + arranged.row_mm * (row + 1)) for row in range(rows)]
    return [(max(0, round(a)), min(height, round(b))) for a, b in ends]


def _together(activity: np.ndarray) -> float:
    """Mean correlation of the rows' heights, (rows, W), over pairs of rows."""
    smooth = cv2.GaussianBlur(activity.astype(np.float32), (0, 0), 1.5, sigmaY=1e-3)
    smooth = smooth - smooth.mean(axis=1, keepdims=True)
    power = np.sqrt((smooth ** 2).sum(axis=1))
    if (power > _LEAST_INK).sum() < 2:
        return 0.0
    unit = smooth[power > _LEAST_INK] / power[power > _LEAST_INK, None]
    agreed = unit @ unit.T
    return float(agreed[np.triu_indices(len(agreed), 1)].mean())


def _rhythm(activity: np.ndarray) -> float:
    """The highest autocorrelation of the activity, (W,), at lags from one beat to the next."""
    x = activity - activity.mean()
    power = float((x * x).sum())
    if power < _LEAST_INK:
        return 0.0
    return max(float((x[lag:] * x[:-lag]).sum()) / power for lag in range(*_BEAT_MM) if lag < len(x))
