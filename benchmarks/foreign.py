"""Pictures that are no ECG page, drawn by chance: what people send by mistake, and what is made to mislead.

Some share much with an ECG: blank grids, charts on millimetre paper, ruled tables, waves. Each kind varies in
size, colour, contrast, turn and grain; the same seed gives the same picture.
"""

from collections.abc import Callable

import cv2
import numpy as np

_WORDS = ("patient", "report", "of", "the", "ward", "department", "blood", "sample", "result", "normal", "value",
          "date", "mg", "ml", "unit", "name", "clinic", "follow", "up", "dose", "twice", "daily", "invoice",
          "total", "amount", "page", "sheet", "12", "48", "103.5", "7.2", "2021", "lead", "rate")
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX,
          cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX)


def foreign(kind: str, seed: int) -> np.ndarray:
    """Draw one picture, uint8 RGB (H, W, 3).

    Args:
        kind: one of `KINDS`.
        seed: of everything drawn.
    """
    rng = np.random.default_rng([seed, *kind.encode()])
    width = int(rng.integers(600, 1200))
    height = int(width * rng.uniform(0.6, 1.4))
    return _taken(KINDS[kind](rng, height, width), rng)


def _taken(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the pictures as a phone sees them: a little turned, unevenly lit, with grain."""
    if rng.random() < 0.5:
        return picture
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 2), rng.uniform(0.95, 1.05))
    picture = cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    light = 1 - rng.uniform(0, 0.4) * np.linspace(0, 1, width)[None, :, None]
    grain = rng.normal(0, rng.uniform(0, 6), (height, width, 1))
    return np.clip(picture * light + grain, 0, 255).astype(np.uint8)


def _paper(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), rng.integers(225, 256, 3) if rng.random() < 0.5 else 255, np.uint8)


def _dark(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(0, 90, 3))


def _text(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    page, scale = _paper(rng, height, width), rng.uniform(0.4, 1.1)
    font, colour, step = int(rng.choice(_FONTS)), _dark(rng), int(34 * scale * rng.uniform(0.9, 1.6))
    left = int(width * rng.uniform(0.03, 0.12))
    for y in range(3 * step, height - step, step):
        if rng.random() < 0.12:
            continue
        words = " ".join(rng.choice(_WORDS, 40))
        end = int((width - 2 * left) / (16 * scale) * (rng.uniform(0.3, 1.0) if rng.random() < 0.25 else 1.0))
        cv2.putText(page, words[:end], (left, y), font, scale, colour, int(rng.integers(1, 3)), cv2.LINE_AA)
    return page


def _table(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    page, colour = _paper(rng, height, width), _dark(rng)
    rows, columns = int(rng.integers(6, 40)), int(rng.integers(2, 12))
    y, x = np.linspace(0.05, 0.95, rows + 1) * height, np.linspace(0.05, 0.95, columns + 1) * width
    for row in y:
        cv2.line(page, (int(x[0]), int(row)), (int(x[-1]), int(row)), colour, int(rng.integers(1, 3)))
    for column in x:
        cv2.line(page, (int(column), int(y[0])), (int(column), int(y[-1])), colour, 1)
    scale = min(0.7, (y[1] - y[0]) / 40)
    for row in y[:-1]:
        for column in x[:-1]:
            if rng.random() < 0.8:
                cv2.putText(page, str(rng.choice(_WORDS)), (int(column) + 4, int(row + 0.7 * (y[1] - y[0]))),
                            cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return page


def _grid(rng: np.random.Generator, height: int, width: int, *, page: np.ndarray | None = None) -> np.ndarray:
    """Millimetre paper without anything on it."""
    page = _paper(rng, height, width) if page is None else page
    pitch = rng.uniform(3.5, 9)
    hue = np.array(rng.choice([(235, 150, 150), (150, 190, 235), (160, 220, 170), (170, 170, 170), (240, 180, 120)]))
    for major in (False, True):
        colour = tuple(int(v) for v in (hue if major else (hue + 2 * 255) / 3))
        step = pitch * (5 if major else 1)
        for position in np.arange(rng.uniform(0, step), max(height, width), step):
            place = round(position)
            cv2.line(page, (place, 0), (place, height), colour, 1 + major * (pitch > 6))
            cv2.line(page, (0, place), (width, place), colour, 1 + major * (pitch > 6))
    return page


def _captioned_grid(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Millimetre paper with a header and lead names, as a cart prints without electrodes."""
    page = _grid(rng, height, width)
    for number, name in enumerate(("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")):
        place = (int(width * (0.06 + 0.23 * (number // 3))), int(height * (0.3 + 0.2 * (number % 3))))
        cv2.putText(page, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 20, 20), 1, cv2.LINE_AA)
    for line in range(int(rng.integers(1, 5))):
        cv2.putText(page, " ".join(rng.choice(_WORDS, 8)), (30, 40 + 28 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.7,
                    (20, 20, 20), 1, cv2.LINE_AA)
    return page


def _series(rng: np.random.Generator, count: int) -> np.ndarray:
    """A curve as charts show them, 0-1."""
    kind, t = rng.integers(4), np.linspace(0, 1, count)
    if kind == 0:
        y = np.cumsum(rng.normal(size=count))
    elif kind == 1:
        y = np.sin(2 * np.pi * (rng.uniform(0.5, 6) * t + rng.random())) + rng.normal(0, 0.05, count)
    elif kind == 2:
        y = np.exp(-rng.uniform(1, 5) * t) + rng.normal(0, 0.02, count)
    else:
        y = np.repeat(rng.random(-(-count // 40)), 40)[:count]
    return (y - y.min()) / max(np.ptp(y), 1e-9)


def _chart(rng: np.random.Generator, height: int, width: int, *, page: np.ndarray | None = None) -> np.ndarray:
    """Line charts with axes and grid lines, one above the other."""
    page = _paper(rng, height, width) if page is None else page
    panels = int(rng.integers(1, 4))
    for panel in range(panels):
        top, bottom = (int(height * (panel + share) / panels) for share in (0.1, 0.9))
        left, right = int(0.08 * width), int(0.95 * width)
        for line in range(int(rng.integers(0, 9))):
            y = top + (bottom - top) * line // 8
            cv2.line(page, (left, y), (right, y), (215, 215, 215), 1)
        cv2.line(page, (left, bottom), (right, bottom), (0, 0, 0), 2)
        cv2.line(page, (left, top), (left, bottom), (0, 0, 0), 2)
        for _ in range(int(rng.integers(1, 4))):
            y = bottom - (bottom - top) * _series(rng, right - left)
            points = np.stack([np.arange(left, right), y], axis=1).round().astype(np.int32)
            cv2.polylines(page, [points], False, _dark(rng), int(rng.integers(1, 4)), cv2.LINE_AA)
        cv2.putText(page, str(rng.choice(_WORDS)), (left, top), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1)
    return page


def _chart_on_grid(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return _chart(rng, height, width, page=_grid(rng, height, width))


def _bars(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    page, count = _paper(rng, height, width), int(rng.integers(4, 40))
    for number, value in enumerate(rng.random(count)):
        x = [int(width * (0.08 + 0.85 * (number + share) / count)) for share in (0.1, 0.9)]
        colour = tuple(int(v) for v in rng.integers(0, 220, 3))
        cv2.rectangle(page, (x[0], int(height * (0.9 - 0.75 * value))), (x[1], int(height * 0.9)), colour, -1)
    cv2.line(page, (int(0.06 * width), int(0.9 * height)), (int(0.95 * width), int(0.9 * height)), (0, 0, 0), 2)
    return page


def _spectral(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """1/f noise, whose statistics are those of photographs of nature."""
    spectrum = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    spectrum[0, 0] = 1
    phases = rng.normal(size=spectrum.shape) + 1j * rng.normal(size=spectrum.shape)
    plane = np.fft.irfft2(phases / spectrum ** rng.uniform(0.6, 1.8), s=(height, width))
    plane = (plane - plane.mean()) / plane.std()
    tint, strength = rng.uniform(0.7, 1.0, 3), rng.uniform(20, 60)
    return np.clip((rng.uniform(90, 200) + strength * plane)[..., None] * tint, 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    grain = int(rng.integers(1, 9))
    small = rng.integers(0, 256, (-(-height // grain), -(-width // grain), 3 if rng.random() < 0.5 else 1), np.uint8)
    plane = cv2.resize(small, (width, height), interpolation=int(rng.choice([cv2.INTER_NEAREST, cv2.INTER_CUBIC])))
    return plane if plane.ndim == 3 else np.repeat(plane[..., None], 3, axis=2)


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    planes = [128 + 127 * np.sin(rng.normal() * x + rng.normal() * y + rng.normal() * x * y + 6 * rng.random())
              for _ in range(3)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def _photo(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Things before a background: ellipses and polygons with shades and edges, as in photographs of a room."""
    picture = _spectral(rng, height, width)
    for _ in range(int(rng.integers(5, 40))):
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        middle = (int(rng.integers(width)), int(rng.integers(height)))
        if rng.random() < 0.5:
            axes = tuple(int(v) for v in rng.integers(10, max(11, width // 4), 2))
            cv2.ellipse(picture, middle, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            corners = np.array(middle) + rng.integers(-width // 5, width // 5, (int(rng.integers(3, 7)), 2))
            cv2.fillPoly(picture, [corners.astype(np.int32)], colour, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 2.5))


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Wood, ripples and cloth: waves bent by noise."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    bend = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), rng.uniform(8, 40))
    angle, wavelength = rng.uniform(0, np.pi), rng.uniform(6, 60)
    phase = (np.cos(angle) * x + np.sin(angle) * y) / wavelength + rng.uniform(0, 4) * bend / bend.std()
    plane = np.sin(2 * np.pi * phase) if rng.random() < 0.5 else np.sin(phase) * np.sin(2 * np.pi * x / wavelength)
    tint = rng.uniform(0.4, 1.0, 3)
    return np.clip((150 + 90 * plane)[..., None] * tint, 0, 255).astype(np.uint8)


def _waves_on_grid(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Several smooth curves one below the other on millimetre paper: a respirogram, not a heart."""
    page, colour = _grid(rng, height, width), _dark(rng)
    rows, x = int(rng.integers(2, 7)), np.arange(int(0.05 * width), int(0.95 * width))
    for row in range(rows):
        phase = 2 * np.pi * (rng.uniform(2, 14) * x / width + rng.random())
        y = height * ((row + 0.5) / rows + rng.uniform(0.1, 0.35) / rows * np.sin(phase))
        cv2.polylines(page, [np.stack([x, y], axis=1).round().astype(np.int32)], False, colour,
                      int(rng.integers(1, 3)), cv2.LINE_AA)
    return page


def _scribbles(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    page, colour = _paper(rng, height, width), _dark(rng)
    for _ in range(int(rng.integers(3, 25))):
        steps = np.cumsum(rng.normal(0, width / 250, (200, 2)), axis=0)
        points = (np.cumsum(steps, axis=0) / 12 + rng.random(2) * (width, height)).astype(np.int32)
        cv2.polylines(page, [points], False, colour, int(rng.integers(1, 4)), cv2.LINE_AA)
    return page


def _plain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)


KINDS: dict[str, Callable] = {
    "text": _text, "table": _table, "blank grid": _grid, "captioned grid": _captioned_grid, "chart": _chart,
    "chart on grid": _chart_on_grid, "bars": _bars, "1/f noise": _spectral, "noise": _noise, "gradient": _gradient,
    "photo": _photo, "texture": _texture, "waves on grid": _waves_on_grid, "scribbles": _scribbles, "plain": _plain}
"""Every kind and what draws it."""
