"""Captures: the same for the same state, nothing at strength 0, parameters that say what was done."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.paper.capture import CAPTURES, capture
from ecg.paper.jpeg import jpeg
from ecg.paper.layout import layout
from ecg.paper.page import CLEAN, Renderer
from ecg.paper.sheet import draw_sheet
from tests.ecg.paper.signals import beats_uv

KINDS = [kind for kind in CAPTURES if kind != "clean"]
DPI = 72
SCALE = DPI / 25.4


@pytest.fixture(scope="module")
def sheet():
    """A whole sheet in colour."""
    return draw_sheet(beats_uv(), sampling_rate=100, layout=layout("3x4+1R"), dpi=DPI).page.rgb()


@pytest.fixture(scope="module")
def grey(sheet):
    return cv2.cvtColor(sheet, cv2.COLOR_RGB2GRAY)


def take(page, kind, seed=0, **options):
    return capture(page, kind=kind, rng=np.random.default_rng(seed), px_per_mm=SCALE, **options)


@pytest.mark.parametrize("kind", CAPTURES)
@pytest.mark.parametrize("marks", [0.0, 1.0])
def test_the_same_state_gives_the_same_picture(sheet, kind, marks):
    first, second = (take(sheet, kind, seed=3, marks=marks) for _ in range(2))
    assert np.array_equal(first.image, second.image) and first.parameters == second.parameters
    assert np.array_equal(first.transform.matrix, second.transform.matrix)


@pytest.mark.parametrize("kind", KINDS)
def test_another_state_gives_another_picture(grey, kind):
    assert not np.array_equal(take(grey, kind, seed=1).image, take(grey, kind, seed=2).image)


@pytest.mark.parametrize("kind", CAPTURES)
def test_grey_and_colour_lie_alike(sheet, grey, kind):
    for seed in range(3):
        colour, plain = take(sheet, kind, seed, marks=0.5), take(grey, kind, seed, marks=0.5)
        points = np.random.default_rng(0).random((50, 2)) * grey.shape[::-1]
        assert np.array_equal(colour.transform.points(points), plain.transform.points(points))
        assert colour.image.shape == sheet.shape and plain.image.shape == grey.shape
        assert colour.image.dtype == plain.image.dtype == np.uint8


@pytest.mark.parametrize("kind", CAPTURES)
def test_strength_0_leaves_the_page_alone(sheet, kind):
    taken = take(sheet, kind, strength=0)
    assert np.array_equal(taken.image, sheet) and taken.transform.is_identity and taken.parameters == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_changes_pixels_and_leaves_the_page_it_got(grey, kind):
    before = grey.copy()
    changed = [np.mean(take(grey, kind, seed, marks=1.0).image != grey) for seed in range(3)]
    assert min(changed) > 0.02 and np.array_equal(grey, before)


@pytest.mark.parametrize("kind", ["scan", "photo", "screen", "photocopy"])
def test_a_little_strength_changes_little(grey, kind):
    def strays(strength):
        taken = [take(grey, kind, seed, strength=strength) for seed in range(6)]
        corners = np.array([[0.0, 0.0], [grey.shape[1], grey.shape[0]]])
        return np.mean([np.abs(one.transform.points(corners) - corners).mean() for one in taken])

    assert strays(0.05) < 0.1 * strays(1.0) + 0.5 < strays(2.0)


@pytest.mark.parametrize("kind", CAPTURES)
@pytest.mark.parametrize("size", [(256, 512), (768, 1024), (97, 131)])
def test_pictures_of_another_size(sheet, grey, kind, size):
    assert take(grey, kind, size=size).image.shape == size
    taken = take(sheet, kind, size=size, marks=0.5)
    assert taken.image.shape == (*size, 3) and (taken.transform.height, taken.transform.width) == size


@settings(max_examples=40, deadline=None, derandomize=True)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10_000), strength=st.floats(0.01, 1.0))
def test_no_more_than_a_margin_is_cut(kind, seed, strength):
    page = np.full((240, 312), 250, np.uint8)
    px_per_mm = 312 / 279.4
    taken = capture(page, kind=kind, rng=np.random.default_rng(seed), strength=strength, px_per_mm=px_per_mm)
    block = np.array([(x, y) for x in (4.0, 275.4) for y in (4.0, 210.9)]) * px_per_mm
    inside = taken.transform.points(block)
    assert (inside > 0).all() and (inside < [312, 240]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_ink_lies_where_the_labels_go(kind):
    draw = Renderer(layout("3x4+1R"), height=512, width=1024, px_per_mm=4.0, sampling_rate=100, samples=1000)
    page = draw.draw(beats_uv())
    traces = np.concatenate([np.stack(xy, axis=-1) for xy in draw.trace_points(beats_uv(), CLEAN)])
    traces = traces[((traces > 8) & (traces < [1016, 504])).all(axis=1)]
    hit = total = 0
    for seed in range(4):
        taken = capture(page, kind=kind, rng=np.random.default_rng(seed), strength=1.0, px_per_mm=4.0)
        dark = cv2.erode(taken.transform.picture(page), np.ones((3, 3), np.uint8)) < 150
        columns, rows = taken.transform.points(traces).T
        seen = (columns >= 0) & (columns < 1024) & (rows >= 0) & (rows < 512)
        hit += dark[rows[seen].astype(int), columns[seen].astype(int)].sum()
        total += len(traces)
    assert hit >= 0.99 * total


@pytest.mark.parametrize("kind", CAPTURES)
def test_parameters_are_plain(sheet, kind):
    parameters = take(sheet, kind, seed=5, marks=1.0).parameters
    assert json.loads(json.dumps(parameters)) == parameters


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_the_rotation_noted_is_the_rotation_made(grey, kind, strength):
    for seed in range(5):
        taken = take(grey, kind, seed, strength=strength)
        matrix, middle = taken.transform.matrix, np.array([grey.shape[1] / 2, grey.shape[0] / 2, 1.0])
        ends = [matrix @ (middle + [step, 0, 0]) for step in (-0.01, 0.01)]
        (x0, y0), (x1, y1) = (end[:2] / end[2] for end in ends)
        assert np.degrees(np.arctan2(y1 - y0, x1 - x0)) == pytest.approx(taken.parameters["rotation_degrees"], abs=1e-3)


def test_the_zoom_noted_is_the_zoom_made(grey):
    taken = take(grey, "photocopy", 4)
    x, y = np.linalg.norm(taken.transform.matrix[:2, :2], axis=0)
    assert y / x - 1 == pytest.approx(taken.parameters["zoom_y"], abs=1e-6)


def test_curls_and_folds_noted_are_the_bends_made(grey):
    for seed in range(12):
        taken = take(grey, "photo", seed)
        folds = taken.parameters.get("folds", 0)
        assert len(taken.transform.bends) == taken.parameters["curls"] + folds
        for number in range(folds):
            shift = np.hypot(*taken.transform.bends[taken.parameters["curls"] + number].shift)
            assert shift == pytest.approx(abs(taken.parameters[f"fold_{number}_height_mm"]) * SCALE)


def test_the_noise_noted_is_the_noise_made():
    page = np.full((400, 400), 128, np.uint8)
    for seed in range(60):
        taken = take(page, "scan", seed)
        if taken.parameters["noise"] > 2 and taken.parameters.get("jpeg_quality", 0) >= 90:
            middle = taken.image[100:300, 100:300].astype(float)
            assert middle.std() == pytest.approx(taken.parameters["noise"], rel=0.25)
            return
    raise AssertionError("no scan among the seeds has noise to measure")


def test_black_and_white_is_black_and_white(grey):
    found = [take(grey, "scan", seed) for seed in range(30)]
    mono = [taken for taken in found if taken.parameters["black_and_white"]]
    assert mono and all(set(np.unique(taken.image)) <= {0, 255} for taken in mono)
    assert set(np.unique(take(grey, "fax", size=(1800, 2400)).image)) <= {0, 255}


def test_a_fax_loses_the_lines_it_says(grey):
    for seed in range(10):
        parameters = take(grey, "fax", seed, strength=2.0).parameters
        assert len(parameters["lost_lines"]) == len(parameters["lost_from"])
        assert len(parameters["lost_lines"]) == round(parameters["lost_lines_share"] * parameters["lines"])


def test_a_photo_of_a_page_in_colour_takes_a_colour_cast(sheet, grey):
    taken = [take(np.full_like(sheet, 255), "photo", seed) for seed in range(8)]
    casts = [one.image[150:-150, 150:-150].reshape(-1, 3).mean(axis=0) for one in taken]
    assert max(np.ptp(cast) for cast in casts) > 3 and all("warmth" in one.parameters for one in taken)
    assert "warmth" not in take(grey, "photo").parameters


@pytest.mark.parametrize("quality", [20, 50, 80, 95, 100])
def test_the_loss_of_jpeg_is_that_of_the_codec(grey, quality):
    rng = np.random.default_rng(0)
    page = np.clip(grey[:, :601] + rng.normal(-12, 3, grey[:, :601].shape), 0, 255).astype(np.uint8)
    ours = jpeg(page, quality).astype(int)
    _, data = cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, quality])
    codec = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(int)
    # Where a coefficient lies half way between two steps the codec's integers may round it the other way.
    assert np.mean(np.abs(ours - codec) <= 1) > 0.93 and np.abs(ours - codec).mean() < 0.4
    assert np.abs(ours - page).mean() == pytest.approx(np.abs(codec - page).mean(), rel=0.03, abs=0.02)


PAGE = np.full((64, 64), 255, np.uint8)


@pytest.mark.parametrize(("options", "message"), [
    (dict(kind="xray"), "kind: unknown capture 'xray'; known are clean, scan"),
    (dict(strength=-0.1), "strength: must lie in 0-2"), (dict(strength=2.5), "strength: must lie in 0-2"),
    (dict(strength=float("nan")), "strength"), (dict(px_per_mm=0), "px_per_mm: must be more than 0"),
    (dict(marks=1.5), "marks: must lie in 0-1"), (dict(size=(10, 300)), "size: height and width must lie in 32-"),
    (dict(size=(100, 40_000)), "size: height and width"), (dict(size=(100,)), "size: height and width"),
    (dict(page=PAGE.astype(float)), r"page: must be uint8 .* not float64 \(64, 64\)"),
    (dict(page=PAGE[None]), "page: must be uint8"), (dict(page=np.dstack([PAGE] * 4)), "page: must be uint8"),
    (dict(page="page.png"), "page: must be uint8 .* not str"), (dict(page=PAGE[:20]), "page: height and width")])
def test_refusals_are_one_line(options, message):
    arguments = dict(page=PAGE, kind="scan", rng=np.random.default_rng(0), px_per_mm=2.0) | options
    with pytest.raises(ValueError, match=message) as refusal:
        capture(arguments.pop("page"), **arguments)
    assert "\n" not in str(refusal.value)
