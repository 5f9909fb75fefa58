"""A package has two programs: onnxruntime reads as PyTorch does, and explanations load the latter when asked."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from model.explain import relevance
from model.export import check_parity, export_reader, load_reader, save_reader, worst_difference
from model.runtimes import OnnxReader, PackagedReader, write_onnx
from model.typed import as_dict
from tests.model.test_export import PAGE, network


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    save_reader(export_reader(network(0), {"page": as_dict(PAGE)}), folder / "model.pt2")
    write_onnx(folder / "model.pt2", folder / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def pages():
    return np.random.default_rng(0).integers(0, 256, (8, PAGE.height, PAGE.width), dtype=np.uint8)


def test_onnx_is_held_to_the_network_as_the_program_is(folder, pages):
    assert check_parity(folder / "model.onnx", OnnxReader, network(0), pages, limit=1e-5) <= 1e-5
    with pytest.raises(ValueError, match="model.onnx: differs from the checkpoint by .* more than package.parity"):
        check_parity(folder / "model.onnx", OnnxReader, network(1), pages, limit=1e-4)


def test_it_reads_by_onnxruntime_and_loads_the_program_when_it_explains(folder, pages):
    reader = PackagedReader(partial(load_reader, folder / "model.pt2"), folder / "model.onnx")
    program = load_reader(folder / "model.pt2")
    assert worst_difference(reader, program, pages) <= 1e-5
    assert "program" not in vars(reader), "seconds that no reading needs"
    np.testing.assert_array_equal(relevance(reader, pages[:2], 1, px_per_mm=1.0),
                                  relevance(program, pages[:2], 1, px_per_mm=1.0))
    assert "program" in vars(reader)


def test_without_onnx_the_program_reads_and_is_looked_at_once(folder, pages, tmp_path):
    reader = PackagedReader(partial(load_reader, folder / "model.pt2"), None)
    assert worst_difference(reader, load_reader(folder / "model.pt2"), pages) == 0.0
    (tmp_path / "torn.pt2").write_bytes(b"torn")
    with pytest.raises(ValueError, match="torn.pt2: not an exported program"):
        PackagedReader(partial(load_reader, tmp_path / "torn.pt2"), None)


def test_what_is_no_onnx_is_named(folder, tmp_path):
    (tmp_path / "torn.onnx").write_bytes(b"torn")
    for name, reason in (("none.onnx", "no such file"), ("torn.onnx", "not a program that onnxruntime runs")):
        with pytest.raises(ValueError, match=f"{name}: {reason}"):
            OnnxReader(tmp_path / name)
    with pytest.raises(ValueError, match="torn.onnx: not an exported program"):
        write_onnx(tmp_path / "torn.onnx", tmp_path / "out.onnx")


def test_the_same_program_gives_the_same_bytes_and_names_no_file_of_this_machine(folder, tmp_path):
    write_onnx(folder / "model.pt2", tmp_path / "again.onnx")
    made = (folder / "model.onnx").read_bytes()
    assert (tmp_path / "again.onnx").read_bytes() == made
    assert str(Path(__file__).parents[2]).encode() not in made
