"""A phone's picture of a page on a table, and of a page on a screen."""

import math

import cv2
import numpy as np

from ecg.paper.draws import Draws
from ecg.paper.jpeg import jpeg
from ecg.paper.optics import NOISE, add_moire, develop, light_nodes, soften
from ecg.paper.pose import draw_curl, draw_fold, draw_insets, fitted, outline, turned
from ecg.paper.tables import SURFACES, page_shade, table
from ecg.paper.transform import Transform


def photo_pose(draws: Draws, page: tuple[int, int], size: tuple[int, int], px_per_mm: float) -> Transform:
    """Draw how the paper lies and where the phone is held."""
    degrees = float(np.clip(draws.rng.standard_normal() * 3.0, -10, 10)) * draws.strength
    matrix = turned(*page, draws.keep("rotation_degrees", degrees), tilt_x=draws.symmetric("tilt_x_degrees", 17),
                    tilt_y=draws.symmetric("tilt_y_degrees", 14),
                    distance=draws.between("distance_diagonals", 1.1, 2.5))
    curls = draws.integer("curls", 3)
    folds = draws.integer("folds", 3) if draws.chance("folded", 0.5) else 0
    bends = (*(draw_curl(draws, page, k) for k in range(curls)),
             *(draw_fold(draws, page, px_per_mm, k) for k in range(folds)))
    insets = draw_insets(draws, page, px_per_mm, shown_mm=5.0)
    place = draws.between("place_x", 0.1, 0.9), draws.between("place_y", 0.1, 0.9)
    return fitted(matrix, page, size, bends=bends, insets=insets, place=place)


def photo(page: np.ndarray, transform: Transform, draws: Draws, px_per_mm: float) -> np.ndarray:
    """Photograph a page that lies as `transform` says."""
    image = transform.picture(page, border=_ground(draws, transform, page))
    scale = px_per_mm * picture_scale(transform, page.shape[:2])
    sigma = draws.up_to("defocus_mm", 0.22, power=1.5, least=0.04) * scale
    motion = draws.up_to("motion_mm", 0.5) * scale if draws.chance("moved", 0.25) else 0.0
    image = soften(image, sigma=sigma, motion=motion, degrees=draws.between("motion_degrees", 0.0, 180.0))
    gain, offset = _room_light(draws, transform)
    noise, at = draws.up_to("noise", 4.5, power=1.5, least=0.5), draws.integer("noise_at", 1 << 16)
    quality = round(100 - draws.up_to("jpeg_loss", 55, power=1.3, least=5))
    balance = (1.0, 1.0, 1.0)
    if page.ndim == 3:
        warm, green = draws.symmetric("warmth", 0.07), draws.symmetric("greenness", 0.03)
        balance = (1 + warm, 1 + green, 1 - warm)
    develop(image, gain=gain, offset=offset, noise=noise, noise_at=at, balance=balance)
    return jpeg(image, draws.keep("jpeg_quality", max(quality, 10)))


def _ground(draws: Draws, transform: Transform, page: np.ndarray) -> np.ndarray:
    """Draw what the page lies on, with the page's shadow."""
    height, width = transform.height, transform.width
    edge = transform.points(outline(*page.shape[:2]))
    drop = width * np.array([draws.symmetric("drop_x", 0.012), draws.symmetric("drop_y", 0.012)])
    depth = min(0.9, draws.up_to("drop_depth", 0.6, least=0.2))
    shade = page_shade(edge + drop, height, width, depth=depth, softness=draws.between("drop_softness", 0.003, 0.015))
    return table(draws.choice("surface", tuple(SURFACES)), height, width, x=draws.integer("surface_x", 256),
                 y=draws.integer("surface_y", 256), colour=page.ndim == 3, shade=shade)


def picture_scale(transform: Transform, page: tuple[int, int]) -> float:
    """Return picture pixels a page pixel, at the page's centre."""
    height, width = page
    centre = np.array([width / 2, height / 2])
    ends = transform.points(centre + [[-2.0, 0.0], [2.0, 0.0]])
    return float(np.hypot(*(ends[1] - ends[0]))) / 4


def screen_pose(draws: Draws, page: tuple[int, int], size: tuple[int, int], px_per_mm: float) -> Transform:
    """Draw how the phone is held before a screen, which is flat."""
    matrix = turned(*page, draws.symmetric("rotation_degrees", 4), tilt_x=draws.symmetric("tilt_x_degrees", 9),
                    tilt_y=draws.symmetric("tilt_y_degrees", 12),
                    distance=draws.between("distance_diagonals", 1.2, 2.5))
    insets = draw_insets(draws, page, px_per_mm, shown_mm=4.0)
    return fitted(matrix, page, size, insets=insets)


def screen(page: np.ndarray, transform: Transform, draws: Draws, px_per_mm: float) -> np.ndarray:
    """Photograph a screen that shows a page: its pixels beat with the sensor's, it flickers and it mirrors lamps."""
    image = transform.picture(page, border=draws.integer("desktop", 90))
    scale = px_per_mm * picture_scale(transform, page.shape[:2])
    image = soften(image, sigma=draws.up_to("defocus_mm", 0.14, least=0.03) * scale)
    # One screen pixel in picture pixels: close to one, so that the two grids beat slowly.
    pitch = draws.between("screen_pixel", 0.92, 1.09)
    shape = np.asarray(page.shape[1::-1]) / picture_scale(transform, page.shape[:2])
    cells = transform.nodes / page.shape[1::-1] * (shape / pitch)
    depth = 255 * draws.up_to("moire", 0.09, least=0.015)
    lines = 255 * draws.up_to("scanlines", 0.05, power=2)
    add_moire(image, cells, depth=depth, lines=lines, fringe=draws.between("moire_fringe", 0.05, 0.3))
    gain, offset = _screen_light(draws, transform)
    blue = draws.up_to("blueness", 0.12) if page.ndim == 3 else 0.0
    develop(image, gain=gain, offset=offset, noise=draws.up_to("noise", 4, power=1.5, least=0.5),
            noise_at=draws.integer("noise_at", 1 << 16), balance=(1 - blue, 1 - 0.3 * blue, 1 + 0.5 * blue))
    quality = round(100 - draws.up_to("jpeg_loss", 50, power=1.3, least=5))
    return jpeg(image, draws.keep("jpeg_quality", max(quality, 10)))


def _screen_light(draws: Draws, transform: Transform) -> tuple[np.ndarray, np.ndarray]:
    """Draw brightness, its loss aside, the bands of the refresh and a lamp's reflection."""
    at = light_nodes(transform.height, transform.width)
    x, y = at[..., 0], at[..., 1]
    gain = 1 - draws.up_to("exposure_loss", 0.3) + draws.symmetric("fall_off_x", 0.2) * x
    gain = gain + draws.symmetric("fall_off_y", 0.2) * y
    bands = draws.up_to("bands", 0.08, power=2)
    gain *= 1 - bands * np.sin(2 * np.pi * draws.between("bands_number", 1.5, 6) * y + draws.between(
        "bands_phase", 0, 2 * np.pi))
    # Black is not black on a screen in a lit room.
    offset = np.full_like(gain, draws.up_to("haze", 40, power=1.5))
    if draws.chance("glare", 0.5):
        middle = draws.between("glare_x", -0.5, 0.5), draws.between("glare_y", -0.5, 0.5)
        wide, high = draws.between("glare_width", 0.05, 0.25), draws.between("glare_height", 0.05, 0.3)
        offset += draws.up_to("glare_level", 90, least=25) * np.exp(
            -((x - middle[0]) / wide) ** 2 - ((y - middle[1]) / high) ** 2)
    return gain, offset


def _room_light(draws: Draws, transform: Transform) -> tuple[np.ndarray, np.ndarray]:
    """Draw exposure, a slope of light, vignetting, the photographer's shadow, and the shading of bends."""
    at = light_nodes(transform.height, transform.width)
    x, y = at[..., 0], at[..., 1]
    exposure = 1 - draws.up_to("exposure_loss", 0.33)
    turn = draws.between("light_angle", 0.0, 2 * math.pi)
    slope = draws.up_to("light_slope", 0.35, power=1.5)
    gain = exposure * (1 + slope * (x * math.cos(turn) + y * math.sin(turn)))
    gain *= 1 - draws.up_to("vignette", 0.25, power=2) * 2 * (x * x + y * y)
    if draws.chance("shadow", 0.45):
        side = draws.between("shadow_angle", 0.0, 2 * math.pi)
        edge = draws.between("shadow_edge", -0.1, 0.45)
        soft = draws.between("shadow_softness", 0.02, 0.2)
        across = x * math.cos(side) + y * math.sin(side) - edge
        gain *= 1 - draws.up_to("shadow_depth", 0.4, least=0.1) * 0.5 * (1 + np.tanh(across / soft))
    grain = np.resize(NOISE[draws.integer("unevenness_at", 1 << 16):], gain.shape).astype(np.float32)
    gain *= 1 + draws.up_to("unevenness", 0.07) / 32 * cv2.GaussianBlur(grain, (7, 7), 1.2)
    if transform.bends:
        relief = draws.between("relief", 1.0, 3.0)
        gain *= 1 + sum(relief * math.copysign(math.hypot(*bend.shift), bend.shift[0]) * bend.slope(transform.nodes)
                        for bend in transform.bends)
    return gain, np.full_like(gain, draws.up_to("haze", 18, power=2))
