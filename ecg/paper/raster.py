"""The trace kernel: anti-aliased polylines that are functions of x, drawn with a round pen.

A disk that moves along a function of x covers one interval of every vertical line. Its ends, the pen's
upper and lower envelope, follow in closed form from the few samples and segments within a radius. Each
column is cut into `STRIPS` strips; between a strip's sides the envelopes count as straight, and the area
under a straight edge is exact in every pixel. Nothing is missed at any slope. Pixel (row, column) covers
[row, row + 1) x [column, column + 1).

Whatever blends ink takes `levels`. 0: the page is grey and ink pulls a pixel to the grey value `ink`.
Otherwise the page is a plane of colour numbers, number = ground * levels + ink level; ink pulls the level
to levels - 1 and leaves the ground. With 42 levels black ink on white comes in steps of 255 / 41 = 6.2 grey
levels: a pixel is at most 3.1 off, more only where inks overlap. Strokes that overlap, and the two sides of
a gap narrower than the pen, are blended one after the other.

Compiled code is cached by the file it stands in: after a change here or in vector.py, numba goes on using
what other files inlined until they change too or their `__pycache__/*.nb*` are deleted.
"""

import math

import numpy as np
from numba import njit

from ecg.paper.vector import (
    following,
    higher,
    highest,
    lane,
    lower,
    lowest,
    magnitude,
    ramp,
    root,
    splat,
    total,
    where_less,
)

STRIPS = 8
"""Of a column: as many as floats in a vector register, so that a column's strips are one instruction."""
STEP = np.float32(1.0 / STRIPS)
_NONE, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
_FAR = np.float32(1e30)
_LIMIT = np.float32(1e6)
_FLAT = np.float32(2.0)
"""Rows over which an edge may stretch in a column for the rule that samples strips in their middles."""

jit = njit(nogil=True, cache=True, error_model="numpy")
_fast = njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz", "contract", "reassoc", "arcp"})
"""For the inner loops, which see no value that is not finite."""


@jit
def draw_trace(page, y, x0, dx, radius, ink, levels=0):
    """Blend a polyline into a page; not-finite samples are gaps, parts beyond the page are clipped.

    Black on white lies within two grey levels of an exact pen's page, on average over the pixels with ink.

    Args:
        page: uint8 (H, W), changed in place.
        y: float32 (n,), rows of the samples in pixels.
        x0: column of the first sample, in pixels.
        dx: pixels between samples, > 0.
        radius: the pen's, in pixels.
        ink: grey value of the pen, 0-255.
        levels: 0 for a grey page, else the ink levels of a plane of colour numbers; see above.
    """
    changes = np.zeros(2 * page.shape[0] + 8, np.float32)
    first = 0
    while first < y.size:
        last = first
        if math.isfinite(y[first]):
            while last + 1 < y.size and math.isfinite(y[last + 1]):
                last += 1
            _draw_run(page, y[first:last + 1], x0 + first * dx, dx, radius, ink, levels, changes)
        first = last + 1


@_fast
def _draw_run(page, y, x0, dx, radius, ink, levels, changes):
    """Draw one stretch without gaps. `changes` (zeros) is scratch space."""
    begin = max(0, math.floor(x0 - radius))
    stop = min(page.shape[1], math.ceil(x0 + (y.size - 1) * dx + radius))
    if begin >= stop:
        return
    pen = _pen(y, dx, radius)
    top, bottom = _intervals(pen, begin - x0, STEP, dx, radius)
    for column in range(begin, stop):
        next_top, next_bottom = _intervals(pen, column + 1 - x0, STEP, dx, radius)
        right_top, right_bottom = following(top, next_top), following(bottom, next_bottom)
        low, high = lowest(lower(top, right_top)), highest(higher(bottom, right_bottom))
        inner_low, inner_high = highest(higher(top, right_top)), lowest(lower(bottom, right_bottom))
        if inner_low - low > _FLAT or high - inner_high > _FLAT:
            parts = _parts(right_top - top, right_bottom - bottom)
            if parts > 1:
                low, high = _add_finer(changes, pen, column - x0, parts, dx, radius, page.shape[0])
            else:
                _add_strips(changes, top, bottom, right_top, right_bottom, STEP, page.shape[0])
            _blend_changes(page, column, low, high, ink, levels, changes)
        else:
            upper, under = (top + right_top) * _HALF, (bottom + right_bottom) * _HALF
            for row in range(int(max(low, _NONE)), math.ceil(min(high, np.float32(page.shape[0])))):
                cover = _ONE
                if row < inner_low or row + 1 > inner_high:
                    inside = lower(under, np.float32(row + 1)) - higher(upper, np.float32(row))
                    cover = total(higher(inside, _NONE)) * STEP
                _blend(page, row, column, cover, ink, levels)
        top, bottom = next_top, next_bottom


@_fast
def _parts(top_rise, bottom_rise):
    """Into how many times eight strips to cut a column, from the rise of its edges in each of eight.

    Where an edge turns inside a strip the straight line between the sides misses up to an eighth of what the
    rise changes by, times the strip's width: 4 grey levels a row of change, less with the square of the parts.
    """
    turn = highest(higher(magnitude(following(top_rise, lane(top_rise, 7)) - top_rise),
                          magnitude(following(bottom_rise, lane(bottom_rise, 7)) - bottom_rise)))
    return 4 if turn > _LIMIT else math.ceil(min(math.sqrt(turn) + 1e-3, 16.0))


@_fast
def _add_finer(changes, pen, x, parts, dx, radius, rows):
    """Add the column that begins at x in `parts` times eight strips; return the rows that it reaches."""
    step = STEP / np.float32(parts)
    low, high = _FAR, -_FAR
    top, bottom = _intervals(pen, x, step, dx, radius)
    for part in range(1, parts + 1):
        next_top, next_bottom = _intervals(pen, x + part / parts, step, dx, radius)
        right_top, right_bottom = following(top, next_top), following(bottom, next_bottom)
        _add_strips(changes, top, bottom, right_top, right_bottom, step, rows)
        low, high = min(low, lowest(lower(top, right_top))), max(high, highest(higher(bottom, right_bottom)))
        top, bottom = next_top, next_bottom
    return low, high


@_fast
def _pen(y, dx, radius):
    """For each segment, float32 (n, 4): its start's row, slope m, r sqrt(1 + m^2) and r m / sqrt(1 + m^2).

    Rows are limited to what keeps the squares finite; a line so steep is vertical on any page.
    """
    pen = np.empty((y.size, 4), np.float32)
    for k in range(y.size):
        pen[k, 0] = min(max(y[k], -_LIMIT), _LIMIT)
    pen[y.size - 1, 1:] = 0.0
    for k in range(y.size - 1):
        slope = (pen[k + 1, 0] - pen[k, 0]) / dx
        stretch = math.sqrt(1.0 + slope * slope)
        pen[k, 1] = slope
        pen[k, 2] = radius * stretch
        pen[k, 3] = radius * slope / stretch
    return pen


@_fast
def _intervals(pen, x, step, dx, radius):
    """What the pen covers on eight vertical lines, `step` apart from x on: (top, bottom), top > bottom for nothing.

    x counts from the first sample. The interval is bounded by the disks at the samples, and on a segment of
    slope m by the parallels at r sqrt(1 + m^2) above and below; the upper one is touched by the disk whose
    centre lies r m / sqrt(1 + m^2) to the left, the lower one as far to the right, where that is on the segment.
    """
    end = pen.shape[0] - 1
    squared, half = np.float32(radius * radius), np.float32(0.5 * dx)
    top, bottom = splat(_FAR), splat(-_FAR)
    first = max(0, math.ceil((x - radius) / dx))
    last = min(end, math.floor((x + 7.0 * step + radius) / dx))
    for k in range(max(0, first - 1), last + 1):
        row, lift, touch = pen[k, 0], pen[k, 2], pen[k, 3]
        across = ramp(np.float32(x - k * dx), step)
        rest = squared - across * across
        reach = where_less(rest, _NONE, -_FAR, root(higher(rest, _NONE)))
        beyond = across - half
        middle = row + pen[k, 1] * across
        top = lower(top, lower(row - reach, middle - where_less(magnitude(beyond - touch), half, lift, -_FAR)))
        bottom = higher(bottom, higher(row + reach, middle + where_less(magnitude(beyond + touch), half, lift, -_FAR)))
    return top, bottom


@_fast
def _blend(page, row, column, cover, ink, levels):
    """Pull one pixel towards the ink by a share of 0-1."""
    value = np.float32(page[row, column])
    full = np.float32(ink)
    if levels > 0:
        full = np.float32(page[row, column] // np.uint8(levels) * levels + levels - 1)
    page[row, column] = np.uint8(np.int32(value + (full - value) * cover + np.float32(0.5)))


@_fast
def _add_strips(changes, top, bottom, right_top, right_bottom, share, rows):
    """Add eight strips of width `share`, each between two straight edges; see `_add_edge`."""
    for s in range(STRIPS):
        a, b, c, d = lane(top, s), lane(bottom, s), lane(right_top, s), lane(right_bottom, s)
        weight = share
        # A strip in which the trace begins or ends counts half, with the side that has ink.
        if a > b:
            a, b, weight = c, d, _HALF * share
        elif c > d:
            c, d, weight = a, b, _HALF * share
        if a <= b:
            _add_edge(changes, min(a, c), max(a, c), weight, rows)
            _add_edge(changes, min(b, d), max(b, d), -weight, rows)


@_fast
def _add_edge(changes, a, b, weight, rows):
    """Add the share of each pixel that lies below a straight edge from row a to row b >= a, times `weight`.

    Below the edge the share is 1; across rows that the edge passes from side to side it grows by
    1 / (b - a) a row. So it takes few numbers however long the edge: `changes` holds for each row, at
    2 * row, the change of the share and, at 2 * row + 1, the change of that change.
    """
    limit = np.float32(rows)
    if a >= limit:
        return
    if b <= _NONE:
        changes[0] += weight
        return
    long, inside = b - a, weight
    if a < _NONE:
        above = weight * (-a / long)
        changes[0] += above
        inside -= above
        a = _NONE
    if b > limit:
        inside -= weight * ((b - limit) / long)
        b = limit
    i, j = np.int64(a), np.int64(b)
    if i == j:
        mean = _HALF * (a + b) - np.float32(i)
        changes[2 * i] += inside * (_ONE - mean)
        changes[2 * i + 2] += inside * mean
        return
    density = weight / long
    before, after = np.float32(i + 1) - a, b - np.float32(j)
    changes[2 * i] += _HALF * density * before * before
    changes[2 * i + 2] += density * before * (_ONE - _HALF * before)
    changes[2 * j] += density * after * (_ONE - _HALF * after)
    changes[2 * j + 2] += _HALF * density * after * after
    if j > i + 1:
        changes[2 * i + 2] += _HALF * density
        changes[2 * i + 5] += density
        changes[2 * j] += _HALF * density
        changes[2 * j + 1] -= density


@_fast
def _blend_changes(page, column, low, high, ink, levels, changes):
    """Sum `changes` down the rows to shares, blend them into a column and clear `changes`."""
    first, last = int(max(low, _NONE)), math.ceil(min(high, np.float32(page.shape[0])))
    if first >= last:
        return
    total = growth = np.float32(0.0)
    for row in range(first, last):
        growth += changes[2 * row + 1]
        total += changes[2 * row] + growth
        changes[2 * row] = changes[2 * row + 1] = np.float32(0.0)
        _blend(page, row, column, min(max(total, np.float32(0.0)), np.float32(1.0)), ink, levels)
    changes[2 * last:2 * last + 6] = np.float32(0.0)


@jit
def draw_pulse(page, x, y, x_step, height, radius, ink, levels=0):
    """Draw 1 mV of 0.12 s, 3 mm wide on feet of 0.75 mm.

    Args:
        page: uint8 (H, W), changed in place.
        x: column of its left end, in pixels.
        y: row of its feet.
        x_step: pixels a millimetre, along x.
        height: pixels a millivolt.
        radius: of the pen, in pixels.
        ink: as in `draw_trace`.
        levels: the same.
    """
    points = np.full(37, y, np.float32)
    points[7:30] = y - height
    draw_trace(page, points, x, 0.125 * x_step, radius, ink, levels)


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
def draw_glyph(page, glyph, top, left, ink, levels=0):
    """Blend a coverage bitmap (uint8) into a page at a whole pixel, clipped at the page; see `draw_trace`."""
    for i in range(max(0, -top), min(glyph.shape[0], page.shape[0] - top)):
        for j in range(max(0, -left), min(glyph.shape[1], page.shape[1] - left)):
            if glyph[i, j] > 0:
                _blend(page, top + i, left + j, np.float32(glyph[i, j]) * np.float32(1.0 / 255.0), ink, levels)


@_fast
def add_noise(page, bank, offset, sigma):
    """Add `sigma` grey levels of the noise in `bank` (int8, 1 sigma = 32), from `offset` on, clipped to 0-255."""
    scale = np.float32(sigma / 32.0)
    flat = page.reshape(-1)
    block = bank.size // 2
    for start in range(0, flat.size, block):
        part = flat[start:start + block]
        noise = bank[offset:offset + part.size]
        for i in range(part.size):
            value = np.float32(part[i]) + scale * np.float32(noise[i]) + _HALF
            part[i] = np.uint8(np.int32(min(max(value, _NONE), np.float32(255.0))))
