"""From files to answers: several pages, several files, what fails alone, and the published schema."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image

import serving
from model.file_reading import FileReading, Request, error_answer, pages_of
from model.reading import PageReading, probabilities
from tests.components.conftest import packaged, pages  # noqa: F401  the same fixtures

SCHEMA = json.loads((Path(serving.__file__).parent / "schema" / "answer.schema.json").read_text())
BLANK = np.full((600, 800, 3), 255, np.uint8)


@pytest.fixture(scope="module")
def reading(packaged):  # noqa: F811
    return FileReading.open(packaged.package)


@pytest.fixture(scope="module")
def sample(packaged):  # noqa: F811
    return (packaged.package / "sample.png").read_bytes()


def tiff(*images):
    out = io.BytesIO()
    first, *rest = images
    first.save(out, "TIFF", save_all=True, append_images=rest, compression="tiff_deflate")
    return out.getvalue()


def check(answer):
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(answer)))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_page_is_read_as_the_package_reads_it(reading, packaged, sample):  # noqa: F811
    answer = reading.read(sample)
    check(answer)
    assert probabilities(answer) == pytest.approx(probabilities(PageReading.open(packaged.package).read(sample)))
    assert answer["page"]["of"] == 1 and answer["page"]["doubtful"] is False and "explain" not in answer
    assert all(took > 0 for took in answer["timing_ms"].values())


def test_each_page_of_a_file_has_its_answer_and_a_blank_one_fails_alone(reading, sample):
    page = Image.open(io.BytesIO(sample)).convert("RGB")
    answer = reading.read(tiff(page, Image.fromarray(BLANK), page))
    check(answer)
    first, blank, last = pages_of(answer)
    assert blank["code"] == "no_ecg" and blank["page"] == {"number": 2, "of": 3} and "no ECG grid" in blank["error"]
    assert probabilities(first) == probabilities(last) == pytest.approx(probabilities(reading.read(sample)), abs=1e-5)
    assert [page["page"]["number"] for page in (first, last)] == [1, 3]


def test_a_batch_of_files_answers_each_for_itself(reading, sample):
    broken, blank, good, several = reading.read_batch(
        [Request(b"junk"), Request(tiff(Image.fromarray(BLANK))), Request(sample, explain=True),
         Request(tiff(*[Image.open(io.BytesIO(sample))] * 2))])
    assert [error_answer(error)["code"] for error in (broken, blank)] == ["unreadable", "no_ecg"]
    for error in (broken, blank):
        check(error_answer(error))
    check(good)
    check(several)
    assert len(several["pages"]) == 2


def test_a_page_is_read_and_explained_in_the_layout_asked_for(reading, packaged, sample):  # noqa: F811
    """As by an opened package that is arranged so for good."""
    arranged = FileReading(PageReading.open(packaged.package).arranged("6x2"))
    asked, fixed = reading.read(sample, explain=True, layout="6x2"), arranged.read(sample, explain=True)
    check(asked)
    assert asked["page"] == fixed["page"] and asked["page"]["layout"] == "6x2" and asked["page"]["warnings"]
    assert probabilities(asked) == pytest.approx(probabilities(fixed), abs=1e-5)
    assert asked["explain"]["leads"] == fixed["explain"]["leads"]
    with pytest.raises(ValueError, match="unknown layout '7x2'"):
        reading.read(sample, layout="7x2")


def test_a_layout_that_the_reader_did_not_learn_is_doubtful(reading, sample):
    """The rows alone would not tell 3x4 with one rhythm strip from another arrangement of as many."""
    assert reading.reading.learnt == ("3x4+1R",)

    def warned(reading, layout):
        answer = reading.read(sample, layout=layout)
        check(answer)
        return [warning for warning in answer["page"]["warnings"] if "not learnt" in warning]

    assert warned(reading, "3x4+1R") == []
    unlearnt, = warned(reading, "6x2")
    assert "6x2, only 3x4+1R" in unlearnt
    train = {**reading.reading.meta["made_with"]["train"], "layouts": ["6x2", "3x4", "6x2"]}
    for made_with, expected in (({"train": train}, []), ({}, [])):
        other = replace(reading.reading, meta={**reading.reading.meta, "made_with": made_with})
        assert warned(FileReading(other), "6x2") == expected
    several = replace(reading.reading, meta={**reading.reading.meta, "made_with": {"train": train}})
    assert several.learnt == ("6x2", "3x4") and warned(FileReading(several), "3x4+1R")


def test_files_that_threads_open_beside_each_other_are_answered_as_one_by_one(reading, sample):
    """With the threads of two cores; the tests themselves run with one."""
    files = [sample, b"junk", tiff(Image.fromarray(BLANK)), sample, tiff(*[Image.open(io.BytesIO(sample))] * 2)]
    requests = [Request(data) for data in files]
    alone = reading.read_batch(requests)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        beside = reading.read_batch(requests)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(alone, beside, strict=True):
        if isinstance(one, Exception):
            assert type(other) is type(one) and str(other) == str(one)
        else:
            assert probabilities(pages_of(other)[0]) == pytest.approx(probabilities(pages_of(one)[0]), abs=1e-5)
            assert [page["page"] for page in pages_of(other)] == [page["page"] for page in pages_of(one)]


def test_a_file_in_which_no_page_is_an_ecg_is_refused(reading):
    with pytest.raises(ValueError, match="no ECG grid here"):
        reading.read(tiff(*[Image.fromarray(BLANK)] * 2))


def test_a_fault_of_ours_is_no_fault_of_the_file(sample):
    class Broken:
        def locate(self, image):
            raise ZeroDivisionError

        def read_located(self, found):
            return []

    answer, = FileReading(Broken()).read_batch([Request(sample)])
    assert isinstance(answer, ZeroDivisionError)


def test_explaining_adds_pictures_of_what_was_found(reading, sample):
    explained = reading.read(sample, explain=True)
    check(explained)
    overlay, why, straight = (Image.open(io.BytesIO(base64.b64decode(explained["explain"][name])))
                              for name in ("overlay_png", "why_png", "page_png"))
    assert overlay.size == why.size and max(overlay.size) <= 1200
    best = max(explained["findings"], key=lambda finding: finding["probability"] - finding["threshold"])
    assert explained["explain"]["label"] == best["label"]
    width_mm = 250 + 2 * 8
    assert abs(straight.width - 4 * width_mm) <= 2, "4 pixels a mm, 250 mm of traces and 8 mm on each side"
    dark = np.asarray(straight.convert("L")) < 110
    assert 0.002 < dark.mean() < 0.2, "traces are drawn on it"
