"""The one transform: there and back, ink where it says, no aliasing, and what it refuses."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.paper.cameras import photo_pose, screen_pose
from ecg.paper.copiers import fax_pose, photocopy_pose, scan_pose
from ecg.paper.draws import Draws
from ecg.paper.pose import fitted, flat_fit, turned
from ecg.paper.transform import Bend, Transform

POSES = [scan_pose, photo_pose, screen_pose, fax_pose, photocopy_pose]
PAGE = (400, 560)


def drawn(pose, seed, *, strength=1.0, size=PAGE, page=PAGE):
    return pose(Draws(np.random.default_rng(seed), strength), page, size, page[1] / 279.4)


def inside(page, seed, count=200, margin=0.0):
    low, high = np.array([margin, margin]), np.array([page[1] - margin, page[0] - margin])
    return low + (high - low) * np.random.default_rng(seed).random((count, 2))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(pose=st.sampled_from(POSES), seed=st.integers(0, 10_000), strength=st.floats(0.05, 2.0))
def test_there_and_back_again(pose, seed, strength):
    transform = drawn(pose, seed, strength=strength, size=(333, 480))
    points = inside(PAGE, seed)
    assert np.abs(transform.inverse(transform.points(points)) - points).max() < 1e-4


@settings(max_examples=40, deadline=None, derandomize=True)
@given(pose=st.sampled_from(POSES), seed=st.integers(0, 10_000), strength=st.sampled_from([0.3, 1.0, 2.0]),
       size=st.sampled_from([PAGE, (300, 420), (180, 300), (500, 900)]))
def test_dots_land_where_the_transform_says(pose, seed, strength, size):
    transform = drawn(pose, seed, strength=strength, size=size)
    for point in inside(PAGE, seed, count=4, margin=45):
        centre = np.round(point)
        page = np.full(PAGE, 255, np.uint8)
        page[int(centre[1]) - 4:int(centre[1]) + 4, int(centre[0]) - 4:int(centre[0]) + 4] = 0
        ink = 255.0 - transform.picture(page, border=255)
        rows, columns = np.mgrid[:size[0], :size[1]] + 0.5
        found = np.array([(ink * columns).sum(), (ink * rows).sum()]) / ink.sum()
        assert np.hypot(*(found - transform.points(centre))) < 0.5


@settings(max_examples=25, deadline=None, derandomize=True)
@given(pose=st.sampled_from([photo_pose, fax_pose]), seed=st.integers(0, 10_000),
       size=st.sampled_from([PAGE, (768, 1024)]))
def test_the_drawn_map_is_the_labels_map(pose, seed, size):
    transform = drawn(pose, seed, size=size)
    if not transform.bends:
        return
    rows, columns = np.mgrid[:size[0], :size[1]] + 0.5
    exact = transform.inverse(np.stack([columns, rows], axis=-1))
    on_page = ((exact > 0) & (exact < PAGE[::-1])).all(axis=-1)
    off = np.abs(transform._map((1.0, 1.0)) + 0.5 - exact).max(axis=-1)
    assert off[on_page].max() < 0.25


def test_identity_gives_the_page_itself():
    page = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    transform = Transform.identity(64, 80)
    picture = transform.picture(page)
    assert transform.is_identity and np.array_equal(picture, page) and picture is not page
    assert np.array_equal(transform.points([[3.0, 4.0]]), [[3.0, 4.0]])


def test_nan_stays_nan_and_spoils_no_neighbour():
    transform = drawn(photo_pose, 1)
    points = np.array([[np.nan, 10.0], [100.0, 120.0], [np.nan, np.nan]])
    there = transform.points(points)
    assert np.isnan(there[[0, 2]]).any(axis=1).all() and np.isfinite(there[1]).all()
    assert np.allclose(there[1], transform.points(points[1]))
    assert np.isfinite(transform.inverse(there)).all(axis=1).tolist() == [False, True, False]


def test_points_of_any_shape():
    transform = drawn(photo_pose, 2)
    points = inside(PAGE, 0, count=12).reshape(3, 4, 2)
    assert transform.points(points).shape == (3, 4, 2)
    assert np.allclose(transform.points(points)[2, 1], transform.points(points[2, 1].tolist()))
    assert transform.points(np.empty((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("factor", [1.3, 2.0, 3.7])
def test_shrinking_averages_instead_of_aliasing(factor):
    page = np.full((800, 1200), 255, np.uint8)
    page[:, ::4] = 0
    height, width = round(800 / factor), round(1200 / factor)
    picture = flat_fit(page.shape, (height, width)).picture(page)[20:-20, 20:-20].astype(float)
    # Stripes may fade; what must not appear is a pattern coarser than they are.
    coarse = cv2.blur(picture, (1 + 2 * round(4 / factor), 1))[:, 8:-8]
    assert abs(coarse.mean() - 255 * 0.75) < 4 and coarse.std() < 22


def test_shrinking_keeps_points_exact():
    page = np.full((801, 1203), 255, np.uint8)
    page[300:308, 900:908] = 0
    transform = flat_fit(page.shape, (190, 300))
    ink = 255.0 - transform.picture(page)
    rows, columns = np.mgrid[:190, :300] + 0.5
    found = np.array([(ink * columns).sum(), (ink * rows).sum()]) / ink.sum()
    assert np.hypot(*(found - transform.points(np.array([904.0, 304.0])))) < 0.15


def test_a_picture_can_lie_on_another():
    page = np.full((100, 100), 200, np.uint8)
    transform = Transform(np.array([[0.5, 0, 25], [0, 0.5, 25], [0, 0, 1]]), 100, 100)
    picture = transform.picture(page, border=np.full((100, 100), 7, np.uint8))
    assert picture[50, 50] == 200 and picture[5, 5] == 7
    assert transform.picture(np.dstack([page] * 3), border=(1, 2, 3))[0, 0].tolist() == [1, 2, 3]


def test_one_after_the_other():
    bend = Bend((0.02, 0.01), 1.0, (2.0, -3.0), np.sin(np.arange(30) / 4))
    flat = Transform(np.array([[0.9, 0.1, 5], [-0.1, 0.95, 9], [0, 0, 1]]), *PAGE)
    bent = Transform(turned(*PAGE, 3.0, tilt_x=5.0), *PAGE, (bend,))
    points = inside(PAGE, 3)
    assert np.allclose(bent.after(flat).points(points), bent.points(flat.points(points)), atol=1e-4)
    assert np.allclose(flat.after(bent).points(points), flat.points(bent.points(points)), atol=1e-4)
    with pytest.raises(ValueError, match="first: must be affine"):
        bent.after(bent)


@pytest.mark.parametrize("degrees", [-9.0, 0.0, 4.0])
def test_rows_leave_the_centre_at_the_angle_asked_for(degrees):
    transform = fitted(turned(*PAGE, degrees, tilt_x=12, tilt_y=-9, distance=1.2), PAGE, PAGE)
    middle = np.array([PAGE[1] / 2, PAGE[0] / 2])
    right, left = transform.points(middle + [[0.01, 0], [-0.01, 0]])
    assert np.degrees(np.arctan2(*(right - left)[::-1])) == pytest.approx(degrees, abs=1e-3)


@pytest.mark.parametrize(("arguments", "message"), [
    ((np.zeros((3, 3)), 10, 10), "matrix: must be an invertible"), ((np.eye(2), 10, 10), "matrix: must be"),
    ((np.full((3, 3), np.nan), 10, 10), "matrix: must be"), ((np.eye(3), 0, 10), "height: must lie in"),
    ((np.eye(3), 10, 40_000), "width: must lie in")])
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        Transform(*arguments)
