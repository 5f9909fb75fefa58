"""Layouts as data: every lead once in its place and its seconds."""

import numpy as np
import pytest

from ecg.leads import LEADS
from ecg.paper.layout import LAYOUTS, layout


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_lead_has_a_box_and_boxes_do_not_overlap(name):
    boxes = layout(name).traces
    assert {box.name.removeprefix("-") for box in boxes} == set(LEADS)
    assert all(LEADS[box.lead] == box.name.removeprefix("-") for box in boxes)
    assert len(boxes) == len(LEADS) + len(layout(name).rhythm)
    for i, a in enumerate(boxes):
        for b in boxes[i + 1:]:
            apart_x = a.left + a.width <= b.left or b.left + b.width <= a.left
            assert apart_x or a.top + a.height <= b.top or b.top + b.height <= a.top


def test_the_columns_of_3x4_share_ten_seconds():
    boxes = {box.name: box for box in layout("3x4").traces}
    assert [boxes[lead].start for lead in ("I", "aVR", "V1", "V4")] == [0, 2.5, 5, 7.5]
    assert [boxes[lead].row for lead in ("V1", "V2", "V3")] == [0, 1, 2]
    assert boxes["aVF"].left == 62.5 and boxes["aVF"].width == 62.5


def test_cabrera_orders_the_limb_leads_by_their_axes_and_turns_avr_over():
    boxes = layout("6x2-cabrera").traces
    assert [box.name for box in boxes if box.left == 0] == ["aVL", "I", "-aVR", "II", "aVF", "III"]
    turned = next(box for box in boxes if box.name == "-aVR")
    assert turned.lead == LEADS.index("aVR") and turned.mm_per_mv == -10


def test_columns_may_show_the_same_seconds():
    assert {box.start for box in layout("3x4+1R", sequential=False).traces} == {0.0}


def test_a_sheet_holds_half_the_seconds_at_double_speed():
    fast = layout("6x2+1R", mm_per_s=50)
    assert fast.width_mm == 250 and [box.seconds for box in fast.traces[:2]] == [2.5, 2.5]
    assert layout("12x1", mm_per_s=50, seconds=10).width_mm == 500


def test_half_gain_is_for_chest_leads():
    gains = {box.name: box.mm_per_mv for box in layout("12x1", mm_per_mv=20, half_gain_v=True).traces}
    assert gains["aVF"] == 20 and gains["V1"] == gains["V6"] == 10
    assert layout("12x1", half_gain_v=True).gain_text == "10/5 mm/mV"


@pytest.mark.parametrize(("options", "message"), [
    ({"mm_per_s": 30.0}, "speed: must be one of 25, 50"), ({"mm_per_mv": 1.0}, "gain: must be one of 5, 10, 20"),
    ({"rhythm": ("II", "V1")}, "has 1 rhythm strips, not 2"), ({"rhythm": ("V7",)}, "unknown lead 'V7'"),
    ({"seconds": 0.0}, "seconds: must be more than 0")])
def test_settings_that_no_cart_has_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        layout("3x4+1R", **options)


def test_the_rhythm_strip_is_lead_ii_over_the_whole_width():
    last = layout("3x4+1R").traces[-1]
    assert (last.name, last.start, last.seconds, last.width, last.row) == ("II", 0, 10, 250, 3)
    assert layout("3x4+1R").height_mm == 120


def test_traces_end_where_their_neighbours_begin():
    placed = layout("3x4").place(left=5, top=4, sampling_rate=100, samples=1000)
    assert [(int(p["first"]), int(p["stop"])) for p in placed[:4]] == [(0, 251), (250, 501), (500, 751), (750, 1000)]
    assert np.allclose(placed[:4]["x"], 5 + 62.5 * np.arange(4))


@pytest.mark.parametrize("rate", [40.0, 99.7, 128.0, 360.0, 2000.0])
def test_odd_rates_keep_samples_at_their_time(rate):
    samples = int(10 * rate)
    for placed, box in zip(layout("3x4").place(left=0, top=0, sampling_rate=rate, samples=samples),
                           layout("3x4").traces, strict=True):
        assert np.isclose(placed["x"], box.left + (placed["first"] / rate - box.start) * 25)
        assert box.left - 1e-6 <= placed["x"] <= box.left + 25 / rate
        assert placed["x"] + (placed["stop"] - 1 - placed["first"]) / rate * 25 <= box.left + box.width + 1e-6


def test_a_short_record_leaves_later_columns_empty():
    placed = layout("3x4+1R").place(left=0, top=0, sampling_rate=100, samples=300)
    lengths = placed["stop"] - placed["first"]
    assert list(lengths[:4]) == [251, 50, 0, 0] and lengths[-1] == 300


def test_an_unknown_layout_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown layout '4x3'.*3x4\+1R"):
        layout("4x3")
