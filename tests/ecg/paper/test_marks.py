"""Marks: noted as drawn, seen through, and carried by the transform like the print they lie on."""

import cv2
import numpy as np
import pytest

from ecg.paper.capture import capture
from ecg.paper.draws import Draws
from ecg.paper.marks import INKS, draw_marks

WHITE = np.full((850, 1100), 255, np.uint8)
SCALE = 1100 / 279.4


def marked(seed, amount=1.0, page=WHITE):
    draws = Draws(np.random.default_rng(seed), 1.0)
    return draw_marks(page, draws, amount=amount, px_per_mm=SCALE), draws.parameters["marks"]


def test_none_when_none_are_wanted():
    page, noted = marked(0, amount=0.0)
    assert noted == [] and np.array_equal(page, WHITE)


def test_more_amount_more_marks():
    counts = [sum(len(marked(seed, amount)[1]) for seed in range(20)) for amount in (0.1, 0.5, 1.0)]
    assert counts[0] < counts[1] < counts[2]


def test_every_kind_of_mark_comes_up():
    kinds = {mark["mark"] for seed in range(25) for mark in marked(seed)[1]}
    assert kinds == {"stain", "stamp", "circle", "underline", "arrow", "check"}


@pytest.mark.parametrize("seed", range(6))
def test_marks_lie_where_they_are_noted(seed):
    page, noted = marked(seed)
    assert noted
    reach = {"stain": lambda mark: 1.3 * mark["radius_mm"], "stamp": lambda mark: 6.5 * mark["height_mm"]}
    allowed = np.zeros_like(WHITE)
    for mark in noted:
        radius = SCALE * reach.get(mark["mark"], lambda mark: 0.8 * mark["length_mm"])(mark)
        cv2.circle(allowed, (round(mark["x"]), round(mark["y"])), round(radius) + 6, 1, -1)
        near = page[max(round(mark["y"] - radius), 0):round(mark["y"] + radius),
                    max(round(mark["x"] - radius), 0):round(mark["x"] + radius)]
        assert near.min() < 250
    # A stain's patch is square: its corners reach further, but only as a trace of its inside.
    assert page[allowed == 0].min() > 240


def test_print_shows_through():
    page = WHITE.copy()
    page[::10] = 40
    shown, _ = marked(3, page=page)
    assert (shown <= page).all() and shown[::10].max() <= 40


def test_colour_is_the_inks():
    page, noted = marked(4, page=np.dstack([WHITE] * 3))
    assert any("ink" in mark for mark in noted) and all(mark.get("ink", "red") in INKS for mark in noted)
    assert np.ptp(page.astype(int), axis=-1).max() > 60


@pytest.mark.parametrize("kind", ["scan", "photo", "screen"])
def test_marks_pass_through_the_transform(kind):
    plain, shown = (capture(WHITE, kind=kind, rng=np.random.default_rng(7), strength=0.6, px_per_mm=SCALE,
                            marks=marks) for marks in (0.0, 1.0))
    assert np.array_equal(plain.transform.matrix, shown.transform.matrix)
    pens = [mark for mark in shown.parameters["marks"] if "pressure" in mark]
    assert pens
    for mark in pens:
        x, y = shown.transform.points(np.array([mark["x"], mark["y"]]))
        reach = 0.75 * mark["length_mm"] * SCALE
        rows, columns = (slice(max(int(at - reach), 0), int(at + reach)) for at in (y, x))
        near = shown.image[rows, columns]
        assert near.min() < np.median(near) - 40
