"""What lies under a page that is photographed: plain, grained or woven surfaces, made once."""

from functools import lru_cache

import cv2
import numpy as np

SURFACES = {"white desk": (214, 212, 206), "grey desk": (150, 150, 152), "dark desk": (58, 56, 58),
            "wood": (168, 122, 82), "dark wood": (98, 66, 46), "blue cloth": (52, 84, 122),
            "green cloth": (70, 120, 108), "skin": (205, 160, 135)}
"""Colours of the surfaces."""
_SIDE = 512


def table(kind: str, height: int, width: int, *, x: int, y: int, colour: bool,
          shade: np.ndarray | None = None) -> np.ndarray:
    """Return a surface as a picture, uint8 (height, width[, 3]).

    Args:
        kind: one of `SURFACES`.
        height: in pixels.
        width: in pixels.
        x: which part of the texture is seen, 0-255.
        y: the same.
        colour: RGB or grey.
        shade: uint8 (256, 256) over the whole picture: the light that a page above it leaves, 255 all.
    """
    part = _texture(kind)[y:y + 256, x:x + 256]
    if shade is not None:
        part = cv2.multiply(part, shade, scale=1 / 255)
    red, green, blue = SURFACES[kind]
    levels = (red, green, blue) if colour else (0.299 * red + 0.587 * green + 0.114 * blue,)
    tinted = [cv2.LUT(part, _tint(level)) for level in levels]
    return cv2.resize(cv2.merge(tinted) if colour else tinted[0], (width, height), interpolation=cv2.INTER_LINEAR)


def page_shade(corners: np.ndarray, height: int, width: int, *, depth: float, softness: float) -> np.ndarray:
    """Return the light that a page leaves on the surface about it, for `table`.

    Args:
        corners: (n, 2) the outline of the page's shadow, in pixels of the picture.
        height: of the picture.
        width: of the picture.
        depth: 0-1.
        softness: of the shadow's edge, a share of the picture.
    """
    shade = np.full((128, 128), 255, np.uint8)
    outline = np.round(corners * (16 * 128 / width, 16 * 128 / height)).astype(np.int32)
    cv2.fillPoly(shade, [outline], round(255 * (1 - depth)), cv2.LINE_AA, 4)
    return cv2.resize(cv2.GaussianBlur(shade, (0, 0), 128 * softness), (256, 256))


def _tint(level: float) -> np.ndarray:
    return np.clip(np.round(np.arange(256) * (level / 128)), 0, 255).astype(np.uint8)


@lru_cache(maxsize=len(SURFACES))
def _texture(kind: str) -> np.ndarray:
    """A surface's unevenness about 128, read-only."""
    rng = np.random.default_rng(sorted(SURFACES).index(kind))
    noise = rng.standard_normal((_SIDE, _SIDE))
    if "wood" in kind:
        coarse = cv2.GaussianBlur(noise, (0, 0), 60, sigmaY=3)
        fine = cv2.GaussianBlur(noise, (0, 0), 12, sigmaY=0.7)
        field = 9 * coarse / coarse.std() + 5 * fine / fine.std()
    elif "cloth" in kind:
        rows, columns = np.mgrid[:_SIDE, :_SIDE]
        soft = cv2.GaussianBlur(noise, (0, 0), 25)
        field = 5 * np.sin(rows * 2.1) * np.sin(columns * 2.1) + 8 * soft / soft.std() + 3 * noise
    else:
        soft = cv2.GaussianBlur(noise, (0, 0), 40)
        field = 4 * soft / soft.std() + 1.5 * noise
    texture = np.clip(np.round(128 + field), 0, 255).astype(np.uint8)
    texture.setflags(write=False)
    return texture
