"""What happens to a printed page on its way into a computer: scanner, phone, screen, fax, photocopier."""

from dataclasses import dataclass

import numpy as np

from ecg.paper.cameras import photo, photo_pose, screen, screen_pose
from ecg.paper.copiers import fax, fax_pose, photocopy, photocopy_pose, scan, scan_pose
from ecg.paper.draws import Draws
from ecg.paper.marks import draw_marks
from ecg.paper.pose import flat_fit
from ecg.paper.transform import MAX_SIDE, Transform


def _clean_pose(draws: Draws, page: tuple[int, int], size: tuple[int, int], px_per_mm: float) -> Transform:
    return flat_fit(page, size)


def _clean(page: np.ndarray, transform: Transform, draws: Draws, px_per_mm: float) -> np.ndarray:
    return transform.picture(page)


_DEVICES = {"clean": (_clean_pose, _clean), "scan": (scan_pose, scan), "photo": (photo_pose, photo),
            "screen": (screen_pose, screen), "fax": (fax_pose, fax), "photocopy": (photocopy_pose, photocopy)}
CAPTURES = tuple(_DEVICES)
"""The kinds of capture; `clean` is the page itself."""
MAX_STRENGTH = 2.0
MIN_SIDE = 32
"""Pixels; below that nothing on a page can be told apart."""


@dataclass(frozen=True)
class Captured:
    """A picture of a page."""

    image: np.ndarray
    """uint8, as many channels as the page."""
    transform: Transform
    """From the page's pixels to the picture's: labels go through it."""
    kind: str
    strength: float
    parameters: dict
    """Every parameter as it was used, in plain JSON values."""


def capture(page: np.ndarray, *, kind: str, rng: np.random.Generator, strength: float = 1.0, px_per_mm: float,
            size: tuple[int, int] | None = None, marks: float = 0.0) -> Captured:
    """Take a picture of a page.

    Args:
        page: uint8, grey (H, W) or RGB (H, W, 3).
        kind: one of `CAPTURES`.
        rng: its state decides the picture; grey and RGB pages lie alike under the same state.
        strength: 0 leaves the page as it is, 1 is what real pages show, 2 the most. A fax is black and white
            at any strength above 0.
        px_per_mm: resolution of the page.
        size: (height, width) of the picture; None: the page's. The page is never stretched to it.
        marks: 0-1, how many stains, stamps and pen marks lie on the page.

    Raises:
        ValueError: an argument out of its range, a page of another dtype or shape.
    """
    size = _check(page, kind, strength, px_per_mm, size, marks)
    draws = Draws(rng, strength)
    pose, take = _DEVICES[kind] if strength > 0 else _DEVICES["clean"]
    transform = pose(draws, page.shape[:2], size, px_per_mm)
    if marks > 0:
        page = draw_marks(page, draws, amount=marks, px_per_mm=px_per_mm)
    image = take(page, transform, draws, px_per_mm)
    return Captured(image, transform, kind, float(strength), draws.parameters)


def _check(page: np.ndarray, kind: str, strength: float, px_per_mm: float, size: tuple[int, int] | None,
           marks: float) -> tuple[int, int]:
    """Refuse what cannot be done; return the picture's size."""
    is_array = isinstance(page, np.ndarray)
    if not is_array or page.dtype != np.uint8 or page.ndim not in (2, 3) or page.shape[2:] not in ((), (3,)):
        what = f"{page.dtype} {page.shape}" if is_array else type(page).__name__
        raise ValueError(f"page: must be uint8 (H, W) or (H, W, 3), not {what}")
    if kind not in CAPTURES:
        raise ValueError(f"kind: unknown capture {kind!r}; known are {', '.join(CAPTURES)}")
    if not 0 <= strength <= MAX_STRENGTH:
        raise ValueError(f"strength: must lie in 0-{MAX_STRENGTH:g}, not {strength}")
    if not 0 < px_per_mm < np.inf:
        raise ValueError(f"px_per_mm: must be more than 0, not {px_per_mm}")
    if not 0 <= marks <= 1:
        raise ValueError(f"marks: must lie in 0-1, not {marks}")
    for name, sides in (("page", page.shape[:2]), ("size", page.shape[:2] if size is None else size)):
        if len(sides) != 2 or not all(MIN_SIDE <= side <= MAX_SIDE for side in sides):
            raise ValueError(f"{name}: height and width must lie in {MIN_SIDE}-{MAX_SIDE} pixels, not {tuple(sides)}")
    return page.shape[:2] if size is None else (int(size[0]), int(size[1]))
