"""Labels go where the pixels go: over all layouts, styles and captures the trace's points lie on its ink."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecg.paper.capture import CAPTURES
from ecg.paper.draw import PageOptions, draw_page
from ecg.paper.kit import kit_labels
from ecg.paper.layout import LAYOUTS
from ecg.paper.print_style import STYLES
from ecg.paper.sheet import INK_LEVELS
from tests.ecg.paper.signals import beats_uv

WITHIN_PX = 1.5
SHARE = 0.99


def ink_on_the_picture(page) -> np.ndarray:
    """Where ink lies before noise: the sheet's ink alone through the page's transform, bool (H, W)."""
    covered = np.where(page.sheet.page.plane % INK_LEVELS > 0, np.uint8(255), np.uint8(0))
    return (page.captured.transform.picture(covered, border=0) if page.captured else covered) > 0


def points_inside(page) -> np.ndarray:
    labels = page.labels
    xy = np.concatenate([trace.points for trace in labels.traces])
    return xy[(xy >= 0).all(axis=1) & (xy[:, 0] < labels.width) & (xy[:, 1] < labels.height)]


def share_on_ink(page) -> float:
    """The share of sample points on the picture that lie within 1.5 px of ink."""
    away = cv2.distanceTransform((~ink_on_the_picture(page)).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    columns, rows = np.floor(points_inside(page)).astype(int).T
    return float((away[rows, columns] <= WITHIN_PX).mean())


def boxes_hold_their_traces(page) -> bool:
    """Whether every inked pixel of each trace's mask lies in the trace's box, a pixel's width allowed for edges."""
    for trace, mask in zip(page.labels.traces, page.masks(), strict=True):
        rows, columns = np.nonzero(mask)
        left, top, right, bottom = trace.box
        if len(rows) and not (left - 1 <= columns.min() and columns.max() + 1 <= right + 1
                              and top - 1 <= rows.min() and rows.max() + 1 <= bottom + 1):
            return False
    return True


@settings(max_examples=60, deadline=None)
@example(layout="12x1-cabrera", style="sampled", kind="photo", dpi=110.0, strength=1.0, seed=1)
@given(layout=st.sampled_from([*LAYOUTS, "sampled"]), style=st.sampled_from([*STYLES, "sampled"]),
       kind=st.sampled_from(CAPTURES), dpi=st.floats(72, 160), strength=st.floats(0, 1.5),
       seed=st.integers(0, 2**31 - 1))
def test_points_lie_on_ink_and_boxes_hold_their_traces(layout, style, kind, dpi, strength, seed):
    options = PageOptions(layout=layout, style=style, capture=kind, dpi=dpi, strength=strength, seed=seed)
    page = draw_page(beats_uv(), sampling_rate=100.0, options=options)
    assert len(points_inside(page)) > 0.97 * sum(len(trace.points) for trace in page.labels.traces)
    assert share_on_ink(page) >= SHARE
    assert boxes_hold_their_traces(page)


@pytest.mark.parametrize("kind", CAPTURES)
def test_a_picture_of_another_size_keeps_its_labels(kind):
    page = draw_page(beats_uv(), sampling_rate=100.0, options=PageOptions(capture=kind, dpi=150, size=(768, 1024)))
    assert page.rgb.shape == (768, 1024, 3) and (page.labels.height, page.labels.width) == (768, 1024)
    assert share_on_ink(page) >= SHARE
    assert 2.5 < page.labels.px_per_mm < 4.5


def test_the_homography_takes_millimetres_to_pixels():
    page = draw_page(beats_uv(), sampling_rate=100.0, options=PageOptions(capture="scan", dpi=100, seed=3))
    left, top, _, _ = page.labels.block_mm
    x, y, w = page.labels.homography @ (left, top + 15.0, 1.0)
    flat = np.zeros((12, 1000))
    first = draw_page(flat, sampling_rate=100.0, options=PageOptions(capture="scan", dpi=100, seed=3)).labels.traces[0]
    assert np.hypot(*(first.points[0] - (x / w, y / w))) < 2.0


def test_what_is_sampled_depends_on_seed_and_record_alone():
    options = PageOptions(layout="sampled", style="sampled", capture="photo", dpi=80, marks=0.5, seed=4)
    first, again = (draw_page(beats_uv(), sampling_rate=100.0, options=options, record="a") for _ in range(2))
    other = draw_page(beats_uv(), sampling_rate=100.0, options=options, record="b")
    later = draw_page(beats_uv(), sampling_rate=100.0, options=replace(options, seed=5), record="a")
    assert np.array_equal(first.image, again.image) and first.captured.parameters == again.captured.parameters
    for page in (other, later):
        assert page.captured.parameters != first.captured.parameters


def test_the_kits_keys_are_there_and_its_points_are_rows_first():
    page = draw_page(beats_uv(), sampling_rate=100.0, options=PageOptions(capture="photo", dpi=100))
    labels = json.loads(json.dumps(kit_labels(page)))
    assert {"sampling_frequency", "width", "height", "leads", "x_grid", "y_grid", "resolution", "pad_inches",
            "dc_pulse", "bw", "gridlines", "printed_text", "number_of_columns_in_image", "full_mode_lead",
            "grid_line_color_major", "grid_line_color_minor", "ecg_plot_color"} <= labels.keys()
    assert [lead["lead_name"] for lead in labels["leads"]] == [trace.lead for trace in page.labels.traces]
    lead, trace = labels["leads"][5], page.labels.traces[5]
    assert np.allclose(np.array(lead["plotted_pixels"])[:, ::-1], trace.points, atol=0.01)
    assert (lead["start_sample"], lead["end_sample"]) == (250, 501)
    upper_left, _, lower_right, _ = (lead["lead_bounding_box"][str(k)] for k in range(4))
    assert upper_left[0] < lower_right[0] and upper_left[1] < lower_right[1]
