"""prints.csv: the scale, rotation and place of the traces on 26 real prints, measured by hand."""

import csv
import os
from pathlib import Path

import pytest
from PIL import Image

TABLE = Path(__file__).with_name("prints.csv")
ROOT = Path(__file__).parents[3]
PRINTS = Path(os.environ.get("VIZECG_DATA", ROOT.parent / "shared" / "data")) / "prints"
COLUMNS = [
    "file", "width", "height", "px_per_mm_x", "px_per_mm_y", "rotation_deg",
    "left", "top", "right", "bottom", "rows", "grid", "note",
]  # fmt: skip
COLOURS = {"pink", "red", "brown", "green", "blue", "grey", "orange", "none"}


def read_rows():
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def one_row(row):
    return row["file"]


def test_table_has_its_columns_and_one_row_a_print():
    with TABLE.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert lines[0] == COLUMNS
    assert all(len(line) == len(COLUMNS) for line in lines), "a note with a comma needs quotes"
    assert len({line[0] for line in lines[1:]}) == len(lines) - 1 == 26


@pytest.mark.parametrize("row", read_rows(), ids=one_row)
def test_row_is_possible(row):
    """A pitch may be missing only where the print has no grid at all."""
    assert row["grid"] in COLOURS
    pitches = [row["px_per_mm_x"], row["px_per_mm_y"]]
    if row["grid"] == "none":
        assert pitches == ["", ""]
    else:
        x, y = map(float, pitches)
        assert min(x, y) > 1.5, "under 1.5 pixels a millimetre its lines cannot be told apart"
        assert 0.8 < x / y < 1.25
    assert -180 < float(row["rotation_deg"]) <= 180
    assert 1 <= int(row["rows"]) <= 12
    assert row["note"]


@pytest.mark.parametrize("row", read_rows(), ids=one_row)
def test_box_lies_inside_the_picture(row):
    left, top, right, bottom = (int(row[side]) for side in ("left", "top", "right", "bottom"))
    assert 0 <= left < right <= int(row["width"])
    assert 0 <= top < bottom <= int(row["height"])


@pytest.mark.skipif(not PRINTS.is_dir(), reason="the prints are not here; VIZECG_DATA names their folder")
@pytest.mark.parametrize("row", read_rows(), ids=one_row)
def test_size_is_that_of_the_file(row):
    with Image.open(PRINTS / row["file"]) as image:
        assert image.size == (int(row["width"]), int(row["height"]))
