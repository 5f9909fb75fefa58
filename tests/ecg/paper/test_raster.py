"""The trace kernel against a brute-force rasteriser, and what must hold at any slope."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.paper.raster import add_noise, draw_glyph, draw_trace, line_profile

SIDE = 40
OVER = 16


def drawn(y, *, x0=5.3, dx=0.5, radius=0.45, sub=4, ink=0, side=SIDE):
    page = np.full((side, side), 255, np.uint8)
    draw_trace(page, np.asarray(y, np.float32), x0, dx, radius, ink, sub)
    return page


def brute_force(y, *, x0, dx, radius, side=SIDE):
    """A page on which each of 16 x 16 points a pixel is ink when it lies within a radius of the polyline."""
    at = (np.arange(side * OVER) + 0.5) / OVER
    py, px = np.meshgrid(at, at, indexing="ij")
    far = np.full(px.shape, np.inf)
    for k in range(len(y) - 1):
        ax, ay, step = x0 + k * dx, y[k], np.array([dx, y[k + 1] - y[k]])
        along = np.clip(((px - ax) * step[0] + (py - ay) * step[1]) / (step @ step), 0, 1)
        far = np.minimum(far, np.hypot(px - ax - along * step[0], py - ay - along * step[1]))
    return 255 * (1 - (far <= radius).reshape(side, OVER, side, OVER).mean(axis=(1, 3)))


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0, 3.0, 20.0, -20.0])
def test_a_straight_line_is_exact_at_any_slope(slope):
    y = 20 + slope * (np.arange(9) - 4) * 0.5
    page = drawn(y, radius=1.3)
    want = brute_force(y, x0=5.3, dx=0.5, radius=1.3)
    ink = (want < 254) | (page < 254)
    assert np.abs(page - want)[ink].mean() < 8  # round caps are cut at strips; the shaft is exact
    across = np.abs(page[20].astype(float) - want[20])
    assert across.max() < (8 if abs(slope) > 1 else 30)


def test_a_trace_of_a_200_dpi_page_differs_by_two_grey_levels_at_most():
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(3):
        y = 20 + rng.normal(0, 8, 12) * rng.choice([0.1, 1], 12)
        page, want = drawn(y, dx=1.97, radius=1.57), brute_force(y, x0=5.3, dx=1.97, radius=1.57)
        differences.append(np.abs(page - want)[(want < 254) | (page < 254)])
    assert np.concatenate(differences).mean() < 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-30, 70), min_size=2, max_size=60), st.floats(0.05, 4), st.floats(0.3, 3))
def test_no_column_is_missing_and_ink_is_where_the_samples_are(y, dx, radius):
    page = drawn(y, x0=4.0, dx=dx, radius=radius)
    x = 4.0 + np.arange(len(y)) * dx
    for column in range(4, min(SIDE, int(x[-1]))):
        middle = np.interp(column + 0.5, x, y)
        if 1 <= middle < SIDE - 1:
            around = page[int(middle - 0.5):int(middle - 0.5) + 2, column]
            assert 255 - around.min() >= 255 * min(1, radius) * 0.45, (column, middle)
    assert (page[:, :int(max(0, 4 - radius - 1))] == 255).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(10, 25), min_size=2, max_size=20), st.integers(-5, 5), st.integers(-5, 5))
def test_a_trace_moved_by_whole_pixels_draws_the_same_pixels_moved(y, right, down):
    page = drawn(y, x0=12.25)
    moved = drawn(np.array(y, np.float32) + down, x0=12.25 + right)
    assert np.abs(np.roll(page, (down, right), (0, 1)).astype(int) - moved).max() <= 1


def test_gaps_leave_paper_and_lone_samples_dots():
    y = np.full(60, 20.5)
    y[20:40] = np.nan
    y[30] = 10.0
    page = drawn(y, x0=5.0, radius=0.5)
    dark = page.min(axis=0) < 128
    assert dark[6:14].all() and dark[26:33].all()
    assert not dark[16:19].any() and not dark[22:24].any()
    rows, columns = np.nonzero(page[:15] < 250)
    assert set(rows) <= {9, 10} and set(columns) <= {19, 20}


def test_infinite_and_huge_values_clip_at_the_page():
    page = drawn([20, 1e9, 20, -1e9, 20, np.inf, 20, 20], x0=5.0, dx=3.0, radius=0.6)
    assert page[-1, 5] < 160 and page[0, 11] < 160 and page[-1, 10] < 160 and (page[:, 8] == 255).all()
    assert (drawn(np.full(50, 1e6)) == 255).all()


def test_the_ink_has_its_grey_level():
    page = drawn(np.full(60, 20.0), radius=3.0, ink=77)
    assert page.min() == 77 and page.max() == 255


def test_grid_lines_keep_their_amount_of_ink_at_any_phase():
    sums = [line_profile(400, origin, 7.3, 1.2, 0.5, 1, 0)[50:350].sum() for origin in np.linspace(0, 7.3, 9)]
    assert np.ptp(sums) < 0.05 * np.mean(sums)
    assert np.isclose(np.mean(sums), 300 / 7.3 * 1.2 * 0.5, rtol=0.03)


def test_every_fifth_grid_line_can_be_left_out():
    both = line_profile(300, 3.0, 4.0, 1.0, 0.5, 1, 0)
    parts = line_profile(300, 3.0, 4.0, 1.0, 0.5, 1, 5) + line_profile(300, 3.0, 4.0, 1.0, 0.5, 5, 0)
    assert np.allclose(both, parts, atol=1e-6)


def test_glyphs_are_clipped_at_the_page():
    page = np.full((10, 10), 255, np.uint8)
    for top, left in ((-3, -3), (8, 8), (20, 0), (0, -20)):
        draw_glyph(page, np.full((5, 5), 255, np.uint8), top, left, 0)
    assert (page == 0).sum() == 4 + 4


def test_noise_has_its_spread_and_stays_in_range():
    bank = np.clip(np.random.default_rng(0).standard_normal(4096) * 32, -127, 127).astype(np.int8)
    page = np.full((64, 64), 128, np.uint8)
    add_noise(page, bank, 100, 5.0)
    assert abs(page.std() - 5) < 0.3 and abs(page.mean() - 128) < 0.6
    white = np.full((64, 64), 255, np.uint8)
    add_noise(white, bank, 0, 30.0)
    assert white.max() == 255 and white.min() < 230
