"""From pictures of pages to the canonical page: our own sheets land on it, odd pictures do not crash."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ecg.paper.capture import capture
from ecg.paper.files import read_image
from ecg.paper.header import Header
from ecg.paper.layout import Layout, fitted, layout
from ecg.paper.locate import AROUND_MM, MIN_CONFIDENCE, NoGridError, overlay, to_canonical
from ecg.paper.page import CLEAN, Renderer
from ecg.paper.print_style import STYLES, SheetStyle
from ecg.paper.sheet import draw_sheet
from tests.ecg.paper.signals import beats_uv

LAYOUT = layout("3x4+1R")
PAGE = {"height": 256, "width": 512, "px_per_mm": 2.0}
PRINTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "prints"


def canonical(signal, arranged=LAYOUT):
    return Renderer(arranged, **PAGE, sampling_rate=100.0, samples=1000).draw(signal)


def drawn(signal, dpi=150, arranged=LAYOUT, style=STYLES["pink"]):
    header = Header((("Record 7", "63 years, F"), ("Rate 71 bpm", "PR 150 ms")), "Pulsar 1")
    return draw_sheet(signal, sampling_rate=100.0, layout=arranged, dpi=dpi, header=header, style=style)


def sheet(signal, dpi=150, arranged=LAYOUT, style=STYLES["pink"]):
    return drawn(signal, dpi, arranged, style).page.rgb()


BLOCK = np.array(drawn(np.zeros((12, 10)), 72).labels.block_mm)
"""Left, top, right, bottom of the traces on the pink sheet, in mm."""


def displacement(a, b, *, reach=12):
    """Return by how many pixels (x, y) the ink of b lies off that of a, and how well they agree there, 0-1."""
    a, b = (np.clip(190 - page.astype(np.float32), 0, None) for page in (a, b))
    padded = cv2.copyMakeBorder(b, reach, reach, reach, reach, cv2.BORDER_CONSTANT)
    match = cv2.matchTemplate(padded, a, cv2.TM_CCORR)
    _, best, _, (x, y) = cv2.minMaxLoc(match)
    return x - reach, y - reach, best / np.sqrt((a * a).sum() * (b * b).sum())


@pytest.mark.parametrize("dpi", [72, 100, 150, 200, 300])
def test_our_own_sheets_land_on_the_canonical_page(dpi):
    located = to_canonical(sheet(beats_uv(), dpi), **PAGE)
    assert located.image.shape == (256, 512) and located.image.dtype == np.uint8
    assert located.px_per_mm_found == pytest.approx(dpi / 25.4, rel=0.002)
    assert located.confidence > 0.8
    page = canonical(beats_uv())
    for columns in np.array_split(np.arange(512), 4):
        x, y, agreement = displacement(page[:, columns], located.image[:, columns])
        assert abs(x) <= (2 if dpi < 100 else 1) and abs(y) <= 1 and agreement > 0.6, (columns[0], x, y, agreement)


def test_the_box_is_that_of_the_traces():
    left, top, right, bottom = (side / 150 * 25.4 for side in to_canonical(sheet(beats_uv()), **PAGE).box)
    assert abs(left - BLOCK[0]) < 1 and abs(right - left - 250) < 0.6
    assert abs(top - BLOCK[1]) < 1.5 and abs(bottom - top - 120) < 1.5


@pytest.mark.parametrize("name", ["3x4+2R", "6x2", "6x2+1R", "12x1"])
def test_rows_lie_where_readers_learnt_them_in_every_layout(name):
    signal, printed = 0.4 * beats_uv(), layout(name)
    learnt = canonical(signal, fitted(printed, height_mm=PAGE["height"] / PAGE["px_per_mm"]))
    located = to_canonical(sheet(signal, 150, printed), **PAGE, page_layout=printed)
    x, y, agreement = displacement(learnt, located.image)
    assert abs(x) <= 2 and abs(y) <= 2 and agreement > 0.5


def test_wandering_baselines_move_the_page_by_two_pixels_at_most():
    wander = 120 * np.sin(np.arange(1000) / 160 + np.arange(12)[:, None])
    signal = beats_uv() + wander
    x, y, _ = displacement(canonical(signal), to_canonical(sheet(signal), **PAGE).image)
    assert abs(x) <= 1 and abs(y) <= 2


def test_paper_becomes_white_and_ink_dark_whatever_the_light():
    light = np.linspace(0.5, 1.0, 1650)[None, :, None] * np.array([1.0, 0.9, 0.75])
    dim = (sheet(beats_uv()) * light).astype(np.uint8)
    located = to_canonical(dim, **PAGE)
    assert np.median(located.image) > 235 and np.quantile(located.image, 0.005) < 110
    x, y, agreement = displacement(canonical(beats_uv()), located.image)
    assert abs(x) <= 1 and abs(y) <= 1 and agreement > 0.6


def test_a_grey_picture_does_as_well():
    grey = cv2.cvtColor(sheet(beats_uv()), cv2.COLOR_RGB2GRAY)
    located = to_canonical(grey, **PAGE)
    assert located.px_per_mm_found == pytest.approx(150 / 25.4, rel=0.002)
    assert displacement(canonical(beats_uv()), located.image)[:2] in {(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)}


def test_a_canonical_page_stays_itself():
    page = canonical(beats_uv())
    x, y, agreement = displacement(page, to_canonical(page, **PAGE).image)
    assert abs(x) <= 1 and abs(y) <= 1 and agreement > 0.7


def test_rows_at_another_distance_are_moved_and_not_stretched():
    tall = replace(LAYOUT, row_mm=38.0)
    image = sheet(beats_uv(), 150, tall)
    x, y, agreement = displacement(canonical(beats_uv()), to_canonical(image, **PAGE).image)
    assert abs(x) <= 1 and abs(y) <= 1 and agreement > 0.6


def test_without_a_grid_the_ink_gives_the_scale():
    plain = replace(CLEAN, minor=0.0, major=0.0)
    draw = Renderer(LAYOUT, height=512, width=1024, px_per_mm=4.0, sampling_rate=100.0, samples=1000)
    located = to_canonical(draw.draw(beats_uv(), plain), **PAGE)
    assert located.confidence < MIN_CONFIDENCE
    assert located.px_per_mm_found == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize("image", [
    np.full((300, 500), 255, np.uint8), np.zeros((300, 500, 3), np.uint8),
    np.random.default_rng(0).integers(0, 256, (300, 500, 3)).astype(np.uint8),
    np.tile(np.arange(500) % 256, (300, 1)).astype(np.uint8), np.full((2000, 130), 200, np.uint8)])
def test_pictures_of_no_page_are_refused(image):
    with pytest.raises(NoGridError, match="no ECG grid here: "):
        to_canonical(image, **PAGE)


def written_page():
    page = np.full((1100, 800), 248, np.uint8)
    for row in range(60, 1060, 26):
        words = "The quick brown fox jumps over the lazy dog"
        cv2.putText(page, words, (50, row), cv2.FONT_HERSHEY_SIMPLEX, 0.85, 30, 2)
    return page


def chequers():
    rows, columns = np.mgrid[:600, :900] // 30
    return ((rows + columns) % 2 * 200 + 30).astype(np.uint8)


def landscape():
    rng = np.random.default_rng(3)
    hills = cv2.GaussianBlur(rng.normal(0, 1, (600, 900, 3)), (0, 0), 25) * 1200
    hills += np.linspace(200, 80, 600)[:, None, None]
    return np.clip(hills + rng.normal(0, 4, hills.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("image", [written_page(), chequers(), landscape()], ids=["text", "chequers", "landscape"])
def test_pictures_of_other_things_are_refused_or_flagged(image):
    try:
        located = to_canonical(image, **PAGE)
    except NoGridError as error:
        assert "\n" not in str(error)
    else:
        assert located.confidence < MIN_CONFIDENCE and located.warnings


def test_ruled_paper_without_traces_is_refused():
    empty = sheet(np.full((12, 1000), np.nan), 120)
    with pytest.raises(NoGridError, match="traces"):
        to_canonical(empty[500:], **PAGE)


def taken(kind, seed, *, width=1300, strength=1.0):
    page = sheet(beats_uv(), 200)
    size = round(width * page.shape[0] / page.shape[1]), width
    return capture(page, kind=kind, rng=np.random.default_rng(seed), strength=strength, px_per_mm=200 / 25.4, size=size)


@pytest.mark.parametrize("seed", range(4))
def test_photos_are_straightened_and_their_place_is_told(seed):
    photo = taken("photo", seed)
    located = to_canonical(photo.image, **PAGE)
    middle = (BLOCK[:2] + BLOCK[2:]) / 2
    reach = AROUND_MM / 2 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    right, left, below, above = photo.transform.points((middle + reach) * 200 / 25.4)
    pitch = np.hypot(*(right - left)) / AROUND_MM, np.hypot(*(below - above)) / AROUND_MM
    assert located.px_per_mm_xy == pytest.approx(pitch, rel=0.015)
    assert located.rotation_deg == pytest.approx(np.rad2deg(np.arctan2(*(right - left)[::-1])), abs=0.5)
    assert located.scale_from == "grid" and located.confidence > MIN_CONFIDENCE and len(located.rows) == 4
    x, y, agreement = displacement(canonical(beats_uv()), located.image)
    assert abs(x) <= 3 and abs(y) <= 3 and agreement > 0.45


def test_points_of_a_scan_are_mapped_to_within_a_millimetre():
    scan = taken("scan", 5)
    located = to_canonical(scan.image, **PAGE)
    points = np.array([[0, 0], [125, 60], [250, 0], [250, 120], [0, 120], [60, 30]], float)
    pixels = scan.transform.points((points + BLOCK[:2]) * 200 / 25.4)
    mapped = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1) @ located.homography.T
    assert np.abs(mapped[:, :2] / mapped[:, 2:] - points).max() < 1.0
    assert np.abs(pixels[[0, 2, 3, 4]] - located.corners).max() < 1.0 * located.px_per_mm_found


def test_what_is_reported_fits_together():
    located = to_canonical(sheet(beats_uv()), **PAGE)
    assert located.homography.shape == (3, 3) and located.homography.dtype == np.float64
    assert located.corners.shape == (4, 2) and located.turned == 0 and located.warnings == ()
    assert located.box == pytest.approx((*located.corners.min(axis=0), *located.corners.max(axis=0)))
    assert located.px_per_mm_found == pytest.approx(np.sqrt(np.prod(located.px_per_mm_xy)))
    assert located.rows == pytest.approx([15, 45, 75, 105], abs=1)
    assert abs(located.rotation_deg) < 0.1


def test_the_same_picture_gives_the_same_answer():
    photo = taken("photo", 1, width=1000).image
    one, other = to_canonical(photo, **PAGE), to_canonical(photo.copy(), **PAGE)
    assert np.array_equal(one.image, other.image) and np.array_equal(one.homography, other.homography)


def test_a_page_on_its_side_is_turned_and_says_so():
    upright = sheet(beats_uv())
    located = to_canonical(np.ascontiguousarray(np.rot90(upright, -1)), **PAGE)
    assert located.turned == 1 and any("up" in warning for warning in located.warnings)
    assert located.rotation_deg == pytest.approx(90, abs=0.2)
    x, y, agreement = displacement(canonical(beats_uv()), located.image)
    assert abs(x) <= 1 and abs(y) <= 1 and agreement > 0.6


def test_rows_closer_than_usual_are_found_where_the_layout_has_them():
    leads = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    close = Layout("12x1", tuple((lead,) for lead in leads), row_mm=13.5)
    image = sheet(0.4 * beats_uv(), 150, close)
    located = to_canonical(image, **PAGE, page_layout=close)
    assert located.rows == pytest.approx(13.5 * (np.arange(12) + 0.5), abs=1.5)


def test_the_overlay_is_a_picture_of_the_same_size():
    image = sheet(beats_uv(), 100)
    drawn = overlay(image, to_canonical(image, **PAGE))
    assert drawn.shape == image.shape and drawn.dtype == np.uint8 and (drawn != image).any()
    grey = image[..., 1].copy()
    assert overlay(grey, to_canonical(grey, **PAGE)).shape == image.shape


@pytest.mark.parametrize("image", [np.zeros((300, 500)), np.zeros((300, 500, 4), np.uint8),
                                   np.zeros((20, 500), np.uint8)])
def test_what_holds_no_page_is_refused(image):
    with pytest.raises(ValueError, match="image: "):
        to_canonical(image, **PAGE)


@pytest.mark.parametrize("pulse", ["left", "right", "none"])
def test_a_pulse_on_either_side_does_not_move_the_page(pulse):
    located = to_canonical(sheet(beats_uv(), style=SheetStyle(pulse=pulse)), **PAGE)
    assert located.box[0] / 150 * 25.4 == pytest.approx(BLOCK[0], abs=1.5)


def test_a_grid_as_dark_as_the_ink_hides_no_trace():
    style = SheetStyle(grid="red", grid_lines="major", major_mm=0.35)
    wander = 150 * np.sin(np.arange(1000) / 110 + np.arange(12)[:, None])
    picture = np.where(sheet(beats_uv() + wander, style=style).min(axis=2) < 200, 0, 255).astype(np.uint8)
    located = to_canonical(picture, **PAGE)
    assert located.scale_from == "grid" and len(located.rows) == 4 and located.turned == 0
    assert np.array(located.box[:2]) / 150 * 25.4 == pytest.approx(BLOCK[:2], abs=3.0)


def test_a_long_header_is_no_row_of_traces():
    column = tuple("Extensive anterior infarction, age undetermined" for _ in range(4))
    page = draw_sheet(beats_uv(), sampling_rate=100.0, layout=LAYOUT, dpi=150, header=Header((column, column)))
    located = to_canonical(page.page.rgb(), **PAGE)
    assert located.rows == pytest.approx([15, 45, 75, 105], abs=1)
    assert located.box[1] / 150 * 25.4 == pytest.approx(BLOCK[1], abs=1.5)


@pytest.mark.parametrize("shape", [(300, 400), (800, 1200), (600, 600)])
def test_noise_of_any_size_is_refused(shape):
    with pytest.raises(NoGridError):
        to_canonical(np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8), **PAGE)


@pytest.mark.skipif(not PRINTS.is_dir(), reason="needs the folder of real prints")
def test_real_prints_are_found_as_measured_by_hand_or_flagged():
    with open(Path(__file__).with_name("prints.csv"), newline="") as file:
        measured = list(csv.DictReader(file))
    good, silent = 0, []
    for row in measured:
        located = to_canonical(read_image(PRINTS / row["file"]), **PAGE)
        pitch = [found / float(row[f"px_per_mm_{axis}"]) - 1 for found, axis in
                 zip(located.px_per_mm_xy, "xy", strict=True)]
        right = np.abs(pitch).max() < 0.03 and abs(located.rotation_deg - float(row["rotation_deg"])) < 1
        good += right
        if not right and located.confidence >= MIN_CONFIDENCE:
            silent.append(row["file"])
    assert good >= 23 and not silent


@pytest.mark.skipif(not PRINTS.is_dir(), reason="needs the folder of real prints")
def test_real_prints_do_not_crash_and_exports_of_one_cart_agree():
    found = {path.name: to_canonical(read_image(path), **PAGE) for path in sorted(PRINTS.iterdir())}
    assert all(np.quantile(located.image, 0.01) < 200 for located in found.values())
    carts = [located for name, located in found.items() if name.startswith("edan")]
    assert np.ptp([located.px_per_mm_found for located in carts]) < 0.02
    assert np.ptp([located.box for located in carts], axis=0).max() < 8
