"""What people leave on a page: rings of coffee, rubber stamps, and the pen of who read it."""

import math

import cv2
import numpy as np

from ecg.paper.draws import Draws

INKS = {"blue": (38, 58, 150), "black": (35, 35, 40), "red": (190, 40, 45), "green": (30, 110, 70)}
STAMP_TEXTS = ("RECEIVED", "CARDIOLOGY", "REVIEWED", "COPY", "FILED", "SCANNED", "WARD 4", "ECG DEPT", "ORIGINAL")
COFFEE = (150, 105, 62)
PEN_MARKS = ("circle", "underline", "arrow", "check")
_SHIFT = 4
"""OpenCV takes positions in sixteenths of a pixel."""


def draw_marks(page: np.ndarray, draws: Draws, *, amount: float, px_per_mm: float) -> np.ndarray:
    """Return a page with marks on it; they are noted in the draws as `marks`, a list.

    Args:
        page: uint8 (H, W) or RGB (H, W, 3); it stays as it is.
        draws: decides what lies where. Positions are noted in page pixels.
        amount: 0-1, how likely each mark is.
        px_per_mm: resolution of the page.
    """
    page = page.copy()
    rng, noted = draws.rng, []
    plan = [_stain] * int(rng.binomial(2, 0.4 * amount)) + [_stamp] * int(rng.binomial(2, 0.45 * amount)) + [
        _pen] * int(rng.binomial(6, 0.6 * amount))
    for draw in plan:
        mark = Draws(rng, 1.0)
        mark.between("x", 0.1 * page.shape[1], 0.9 * page.shape[1])
        mark.between("y", 0.1 * page.shape[0], 0.9 * page.shape[0])
        draw(page, mark, px_per_mm)
        noted.append(mark.parameters)
    draws.keep("marks", noted)
    return page


def _stain(page: np.ndarray, mark: Draws, px_per_mm: float) -> None:
    """A ring where a cup stood: dark at its rim, faint inside, neither round nor even."""
    mark.keep("mark", "stain")
    radius = mark.between("radius_mm", 18.0, 42.0)
    rim = mark.between("rim_mm", 0.5, 1.5)
    phases, sizes = mark.rng.random((2, 5))
    side = 160
    y, x = (np.mgrid[:side, :side] + 0.5) / side * 2.6 - 1.3
    angle, distance = np.arctan2(y, x), np.hypot(x, y)
    waves = [size * np.cos(k * angle + 2 * math.pi * phase) for k, (size, phase) in enumerate(
        zip(sizes, phases, strict=True), 1)]
    off = (distance - 1 - 0.025 * sum(waves[1:])) * radius
    ring = np.exp(-(off / rim) ** 2) * (0.5 + 0.3 * waves[0] + 0.3 * waves[2]).clip(0, 1)
    cover = mark.between("rim_depth", 0.35, 0.9) * ring + mark.between("inside", 0.02, 0.14) / (1 + np.exp(off / 0.6))
    pixels = max(4, round(2.6 * radius * px_per_mm))
    cover = cv2.resize(cover.astype(np.float32), (pixels, pixels), interpolation=cv2.INTER_LINEAR)
    _blend(page, np.round(255 * cover.clip(0, 1)).astype(np.uint8), mark, COFFEE)


def _stamp(page: np.ndarray, mark: Draws, px_per_mm: float) -> None:
    """A word in a box, turned, its ink uneven."""
    mark.keep("mark", "stamp")
    text = mark.choice("text", STAMP_TEXTS)
    ink = mark.choice("ink", ("blue", "red", "green"))
    height = mark.between("height_mm", 5.0, 9.0) * px_per_mm
    degrees = mark.between("degrees", -25.0, 25.0)
    thick = max(1, round(0.13 * height))
    font, scale = cv2.FONT_HERSHEY_DUPLEX, height / 22.0
    (wide, high), _ = cv2.getTextSize(text, font, scale, thick)
    pad = max(2, round(0.45 * high))
    side = math.ceil(math.hypot(wide + 2 * pad, high + 2 * pad)) + 2 * thick
    cover = np.zeros((side, side), np.uint8)
    left, low = (side - wide) // 2, (side + high) // 2
    cv2.putText(cover, text, (left, low), font, scale, 255, thick, cv2.LINE_AA)
    cv2.rectangle(cover, (left - pad, low - high - pad), (left + wide + pad, low + pad), 255, thick, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), degrees, 1.0)
    cover = cv2.warpAffine(cover, turn, (side, side))
    wear = cv2.resize(mark.rng.random((24, 24)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    worn = mark.between("wear", 0.2, 0.9)
    _blend(page, (cover * (1 - worn * wear.clip(0, 1))).astype(np.uint8), mark, INKS[ink])


def _pen(page: np.ndarray, mark: Draws, px_per_mm: float) -> None:
    """A circle, a line, an arrow or a check mark by hand."""
    kind = mark.choice("mark", PEN_MARKS)
    ink = mark.choice("ink", tuple(INKS))
    length = mark.between("length_mm", 8.0, 32.0) * px_per_mm
    degrees = mark.between("degrees", -20.0, 20.0) + (mark.between("heading", 0, 360) if kind == "arrow" else 0.0)
    strokes = [0.5 * length * stroke for stroke in _strokes(kind, mark)]
    turn = math.radians(degrees)
    spin = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    side = math.ceil(1.5 * length) + 8
    thick = max(1, round(mark.between("pen_mm", 0.35, 0.8) * px_per_mm))
    cover = np.zeros((side, side), np.uint8)
    for stroke in strokes:
        points = np.round((stroke @ spin + side / 2 - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(cover, [points], False, 255, thick, cv2.LINE_AA, _SHIFT)
    strength = mark.between("pressure", 0.7, 1.0)
    _blend(page, (cover * strength).astype(np.uint8), mark, INKS[ink])


def _strokes(kind: str, mark: Draws) -> list[np.ndarray]:
    """Lines of a pen mark within -1..1, each (n, 2), as a hand that is not quite steady draws them."""
    t = np.linspace(0, 1, 40)
    wobble = 0.02 * np.sin(2 * math.pi * (mark.between("wobble", 0.7, 2.0) * t + mark.between("phase", 0, 1)))
    if kind == "circle":
        turn = 2 * math.pi * (1.08 * t + mark.between("start", 0, 1))
        flat = mark.between("flatness", 0.35, 0.9)
        return [np.stack([(0.95 + wobble - 0.05 * t) * np.cos(turn), flat * (0.95 + 2 * wobble) * np.sin(turn)], -1)]
    if kind == "check":
        x = np.concatenate([-0.6 + 0.4 * t, -0.2 + 0.9 * t])
        y = np.concatenate([0.1 + 0.5 * t, 0.6 - 1.3 * t])
        return [np.stack([x, y + np.concatenate([wobble, wobble[::-1]])], axis=-1)]
    shaft = np.stack([2 * t - 1, 1.5 * wobble], axis=-1)
    if kind == "underline":
        return [shaft]
    tip = shaft[-1]
    return [shaft, tip + np.array([[-0.32, -0.2], [0.0, 0.0], [-0.32, 0.2]])]


def _blend(page: np.ndarray, cover: np.ndarray, mark: Draws, colour: tuple[int, int, int]) -> None:
    """Lay ink over a page as a filter, so that what lies below shows through; the patch is clipped at the page."""
    top = round(mark.parameters["y"] - cover.shape[0] / 2)
    left = round(mark.parameters["x"] - cover.shape[1] / 2)
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + cover.shape[0], page.shape[0]), min(left + cover.shape[1], page.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    share = cover[y0 - top:y1 - top, x0 - left:x1 - left].astype(np.float32) / 255
    part = page[y0:y1, x0:x1]
    if page.ndim == 2:
        part[:] = np.round(part * (1 - share * (1 - np.dot(colour, (0.299, 0.587, 0.114)) / 255)))
    else:
        part[:] = np.round(part * (1 - share[..., None] * (1 - np.array(colour, np.float32) / 255)))
