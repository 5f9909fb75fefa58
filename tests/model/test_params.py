"""Unknown keys and wrong types of params.yaml are refused by name."""

import pytest

from model.params import Params, TrainParams, load_params
from model.typed import as_dict, from_dict


def test_round_trip_through_plain_values():
    assert from_dict(Params, as_dict(Params())) == Params()


def test_whole_floats_count_as_ints_because_kubeflow_sends_them():
    assert from_dict(TrainParams, {"epochs": 3.0}).epochs == 3


@pytest.mark.parametrize(("raw", "message"), [
    ({"train": {"epoch": 3}}, "train.epoch: unknown key"),
    ({"train": {"epochs": "three"}}, "train.epochs: must be int, not 'three'"),
    ({"train": {"epochs": 2.5}}, "train.epochs: must be int, not 2.5"),
    ({"train": {"epochs": True}}, "train.epochs: must be int, not True"),
    ({"train": {"precision": "fp8"}}, "train.precision: must be one of auto, bf16, fp32"),
    ({"train": 3}, "train: must be a section"),
    ({"ingest": {"train_folds": 3}}, "ingest.train_folds: must be a list"),
    ({"ingest": {"test_folds": [1]}}, "ingest.*_folds: a fold stands in two splits"),
    ({"page": {"height": 250}}, "page.height/width: must be multiples of 32"),
    ({"model": {"heads": 3}}, "model.token_dim: must be a multiple of model.heads"),
    ({"model": {"views": 6}}, "model.views: must lie in 1-5"),
    ({"model": {"heads": 0}}, "model.heads: must be at least 1"),
    ({"model": {"heads": -2}}, "model.heads: must be at least 1"),
    ({"model": {"signal_kernel": 4}}, "model.signal_kernel: must be odd"),
    ({"model": {"image_depths": [1, 1, 0, 1]}}, "model.image_widths/depths: must be numbers from 1"),
    ({"page": {"layout": "3x5"}}, "page.layout: unknown layout '3x5'; known are 3x4, "),
    ({"page": {"px_per_mm": 2.0}}, "page.width: must be at least 510 for 2 pixels a millimetre"),
    ({"train": {"checkpoint_every": 0}}, "train.checkpoint_every: must be at least 1"),
    ({"train": {"warmup": 3.0}}, "train.warmup: is a share of the steps"),
    ({"train": {"temperature": 0.0}}, "train.temperature: must be positive"),
    ({"train": {"shuffle_labels": True, "teachers": ["a"]}}, "train.shuffle_labels: is no control beside models"),
    ({"train": {"shuffle_labels": True, "start_from": "a"}}, "train.shuffle_labels: is no control beside models"),
    ({"train": {"mask": 1.0}}, "train.mask: must lie in 0-1, 1 excluded"),
    ({"evaluate": {"level": 0.01}}, "evaluate.level: must be at least 0.8 and below 1"),
    ({"evaluate": {"resamples": 1}}, "evaluate.resamples: must be at least 20"),
    ({"gate": {"rules": [{"metric": 3}]}}, "gate.rules[0].metric: must be str"),
])
def test_a_mistake_is_named(raw, message):
    with pytest.raises(ValueError) as error:
        from_dict(Params, raw)
    assert str(error.value).startswith(message)


def test_overrides_and_files(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("train: {epochs: 3}\n")
    params = load_params(file, ("train.batch_size=8", "gate.rules=[{metric: a.b, limit: 0.5}]"))
    assert (params.train.epochs, params.train.batch_size, params.gate.rules[0].limit) == (3, 8, 0.5)


@pytest.mark.parametrize("text", ["train: [", "- a"])
def test_a_file_that_is_no_params_is_named(tmp_path, text):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match="params.yaml"):
        load_params(file)


def test_a_missing_file_and_a_bad_override_are_named(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        load_params(tmp_path / "none.yaml")
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    for text in ("train.epochs", "seed.x=1"):
        with pytest.raises(ValueError, match="--set"):
            load_params(tmp_path / "params.yaml", (text,))
