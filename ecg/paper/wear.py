"""What copying a page and finding it again leave on the canonical page: training sees it without a camera's cost.

Straightening is never quite exact, paper was bent, lenses blur: a slight slant, a wave, blur, uneven light and noise.
Whole captures (`capture.py`) are for evaluation.
"""

import cv2
import numpy as np

from ecg.paper.optics import develop, light_nodes, soften
from ecg.paper.transform import Bend, Transform

CORNER_MM = 1.5
"""Standard deviation of a corner's displacement."""
WAVE_MM = 1.2
BLUR_MM = 0.35
NOISE = 6.0
SHADE = 0.12


def worn(page: np.ndarray, *, rng: np.random.Generator, px_per_mm: float,
         strength: float = 1.0) -> tuple[np.ndarray, Transform]:
    """Wear a canonical page, uint8 grey (H, W): a picture of the same shape, and where each point went.

    Strength 0 leaves the page as it is.
    """
    height, width = page.shape
    if strength == 0:
        return page, Transform.identity(height, width)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    moved = corners + (rng.standard_normal((4, 2)) * CORNER_MM * strength * px_per_mm).astype(np.float32)
    transform = Transform(cv2.getPerspectiveTransform(corners, moved), height, width,
                          (_wave(rng, width, WAVE_MM * strength * px_per_mm),))
    drawn = transform.picture(page, border=int(page[0, 0]))
    drawn = soften(drawn, sigma=float(BLUR_MM * strength * px_per_mm * rng.random() ** 1.5))
    nodes = light_nodes(height, width)
    slope_x, slope_y, level = rng.uniform(-SHADE, SHADE, 3) * strength
    gain = 1 + slope_x * nodes[..., 0] + slope_y * nodes[..., 1] - abs(level)
    develop(drawn, gain=gain, offset=np.zeros(gain.shape), noise=float(NOISE * strength * rng.random() ** 2),
            noise_at=int(rng.integers(1 << 16)))
    return drawn, transform


def _wave(rng: np.random.Generator, width: int, height: float) -> Bend:
    """A gentle wave along the page that lifts and lowers the rows."""
    knots = 17
    phase, waves = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.6)
    heights = np.sin(np.linspace(0, 2 * np.pi * waves, knots) + phase)
    return Bend(((knots - 1) / width, 0.0), 0.0, (0.0, height * rng.random()), heights)
