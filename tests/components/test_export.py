"""Other runtimes: ONNX says what the package says, 8-bit ONNX nearly, and the difference is measured."""

import json

import numpy as np
import pytest

from components.cli import main
from components.export import PARITY, run
from ecg.pages import PageSet
from model.export import load_reader
from model.inference import predict_pages
from model.int8 import measure_loss
from model.runtimes import OnnxReader
from tests.components.conftest import edit_json


@pytest.fixture(scope="module")
def exported(packaged, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    result = run(package=packaged.package, pages=packaged.pages, onnx=folder / "m.onnx", int8=folder / "m.int8.onnx")
    return result, folder


def test_onnx_gives_the_packages_probabilities_at_any_batch(exported, packaged):
    result, folder = exported
    pages = PageSet.open(packaged.pages)
    some = np.array(pages.array(pages.captures[0])[:5])
    assert result.parity <= PARITY
    for size in (1, 5):
        ours, theirs = (predict_pages(reader, some, batch_size=size)
                        for reader in (OnnxReader(folder / "m.onnx"), load_reader(packaged.package / "model.pt2")))
        assert np.abs(ours - theirs).max() <= PARITY


def test_without_pages_the_packages_own_is_compared(packaged, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a checkout may have pages of its own, left by `make run`
    command = ["export", "--package", str(packaged.package), "--onnx", str(tmp_path / "m.onnx")]
    assert main(command) == 0
    said = json.loads((tmp_path / "m.json").read_text())
    assert said["pages_digest"] is None and 0 <= said["parity"] <= PARITY
    assert main([*command, "--int8", str(tmp_path / "m.int8.onnx")]) == 2
    assert "artifacts/render: not a pages folder" in capsys.readouterr().err
    with pytest.raises(ValueError, match="^--int8: needs --pages"):
        run(package=packaged.package, pages=None, onnx=tmp_path / "n.onnx", int8=tmp_path / "n.int8.onnx")


def test_the_loss_of_8_bits_is_measured_and_written(exported, packaged):
    result, folder = exported
    assert result.loss == pytest.approx(result.auroc - result.auroc_int8) and abs(result.loss) < 0.1
    assert 0 < result.largest_int8 < 0.5
    assert json.loads((folder / "m.json").read_text())["loss"] == result.loss
    same = measure_loss(*[load_reader(packaged.package / "model.pt2")] * 2, PageSet.open(packaged.pages), limit=10)
    assert same.reference == same.other and same.largest == 0.0


def test_other_pages_and_a_damaged_package_are_refused(copied, tmp_path, capsys):
    edit_json(copied.pages / "pages.json", label_names=["X"])
    arguments = ["export", "--package", str(copied.package), "--pages", str(copied.pages),
                 "--onnx", str(tmp_path / "m")]
    assert main([*arguments[:-1], str(copied.package / "m.onnx")]) == 2
    assert "lies in the package" in capsys.readouterr().err
    assert main(arguments) == 2 and "not the package's" in capsys.readouterr().err
    (copied.package / "model.pt2").write_bytes(b"x")
    assert main(arguments) == 2 and not (tmp_path / "m").exists()


def test_a_package_without_its_archive_can_be_exported(copied, tmp_path):
    archive, = copied.package.glob("*.mar")
    archive.unlink()
    assert run(package=copied.package, pages=copied.pages, onnx=tmp_path / "m.onnx").parity <= PARITY
    assert (tmp_path / "m.onnx").is_file() and not list(copied.package.glob("*.mar"))
