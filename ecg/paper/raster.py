"""The trace kernel: anti-aliased polylines that are functions of x, drawn with a round pen.

A disk that moves along a function of x covers one interval of every vertical line. Its ends, the pen's
upper and lower envelope, follow in closed form from the few segments within a radius. Each column is
cut into strips; between a strip's sides the envelopes count as straight, and the area under a straight
edge is exact in every pixel. Nothing is missed at any slope. Pixel (row, column) covers
[row, row + 1) x [column, column + 1).
"""

import math

import numpy as np
from numba import njit

jit = njit(nogil=True, cache=True, error_model="numpy")


@jit
def draw_trace(page, y, x0, dx, radius, ink, sub):
    """Blend a polyline into a grey page; not-finite samples are gaps, parts beyond the page are clipped.

    Args:
        page: uint8 (H, W), changed in place.
        y: float32 (n,), rows of the samples in pixels.
        x0: column of the first sample, in pixels.
        dx: pixels between samples, > 0.
        radius: the pen's, in pixels.
        ink: grey value of the pen, 0-255.
        sub: strips a column.
    """
    cover = np.zeros(page.shape[0] + 1, np.float32)
    pen = np.empty((3, y.size), np.float32)
    first = 0
    while first < y.size:
        last = first
        if math.isfinite(y[first]):
            while last + 1 < y.size and math.isfinite(y[last + 1]):
                last += 1
            _draw_run(page, y[first:last + 1], x0 + first * dx, dx, radius, ink, sub, cover, pen)
        first = last + 1


@jit
def _draw_run(page, y, x0, dx, radius, ink, sub, cover, pen):
    """Draw one stretch without gaps. `cover` (zeros) and `pen` are scratch space."""
    height, width = page.shape
    end = y.size - 1
    for k in range(end):
        slope = (y[k + 1] - y[k]) / dx
        pen[0, k] = slope
        pen[2, k] = radius * math.sqrt(1.0 + slope * slope)
        pen[1, k] = radius * radius * slope / pen[2, k]
    weight = 1.0 / sub
    first = max(0, math.floor(x0 - radius))
    top, bottom = _span(y, pen, float(first), x0, dx, radius)
    for column in range(first, min(width, math.ceil(x0 + end * dx + radius))):
        low, high = height, 0
        for s in range(1, sub + 1):
            next_top, next_bottom = _span(y, pen, column + s * weight, x0, dx, radius)
            # A strip in which the trace begins or ends counts half, with the side that has ink.
            a, b, share = top, bottom, weight
            c, d = next_top, next_bottom
            if a > b and c > d:
                continue
            if a > b:
                a, b, share = c, d, 0.5 * weight
            elif c > d:
                c, d, share = a, b, 0.5 * weight
            _add_edge(cover, a, c, share)
            _add_edge(cover, b, d, -share)
            low, high = min(low, max(0.0, min(a, c))), max(high, min(float(height), max(b, d)))
            top, bottom = next_top, next_bottom
        _blend_column(page, column, cover, int(low), math.ceil(high), ink)


@jit
def _blend_column(page, column, cover, low, high, ink):
    """Sum the changes in `cover` down the rows to coverage, blend it into a column and clear `cover`."""
    total = 0.0
    for row in range(low, high):
        total += cover[row]
        cover[row] = 0.0
        paper = float(page[row, column])
        page[row, column] = np.uint8(paper + (ink - paper) * min(max(total, 0.0), 1.0) + 0.5)
    cover[max(high, 0)] = 0.0


@jit
def _add_edge(cover, start, stop, weight):
    """Add, as changes from row to row, the share of each pixel that lies below a straight edge.

    With a and b the edge's upper and lower end, the area below it and above row y is 0 for y <= a,
    (y - a)^2 / (2 (b - a)) up to b, and y - (a + b) / 2 after.
    """
    a, b = min(start, stop), max(start, stop)
    rows = cover.size - 1
    if a >= rows:
        return
    if b <= 0.0:
        cover[0] += weight
        return
    begin, end = max(0, math.floor(a)), min(rows - 1, math.floor(b))
    area, before = _area_below(float(begin), a, b), 0.0
    for row in range(begin, end + 1):
        area_next = _area_below(row + 1.0, a, b)
        share = area_next - area
        cover[row] += weight * (share - before)
        area, before = area_next, share
    cover[end + 1] += weight * (1.0 - before)


@jit
def _area_below(y, a, b):
    if y <= a:
        return 0.0
    return y - 0.5 * (a + b) if y >= b else (y - a) ** 2 / (2.0 * (b - a))


@jit
def _span(y, pen, x, x0, dx, radius):
    """The interval that the pen covers on the vertical line at x: (top, bottom), top > bottom where none.

    It is bounded by the disks at the samples, and on a segment of slope m by the parallels at r sqrt(1 + m^2)
    above and below; the upper one is touched by the disk whose centre lies r m / sqrt(1 + m^2) to the left,
    the lower one as far to the right, where that is on the segment.
    """
    end = y.size - 1
    top, bottom = 1e30, -1e30
    begin = (x - radius - x0) / dx
    stop = min(end, math.floor((x + radius - x0) / dx))
    for k in range(max(0, math.ceil(begin)), stop + 1):
        reach = math.sqrt(max(0.0, radius * radius - (x - x0 - k * dx) ** 2))
        top = min(top, y[k] - reach)
        bottom = max(bottom, y[k] + reach)
    for k in range(max(0, math.floor(begin)), min(stop, end - 1) + 1):
        across = x - x0 - k * dx
        middle = y[k] + pen[0, k] * across
        if 0.0 <= across - pen[1, k] <= dx:
            top = min(top, middle - pen[2, k])
        if 0.0 <= across + pen[1, k] <= dx:
            bottom = max(bottom, middle + pen[2, k])
    return top, bottom


@jit
def draw_pulse(page, x, y, x_step, height, radius, ink, sub):
    """Draw 1 mV of 0.12 s, 3 mm wide on feet of 0.75 mm."""
    points = np.full(37, y, np.float32)
    points[7:30] = y - height
    draw_trace(page, points, x, 0.125 * x_step, radius, ink, sub)


@jit
def line_profile(size, origin, pitch, width, darkness, every, skip):
    """How much evenly spaced lines darken each pixel of one axis: float32 (size,), 0-1.

    A line is spread over 0.7 px more than its width, at the same amount of ink: without that, lines
    closer than three pixels would beat against the pixel grid.

    Args:
        size: pixels.
        origin: pixel position of line 0.
        pitch: pixels between lines.
        width: of a line, in pixels.
        darkness: of a line, 0-1.
        every: draw only each line whose number is a multiple of this.
        skip: leave out the multiples of this; 0: none.
    """
    profile = np.zeros(size, np.float32)
    half = 0.5 * (width + 0.7)
    value = darkness * width / (2.0 * half)
    for k in range(math.floor((-half - origin) / pitch), math.ceil((size + half - origin) / pitch) + 1):
        if k % every != 0 or (skip > 0 and k % skip == 0):
            continue
        low, high = max(0.0, origin + k * pitch - half), min(float(size), origin + k * pitch + half)
        for i in range(int(low), math.ceil(high)):
            profile[i] += value * max(0.0, min(high, i + 1.0) - max(low, float(i)))
    return profile


@jit
def draw_grid(page, paper, x_profile, y_profile):
    """Fill a grey page with paper of brightness `paper` (0-255), darkened by the two axes' profiles."""
    keep = (1.0 - x_profile).astype(np.float32)
    for row in range(page.shape[0]):
        level = np.float32(paper * (1.0 - y_profile[row]))
        for column in range(page.shape[1]):
            page[row, column] = np.uint8(level * keep[column] + np.float32(0.5))


@jit
def draw_glyph(page, glyph, top, left, ink):
    """Blend a coverage bitmap (uint8) into a grey page at a whole pixel, clipped at the page."""
    for i in range(max(0, -top), min(glyph.shape[0], page.shape[0] - top)):
        for j in range(max(0, -left), min(glyph.shape[1], page.shape[1] - left)):
            value = float(page[top + i, left + j])
            page[top + i, left + j] = np.uint8(value + (ink - value) * glyph[i, j] / 255.0 + 0.5)


@jit
def add_noise(page, bank, offset, sigma):
    """Add `sigma` grey levels of the noise in `bank` (int8, 1 sigma = 32), from `offset` on, clipped to 0-255."""
    scale = np.float32(sigma / 32.0)
    flat = page.reshape(-1)
    for start in range(0, flat.size, bank.size // 2):
        stop = min(flat.size, start + bank.size // 2)
        for i in range(start, stop):
            value = np.float32(flat[i]) + scale * np.float32(bank[offset + i - start]) + np.float32(0.5)
            flat[i] = np.uint8(min(max(value, np.float32(0.0)), np.float32(255.0)))
