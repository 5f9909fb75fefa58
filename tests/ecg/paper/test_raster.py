"""The trace kernel against an exact rasteriser, and what must hold at any slope."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.paper.raster import add_noise, draw_glyph, draw_pulse, draw_trace, line_profile
from tests.ecg.paper.oracle import coverage
from tests.ecg.paper.signals import beats_uv

SIDE = 40
LEVELS = 42
GREY_LEVELS = 2.0
"""How far from the exact page black ink on white may lie, on average over the pixels that have ink."""
SCALES = {"200 dpi": 200 / 25.4, "2 px/mm": 2.0, "1.5 px/mm": 1.5}


def drawn(y, *, x0=5.3, dx=0.5, radius=0.45, ink=0, height=SIDE, width=SIDE):
    page = np.full((height, width), 255, np.uint8)
    draw_trace(page, np.asarray(y, np.float32), x0, dx, radius, ink)
    return page


def error(y, *, over=16, **where):
    """Mean difference from the exact page over its inked pixels, in grey levels, and the largest."""
    page = drawn(y, **where)
    exact = coverage(np.asarray(y, np.float32), over=over, height=page.shape[0], width=page.shape[1],
                     **{name: where[name] for name in ("x0", "dx", "radius")})
    off = np.abs(page - 255 * (1 - exact))
    return off[exact > 0].mean() if (exact > 0).any() else 0.0, off.max()


def shapes_uv(rate, rng):
    """10 s of each kind of line: beats, beats in noise, and noise that is spikes from top to bottom."""
    beats = beats_uv(sampling_rate=rate)[0]
    return {"beats": beats, "noisy beats": beats + rng.normal(0, 15, beats.size),
            "spikes": rng.normal(0, 300, beats.size) * rng.choice([0.05, 1.0], beats.size)}


@pytest.mark.parametrize("rate", [100, 500])
@pytest.mark.parametrize("pen_mm", [0.3, 0.45, 0.8])
@pytest.mark.parametrize("scale", SCALES)
def test_traces_are_exact_within_two_grey_levels(scale, pen_mm, rate):
    px_per_mm = SCALES[scale]
    seconds, over = (3, 8) if px_per_mm > 4 else (10, 16)
    for name, signal in shapes_uv(rate, np.random.default_rng(0)).items():
        y = px_per_mm * (22.3 - 0.01 * signal[:seconds * rate])
        mean, _ = error(y, over=over, x0=4.3, dx=25 * px_per_mm / rate, radius=0.5 * pen_mm * px_per_mm,
                        height=round(38 * px_per_mm), width=round(25 * seconds * px_per_mm + 12))
        assert mean <= GREY_LEVELS, name


def test_a_page_of_2200_by_1700_is_exact():
    scale, rng = 200 / 25.4, np.random.default_rng(1)
    page = np.full((1700, 2200), 255, np.uint8)
    for row in range(4):
        y = 250.4 + 330 * row - 0.01 * scale * np.clip(shapes_uv(500, rng)["noisy beats"] * (1 - 0.6 * row), -900, 1400)
        draw_trace(page, y.astype(np.float32), 110.7, 25 * scale / 500, 0.225 * scale, 0)
        band = slice(100 + 330 * row, 400 + 330 * row)
        exact = coverage(y - band.start, x0=110.7, dx=25 * scale / 500, radius=0.225 * scale, height=300, width=2200,
                         over=8)
        assert np.abs(page[band] - 255 * (1 - exact))[exact > 0].mean() <= 1.0


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0, 3.0, 20.0, -20.0, 500.0])
@pytest.mark.parametrize("radius", [0.25, 1.3])
def test_a_straight_line_is_exact_at_any_slope(slope, radius):
    y = 20 + slope * (np.arange(9) - 4) * 0.5
    mean, most = error(y, x0=5.3, dx=0.5, radius=radius)
    assert mean <= GREY_LEVELS and most < 20


@settings(max_examples=150, deadline=None)
@given(data=st.data(), dx=st.floats(0.08, 4), radius=st.floats(0.2, 3.2), x0=st.floats(3, 6))
def test_any_polyline_is_exact(data, dx, radius, x0):
    # Runs lie a pen's width apart: where they overlap their inks add up, as strokes drawn one by one do.
    gap = [np.nan] * int(np.ceil((2 * radius + 2) / dx))
    runs = data.draw(st.lists(st.lists(st.floats(-30, 70, width=32), min_size=1, max_size=20), min_size=1, max_size=4))
    mean, _ = error([row for run in runs for row in [*run, *gap]], x0=x0, dx=dx, radius=radius)
    # A dot of a few pixels is no average: the exact page itself is half a level off at each edge.
    assert mean <= 2 * GREY_LEVELS


@pytest.mark.parametrize("y", [[15, 0, 1e-5], [5, 5, 9], [0, 1e-9, 0], [40, 39.999996, 0], [-1e-9, 1e-9, 40]])
@pytest.mark.parametrize("dx", [0.1, 1.4375])
def test_edges_that_hardly_rise_keep_their_weight(y, dx):
    assert error(y, x0=3.0, dx=dx, radius=1.0)[0] <= GREY_LEVELS


def test_random_polylines_are_exact_on_average():
    means = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        y = 20 + rng.normal(0, rng.choice([1, 8, 30]), rng.integers(2, 60))
        means.append(error(y, x0=rng.uniform(3, 6), dx=rng.uniform(0.08, 4), radius=rng.uniform(0.2, 3.2))[0])
    assert np.mean(means) <= 0.7 and np.quantile(means, 0.98) <= GREY_LEVELS


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(5, 35, width=32), min_size=2, max_size=40), st.floats(0.1, 3), st.floats(0.3, 3))
def test_nothing_of_a_trace_is_missing(y, dx, radius):
    """Every pixel that the pen covers whole is black, and none that it does not touch has ink."""
    exact = coverage(np.float32(y), x0=4.0, dx=dx, radius=radius, height=SIDE, width=SIDE, over=16)
    page = drawn(y, x0=4.0, dx=dx, radius=radius)
    assert (page[exact == 1] <= 12).all() and (page[exact == 0] >= 243).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), dx=st.floats(0.1, 3), radius=st.floats(0.2, 3))
def test_ink_on_colour_numbers_is_the_grey_ink_and_leaves_the_ground(seed, dx, radius):
    rng = np.random.default_rng(seed)
    y = (20 + rng.normal(0, 8, 30)).astype(np.float32)
    ground = rng.integers(0, 6, (SIDE, SIDE)).astype(np.uint8) * np.uint8(LEVELS)
    plane = ground.copy()
    draw_trace(plane, y, 5.3, dx, radius, 0, LEVELS)
    grey = drawn(y, dx=dx, radius=radius)
    assert np.array_equal(plane - plane % LEVELS, ground)
    assert np.abs(plane % LEVELS - (LEVELS - 1) * (255.0 - grey) / 255).max() <= 0.6


def test_pulses_and_letters_on_colour_numbers_leave_the_ground():
    plane = np.full((SIDE, SIDE), 3 * LEVELS, np.uint8)
    draw_pulse(plane, 5.0, 30.0, 3.0, 20.0, 1.0, 0, LEVELS)
    draw_glyph(plane, np.array([[255, 128, 0]], np.uint8), 2, 2, 0, LEVELS)
    assert (plane // LEVELS == 3).all()
    assert list(plane[2, 2:5] % LEVELS) == [LEVELS - 1, 21, 0]
    assert plane.max() % LEVELS == LEVELS - 1 and (plane[10] % LEVELS > 30).sum() >= 8


def test_more_ink_on_ink_never_passes_black():
    plane = np.full((SIDE, SIDE), 5 * LEVELS, np.uint8)
    for _ in range(3):
        draw_trace(plane, np.full(60, 20.25, np.float32), 5.3, 0.5, 2.0, 0, LEVELS)
    assert plane.max() == 6 * LEVELS - 1 and plane.min() == 5 * LEVELS


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
