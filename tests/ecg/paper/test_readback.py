"""Every layout read back from the drawn page: which lead, which seconds, where. None lost, doubled or swapped.

Each lead writes its own code: in every twentieth of a second a level that says the lead, then one that says the time.
What is read are the rows of ink on the picture; nothing but the box's place is taken from the layout.
"""

from dataclasses import replace

import numpy as np
import pytest

from ecg.leads import LEADS
from ecg.paper.layout import GAINS, LAYOUTS, SPEEDS, layout
from ecg.paper.print_style import SheetStyle
from ecg.paper.sheet import draw_sheet

RATE, DPI = 400.0, 254.0
PX_PER_MM = 10.0
TICK_S = 0.05
STEP_MM, TICKS = 0.4, 27
STYLE = SheetStyle(sheet="strip", grid="none", names="none", pulse="none", header=False, footer=False, pen_mm=0.3)


def coded_uv(gain: float) -> np.ndarray:
    """(12, T) µV: level (lead - 6) in the first half of each tick, (tick % 27 - 13) in the second."""
    t = np.arange(int(10 * RATE))
    tick, half = np.divmod(t, int(TICK_S * RATE))
    says_lead = half < TICK_S * RATE / 2
    codes = np.where(says_lead, np.arange(12)[:, None] - 6, tick % TICKS - 13)
    return codes * STEP_MM * 1000 / gain


def read_box(dark: np.ndarray, box, origin, gain_share: float) -> tuple[set[int], list[int]]:
    """The lead codes and the time codes that stand in a box, from the ink's middle in the columns of each tick."""
    left, top = origin
    tick_mm = box.width * TICK_S / box.seconds
    leads, times = set(), []
    for number in range(round(box.seconds / TICK_S)):
        levels = []
        for share in (0.25, 0.75):
            column = round((left + box.left + (number + share) * tick_mm) * PX_PER_MM)
            rows = slice(round((top + box.top) * PX_PER_MM), round((top + box.top + box.height) * PX_PER_MM))
            ink = np.flatnonzero(dark[rows, column])
            assert ink.size, f"{box.name}: no ink in second {number * TICK_S:.1f}"
            middle = ink.mean() + 0.5 + rows.start
            mm = ((top + box.baseline) * PX_PER_MM - middle) / PX_PER_MM
            levels.append(round(mm / (STEP_MM * gain_share)))
        leads.add(levels[0] + 6)
        times.append(levels[1] + 13)
    return leads, times


VARIANTS = [{}, {"sequential": False}, {"mm_per_s": 50.0}, {"half_gain_v": True}, {"mm_per_mv": 20.0},
            {"mm_per_mv": 5.0, "half_gain_v": True}]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_reads_back_from_the_page(name, options):
    arranged = replace(layout(name, **options), row_mm=30.0)
    sheet = draw_sheet(coded_uv(arranged.mm_per_mv), sampling_rate=RATE, layout=arranged, style=STYLE, dpi=DPI)
    dark = sheet.page.grey() < 128
    block = sheet.labels.block_mm
    found = []
    for box in arranged.traces:
        share = box.mm_per_mv / arranged.mm_per_mv
        leads, times = read_box(dark, box, block[:2], share)
        assert leads == {box.lead}, box.name
        first = round(box.start / TICK_S)
        assert times == [(first + k) % TICKS for k in range(len(times))], box.name
        found.append(LEADS[box.lead])
    assert set(found) == set(LEADS)
    assert sorted(found) == sorted([*LEADS, *arranged.rhythm])


@pytest.mark.parametrize("rhythm", [("V1",), ("aVF",), ("V6",)])
def test_any_lead_can_be_the_rhythm_strip(rhythm):
    arranged = layout("6x2+1R", rhythm=rhythm)
    assert arranged.traces[-1].name == rhythm[0] and arranged.traces[-1].seconds == 10


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("gain", GAINS)
def test_the_page_says_what_was_drawn(speed, gain):
    arranged = layout("3x4", mm_per_s=speed, mm_per_mv=gain)
    style = replace(STYLE, sheet="a4", footer=True, font="sans")
    said = draw_sheet(np.zeros((12, 4000)), sampling_rate=400.0, layout=arranged, style=style, dpi=200)
    other = draw_sheet(np.zeros((12, 4000)), sampling_rate=400.0, style=style, dpi=200,
                       layout=layout("3x4", mm_per_s=75 - speed, mm_per_mv=gain))
    foot = slice(-120, None)
    assert (said.page.plane[foot] != other.page.plane[foot]).any()
    assert arranged.gain_text == f"{gain:g} mm/mV"
