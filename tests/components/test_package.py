"""The package: complete, answering as the checkpoint does, and about one model only."""

import dataclasses
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks.foreign import foreign
from components.package.step import run
from model.checkpoint import checkpoint_digest, load_checkpoint
from model.inference import predict_pages
from model.network import PageReader
from model.package import check_package, description_digest, package_digest
from model.params import PackageParams
from model.reading import PROGRAMS, PageReading, probabilities
from model.refusal import PageRefusedError
from serving.archive import write_archive
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
        assert set(archive.namelist()) == {"model.pt2", "model.onnx", "model.json", "sample.png", "vizecg_handler.py",
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


def test_another_model_is_another_version(packaged, another):
    versions = {check_package(p.package)["version"] for p in (packaged, another)}
    assert len(versions) == 2


def test_a_model_that_failed_is_packaged_and_marked(refused):
    assert check_package(refused.package)["gate"] == {"passed": False}


def test_findings_follow_the_thresholds(reading, sample):
    answer = reading.read(sample)
    for finding in answer["findings"]:
        assert finding["present"] == (finding["probability"] >= round(finding["threshold"], 6))
    assert [f["label"] for f in answer["findings"]] == reading.meta["label_names"]
    assert answer["page"]["warnings"] == []
    assert answer["version"] == reading.meta["version"] and 6 < answer["page"]["px_per_mm_found"] < 10
    json.dumps(answer)


def test_an_answer_says_how_sure_it_is(reading, sample, packaged):
    answer = reading.read(sample)
    metrics = json.loads((packaged.evaluation / "metrics.json").read_text())
    assert answer["coverage"] == metrics["params"]["coverage"] and 0 < answer["page"]["quality"] <= 1
    for finding in answer["findings"]:
        known = metrics["test"]["clean"]["classes"][finding["label"]]["calibration"]
        odds = np.log(finding["probability"] / (1 - finding["probability"]))
        mended = 1 / (1 + np.exp(-(known["slope"] * odds + known["intercept"])))
        assert finding["calibrated"] == pytest.approx(mended, abs=1e-3)
        plausible = {"present": mended >= known["least_present"], "absent": mended <= known["most_absent"]}
        assert set(finding["plausible"]) == {name for name, holds in plausible.items() if holds}


def test_a_package_made_before_calibration_still_answers(packaged, reading, sample, tmp_path):
    shutil.copytree(packaged.package, tmp_path / "old")
    meta = json.loads((tmp_path / "old" / "model.json").read_text())
    del meta["certainty"], meta["refusal"]
    (tmp_path / "old" / "model.json").write_text(json.dumps(meta))
    answer = PageReading.open(tmp_path / "old").read(sample)
    assert probabilities(answer) == probabilities(reading.read(sample))
    assert "coverage" not in answer and "quality" not in answer["page"] and "calibrated" not in answer["findings"][0]


def test_a_picture_that_is_no_ecg_is_refused_and_a_page_beside_it_is_not(reading, sample):
    strict = dataclasses.replace(reading, refusal=dataclasses.replace(reading.refusal, least=1.1))
    with pytest.raises(PageRefusedError, match="no 12-lead ECG page: quality"):
        strict.read(sample)
    chart = io.BytesIO()
    Image.fromarray(foreign("waves on grid", 3)).save(chart, "PNG")
    first, refused, last = reading.read_batch([sample, chart.getvalue(), sample])
    assert isinstance(refused, ValueError) and probabilities(first) == probabilities(last)


def test_a_package_explains_its_findings_on_the_picture(reading, sample):
    why, picture = reading.explain(sample)
    answer = reading.read(sample)
    furthest = max(answer["findings"], key=lambda f: f["probability"] - f["threshold"])
    assert why.label == furthest["label"] and picture.dtype == np.uint8
    assert picture.shape == np.asarray(Image.open(io.BytesIO(sample)).convert("RGB")).shape
    assert 0.5 < sum(lead.share for lead in why.leads) <= 1.01
    other = next(label for label in reading.meta["label_names"] if label != why.label)
    assert reading.explain(sample, other)[0].label == other
    with pytest.raises(ValueError, match="'XYZ' is not one that this model reads"):
        reading.explain(sample, "XYZ")


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


@pytest.mark.parametrize(("program", "digest"), PROGRAMS.items())
def test_a_program_swapped_in_a_package_is_refused(copied, another, program, digest):
    shutil.copyfile(another.package / program, copied.package / program)
    for check in (PageReading.open, check_package):
        with pytest.raises(ValueError, match=rf"{program}: not the program that model.json describes \({digest}\)"):
            check(copied.package)
    (copied.package / program).unlink()
    with pytest.raises(ValueError, match=f"{program}: no such file; make it with 'vizecg package'"):
        check_package(copied.package)


def test_a_program_without_its_digest_or_changed_after_it_was_opened_is_refused(copied, another, sample):
    opened = PageReading.open(copied.package)
    shutil.copyfile(another.package / "model.pt2", copied.package / "model.pt2")
    with pytest.raises(ValueError, match="model.pt2: not the program that model.json describes"):
        opened.explain(sample)
    meta = json.loads((copied.package / "model.json").read_text())
    del meta["digest"]
    meta["version"] = description_digest(meta)
    (copied.package / "model.json").write_text(json.dumps(meta))
    for check in (PageReading.open, check_package):
        with pytest.raises(ValueError, match=r"model.pt2: not the program that model.json describes \(digest\)"):
            check(copied.package)


def test_a_package_of_before_there_was_onnx_is_read_by_its_program(copied, reading, sample):
    (copied.package / "model.onnx").unlink()
    meta = json.loads((copied.package / "model.json").read_text())
    del meta["onnx_digest"]
    meta["version"] = description_digest(meta)
    (copied.package / "model.json").write_text(json.dumps(meta))
    write_archive(copied.package, name=meta["name"], version=meta["version"])
    assert check_package(copied.package) == meta and package_digest(copied.package)
    older = PageReading.open(copied.package)
    assert probabilities(older.read(sample)) == pytest.approx(probabilities(reading.read(sample)), abs=PARAMS.parity)
    np.testing.assert_array_equal(older.explain(sample)[1], reading.explain(sample)[1])


def test_an_archive_swapped_in_a_package_is_refused(copied, another):
    shutil.copyfile(another.package / "vizecgnet.mar", copied.package / "vizecgnet.mar")
    with pytest.raises(ValueError, match="is not the one beside it"):
        check_package(copied.package)
