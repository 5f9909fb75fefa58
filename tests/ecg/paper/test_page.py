"""Canonical pages: every lead in its place, ink where the transform says, styles that do what they say."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.paper.layout import layout
from ecg.paper.page import CLEAN, Renderer, Style, sample_style
from tests.ecg.paper.signals import beats_uv

PLAIN = replace(CLEAN, minor=0.0, major=0.0, names=False, pulse=False)
SIZES = [(256, 512, 2.0), (192, 384, 1.5), (128, 256, 1.0)]


def renderer(height=256, width=512, px_per_mm=2.0, sampling_rate=100.0, samples=1000):
    return Renderer(layout("3x4+1R"), height=height, width=width, px_per_mm=px_per_mm,
                    sampling_rate=sampling_rate, samples=samples)


@pytest.mark.parametrize(("height", "width", "px_per_mm"), SIZES)
def test_shape_dtype_and_range_at_every_scale(height, width, px_per_mm):
    page = renderer(height, width, px_per_mm).draw(beats_uv())
    assert page.shape == (height, width) and page.dtype == np.uint8
    assert page.min() < 120 and page.max() >= 240
    assert np.median(page) > 200


@pytest.mark.parametrize("lead", range(12))
def test_a_lead_draws_in_its_boxes_and_nowhere_else(lead):
    draw = renderer()
    signal = np.zeros((12, 1000))
    flat = draw.draw(signal, PLAIN)
    signal[lead] = 300.0 * np.sin(np.arange(1000))
    changed = draw.draw(signal, PLAIN) != flat
    allowed = np.zeros_like(changed)
    for box in draw.layout.traces:
        if box.lead == lead:
            (x0, x1), (y0, y1) = draw.to_pixels([4.5 + 0.5 + box.left, 5.0 + box.left + box.width],
                                                [4 + box.top, 4 + box.top + box.height])
            inside = slice(int(y0), int(y1)), slice(max(int(x0) - 2, 0), int(x1) + 2)
            allowed[inside] = True
            assert changed[inside].any(axis=0).mean() > 0.9
    assert changed.any() and not (changed & ~allowed).any()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.sampled_from(SIZES))
def test_ink_lies_where_the_transform_says(seed, size):
    rng = np.random.default_rng(seed)
    style = replace(sample_style(rng, 1.0), minor=0.0, major=0.0, noise=0.0, blur_mm=0.0, names=False, pulse=False)
    signal = beats_uv() * rng.uniform(0.3, 1.5)
    draw = renderer(*size)
    page = draw.draw(signal, style)
    hit = total = 0
    for x, y in draw.trace_points(signal, style):
        inside = (x >= 1) & (x < page.shape[1] - 1) & (y >= 1) & (y < page.shape[0] - 1)
        columns, rows = x[inside].astype(int), y[inside].astype(int)
        near = [page[rows + i, columns + j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
        hit += (np.min(near, axis=0) < style.paper - 0.15 * (style.paper - style.ink)).sum()
        total += len(rows)
    assert total > 500 and hit >= 0.99 * total


@pytest.mark.parametrize(("right", "down"), [(3, 0), (-4, 2), (0, -5)])
def test_a_shifted_page_is_the_page_shifted(right, down):
    draw, signal = renderer(), beats_uv()
    page = draw.draw(signal)
    moved = draw.draw(signal, replace(CLEAN, shift_x=right / 2.0, shift_y=down / 2.0))
    inner = np.s_[10:-10, 20:-20]
    assert np.abs(np.roll(page, (down, right), (0, 1))[inner].astype(int) - moved[inner]).max() <= 2


def test_a_smaller_page_is_the_page_reduced():
    signal = beats_uv()
    large, small = renderer(512, 1024, 4.0).draw(signal, PLAIN), renderer(256, 512, 2.0).draw(signal, PLAIN)
    reduced = large.reshape(256, 2, 512, 2).mean(axis=(1, 3))
    assert np.abs(reduced - small).mean() < 0.5
    assert np.corrcoef(reduced.ravel(), small.ravel())[0, 1] > 0.985


def test_gain_scales_the_traces_and_not_the_pulse():
    draw, signal = renderer(), beats_uv()
    marked = replace(PLAIN, pulse=True)
    single, double = draw.draw(signal, marked), draw.draw(signal, replace(marked, gain=2.0))
    assert np.array_equal(single[:, :8], double[:, :8]) and (single[:, :8] < 100).any()
    assert np.array_equal(draw.draw(2 * signal, marked), double)


def test_a_millivolt_is_ten_millimetres():
    draw = renderer()
    baseline, raised = (draw.draw(np.full((12, 1000), uv), PLAIN)[:, 100] for uv in (0.0, 1000.0))
    assert np.array_equal(np.roll(baseline, -20), raised)


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.2])
def test_what_a_page_shows_is_the_height_of_its_ink(gain):
    draw, style = renderer(), replace(PLAIN, gain=gain)
    flat, raised = (draw.draw(np.full((12, 1000), uv), style)[:, 100] for uv in (0.0, 500.0))
    rise_mm = next(rows for rows in range(1, 40) if np.array_equal(np.roll(flat, -rows), raised)) / draw.px_per_mm
    shown = draw.shown(np.full((12, 1000), 500.0), style)[:, 100]
    assert np.nanmax(shown) == pytest.approx(rise_mm * 100, rel=1e-5)


def test_grid_lines_lie_five_millimetres_apart_and_can_be_off():
    blank = renderer().draw(np.full((12, 1000), np.nan), replace(CLEAN, names=False, pulse=False))
    dark = 255.0 - blank.mean(axis=0)
    major = np.flatnonzero(dark > dark.mean() + 10)
    assert set(np.unique(np.diff(major))) <= {1, 9, 10} and 45 <= (np.diff(major) > 1).sum() <= 52
    assert (renderer().draw(np.full((12, 1000), np.nan), PLAIN) == 255).all()


@pytest.mark.parametrize("mark", ["names", "pulse"])
def test_marks_can_be_switched(mark):
    draw, blank = renderer(), np.full((12, 1000), np.nan)
    with_mark = draw.draw(blank, replace(PLAIN, **{mark: True}))
    assert (with_mark < 128).sum() > 40


def test_missing_stretches_are_gaps():
    signal = np.zeros((12, 1000))
    signal[1, 400:600] = np.nan
    page = renderer().draw(signal, PLAIN)
    strip = page[180:250].min(axis=0)
    assert (strip[215:300] == 255).all() and (strip[20:200] < 160).all() and (strip[320:500] < 160).all()


def test_amplitudes_beyond_the_page_are_clipped():
    signal = np.zeros((12, 1000))
    signal[:, 100:110] = 1e7
    signal[:, 200:210] = -1e7
    page = renderer().draw(signal, PLAIN)
    assert page[0].min() < 100 and page[-1].min() < 100


def test_int16_and_float_signals_draw_alike():
    signal = np.round(beats_uv()).astype(np.int16)
    assert np.array_equal(renderer().draw(signal), renderer().draw(signal.astype(np.float64)))


def test_a_batch_is_its_pages():
    rng = np.random.default_rng(3)
    styles = [sample_style(rng) for _ in range(4)]
    signals = np.stack([beats_uv() * factor for factor in (0.5, 1, 1.5, 2)])
    batch = renderer().draw_batch(signals, styles)
    assert all(np.array_equal(page, renderer().draw(*pair))
               for page, pair in zip(batch, zip(signals, styles, strict=True), strict=True))


def test_styles_are_decided_by_the_generator_and_vary():
    a, b = (sample_style(np.random.default_rng(5)) for _ in range(2))
    other = sample_style(np.random.default_rng(6))
    assert a == b and a != other
    page, same, different = (renderer().draw(beats_uv(), style) for style in (a, b, other))
    assert np.array_equal(page, same) and not np.array_equal(page, different)


def test_strength_nought_is_the_clean_page_and_more_strays_further():
    assert sample_style(np.random.default_rng(0), 0.0) == CLEAN
    weak, strong = (np.std([sample_style(np.random.default_rng(i), s).shift_x for i in range(60)]) for s in (0.2, 1.0))
    assert 0 < weak < 0.3 * strong


def test_sampled_styles_leave_the_trace_darker_than_the_grid():
    for seed in range(60):
        style = sample_style(np.random.default_rng(seed))
        draw = renderer(192, 384, 1.5)
        blank = draw.draw(np.full((12, 1000), np.nan), replace(style, names=False, pulse=False, noise=0.0))
        page = draw.draw(np.zeros((12, 1000)), replace(style, names=False, pulse=False, noise=0.0))
        assert np.quantile(blank - page.astype(float), 0.995) > 25, style


@pytest.mark.parametrize(("field", "value"), [("height", 0), ("px_per_mm", -1.0), ("sampling_rate", 0.0)])
def test_sizes_that_make_no_page_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        renderer(**{field: value})


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"signals_uv: shape must be \(B, 12, 1000\)"):
        renderer().draw(np.zeros((11, 1000)))
    with pytest.raises(ValueError, match="styles: 1 of them for 2"):
        renderer().draw_batch(np.zeros((2, 12, 1000)), [CLEAN])
    with pytest.raises(ValueError, match="strength"):
        sample_style(np.random.default_rng(0), -1.0)


def test_every_field_of_a_style_changes_the_page():
    signal, draw = beats_uv(), renderer()
    base = Style(noise=2.0, blur_mm=0.4)
    page = draw.draw(signal, base)
    for field in fields(Style):
        value = getattr(base, field.name)
        other = not value if isinstance(value, bool) else value * 1.3 if value else 1
        assert not np.array_equal(draw.draw(signal, replace(base, **{field.name: other})), page), field.name
