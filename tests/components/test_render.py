"""render: the frozen pages, their index, and pictures to look at."""

import json

import numpy as np
import pandas as pd
import pytest

from components.render.step import pick_varied, run
from ecg.paper.files import read_image
from ecg.paper.layout import layout
from ecg.paper.page import Renderer
from model.params import PageParams, RenderParams

PAGE = PageParams()
SMALL = RenderParams(contact_sheet=5, samples=3, sample_dpi=60)


@pytest.fixture(scope="module")
def pages(store_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("render") / "pages"
    result = run(records=store_path, pages=path, params=SMALL, page=PAGE, seed=3)
    return path, result


def test_every_row_of_the_index_has_its_page(pages, store):
    path, result = pages
    drawn, index = np.load(path / "clean.npy", mmap_mode="r"), pd.read_parquet(path / "index.parquet")
    assert drawn.shape == (len(index), PAGE.height, PAGE.width) and drawn.dtype == np.uint8
    assert result.pages == len(index) == (store.table["split"] != "train").sum()
    assert list(index.columns) == ["record", "patient", "split", "age", "sex", "device", "signal_quality",
                                   *(f"label:{name}" for name in store.label_names)]
    assert index["signal_quality"].between(0, 1).all()
    renderer = Renderer(layout(PAGE.layout), height=PAGE.height, width=PAGE.width, px_per_mm=PAGE.px_per_mm,
                        sampling_rate=store.sampling_rate, samples=store.signals.shape[-1])
    place = {record: i for i, record in enumerate(store.table["record"])}
    for i in (0, len(index) // 2, len(index) - 1):
        assert np.array_equal(drawn[i], renderer.draw(store.signals[place[index["record"].iloc[i]]]))


def test_the_description_names_data_labels_and_page(pages, store):
    meta = json.loads((pages[0] / "pages.json").read_text())
    assert meta["schema"] == 1 and meta["digest"] == pages[1].digest and meta["data_digest"] == store.digest
    assert meta["label_names"] == list(store.label_names) and meta["captures"] == ["clean"]
    assert PageParams(**meta["page"]) == PAGE


def test_samples_are_full_colour_pages_of_the_test_split_with_labels(pages, store):
    listed = pd.read_csv(pages[0] / "samples" / "labels.csv", dtype=str, keep_default_na=False)
    assert len(listed) == 3 and listed["record"].is_unique
    table = store.table.set_index("record")
    for row in listed.itertuples():
        assert table.loc[row.record, "split"] == "test"
        assert row.labels.split() == [n for n in store.label_names if table.loc[row.record, f"label:{n}"]]
        assert read_image(pages[0] / "samples" / row.file).shape == (510, 660, 3)
    assert listed["labels"].nunique() > 1


def test_the_contact_sheet_shows_pages(pages):
    sheet = read_image(pages[0] / "contact_sheet.png")
    assert sheet.shape[1] > 3 * PAGE.width and sheet.shape[0] > 2 * PAGE.height and sheet.min() < 60


def test_the_same_input_gives_the_same_files(pages, store_path, tmp_path):
    again = run(records=store_path, pages=tmp_path / "pages", params=SMALL, page=PAGE, seed=3)
    assert again == pages[1]
    for file in sorted(p.relative_to(pages[0]) for p in pages[0].rglob("*") if p.is_file()):
        assert (tmp_path / "pages" / file).read_bytes() == (pages[0] / file).read_bytes(), file


def test_another_page_has_another_digest(pages, store_path, tmp_path):
    smaller = PageParams(height=128, width=256, px_per_mm=1.0)
    result = run(records=store_path, pages=tmp_path / "p", params=RenderParams(splits=("validate",), samples=1),
                 page=smaller, seed=3)
    assert result.digest != pages[1].digest
    assert np.load(tmp_path / "p" / "clean.npy", mmap_mode="r").shape[1:] == (128, 256)


def test_mistakes_leave_nothing_behind(store_path, tmp_path):
    with pytest.raises(ValueError, match="unknown layout"):
        run(records=store_path, pages=tmp_path / "p", params=SMALL, page=PageParams(layout="9x9"), seed=0)
    with pytest.raises(ValueError, match="not a record store"):
        run(records=tmp_path / "none", pages=tmp_path / "p", params=SMALL, page=PAGE, seed=0)
    assert not list(tmp_path.iterdir())


def test_varied_choices_cover_the_labels_before_any_comes_twice():
    labels = np.zeros((40, 4), int)
    labels[:, 0] = 1
    labels[5], labels[9], labels[20] = [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]
    chosen = pick_varied(labels, 4, np.random.default_rng(0))
    assert labels[chosen].sum(axis=0).tolist() == [1, 1, 1, 1]
    assert len(set(pick_varied(labels, 100, np.random.default_rng(0)))) == 40
