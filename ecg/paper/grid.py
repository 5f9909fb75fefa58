"""Find the millimetre grid in a picture of a page: its pitch, its turn and its perspective.

Every tile of the picture gives the grid's two frequency vectors at its middle, from the peaks of its spectrum.
They are the gradients of the page's millimetres, so that the perspective is fitted to them: no line is traced,
and ink, folds and shadows spoil only the tiles on which they lie.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ecg.paper.peaks import refine, vectors
from ecg.paper.perspective import Perspective, fit_perspective
from ecg.paper.smaller import darkest, darkest_smaller
from ecg.paper.spectrum import ANGLE_STEP, ANGLES, LOG_STEP, LOWEST, RINGS, TILE, Spectra, tile_spectra
from ecg.paper.surface import Surface, fit_bend, local_scale

MIN_CONFIDENCE = 0.3
"""Below this a grid is not believed."""
WORKING_SIDE = 1280
"""Longer pictures are reduced to this first: even there a 1 mm line is some 4 pixels from the next."""
_AREA_FROM = 1.6
"""Reduced by more, areas are averaged; by less, neighbours."""
_PITCHES = (1.05, 13.0)
"""Pixels per mm of the reduced picture within which the grid is sought."""
_WIDTH_MM, _WIDTH_SPREAD = 285.0, 0.42
"""Paper that a picture's longer side usually shows and the spread of its logarithm: tells 1 mm lines from 5 mm ones."""
_CANDIDATES = 4
_WINDOWS = ((7, 5), (4, 3), (2, 2))
"""Rings and columns of the maps within which a tile's grid is sought around the expected one, round by round."""
_BENT_WINDOWS = ((4, 3), (4, 3), (3, 2), (2, 2))
"""The same around the perspective, and then around perspective and bend."""
_CLEAR = 0.5
"""How clearly a tile's peaks stand out where it surely shows the grid."""
_BROAD_WINDOWS = ((4, 3),)
_BROAD_SPREADS = ((0.10, 0.06, 0.045, 0.035, 0.03),)
"""Where bent paper is sought, and within which misfit its mean perspective is fitted."""
_BETTER = 1.3
"""So many times more tiles must agree with a bend than without."""
_LEVEL = 0.001
"""Turn in radians, and a quarter of the perspective's change over the picture, that no camera holds to."""
_BENT, _BENT_SHARE = 0.015, 0.25
"""Paper is bent where this share of its tiles is off the perspective by so much."""
_CHANCE = 1.0
"""Comb score that chance reaches."""
_MOST_COMB = 12.0
"""Beyond which a comb counts for no more: two strong harmonics alone, as a comb of the wrong pitch may hit, reach 8."""
_AGREES = 0.03
"""Relative distance from the fit at which a tile still agrees with it."""


@dataclass(frozen=True)
class Grid:
    """The grid as found. Pixels are those of the picture given."""

    pitch_x: float
    """Pixels per mm along the grid's rows, at the middle of the tiles that agree."""
    pitch_y: float
    """The same along its columns."""
    rotation_deg: float
    """Turn of the grid's rows there, -45 to 45: positive where they fall to the right."""
    homography: np.ndarray
    """(3, 3) float64: picture pixel -> mm, the origin anywhere."""
    vanishing: tuple[float, float]
    """The homography's last row over its corner element, 1/px: (0, 0) without perspective."""
    confidence: float
    """0-1: how clearly the grid stood out."""
    corners: np.ndarray
    """(T, 4, 2) corners of the tiles in which the grid stood out."""
    surface: Surface
    """The homography and the paper's bend."""
    explained: float
    """Share of the tiles which surely show the grid that fit the surface: low where the paper is bent or creased."""


def find_grid(image: np.ndarray) -> Grid:
    """Find the millimetre grid in a picture.

    Args:
        image: uint8, grey (H, W) or RGB (H, W, 3).

    Returns:
        The best there is, even where there is none: its confidence says so.
    """
    plane, factor = _darkest(image, WORKING_SIDE)
    spectra = tile_spectra(plane)
    side = max(plane.shape)
    tried = [_follow(spectra, _everywhere(spectra, place), _WINDOWS[:1], side) for place in _coarse(spectra, side)]
    tried = sorted(tried, key=lambda one: -one.score)[:2]
    best = max((_follow(spectra, one.perspective, _WINDOWS[1:], side) for one in tried), key=lambda one: one.score)
    return _grid(spectra, *_bent(spectra, best), plane.shape, factor)


def reduce(image: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture with its longer side at most so long, and by how much it is smaller along x and y."""
    size, factor = _reduced(image.shape, longest)
    how = cv2.INTER_AREA if max(factor) > _AREA_FROM else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=how), factor


def _reduced(shape: tuple[int, ...], longest: int) -> tuple[tuple[int, int], np.ndarray]:
    """Return width and height of a reduced picture, and by how much they are smaller."""
    height, width = shape[:2]
    shrink = max(1.0, max(height, width) / longest)
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    return size, np.array([width, height]) / size


@dataclass(frozen=True)
class _Fit:
    """A candidate followed through all tiles."""

    perspective: Perspective
    agree: np.ndarray
    """bool (T,)."""
    near: np.ndarray
    """bool (T,): where the page bends, these show the grid a little off the fit."""
    clear: np.ndarray
    """(T,) how clearly the peaks of the weaker axis stand out."""
    score: float


def _coarse(spectra: Spectra, side: int) -> list[tuple[float, float, float, float]]:
    """Return the likeliest grids: (ring, column) of the maps for the first axis and for the second."""
    combs = np.maximum(spectra.comb, 0)
    wide = np.stack([cv2.dilate(comb, np.ones((3, 3), np.uint8)) for comb in combs]).mean(axis=0)
    turned = np.roll(wide, -ANGLES // 2, axis=1)
    # Perspective turns and stretches one axis against the other.
    kernel = np.ones((2 * round(0.12 / LOG_STEP) + 1, 2 * round(7 / ANGLE_STEP) + 1), np.uint8)
    slack = 0.3 * cv2.dilate(_ring_wrapped(turned), kernel)[:, 8:-8] + 0.7 * cv2.dilate(
        _ring_wrapped(turned), np.ones((5, 5), np.uint8))[:, 8:-8]
    score = np.minimum(wide, slack) * 1.5 + 0.25 * (wide + slack)
    pitch = 1 / (5 * LOWEST * np.exp(LOG_STEP * np.arange(RINGS)))
    score *= _prior(pitch, side)[:, None] * _upright(ANGLE_STEP * np.arange(ANGLES) - 90)
    score[(pitch < _PITCHES[0]) | (pitch > _PITCHES[1])] = 0
    score[:, :ANGLES // 4] = 0
    score[:, 3 * ANGLES // 4 + 1:] = 0
    found = []
    for _ in range(_CANDIDATES):
        ring, column = np.unravel_index(int(score.argmax()), score.shape)
        found.append((ring, column, *_partner(turned, ring, column)))
        score[max(0, ring - 7):ring + 8, max(0, column - 6):column + 7] = 0
    return found


def _partner(turned: np.ndarray, ring: int, column: int) -> tuple[int, int]:
    """Return the ring and the column of the best second axis near the place at right angles to the first."""
    up, aside = 6, 5
    rows = np.arange(max(0, ring - up), min(RINGS, ring + up + 1))
    columns = np.arange(column - aside, column + aside + 1)
    part = turned[np.ix_(rows, columns % ANGLES)]
    # Of equals the nearest to the square.
    part = part - 0.02 * part.max() * (np.abs(rows - ring)[:, None] + np.abs(columns - column)[None])
    i, j = np.unravel_index(int(part.argmax()), part.shape)
    return int(rows[i]), int(columns[j]) + ANGLES // 2


def _ring_wrapped(table: np.ndarray) -> np.ndarray:
    return np.concatenate([table[:, -8:], table, table[:, :8]], axis=1)


def _upright(angle: np.ndarray) -> np.ndarray:
    """Return the trust in a turn in degrees: the crossings of lines form a grid of their own at 45 degrees."""
    return 1 - 0.4 * (angle / 45) ** 2


def _prior(pitch: np.ndarray, side: int) -> np.ndarray:
    return np.exp(-0.5 * (np.log(side / pitch / _WIDTH_MM) / _WIDTH_SPREAD) ** 2) * 0.8 + 0.2


def _darkest(image: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce the darkest channel of a picture, in which a grid of any colour is dark; returns as `reduce`."""
    size, factor = _reduced(image.shape, longest)
    image = np.ascontiguousarray(image).reshape(*image.shape[:2], -1)
    if max(factor) > _AREA_FROM:
        return darkest_smaller(image, size), factor
    return cv2.resize(darkest(image), size, interpolation=cv2.INTER_LINEAR), factor


def _everywhere(spectra: Spectra, place: tuple[float, float, float, float]) -> Perspective:
    """Return the flat page on which each tile has the same grid."""
    terms = 5 * np.concatenate([vectors(*place[:2]), vectors(*place[2:])])
    return Perspective(np.concatenate([terms, np.zeros(2)]), spectra.centres.mean(axis=0))


def _follow(spectra: Spectra, start: Perspective, windows: tuple[tuple[int, int], ...], side: int) -> _Fit:
    """Refine a candidate in every tile and fit the perspective, once for each window."""
    tiles, middle, perspective = len(spectra.centres), start.middle, start
    expected = start.gradients(spectra.centres) / 5
    for up, aside in windows:
        found, clear, comb = refine(spectra, expected, up, aside)
        whole = np.clip(comb - _CHANCE, 0, _MOST_COMB)
        comb = np.minimum(whole, 6)
        weight = comb.min(axis=1, keepdims=True) + 0.25 * comb
        perspective = fit_perspective(spectra.centres, 5 * found, weight, middle,
                                      start=None if (up, aside) == _WINDOWS[0] else perspective)
        expected = perspective.gradients(spectra.centres) / 5
    away = np.linalg.norm(found - expected, axis=2) / np.linalg.norm(expected, axis=2)
    agree = (away < (_AGREES if len(windows) > 1 else 2 * _AGREES)).all(axis=1) & (comb > 0).all(axis=1)
    near = (away < 4 * _AGREES).all(axis=1) & (comb > 1.5).all(axis=1)
    pitch = 1 / np.sqrt(np.abs(np.linalg.det(perspective.gradients(middle[None])[0])))
    turn = np.rad2deg(np.arctan2(perspective.terms[1], perspective.terms[0]))
    worth = whole.mean(axis=1) * (0.5 + np.minimum(clear.min(axis=1), 2))
    score = float((agree * worth).sum() / tiles * _prior(pitch, side) * _upright(turn))
    return _Fit(perspective, agree, near, clear.min(axis=1), score)


def _bent(spectra: Spectra, fit: _Fit) -> tuple[_Fit, Surface]:
    """Fit how the paper bends, where it does.

    A bend that explains no more tiles than the perspective alone is none.
    """
    found, clear, _ = refine(spectra, fit.perspective.gradients(spectra.centres) / 5, *_BENT_WINDOWS[0])
    missed = _missed(found, fit.perspective.gradients(spectra.centres))
    sure = clear.min(axis=1) > _CLEAR
    level = fit, Surface(fit.perspective.homography())
    if not sure.any() or np.mean(missed[sure] > _BENT) < _BENT_SHARE or _is_export(fit.perspective, spectra.centres):
        return level
    # The narrow fit may rest on the flattest part of the page alone.
    bases = [fit.perspective]
    for window, spreads in zip(_BROAD_WINDOWS, _BROAD_SPREADS, strict=True):
        found, _, comb = refine(spectra, fit.perspective.gradients(spectra.centres) / 5, *window)
        bases.append(fit_perspective(spectra.centres, 5 * found, np.clip(comb - _CHANCE, 0, 4),
                                     fit.perspective.middle, start=fit.perspective, spreads=spreads))
    tried = [_bend(spectra, replace(fit, perspective=base)) for base in bases]
    best = max(tried, key=lambda one: one[2])
    return best[:2] if best[2] > _BETTER * np.mean(missed[sure] < _BENT) else level


def _bend(spectra: Spectra, fit: _Fit) -> tuple[_Fit, Surface, float]:
    """Bend a perspective until it fits, tiles sought where the bend puts them; also return the share explained."""
    flat = fit.perspective.gradients(spectra.centres)
    level = Surface(fit.perspective.homography())
    surface = level
    for up, aside in _BENT_WINDOWS:
        expected = surface.strain(spectra.centres) @ flat
        found, clear, comb = refine(spectra, expected / 5, up, aside)
        missed = _missed(found, expected)
        left_over = 5 * found @ np.linalg.pinv(flat) - np.eye(2)
        surface = fit_bend(level.homography, spectra.centres, left_over, np.clip(comb - _CHANCE, 0, 4))
    sure = clear.min(axis=1) > _CLEAR
    fit = replace(fit, agree=(missed < _AGREES) & (comb > 0).all(axis=1),
                  near=(missed < 4 * _AGREES) & (comb > 1.5).all(axis=1), clear=clear.min(axis=1))
    return fit, surface, float(np.mean(missed[sure] < _BENT)) if sure.any() else 0.0


def _is_export(perspective: Perspective, points: np.ndarray) -> bool:
    """Return whether a page lies as exactly level and flat as only a computer draws it."""
    directions, size = perspective.terms[:4].reshape(2, 2), np.ptp(points, axis=0).max()
    turn = np.abs(directions[[0, 1], [1, 0]]).max() / np.abs(directions).max()
    return bool(turn < _LEVEL and np.abs(perspective.terms[4:]).max() * size < 4 * _LEVEL)


def _missed(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return by how much tiles' gradients, (T, 2, 2), are off the expected ones, relative, (T,)."""
    return np.abs((5 * found - expected) @ np.linalg.pinv(expected)).max(axis=(1, 2))


def _grid(spectra: Spectra, fit: _Fit, surface: Surface, shape: tuple[int, int], factor: np.ndarray) -> Grid:
    """State a fit in pixels of the picture given."""
    chosen = fit.agree if fit.agree.any() else np.ones(len(fit.agree), bool)
    middle = spectra.centres[chosen].mean(axis=0)
    homography = surface.homography @ np.diag([1 / factor[0], 1 / factor[1], 1.0])
    surface = replace(surface, homography=homography)
    pitch_x, pitch_y, rotation = local_scale(homography, middle * factor)
    half = np.minimum(TILE, shape[::-1]) / 2
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners = (spectra.centres[chosen | fit.near][:, None] + square) * factor
    vanishing = homography[2, :2] / homography[2, 2]
    return Grid(pitch_x, pitch_y, rotation, homography, (float(vanishing[0]), float(vanishing[1])),
                _confidence(fit), corners, surface, _explained(fit))


def _confidence(fit: _Fit) -> float:
    """Return 0-1 from how many tiles agree and how clearly."""
    if fit.agree.sum() < 3:
        return 0.0
    clear = float(np.clip(np.quantile(fit.clear[fit.agree], 0.5) / 0.6, 0, 1))
    return clear * float(np.clip(fit.agree.mean() / 0.4, 0, 1))


def _explained(fit: _Fit) -> float:
    """Return which share of the clear tiles agrees, 0-1."""
    sure = fit.clear > _CLEAR
    return float(fit.agree[sure].mean()) if sure.any() else 0.0
