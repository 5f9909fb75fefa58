"""Machines that take a page flat: scanner, fax, photocopier."""

import cv2
import numpy as np

from ecg.paper.cameras import picture_scale
from ecg.paper.draws import Draws
from ecg.paper.jpeg import jpeg
from ecg.paper.optics import develop, light_nodes, soften
from ecg.paper.pose import draw_insets, fitted, turned
from ecg.paper.transform import Bend, Transform


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


FAX_DPI = {"standard": (204, 98), "fine": (204, 196)}
"""Dots an inch, across and down: ITU-T T.4."""


def fax_pose(draws: Draws, page: tuple[int, int], size: tuple[int, int], px_per_mm: float) -> Transform:
    """Draw how the sheet was fed: askew, each line a little displaced; its lines are those of the fax.

    The transform leads to the picture; `fax` takes the lines from its parameters.
    """
    degrees = draws.symmetric("rotation_degrees", 1.5)
    insets = draw_insets(draws, page, px_per_mm, shown_mm=1.0)
    flat = fitted(turned(*page, degrees, distance=1e6), page, size, insets=insets)
    mode = draws.choice("resolution", tuple(FAX_DPI))
    scale = px_per_mm * picture_scale(flat, page)
    # More than two dots a pixel would not be seen.
    columns, lines = (max(16, min(round(side / scale / 25.4 * dpi), 2 * side))
                      for side, dpi in zip(size[::-1], FAX_DPI[mode], strict=True))
    draws.keep("columns", columns)
    draws.keep("lines", lines)
    sway = draws.up_to("jitter_mm", 0.12, power=1.5) * px_per_mm
    steps = draws.rng.standard_normal(lines)
    heights = np.clip(0.5 * steps + cv2.GaussianBlur(steps[:, None], (1, 41), 8)[:, 0] * 3, -2.5, 2.5)
    # Position along the bend is the number of the line, exactly: the picture's row as a function of the page point.
    matrix = flat.matrix / flat.matrix[2, 2]
    back = np.linalg.inv(matrix[:2, :2])
    per_line = lines / size[0]
    across = back @ [1.0, 0.0]
    bend = Bend((per_line * matrix[1, 0], per_line * matrix[1, 1]), per_line * matrix[1, 2] - 0.5,
                tuple(sway * across / np.hypot(*across)), heights)
    return Transform(flat.matrix, *size, (bend,))


def fax(page: np.ndarray, transform: Transform, draws: Draws, px_per_mm: float) -> np.ndarray:
    """Send a page that was fed as `transform` says: black or white at the line's resolution, with lines lost."""
    lines, columns = draws.parameters["lines"], draws.parameters["columns"]
    height, width = transform.height, transform.width
    zoom = Transform(np.diag([columns / width, lines / height, 1.0]), lines, columns)
    grey = page if page.ndim == 2 else cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    dots = zoom.after(transform).picture(grey, border=255)
    level = np.full(light_nodes(lines, columns).shape[:2], 1.0)
    develop(dots, gain=level, offset=0 * level, noise=draws.up_to("noise", 14, least=2),
            noise_at=draws.integer("noise_at", 1 << 16))
    _, dots = cv2.threshold(dots, draws.between("threshold", 120, 205), 255, cv2.THRESH_BINARY)
    _lose_lines(dots, draws)
    image = cv2.resize(dots, (columns, height), interpolation=_viewer(lines, height))
    image = cv2.resize(image, (width, height), interpolation=_viewer(columns, width))
    return image if page.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)


def _viewer(dots: int, pixels: int) -> int:
    """How a viewer fits dots to pixels: repeated when there are too few, averaged when too many."""
    return cv2.INTER_AREA if pixels < dots else cv2.INTER_NEAREST_EXACT


def _lose_lines(dots: np.ndarray, draws: Draws) -> None:
    """Lose lines from some column on, as errors on the telephone line do; a lost line is white or the one before."""
    lines, columns = dots.shape
    count = round(draws.up_to("lost_lines_share", 0.02, power=2) * lines)
    copies = draws.chance("lost_lines_repeat", 0.5)
    rows = draws.keep("lost_lines", draws.rng.integers(1, lines, count).tolist())
    starts = draws.keep("lost_from", (columns * draws.rng.random(count) ** 2).astype(int).tolist())
    for row, start in zip(rows, starts, strict=True):
        dots[row, start:] = dots[row - 1, start:] if copies else 255


def photocopy_pose(draws: Draws, page: tuple[int, int], size: tuple[int, int], px_per_mm: float) -> Transform:
    """Draw how the page lies on the glass, and the copier's zoom, which is never quite one."""
    degrees = draws.symmetric("rotation_degrees", 1.5)
    insets = draw_insets(draws, page, px_per_mm, shown_mm=3.0)
    squeeze = np.diag([1.0, 1 + draws.symmetric("zoom_y", 0.02), 1.0])
    return fitted(turned(*page, degrees, distance=1e6) @ squeeze, page, size, insets=insets)


def photocopy(page: np.ndarray, transform: Transform, draws: Draws, px_per_mm: float) -> np.ndarray:
    """Photocopy a page that lies as `transform` says: grey all over, contrast up, specks, a dark edge."""
    grey = page if page.ndim == 2 else cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    image = transform.picture(grey, border=max(0, round(255 - draws.up_to("lid_darkness", 190, power=2))))
    scale = px_per_mm * picture_scale(transform, page.shape[:2])
    image = soften(image, sigma=draws.up_to("blur_mm", 0.14, least=0.03) * scale)
    image = cv2.LUT(image, _toner_curve(draws))
    at = light_nodes(*image.shape)
    side = draws.choice("edge", ("left", "top", "right", "bottom"))
    near = {"left": at[..., 0], "top": at[..., 1], "right": -at[..., 0], "bottom": -at[..., 1]}[side] + 0.5
    reach = draws.between("edge_width", 0.005, 0.025)
    gain = 1 - min(0.95, draws.up_to("edge_darkness", 0.8)) * np.exp(-np.maximum(near, 0) / reach)
    streaks = draws.up_to("streaks", 0.05, power=2)
    gain -= streaks * np.cos(2 * np.pi * draws.between("streaks_number", 3, 20) * at[..., 0]) ** 8
    develop(image, gain=gain, offset=0 * gain, noise=draws.up_to("noise", 6, least=1),
            noise_at=draws.integer("noise_at", 1 << 16))
    _specks(image, draws, scale)
    return image if page.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)


def _toner_curve(draws: Draws) -> np.ndarray:
    """Grey to grey: what is pale turns white, what is dark black; steeper with strength."""
    share = draws.up_to("contrast", 0.9, least=0.4)
    middle = draws.between("middle", 120, 190)
    steep = np.tanh((np.arange(256) - middle) / 38)
    curve = 255 * (steep - steep[0]) / (steep[-1] - steep[0])
    return np.clip(np.round((1 - share) * np.arange(256) + share * curve), 0, 255).astype(np.uint8)


def _specks(image: np.ndarray, draws: Draws, px_per_mm: float) -> None:
    """Scatter toner: a few dots a square decimetre, most of them small."""
    height, width = image.shape
    count = round(draws.up_to("specks_per_dm2", 90, power=2) * height * width / (100 * px_per_mm) ** 2)
    x, y = draws.rng.integers(0, width, count), draws.rng.integers(0, height, count)
    sizes = np.minimum(draws.rng.exponential(0.1, count), 0.4) * px_per_mm
    levels = draws.rng.integers(20, 140, count)
    for column, row, size, level in zip(x.tolist(), y.tolist(), sizes.tolist(), levels.tolist(), strict=True):
        if size < 0.7:
            image[row, column] = min(image[row, column], level)
        else:
            cv2.circle(image, (column, row), round(size), level, -1, cv2.LINE_AA)
