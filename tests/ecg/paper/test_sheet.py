"""The whole sheet: every part where it is said to be, whatever the style and the record."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.leads import LEADS
from ecg.paper.header import Header, invent_header
from ecg.paper.layout import LAYOUTS, layout
from ecg.paper.print_style import STYLES, SheetStyle, sample_layout, sample_sheet_style, sheet_style
from ecg.paper.sheet import INK_LEVELS, draw_sheet
from tests.ecg.paper.oracle import coverage
from tests.ecg.paper.signals import beats_uv

LAYOUT = layout("3x4+1R")
FLAT = np.zeros((12, 1000))


def sheet(signal=None, **options):
    return draw_sheet(beats_uv() if signal is None else signal,
                      **{"sampling_rate": 100.0, "layout": LAYOUT, "dpi": 100, **options})


def ink(drawn):
    """Coverage by ink, 0-41."""
    return drawn.page.plane % INK_LEVELS


def test_a_letter_page_at_200_dpi():
    drawn = sheet(dpi=200)
    assert drawn.page.rgb().shape == (1700, 2200, 3) and drawn.page.dpi == 200
    assert 0.003 < (ink(drawn) > 20).mean() < 0.03


@pytest.mark.parametrize(("name", "lead_channel"), [("pink", 0), ("red", 0), ("green", 1), ("blue", 2)])
def test_grids_have_their_colour(name, lead_channel):
    page = sheet(np.full((12, 10), np.nan), style=SheetStyle(grid=name, header=False, footer=False, names="none",
                                                           pulse="none")).page.rgb().astype(int)
    lines = page.min(axis=2) < 200
    assert lines.any() and (page[lines].argmax(axis=1) == lead_channel).all()


def test_a_page_without_grid_is_bare_but_for_its_ink():
    drawn = sheet(np.full((12, 10), np.nan), style=replace(STYLES["plain"], header=False, footer=False, names="none",
                                                         pulse="none"))
    assert np.ptp(drawn.page.rgb(), axis=(0, 1)).max() == 0


@pytest.mark.parametrize("kind", ["solid", "dotted", "dashed", "major"])
def test_the_grid_has_lines_every_five_millimetres(kind):
    drawn = sheet(np.full((12, 10), np.nan), dpi=254, style=SheetStyle(grid_lines=kind, header=False, footer=False,
                                                                     names="none", pulse="none"))
    dark = (drawn.page.plane // INK_LEVELS == 5).mean(axis=0)
    lines = np.flatnonzero(dark > 0.8)
    starts = lines[np.diff(lines, prepend=-10) > 1]
    assert set(np.diff(starts)) == {50}
    left = drawn.labels.block_mm[0] * 10
    assert np.abs(starts - left).min() <= 2, "the block begins on a 5 mm line"


@pytest.mark.parametrize("lead", range(12))
@pytest.mark.parametrize("name", ["3x4+1R", "6x2", "12x1"])
def test_a_change_of_one_lead_changes_its_boxes_alone(lead, name):
    arranged = layout(name)
    signal = FLAT.copy()
    signal[lead] = 300.0 * np.sin(np.arange(1000) / 3)
    drawn, flat = sheet(signal, layout=arranged), sheet(FLAT, layout=arranged)
    changed = drawn.page.plane != flat.page.plane
    explained = np.zeros_like(changed)
    for trace in drawn.labels.traces:
        left, top, right, bottom = (round(side) for side in trace.box)
        part = (slice(top - 1, bottom + 2), slice(left - 1, right + 2))
        if trace.lead == LEADS[lead]:
            assert changed[part].any()
            explained[part] = True
    assert not (changed & ~explained).any()


@pytest.mark.parametrize("seconds", [0.01, 4.0, 3600.0])
@pytest.mark.parametrize("rate", [40.0, 500.0, 2000.0])
def test_records_of_any_length_and_rate(seconds, rate):
    drawn = sheet(np.zeros((12, max(1, int(seconds * rate))), np.int16), sampling_rate=rate)
    left, _, right, _ = drawn.labels.traces[-1].box
    reached = min(seconds, 10.0) * 25 * 100 / 25.4
    assert abs(right - left - reached) <= 4 + 25 / rate * 4
    assert all("not recorded" in note for note in drawn.notes)


def test_the_start_moves_the_page_along_the_record():
    signal = beats_uv(seconds=30)
    drawn, cut = sheet(signal, start=12.5), sheet(signal[:, 1250:])
    assert np.array_equal(drawn.page.plane, cut.page.plane)
    assert drawn.labels.traces[0].start == 12.5 and drawn.labels.traces[1].start == 15.0


def test_gaps_are_left_white_and_said():
    signal = FLAT.copy()
    signal[1, 300:500] = np.nan
    drawn = sheet(signal, style=SheetStyle(grid="none", names="none"))
    strip = drawn.labels.traces[-1]
    x = strip.points[:, 0]
    assert np.isnan(strip.points[300:500]).all() and np.isfinite(strip.points[:300]).all()
    row = round(float(strip.points[0, 1]))
    scale = 100 / 25.4
    middle = int(x[0] + 4.0 * 25 * scale)
    assert not ink(drawn)[row - 2:row + 2, middle - 60:middle + 60].any()
    assert drawn.notes == ("gaps: II (20%)",) or "gaps: " in drawn.notes[0]


def test_absent_leads_are_said():
    signal = beats_uv()
    signal[[7, 8]] = np.nan
    drawn = sheet(signal)
    assert drawn.notes == ("not recorded, drawn as absent: V2, V3",)
    absent = [trace for trace in drawn.labels.traces if trace.lead in ("V2", "V3")]
    assert all(trace.box is None for trace in absent)


@pytest.mark.parametrize("huge", [30_000.0, 1e12, np.inf])
def test_extreme_amplitudes_clip_at_the_sheet(huge):
    signal = FLAT.copy()
    signal[6, 550:600] = huge
    drawn = sheet(signal)
    said = "gaps" if huge == np.inf else "leaves the sheet, clipped there: V1"
    assert said in drawn.notes[0]
    assert (ink(drawn)[0] > 20).any() == (huge != np.inf)


def test_header_and_scale_are_printed():
    top = np.s_[: int(20 / 25.4 * 100)]
    header = Header((("Birch, A.", "63 years"),), "Pulsar 1")
    assert not ink(sheet())[top].any() and ink(sheet(header=header))[top].sum() > 3000
    bare = SheetStyle(header=False, footer=False)
    assert not ink(sheet(header=header, style=bare))[top].any() and not ink(sheet(style=bare))[-50:].any()
    assert ink(sheet())[-60:].sum() > 3000


def test_the_printed_filter_is_the_one_that_was_applied():
    t = np.arange(5000) / 500
    fast = np.tile(200 * np.sin(2 * np.pi * 90 * t), (12, 1))
    narrow = sheet(fast, sampling_rate=500.0, style=SheetStyle(filter="0.05-40 Hz"))
    wide = sheet(fast, sampling_rate=500.0, style=SheetStyle(filter="0.05-150 Hz"))
    heights = [np.ptp(drawn.labels.traces[-1].points[500:4500, 1]) for drawn in (narrow, wide)]
    assert heights[0] < 0.1 * heights[1]
    assert (narrow.page.plane[-60:] != wide.page.plane[-60:]).any()


def test_a_low_edge_does_not_bend_the_record_at_its_ends():
    drawn = sheet(beats_uv(), style=SheetStyle(filter="0.05-40 Hz"))
    plain = sheet(beats_uv())
    for filtered, trace in zip(drawn.labels.traces, plain.labels.traces, strict=True):
        moved = filtered.points[:, 1] - trace.points[:, 1]
        assert abs(np.median(moved[:20]) - np.median(moved[-20:])) < 6


@pytest.mark.parametrize("pulse", ["left", "right", "none"])
def test_the_pulse_stands_where_the_style_says(pulse):
    style = SheetStyle(grid="none", names="none", pulse=pulse, header=False, footer=False)
    drawn = sheet(FLAT, style=style)
    left, _, right, _ = (round(side * 100 / 25.4) for side in drawn.labels.block_mm)
    dark = ink(drawn) > 20
    assert dark[:, :left - 3].any() == (pulse == "left") and dark[:, right + 4:].any() == (pulse == "right")


def test_pulses_are_as_high_as_the_gain():
    heights = []
    for gain in (5.0, 10.0, 20.0):
        drawn = sheet(FLAT, dpi=254, layout=layout("3x4", mm_per_mv=gain), style=SheetStyle(grid="none", names="none",
                                                                                         header=False, footer=False))
        left = round(drawn.labels.block_mm[0] * 10)
        rows = np.flatnonzero((ink(drawn)[:, left - 40:left - 20] > 20).any(axis=1))
        first = rows[rows < rows[0] + 300]
        heights.append(np.ptp(first) / 10)
    assert np.allclose(heights, [5.4, 10.4, 20.4], atol=0.25)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_sampled_page_has_its_labels_on_its_ink(seed):
    rng = np.random.default_rng(seed)
    style, arranged, dpi = sample_sheet_style(rng), sample_layout(rng), float(rng.uniform(72, 300))
    drawn = sheet(beats_uv(), style=style, layout=arranged, dpi=dpi, header=invent_header(rng))
    dark = cv2.dilate((ink(drawn) > 4).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    height, width = dark.shape
    for trace in drawn.labels.traces:
        inside = trace.points[(trace.points[:, 1] > 0) & (trace.points[:, 1] < height)]
        columns, rows = np.floor(inside).astype(int).T
        assert dark[rows, np.minimum(columns, width - 1)].mean() > 0.99
        left, top, right, bottom = trace.box
        assert (inside[:, 0] >= left).all() and (inside[:, 0] <= right).all()
    assert drawn.page.plane.max() < 6 * INK_LEVELS


@pytest.mark.parametrize("name", LAYOUTS)
def test_names_stand_in_their_boxes(name):
    with_names, without = (sheet(FLAT, layout=layout(name), style=SheetStyle(names=names)) for names in
                           ("above", "none"))
    changed = with_names.page.plane != without.page.plane
    for trace in with_names.labels.traces:
        left, top, right, bottom = (int(side) for side in trace.name_box)
        assert changed[top:bottom, left:right].any(), trace.lead
        changed[top:bottom, left:right] = False
    assert not changed.any()


def test_masks_tell_the_traces_apart():
    drawn = sheet()
    masks = drawn.labels.masks()
    assert masks.shape == (13, *drawn.page.plane.shape)
    assert not (masks[0] & masks[4]).any()
    assert (ink(drawn)[masks.any(axis=0)] > 15).all()


def test_a_seed_gives_one_style_and_one_header():
    first, second = (np.random.default_rng(5) for _ in range(2))
    assert sample_sheet_style(first) == sample_sheet_style(second)
    assert invent_header(first) == invent_header(second)
    assert len({sample_sheet_style(np.random.default_rng(k)) for k in range(20)}) == 20


@pytest.mark.parametrize(("options", "message"), [
    ({"signal": np.zeros((3, 100))}, "signal_uv: shape"), ({"sampling_rate": 0.0}, "sampling_rate"),
    ({"dpi": 5}, "dpi: must lie in"), ({"dpi": 5000}, "dpi: must lie in"), ({"start": 11.0}, "start: must lie within"),
    ({"start": -1.0}, "start: must lie within")])
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        sheet(**options)


@pytest.mark.parametrize(("text", "message"), [
    ("violet", "style: unknown 'violet'; known are sampled, pink"), ("pink,colour=red", "unknown field 'colour'"),
    ("pink,pen_mm=thick", "style.pen_mm: must be a number"), ("pink,pen_mm=9", r"style.pen_mm: must lie in 0.1-2"),
    ("pink,header=yes", "style.header: must be true or false"), ("pink,grid=mauve", "style.grid: unknown 'mauve'")])
def test_bad_styles_are_named(text, message):
    with pytest.raises(ValueError, match=message):
        sheet_style(text, np.random.default_rng(0))


def test_a_sheets_ink_is_exact_within_two_grey_levels():
    drawn = sheet(dpi=200, style=SheetStyle(grid="none", names="none", pulse="none", header=False, footer=False))
    want = np.zeros(drawn.page.plane.shape)
    for trace in drawn.labels.traces:
        x, y = trace.points.T
        covered = coverage(y, x0=x[0], dx=(x[-1] - x[0]) / (len(x) - 1), radius=drawn.labels.pen_px / 2,
                           height=want.shape[0], width=want.shape[1], over=4)
        want = want + (1 - want) * covered
    difference = np.abs(ink(drawn) / (INK_LEVELS - 1) - want) * 255
    assert difference[want > 0].mean() <= 2 and difference.max() < 64
