"""A hospital's own scans: ingested with their labels, located, and a model measured on them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import components.evaluate.step
import components.render.step
from components.ingest.merge import merge
from components.ingest.step import run
from ecg.pages import PageSet
from ecg.paper.files import read_image_bytes
from ecg.pictures import Pictures
from ecg.records import RecordStore
from model.params import EvaluateParams, IngestParams, RenderParams
from model.reading import PageReading
from tests.components.conftest import PAGE, write_random_checkpoint
from tests.ecg.archives import beats, write_csv, write_record
from tests.ecg.archives_public import write_scan

PARAMS = IngestParams(source="image_folder", max_quarantined=0.5)
SECRET = b"Erika Muster"
FOLDS = (1, 9, 9, 10, 10)


def rows(**columns):
    return [{"image": f"scans/page{i}.jpg", "patient": f"p{i}", "labels": "AFIB" if i % 2 else "NORM", "age": 50,
             "sex": "F", "fold": fold, "signal": "", **columns} for i, fold in enumerate(FOLDS)]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Five scans in the folds of all splits; one picture more is a text file, and one is not there."""
    folder = tmp_path_factory.mktemp("scans")
    for i in range(len(FOLDS)):
        write_scan(folder / "scans" / f"page{i}.jpg", i, text=SECRET)
    (folder / "scans" / "broken.jpg").write_bytes(b"no picture")
    more = [rows()[0] | {"image": f"scans/{name}.jpg"} for name in ("broken", "missing")]
    write_csv(folder / "labels.csv", [*rows(), *more])
    return folder


@pytest.fixture(scope="module")
def own(scans, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "store"
    run(data=scans, records=path, params=PARAMS, seed=1)
    return RecordStore.open(path)


def test_scans_enter_the_store_with_their_pixels_and_nothing_else(own, scans):
    assert len(own) == 5 and set(own.table["flags"]) == {"no_signal"} and not own.signals.any()
    bad = pd.read_parquet(own.path / "quarantine.parquet")
    assert dict(zip(bad["record"], bad["reason"], strict=True)) == {"broken": "unreadable_picture",
                                                                   "missing": "missing_file"}
    pictures = Pictures(own.path)
    for record in own.table["record"]:
        theirs = (scans / "scans" / f"{record}.jpg").read_bytes()
        assert SECRET in theirs and SECRET not in pictures.read(record)
        np.testing.assert_array_equal(read_image_bytes(pictures.read(record)), read_image_bytes(theirs))


def test_the_pictures_are_part_of_the_stores_digest(own, scans, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for i in range(len(FOLDS)):
        write_scan(data / f"{i}.jpg", i)
    write_csv(data / "labels.csv", [row | {"image": f"{i}.jpg"} for i, row in enumerate(rows())])
    first = run(data=data, records=tmp_path / "a", params=PARAMS, seed=1).digest
    assert run(data=data, records=tmp_path / "b", params=PARAMS, seed=1).digest == first
    write_scan(data / "0.jpg", 99)
    assert run(data=data, records=tmp_path / "c", params=PARAMS, seed=1).digest != first


def test_a_model_is_measured_on_them_as_serving_reads_them(own, scans, tmp_path):
    components.render.step.run(records=own.path, pages=tmp_path / "pages", page=PAGE, seed=1,
                               params=RenderParams(captures=("own",), samples=1, contact_sheet=2))
    pages = PageSet.open(tmp_path / "pages")
    assert pages.captures == ("own",) and len(pages.index) == 4
    reading = PageReading(reader=None, meta={}, page=PAGE)
    for page, record in zip(pages.array("own"), pages.index["record"], strict=True):
        served = reading.prepare((scans / "scans" / f"{record}.jpg").read_bytes())
        off = np.abs(page.astype(int) - served.image)
        assert off.max() <= 1 and (off > 0).mean() < 1e-3  # sums of other numbers of threads round otherwise
        assert page.min() < 150
    sample, = (tmp_path / "pages" / "samples").glob("*.jpg")
    assert sample.read_bytes() == Pictures(own.path).read(sample.stem)
    write_random_checkpoint(tmp_path / "checkpoint", own, seed=1)
    result = components.evaluate.step.run(
        checkpoint=tmp_path / "checkpoint", pages=tmp_path / "pages", evaluation=tmp_path / "evaluation",
        params=EvaluateParams(resamples=20), seed=1)
    predictions = pd.read_parquet(tmp_path / "evaluation" / "predictions.parquet")
    assert result.records == 2 and set(predictions["capture"]) == {"own"}
    card = (tmp_path / "evaluation" / "model_card.md").read_text()
    assert "It was measured on the archive's own pictures of pages (own). Other" in card


def test_what_needs_a_signal_says_that_there_is_none(own, tmp_path):
    from components.train.step import _sources
    from model.params import TrainParams

    with pytest.raises(ValueError, match=r"4 of 4 records have no signal; .*clean is drawn .*render.captures=\[own\]"):
        components.render.step.run(records=own.path, pages=tmp_path / "pages", page=PAGE, seed=1, params=RenderParams())
    with pytest.raises(ValueError, match="3 of 3 records have no signal; training draws its pages from signals"):
        _sources(own, TrainParams(), PAGE, 1, drawn=True)


def test_a_store_without_pictures_has_no_own_pages(store, tmp_path):
    with pytest.raises(ValueError, match="the record store holds no pictures; the source image_folder brings them"):
        components.render.step.run(records=store.path, pages=tmp_path / "pages", page=PAGE, seed=1,
                                   params=RenderParams(captures=("own",)))


def test_scans_with_signals_have_both(scans, tmp_path):
    data = tmp_path / "data"
    for i in range(2):
        write_record(data / f"sig{i}", beats(i))
        write_scan(data / f"page{i}.jpg", i)
    write_csv(data / "labels.csv", [{"image": f"page{i}.jpg", "patient": f"p{i}", "labels": "NORM",
                                     "signal": ("sig0", "../sig1")[i], "fold": 1} for i in range(2)])
    run(data=data, records=tmp_path / "s", params=replace(PARAMS, max_quarantined=0.5), seed=1)
    found = RecordStore.open(tmp_path / "s")
    assert len(found) == 1 and found.table["flags"][0] == ""
    np.testing.assert_allclose(found.signals[0] / 1000, beats(0), atol=1.1e-3)
    assert pd.read_parquet(tmp_path / "s" / "quarantine.parquet")["reason"].tolist() == ["outside_folder"]


def test_a_whole_source_with_pictures_passes_the_merger_and_parts_of_one_are_refused(own, scans, tmp_path):
    run(data=scans, records=tmp_path / "part", params=PARAMS, seed=1, shard=(1, 1))
    assert merge(shards=[tmp_path / "part"], records=tmp_path / "merged").digest == own.meta["digest"]
    assert Pictures(tmp_path / "merged").read("page0") == Pictures(own.path).read("page0")
    with pytest.raises(ValueError, match="reports and pictures are not put together again"):
        run(data=scans, records=tmp_path / "half", params=PARAMS, seed=1, shard=(1, 2))
