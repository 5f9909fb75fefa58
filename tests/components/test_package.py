"""The package: complete, answering as the checkpoint does, and about one model only."""

import dataclasses
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from components.package.step import run
from model.checkpoint import checkpoint_digest, load_checkpoint
from model.inference import predict_pages
from model.network import PageReader
from model.package import check_package, package_digest
from model.params import PackageParams
from model.reading import PageReading, probabilities
from tests.components.conftest import edit_json

PARAMS = PackageParams()


@pytest.fixture(scope="module")
def reading(packaged):
    return PageReading.open(packaged.package)


@pytest.fixture(scope="module")
def sample(packaged):
    return (packaged.package / "sample.png").read_bytes()


def test_a_package_says_what_it_is_made_of(packaged):
    meta = check_package(packaged.package)
    _, trained = load_checkpoint(packaged.checkpoint)
    assert meta["checkpoint_digest"] == checkpoint_digest(packaged.checkpoint)
    assert meta["thresholds"] == json.loads((packaged.evaluation / "thresholds.json").read_text())
    assert {name: meta[name] for name in ("label_names", "page", "data_digest", "run_id")} == {
        name: trained[name] for name in ("label_names", "page", "data_digest", "run_id")}
    assert meta["gate"] == {"passed": True} and meta["parity"] <= PARAMS.parity
    assert 0 <= meta["metrics"]["clean"]["auroc"]["value"] <= 1


def test_the_archive_holds_the_packages_files(packaged):
    meta = check_package(packaged.package)
    with zipfile.ZipFile(packaged.package / "vizecgnet.mar") as archive:
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
        assert set(archive.namelist()) == {"model.pt2", "model.json", "sample.png", "vizecg_handler.py",
                                           "MAR-INF/MANIFEST.json"}
    assert manifest["model"]["modelVersion"] == meta["version"]


def test_the_sample_answer_is_that_of_the_eager_model_on_the_located_page(packaged, reading, sample):
    net, meta = load_checkpoint(packaged.checkpoint)
    located = reading.prepare(sample)
    eager = predict_pages(PageReader(net), located.image[None], batch_size=1)[0]
    stored = json.loads((packaged.package / "sample.json").read_text())["probabilities"]
    np.testing.assert_allclose([stored[label] for label in meta["label_names"]], eager, atol=2e-5)


def test_the_full_path_reads_nearly_what_the_canonical_page_says(packaged, reading):
    """The sample went through paper, file and locate; the model must see the same page as in evaluation."""
    from ecg.pages import PageSet

    page_set = PageSet.open(packaged.pages)
    stored = json.loads((packaged.package / "sample.json").read_text())
    row = int(np.flatnonzero(page_set.index["record"].astype(str) == stored["record"])[0])
    located = reading.prepare((packaged.package / "sample.png").read_bytes())
    drawn = page_set.array("clean")[row].astype(float)
    assert np.corrcoef(drawn.ravel(), located.image.astype(float).ravel())[0, 1] > 0.5


def test_packaging_again_gives_the_same_package(packaged, tmp_path):
    again = run(**packaged.inputs, package=tmp_path / "again", params=PARAMS, seed=1)
    assert again.digest == package_digest(packaged.package)


def test_other_thresholds_are_another_version(packaged, another):
    versions = {check_package(p.package)["version"] for p in (packaged, another)}
    assert len(versions) == 2


def test_a_model_that_failed_is_packaged_and_marked(refused):
    assert check_package(refused.package)["gate"] == {"passed": False}


def test_findings_follow_the_thresholds(reading, sample):
    answer = reading.read(sample)
    for finding in answer["findings"]:
        assert finding["present"] == (finding["probability"] >= round(finding["threshold"], 6))
    assert [f["label"] for f in answer["findings"]] == reading.meta["label_names"]
    assert answer["version"] == reading.meta["version"] and 6 < answer["page"]["px_per_mm_found"] < 10
    json.dumps(answer)


def bad_image(kind, sample):
    empty = io.BytesIO()
    Image.new("RGB", (20, 20), "white").save(empty, "PNG")
    return {"text": b"no image at all", "empty": b"", "torn": sample[:3000], "tiny": empty.getvalue()}[kind]


@pytest.mark.parametrize("kind", ["text", "empty", "torn", "tiny"])
def test_a_bad_image_fails_alone_with_one_line(reading, sample, kind):
    bad = bad_image(kind, sample)
    with pytest.raises(ValueError) as caught:
        reading.read(bad)
    assert len(str(caught.value).splitlines()) == 1
    first, failed, last = reading.read_batch([sample, bad, sample])
    assert isinstance(failed, ValueError)
    assert probabilities(first) == probabilities(last) == pytest.approx(probabilities(reading.read(sample)), abs=1e-5)


def refuse(folders, out, match, **changes):
    with pytest.raises(ValueError, match=match):
        run(**{**folders.inputs, **changes.pop("inputs", {})}, package=out, params=PARAMS, seed=1, **changes)
    assert not out.exists() and not list(out.parent.glob(f".{out.name}*"))


def test_an_evaluation_of_another_checkpoint_is_refused(packaged, another, tmp_path):
    refuse(packaged, tmp_path / "out", "another checkpoint.*vizecg evaluate",
           inputs={"evaluation": another.evaluation, "decision": another.decision})


def test_a_decision_about_another_model_is_refused(packaged, another, tmp_path):
    refuse(packaged, tmp_path / "out", "another checkpoint.*vizecg gate", inputs={"decision": another.decision})


@pytest.mark.parametrize("file", ["metrics.json", "thresholds.json"])
def test_an_evaluation_changed_after_the_decision_is_refused(copied, file, tmp_path):
    path = copied.evaluation / file
    path.write_text(path.read_text().replace("0.", "0.9", 1))
    refuse(copied, tmp_path / "out", "another evaluation")


def test_a_decision_without_a_verdict_is_refused(copied, tmp_path):
    edit_json(copied.decision / "decision.json", passed="yes")
    refuse(copied, tmp_path / "out", "field passed is 'yes'")


def test_pages_without_a_full_size_sample_are_refused(copied, tmp_path):
    shutil.rmtree(copied.pages / "samples")
    refuse(copied, tmp_path / "out", "render.samples")


def test_too_large_a_difference_leaves_nothing_behind(packaged, tmp_path):
    with pytest.raises(ValueError, match="package.parity"):
        run(**packaged.inputs, package=tmp_path / "out", params=dataclasses.replace(PARAMS, parity=-1.0), seed=1)
    assert not list(tmp_path.iterdir())


def test_a_program_swapped_in_a_package_is_refused(copied, another):
    shutil.copyfile(another.package / "model.pt2", copied.package / "model.pt2")
    with pytest.raises(ValueError, match="not the program that model.json describes"):
        PageReading.open(copied.package)
    with pytest.raises(ValueError, match="not the program that model.json describes"):
        check_package(copied.package)


def test_an_archive_swapped_in_a_package_is_refused(copied, another):
    shutil.copyfile(another.package / "vizecgnet.mar", copied.package / "vizecgnet.mar")
    with pytest.raises(ValueError, match="is not the one beside it"):
        check_package(copied.package)
