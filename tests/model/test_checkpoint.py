"""Checkpoints come back equal, and a torn or foreign file is named."""

import pytest
import torch

from model.checkpoint import checkpoint_digest, load_checkpoint, save_checkpoint
from model.network import VizECGNet
from model.params import PageParams
from model.typed import as_dict
from tests.model.tiny import TINY


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    meta = {"label_names": ["A", "B"], "model": as_dict(TINY), "page": as_dict(PageParams())}
    save_checkpoint(tmp_path, VizECGNet(TINY, classes=2), meta=meta, history=[])
    return tmp_path


def test_round_trip(folder):
    net, meta = load_checkpoint(folder)
    torch.manual_seed(0)
    saved = VizECGNet(TINY, classes=2).state_dict()
    assert meta["label_names"] == ["A", "B"] and not net.training
    assert saved.keys() == net.state_dict().keys()
    assert all(torch.equal(value, saved[name]) for name, value in net.state_dict().items())


def test_one_flipped_bit_changes_the_digest(folder):
    before = checkpoint_digest(folder)
    data = bytearray((folder / "model.pt").read_bytes())
    data[-100] ^= 1
    (folder / "model.pt").write_bytes(data)
    assert checkpoint_digest(folder) != before


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_torn_or_missing_file_is_named(folder, damage):
    if damage is None:
        (folder / "model.json").unlink()
    else:
        (folder / "model.pt").write_bytes(damage)
    with pytest.raises(ValueError, match="model.json|model.pt"):
        load_checkpoint(folder)


def test_a_pickle_that_runs_code_is_refused(folder):
    torch.save({"bad": test_round_trip}, folder / "model.pt")
    with pytest.raises(ValueError, match="model.pt"):
        load_checkpoint(folder)
