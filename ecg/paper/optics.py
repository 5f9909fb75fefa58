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
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else 3
    ramp = np.repeat((np.arange(MESH_PX, dtype=np.float32) + 0.5) / MESH_PX, channels)
    factor = np.tile(np.asarray(balance if channels == 3 else (1.0,), np.float32), MESH_PX)
    planes = np.stack([gain, offset + 0.5]).astype(np.float32)
    _develop(image.reshape(height, width * channels), planes, ramp, factor, NOISE, noise_at, np.float32(noise / 32))


@jit
def _develop(image, planes, ramp, factor, bank, noise_at, scale):
    """`image` is (H, W channels); `ramp` and `factor` hold what one cell of the mesh has, a value a channel."""
    wide, cell, nodes = image.shape[1], ramp.size, planes.shape[2]
    light = np.empty((2, (nodes - 1) * cell), np.float32)
    # Light changes slowly, so two rows share theirs.
    for top in range(0, image.shape[0], 2):
        position = (np.float32(top) + np.float32(1.0)) / np.float32(MESH_PX) + np.float32(0.5)
        above = int(position)
        share = position - np.float32(above)
        for plane in range(2):
            upper, lower, line = planes[plane, above], planes[plane, above + 1], light[plane]
            for node in range(nodes - 1):
                left = upper[node] + share * (lower[node] - upper[node])
                right = upper[node + 1] + share * (lower[node + 1] - upper[node + 1])
                part = line[node * cell:(node + 1) * cell]
                if plane == 0:
                    for k in range(cell):
                        part[k] = (left + ramp[k] * (right - left)) * factor[k]
                else:
                    for k in range(cell):
                        part[k] = left + ramp[k] * (right - left)
        for row in range(top, min(top + 2, image.shape[0])):
            start = (noise_at + row * 40503) % (bank.size - wide)
            _expose(image[row], light[0, cell // 2:], light[1, cell // 2:], bank[start:start + wide], scale)


@jit
def _expose(line, gain, offset, grain, scale):
    for i in range(line.size):
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
    if motion > 2.2:
        return cv2.filter2D(image, -1, _streak(sigma, motion, degrees))
    if motion > 0.3:
        image = cv2.filter2D(image, -1, _short_streak(motion, degrees))
    return cv2.GaussianBlur(image, _odd(sigma), sigma) if sigma > 0.15 else image


def _streak(sigma: float, motion: float, degrees: float) -> np.ndarray:
    """The kernel of a dot that moved, spread by the defocus."""
    reach = int(np.ceil(motion / 2 + 2 * sigma))
    y, x = np.mgrid[-reach:reach + 1, -reach:reach + 1].astype(np.float64)
    kernel = np.zeros_like(x)
    turn, spread = np.radians(degrees), 2 * max(sigma, 0.35) ** 2
    for step in np.linspace(-motion / 2, motion / 2, 7):
        kernel += np.exp(-((x - step * np.cos(turn)) ** 2 + (y - step * np.sin(turn)) ** 2) / spread)
    return (kernel / kernel.sum()).astype(np.float32)


def _short_streak(motion: float, degrees: float) -> np.ndarray:
    """Nine weights of the same spread as a line of this length: its variance is length^2 / 12 along the line."""
    turn, variance = np.radians(degrees), motion * motion / 12
    along, down, cross = np.cos(turn) ** 2, np.sin(turn) ** 2, np.cos(turn) * np.sin(turn)
    right, below = (0.5 * variance * max(0.0, share - abs(cross)) for share in (along, down))
    falling, rising = (0.5 * variance * max(0.0, sign * cross) for sign in (1, -1))
    centre = 1 - 2 * (right + below + falling + rising)
    return np.array([[falling, below, rising], [right, centre, right], [rising, below, falling]], np.float32)


def _odd(sigma: float) -> tuple[int, int]:
    side = 2 * int(np.ceil(2.5 * sigma)) + 1
    return side, side


_WAVE = np.cos(np.arange(256) * (2 * np.pi / 256)).astype(np.float32)


def add_moire(image: np.ndarray, cells: np.ndarray, *, depth: float, lines: float, fringe: float) -> None:
    """Darken and brighten a picture, in place, where a screen's pixels fall on or between the sensor's.

    The pattern is that of two grids of nearly the same pitch: the screen's, bent by the perspective, is
    sampled once a pixel, so it appears at the difference of the frequencies.

    Args:
        image: uint8 (H, W) or (H, W, 3), of light on dark as well as dark on light.
        cells: number of the screen's pixel, (x, y), at the nodes of a mesh of `MESH_PX`.
        depth: of the pattern in grey levels, on white.
        lines: of the screen's lines alone.
        fringe: by how much of a period the colours lie apart.
    """
    height, width = image.shape[:2]
    cycles = np.ascontiguousarray(np.moveaxis(cells, -1, 0) * 256, np.float32)
    scales = np.array([depth / 255, lines / 255], np.float32)
    _add_moire(image.reshape(height, width, -1), cycles, _WAVE, scales, np.float32(fringe * 256))


@jit
def _add_moire(image, cycles, wave, scales, fringe):
    height, width, channels = image.shape
    for row in range(height):
        position = np.float32(row + 0.5) / np.float32(MESH_PX) + np.float32(0.5)
        above = int(position)
        share = position - np.float32(above)
        for node in range(cycles.shape[2] - 1):
            x0, x1, y0, y1 = _cell(cycles, above, share, node)
            for k in range(MESH_PX):
                column = node * MESH_PX - MESH_PX // 2 + k
                if column < 0 or column >= width:
                    continue
                along = (np.float32(k) + np.float32(0.5)) / np.float32(MESH_PX)
                x, y = x0 + along * (x1 - x0), y0 + along * (y1 - y0)
                down = wave[np.int32(y) & 255]
                for c in range(channels):
                    light = np.float32(1.0) + scales[0] * wave[np.int32(x + fringe * c) & 255] * (
                        np.float32(0.5) + np.float32(0.5) * down) + scales[1] * down - scales[0] - scales[1]
                    image[row, column, c] = np.uint8(np.float32(image[row, column, c]) * light + np.float32(0.5))


@jit
def _cell(planes, above, share, node):
    """Values at the left and right end of one cell's row, of both planes."""
    upper, lower = planes[:, above], planes[:, above + 1]
    return (upper[0, node] + share * (lower[0, node] - upper[0, node]),
            upper[0, node + 1] + share * (lower[0, node + 1] - upper[0, node + 1]),
            upper[1, node] + share * (lower[1, node] - upper[1, node]),
            upper[1, node + 1] + share * (lower[1, node + 1] - upper[1, node + 1]))
