"""What light, lens and sensor do to the pixels of a picture; nothing here moves a point."""

import cv2
import numpy as np

from ecg.paper.raster import jit
from ecg.paper.transform import MESH_PX, node_points

NOISE = np.clip(np.round(np.random.default_rng(1).standard_normal(1 << 17) * 32), -127, 127).astype(np.int8)
"""Noise made once, 1 sigma = 32: drawing a normal number a pixel would take longer than the picture."""


def light_nodes(height: int, width: int) -> np.ndarray:
    """Return the nodes of `develop`'s planes, (rows, columns, 2), in shares of the picture from its centre."""
    return node_points(height, width, step_x=MESH_PX, step_y=MESH_PX) / (width, height) - 0.5


def develop(image: np.ndarray, *, gain: np.ndarray, offset: np.ndarray, noise: float, noise_at: int,
            balance: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
    """Light a picture and add the sensor's noise, in place, in one pass.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        gain: factor on the light, at `light_nodes`.
        offset: grey levels added after, at the same.
        noise: standard deviation in grey levels.
        noise_at: where in `NOISE` to begin.
        balance: factor of each colour; a grey picture takes none.
    """
    planes = np.stack([gain, offset + 0.5], axis=-1).astype(np.float32)
    scale = np.float32(noise / 32)
    if image.ndim == 2:
        _develop(image, 1, planes, np.ones(1, np.float32), NOISE, noise_at, scale)
    else:
        _develop(image.reshape(image.shape[0], -1), 3, planes, np.asarray(balance, np.float32), NOISE, noise_at, scale)


@jit
def _develop(image, channels, planes, balance, bank, noise_at, scale):
    """`image` is (H, W channels), contiguous."""
    height, wide = image.shape
    step = np.float32(1.0 / 16)
    gain, offset = np.empty(wide, np.float32), np.empty(wide, np.float32)
    for row in range(height):
        position = np.float32((row + 0.5) / 16 + 0.5)
        above = int(position)
        share = position - np.float32(above)
        for node in range(planes.shape[1] - 1):
            g0 = planes[above, node, 0] + share * (planes[above + 1, node, 0] - planes[above, node, 0])
            g1 = planes[above, node + 1, 0] + share * (planes[above + 1, node + 1, 0] - planes[above, node + 1, 0])
            o0 = planes[above, node, 1] + share * (planes[above + 1, node, 1] - planes[above, node, 1])
            o1 = planes[above, node + 1, 1] + share * (planes[above + 1, node + 1, 1] - planes[above, node + 1, 1])
            first = node * 16 - 8
            for column in range(max(first, 0), min(first + 16, wide // channels)):
                along = (np.float32(column - first) + np.float32(0.5)) * step
                for c in range(channels):
                    gain[column * channels + c] = (g0 + along * (g1 - g0)) * balance[c]
                    offset[column * channels + c] = o0 + along * (o1 - o0)
        start = (noise_at + row * 40503) % (bank.size - wide)
        grain = bank[start:start + wide]
        line = image[row]
        for i in range(wide):
            value = np.int32(np.float32(line[i]) * gain[i] + offset[i] + scale * np.float32(grain[i]))
            line[i] = np.uint8(min(max(value, np.int32(0)), np.int32(255)))


def soften(image: np.ndarray, *, sigma: float, motion: float = 0.0, degrees: float = 0.0) -> np.ndarray:
    """Blur by a lens out of focus and a hand that moved; the kernel is symmetric, so that lines stay in place.

    Args:
        image: uint8.
        sigma: of the defocus in pixels.
        motion: length of the movement in pixels.
        degrees: its direction.
    """
    if motion < 0.3:
        return cv2.GaussianBlur(image, _odd(sigma), sigma) if sigma > 0.15 else image
    reach = int(np.ceil(motion / 2 + 2 * sigma))
    y, x = np.mgrid[-reach:reach + 1, -reach:reach + 1].astype(np.float64)
    kernel = np.zeros_like(x)
    turn, spread = np.radians(degrees), 2 * max(sigma, 0.35) ** 2
    for step in np.linspace(-motion / 2, motion / 2, 7):
        kernel += np.exp(-((x - step * np.cos(turn)) ** 2 + (y - step * np.sin(turn)) ** 2) / spread)
    return cv2.filter2D(image, -1, (kernel / kernel.sum()).astype(np.float32))


def _odd(sigma: float) -> tuple[int, int]:
    side = 2 * int(np.ceil(2.5 * sigma)) + 1
    return side, side


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Return the picture as a JPEG of this quality gives it back."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if image.ndim == 2:
        return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
