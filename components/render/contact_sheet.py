"""Many pages on one picture, each with a caption: the quickest check of what a model sees."""

import numpy as np

from ecg.paper.glyphs import glyph
from ecg.paper.raster import draw_glyph

CAPTION_PX = 20
CAPITAL_PX = 9
GAP_PX = 8
COLUMNS = 3


def contact_sheet(pages: np.ndarray, captions: list[str], *, columns: int = COLUMNS) -> np.ndarray:
    """Lay pages out in rows, captions above them.

    Args:
        pages: uint8 (N, H, W), grey.
        captions: N texts; what does not fit the page's width is cut.
        columns: pages side by side.

    Returns:
        Grey, uint8.
    """
    count, height, width = pages.shape
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    step_y, step_x = height + CAPTION_PX + GAP_PX, width + GAP_PX
    sheet = np.full((rows * step_y + GAP_PX, columns * step_x + GAP_PX), 225, np.uint8)
    for number, (page, caption) in enumerate(zip(pages, captions, strict=True)):
        top, left = number // columns * step_y + GAP_PX, number % columns * step_x + GAP_PX
        sheet[top + CAPTION_PX:top + CAPTION_PX + height, left:left + width] = page
        draw_glyph(sheet[:, left:left + width], glyph(caption, CAPITAL_PX), top + 5, 0, 0)
    return sheet
