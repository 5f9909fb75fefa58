"""The exported reader answers as the network does, on any batch, and is read without trust."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.export import check_parity, export_reader, load_reader, save_reader, worst_difference
from model.inference import predict_pages
from model.network import PageReader, VizECGNet
from model.params import PageParams
from model.typed import as_dict
from tests.model.tiny import TINY

PAGE = PageParams(height=64, width=128, px_per_mm=0.5)


def network(seed):
    torch.manual_seed(seed)
    net = VizECGNet(TINY, classes=3).eval()
    torch.nn.init.normal_(net.head_image.linear.weight, std=0.5)
    return net


@pytest.fixture(scope="module")
def net():
    return network(0)


@pytest.fixture(scope="module")
def path(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.pt2"
    save_reader(export_reader(net, {"page": as_dict(PAGE)}), path)
    return path


@pytest.fixture(scope="module")
def pages():
    return np.random.default_rng(0).integers(0, 256, (8, PAGE.height, PAGE.width), dtype=np.uint8)


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_any_batch_gives_the_networks_answer(net, path, pages, batch):
    theirs = predict_pages(load_reader(path), pages, batch_size=batch)
    ours = predict_pages(PageReader(net), pages, batch_size=batch)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    assert theirs.dtype == np.float32 and np.ptp(theirs, axis=0).max() > 1e-3


def test_views_and_lead_positions_are_packaged(tmp_path, pages):
    net = VizECGNet(replace(TINY, views=3, lead_positions=True), classes=3, page=PAGE).eval()
    torch.nn.init.normal_(net.head_image.linear.weight, std=0.5)
    torch.nn.init.normal_(net.image.leads.code.weight)
    save_reader(export_reader(net, {"page": as_dict(PAGE)}), tmp_path / "model.pt2")
    assert check_parity(tmp_path / "model.pt2", load_reader, net, pages, limit=1e-4) <= 1e-4


def test_parity_is_measured_on_few_pages_too(net, path, pages):
    assert check_parity(path, load_reader, net, pages[:1], limit=1e-4) <= 1e-4


def test_another_networks_program_is_refused(path, pages):
    with pytest.raises(ValueError, match="more than package.parity"):
        check_parity(path, load_reader, network(1), pages, limit=1e-4)


def test_a_difference_in_one_batch_alone_is_seen(net, pages):
    reader = PageReader(net)
    assert worst_difference(lambda p: reader(p) if len(p) != 3 else 1 - reader(p), reader, pages) > 0.1


def test_the_same_network_gives_the_same_bytes(net, path, tmp_path):
    save_reader(export_reader(net, {"page": as_dict(PAGE)}), tmp_path / "again.pt2")
    assert (tmp_path / "again.pt2").read_bytes() == path.read_bytes()


class Harm:
    """Unpickled, it would leave a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (self.target, "w")


def test_a_pickle_in_its_place_is_refused_and_not_run(tmp_path):
    (tmp_path / "model.pt2").write_bytes(pickle.dumps(Harm(str(tmp_path / "harm"))))
    with pytest.raises(ValueError, match="not an exported program"):
        load_reader(tmp_path / "model.pt2")
    assert not (tmp_path / "harm").exists()


def test_a_torn_or_missing_program_is_named(path, tmp_path):
    (tmp_path / "torn.pt2").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="torn.pt2: not an exported program"):
        load_reader(tmp_path / "torn.pt2")
    with pytest.raises(ValueError, match="no such file; make it with 'vizecg package'"):
        load_reader(tmp_path / "none.pt2")


def test_a_program_names_no_file_of_the_machine_that_made_it(path):
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()
