"""Machines that take a page flat: scanner, fax, photocopier."""

import cv2
import numpy as np

from ecg.paper.cameras import picture_scale
from ecg.paper.draws import Draws
from ecg.paper.jpeg import jpeg
from ecg.paper.optics import develop, light_nodes, soften
from ecg.paper.pose import draw_insets, fitted, turned
from ecg.paper.transform import Transform


def scan_pose(draws: Draws, page: tuple[int, int], size: tuple[int, int], px_per_mm: float) -> Transform:
    """Draw how the page lies on the glass: a little askew, or not at all."""
    skew = draws.chance("skewed", 0.7)
    degrees = draws.symmetric("rotation_degrees", 2.5) if skew else draws.keep("rotation_degrees", 0.0)
    insets = draw_insets(draws, page, px_per_mm, shown_mm=2.0)
    return fitted(turned(*page, degrees, distance=1e6), page, size, insets=insets)


def scan(page: np.ndarray, transform: Transform, draws: Draws, px_per_mm: float) -> np.ndarray:
    """Scan a page that lies as `transform` says."""
    image = transform.picture(page, border=round(255 - draws.up_to("lid_darkness", 25)))
    if draws.chance("bleed", 0.3):
        image = _bleed(image, draws)
    scale = px_per_mm * picture_scale(transform, page.shape[:2])
    image = soften(image, sigma=draws.up_to("blur_mm", 0.12) * scale)
    gain = np.full(light_nodes(*image.shape[:2]).shape[:2], 1 + draws.symmetric("contrast", 0.2))
    offset = 255 * (1 - gain) + draws.symmetric("brightness", 14)
    develop(image, gain=gain, offset=offset, noise=draws.up_to("noise", 5, power=2),
            noise_at=draws.integer("noise_at", 1 << 16))
    if draws.chance("black_and_white", 0.15):
        return _threshold(image, draws)
    quality = round(100 - draws.up_to("jpeg_loss", 50, power=1.5, least=3))
    return jpeg(image, draws.keep("jpeg_quality", max(quality, 10)))


def _bleed(image: np.ndarray, draws: Draws) -> np.ndarray:
    """Let what is printed on the back, here the page itself the wrong way round, shine through."""
    height, width = image.shape[:2]
    back = cv2.blur(cv2.flip(image, 1), (3, 3))
    back = np.roll(back, (draws.integer("bleed_y", height), draws.integer("bleed_x", width)), axis=(0, 1))
    share = draws.up_to("bleed_share", 0.14, least=0.03)
    return cv2.addWeighted(image, 1.0, back, share, -255 * share)


def _threshold(image: np.ndarray, draws: Draws) -> np.ndarray:
    """Make every pixel black or white, at Otsu's level or a fixed one."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if draws.chance("otsu", 0.4):
        level, mono = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        draws.keep("threshold", float(level))
    else:
        _, mono = cv2.threshold(grey, draws.between("threshold", 105, 175), 255, cv2.THRESH_BINARY)
    return mono if image.ndim == 2 else cv2.cvtColor(mono, cv2.COLOR_GRAY2RGB)
