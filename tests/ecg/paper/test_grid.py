"""The grid's pitch, turn and perspective on made-up paper whose truth is known."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.paper.grid import MIN_CONFIDENCE, find_grid
from ecg.paper.surface import Surface, fit_bend, local_scale, map_points

COLOURS = {"pink": (240, 170, 175), "red": (225, 90, 90), "brown": (190, 140, 100), "green": (130, 200, 150),
           "blue": (140, 170, 230), "grey": (185, 185, 185)}
PAPER = (252, 250, 246)
FINE = 16
"""Pixels per mm of the paper before it is seen."""


def paper(width_mm, height_mm, colour, *, minor=True, dotted=False):
    """Ruled paper at `FINE` pixels per mm, RGB, with a wavy line of ink."""
    sheet = np.full((height_mm * FINE, width_mm * FINE, 3), PAPER, np.uint8)
    soft = tuple((np.array(PAPER) * 0.5 + np.array(colour) * 0.5).astype(int).tolist())
    for mm in range(max(width_mm, height_mm)):
        thick, shade = (5, colour) if mm % 5 == 0 else (2, soft)
        if mm % 5 and not minor:
            continue
        gaps = slice(None) if not dotted or mm % 5 == 0 else np.arange(0, max(sheet.shape[:2])) % FINE < FINE // 2
        for axis in range(2):
            view = sheet if axis == 0 else sheet.transpose(1, 0, 2)
            line = view[mm * FINE:mm * FINE + thick]
            if line.size:
                line[:, gaps if isinstance(gaps, slice) else gaps[:line.shape[1]]] = shade
    x = np.arange(8 * FINE, (width_mm - 8) * FINE, 4)
    y = height_mm * FINE / 2 + 3 * FINE * np.sin(x / 90) * (np.sin(x / 700) > 0)
    cv2.polylines(sheet, [np.stack([x, y], axis=1).astype(np.int32)], False, (20, 20, 30), 7, cv2.LINE_AA)
    return sheet


def seen(sheet, *, pitch, turn, lean=(0.0, 0.0), size=(900, 1200), noise=3.0, seed=0):
    """Photograph paper: the picture, and the homography picture pixel -> mm."""
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    middle = np.array([[1, 0, -sheet.shape[1] / 2 / FINE], [0, 1, -sheet.shape[0] / 2 / FINE], [0, 0, 1]])
    view = np.array([[pitch * cos, -pitch * sin, 0], [pitch * sin, pitch * cos, 0],
                     [lean[0] * pitch / size[1], lean[1] * pitch / size[0], 1]])
    place = np.array([[1, 0, size[1] / 2], [0, 1, size[0] / 2], [0, 0, 1]])
    to_picture = place @ view @ middle
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    fine = cv2.GaussianBlur(sheet, (0, 0), 0.45 * FINE / pitch)
    matrix = np.linalg.inv(half) @ to_picture @ np.diag([1 / FINE, 1 / FINE, 1]) @ half
    picture = cv2.warpPerspective(fine, matrix, size[::-1], borderValue=(90, 80, 70))
    noisy = picture + np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), np.linalg.inv(to_picture)


@pytest.fixture(scope="module")
def sheets():
    return Sheets()


class Sheets:
    """Draws each colour once; shows as little in a failure's report."""

    def __init__(self):
        self.drawn = {}

    def __getitem__(self, name):
        if name not in self.drawn:
            self.drawn[name] = paper(280, 210, COLOURS[name])
        return self.drawn[name]


@settings(max_examples=14, deadline=None)
@given(pitch=st.floats(3.0, 6.5), turn=st.floats(-10, 10), lean=st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)),
       colour=st.sampled_from(sorted(COLOURS)), grey=st.booleans())
def test_pitch_turn_and_perspective_are_those_of_the_paper(sheets, pitch, turn, lean, colour, grey):
    picture, truth = seen(sheets[colour], pitch=pitch, turn=turn, lean=lean)
    grid = find_grid(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if grey else picture)
    assert grid.confidence > MIN_CONFIDENCE
    for point in ((600.0, 450.0), (400.0, 350.0), (800.0, 550.0)):
        x, y, angle = local_scale(truth, np.array(point))
        found_x, found_y, found_angle = local_scale(grid.homography, np.array(point))
        assert found_x == pytest.approx(x, rel=0.01) and found_y == pytest.approx(y, rel=0.01)
        assert found_angle == pytest.approx(angle, abs=0.5)


@pytest.mark.parametrize(("pitch", "size"), [(1.5, (315, 420)), (2.2, (460, 620)), (5.5, (900, 1200)),
                                             (8.0, (1300, 1700)), (12.0, (2500, 3300))])
def test_pitches_from_coarse_to_fine(sheets, pitch, size):
    picture, _ = seen(sheets["pink"], pitch=pitch, turn=2.0, size=size)
    grid = find_grid(picture)
    assert grid.confidence > MIN_CONFIDENCE
    assert grid.pitch_x == pytest.approx(pitch, rel=0.01) and grid.pitch_y == pytest.approx(pitch, rel=0.01)
    assert grid.rotation_deg == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize("ruling", [{"minor": False}, {"dotted": True}])
def test_paper_with_5_mm_lines_only_or_with_dotted_lines(ruling):
    picture, _ = seen(paper(280, 210, COLOURS["red"], **ruling), pitch=4.4, turn=-3.0)
    grid = find_grid(picture)
    assert grid.confidence > MIN_CONFIDENCE
    assert grid.pitch_x == pytest.approx(4.4, rel=0.01) and grid.rotation_deg == pytest.approx(-3.0, abs=0.3)


def test_a_picture_stretched_along_one_axis_has_two_pitches(sheets):
    picture, _ = seen(sheets["pink"], pitch=4.4, turn=0.0)
    grid = find_grid(cv2.resize(picture, (1260, 900), interpolation=cv2.INTER_AREA))
    assert grid.pitch_x == pytest.approx(4.4 * 1.05, rel=0.01) and grid.pitch_y == pytest.approx(4.4, rel=0.01)


@pytest.mark.parametrize("picture", [
    np.full((600, 900), 250, np.uint8), np.random.default_rng(0).integers(0, 256, (600, 900)).astype(np.uint8),
    np.tile(np.linspace(0, 255, 900).astype(np.uint8), (600, 1)),
    np.repeat((np.arange(600) % 20 > 2).astype(np.uint8)[:, None] * 200, 900, axis=1)],
    ids=["blank", "noise", "gradient", "lines one way"])
def test_what_is_no_grid_gets_no_confidence(picture):
    assert find_grid(picture).confidence < MIN_CONFIDENCE


def test_a_gentle_bend_is_found_from_gradients():
    x, y = np.meshgrid(np.linspace(-120, 120, 7), np.linspace(-80, 80, 5))
    points = np.stack([x, y], axis=-1).reshape(-1, 2)
    left_over = np.zeros((len(points), 2, 2))
    left_over[:, 0, 0] = 0.03 * np.sin(points[:, 0] / 60)
    surface = fit_bend(np.eye(3), points, left_over, np.ones((len(points), 2)))
    bent = 0.03 * 60 * (1 - np.cos(points[:, 0] / 60))
    assert np.abs(surface.to_mm(points)[:, 0] - points[:, 0] - bent).max() < 0.3
    assert np.abs(surface.to_pixels(surface.to_mm(points)) - points).max() < 0.01
    assert np.allclose(surface.strain(points)[:, 0, 0], 1 + left_over[:, 0, 0], atol=0.005)


def test_without_a_bend_a_surface_is_its_homography():
    homography = np.array([[0.2, 0.01, 3], [-0.02, 0.25, 1], [1e-5, 2e-5, 1]])
    points = np.array([[10.0, 20.0], [300.0, 40.0]])
    surface = Surface(homography)
    assert np.allclose(surface.to_mm(points), map_points(homography, points))
    assert np.allclose(surface.to_pixels(surface.to_mm(points)), points)
