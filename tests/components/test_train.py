"""The train step on real simulated records: it learns, it resumes, it refuses."""

import dataclasses
import json

import pytest
import torch

from components.train.step import run
from model.checkpoint import load_checkpoint, load_state, save_state
from model.params import PageParams, TrackingParams, TrainParams
from tests.model.tiny import TINY

PAGE = PageParams(height=96, width=192, px_per_mm=0.75)
PARAMS = TrainParams(epochs=2, batch_size=8, precision="fp32")


@pytest.fixture
def inputs(store, tmp_path):
    validation = tmp_path / "validation"
    validation.mkdir()
    (validation / "validation.json").write_text(json.dumps(
        {"success": True, "critical_failed": [], "data_digest": store.digest}))
    return {"records": store.path, "validation": validation, "model": TINY, "page": PAGE, "seed": 3,
            "tracking": TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db")}


def weights(folder):
    return load_checkpoint(folder)[0].state_dict()


def test_a_run_is_tracked_and_its_checkpoint_complete(inputs, tmp_path):
    result = run(checkpoint=tmp_path / "out", params=PARAMS, **inputs)
    _, meta = load_checkpoint(tmp_path / "out")
    assert meta["run_id"] == result.run_id and meta["epochs"] == 2 and meta["precision"] == "float32"
    from mlflow import MlflowClient

    tracked = MlflowClient(inputs["tracking"].uri).get_run(result.run_id)
    assert tracked.info.status == "FINISHED"
    assert tracked.data.tags["data_digest"] == meta["data_digest"]
    assert tracked.data.tags["git_commit"] == meta["git_commit"]
    assert tracked.data.params["train.epochs"] == "2"
    assert tracked.data.metrics["validate_auroc"] == pytest.approx(result.validate_auroc)


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(inputs, tmp_path):
    whole = dataclasses.replace(PARAMS, epochs=3)
    run(checkpoint=tmp_path / "whole", params=whole, **inputs)

    class Cut(Exception):
        """Stands for the kill."""

    import components.train.step as step

    said = step.say

    def cut_after_two(line):
        said(line)
        if line.startswith("epoch 3/"):
            raise Cut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "say", cut_after_two)
        with pytest.raises(Cut):
            run(checkpoint=tmp_path / "cut", params=whole, state=tmp_path / "state", **inputs)
    assert not (tmp_path / "cut").exists()
    (state,) = (tmp_path / "state").iterdir()
    assert len(load_state(state)["history"]) == 2
    run(checkpoint=tmp_path / "cut", params=whole, state=tmp_path / "state", resume=True, **inputs)
    assert not state.exists()
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "cut")[name]), name


def test_runs_keep_states_of_their_own_and_a_forged_one_is_refused(inputs, tmp_path):
    from components.train.step import _state_file

    one, two = (_state_file(tmp_path, sign * 64, True) for sign in "ab")
    assert one != two
    one.write_bytes(b"x")
    assert _state_file(tmp_path, "a" * 64, False) == one and not one.exists()
    params = dataclasses.replace(PARAMS, epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.train.step._state_file", lambda *_: one)
        save_state(one, {"signature": "another"})
        with pytest.raises(ValueError, match="other parameters or data"):
            run(checkpoint=tmp_path / "out", params=params, state=tmp_path, resume=True, **inputs)


@pytest.mark.parametrize(("validation", "message"), [
    ({"success": False, "critical_failed": ["patients in one split"], "data_digest": ""}, "failed patients in one"),
    ({"success": True, "critical_failed": [], "data_digest": "other"}, "another store")])
def test_an_unvalidated_store_is_refused(inputs, tmp_path, validation, message):
    (inputs["validation"] / "validation.json").write_text(json.dumps(validation))
    with pytest.raises(ValueError, match=message):
        run(checkpoint=tmp_path / "out", params=PARAMS, **inputs)


def test_shuffled_labels_train_on_other_targets(inputs, tmp_path):
    run(checkpoint=tmp_path / "a", params=PARAMS, **inputs)
    run(checkpoint=tmp_path / "b", params=dataclasses.replace(PARAMS, shuffle_labels=True), **inputs)
    assert any(not torch.equal(v, weights(tmp_path / "b")[k]) for k, v in weights(tmp_path / "a").items())


@pytest.mark.parametrize("switches", [{"ema": 0.0}, {"lambda_kd": 0.0}, {"precision": "bf16"},
                                      {"page_scale_start": 0.5, "workers": 2}, {"loss": "focal", "mixup": 0.5},
                                      {"lambda_align": 0.5, "kd_mutual": True}])
def test_every_switch_of_the_loop_trains(inputs, tmp_path, switches):
    result = run(checkpoint=tmp_path / "out", params=dataclasses.replace(PARAMS, epochs=1, **switches), **inputs)
    assert result.epochs == 1 and 0 <= result.validate_auroc <= 1


def test_a_runaway_loss_is_named(inputs, tmp_path):
    with pytest.raises(ValueError, match="train.learning_rate"):
        run(checkpoint=tmp_path / "out", params=dataclasses.replace(PARAMS, learning_rate=1e30), **inputs)


def test_the_digitiser_learns_to_read_the_traces(inputs, tmp_path):
    model = dataclasses.replace(inputs.pop("model"), digitiser=True, signal_stream=False, cmam=False, attention_depth=2)
    params = dataclasses.replace(PARAMS, epochs=6, lambda_trace=1.0, wear=0.3, layouts=("3x4+1R", "6x2"))
    run(checkpoint=tmp_path / "out", params=params, model=model, **inputs)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history[-1]["loss_trace"] < 0.9 * history[0]["loss_trace"]


def test_fixed_teachers_of_any_kind_are_asked_once_and_followed(inputs, tmp_path):
    signal = dataclasses.replace(inputs["model"], architecture="vit1d")
    run(checkpoint=tmp_path / "signal", params=PARAMS, **{**inputs, "model": signal})
    run(checkpoint=tmp_path / "page", params=PARAMS, **inputs)
    model = dataclasses.replace(inputs["model"], signal_stream=False, cmam=False)
    taught = dataclasses.replace(PARAMS, teachers=(str(tmp_path / "signal"), str(tmp_path / "page")))
    run(checkpoint=tmp_path / "out", params=taught, **{**inputs, "model": model})
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history[0]["loss_kd"] > 0


@pytest.mark.parametrize("field", ["lambda_trace", "lambda_align"])
def test_a_loss_without_its_part_of_the_network_is_refused(inputs, tmp_path, field):
    model = dataclasses.replace(inputs["model"], signal_stream=False, cmam=False)
    with pytest.raises(ValueError, match=f"train.{field}: needs model"):
        run(checkpoint=tmp_path / "out", params=dataclasses.replace(PARAMS, **{field: 0.5}),
            **{**inputs, "model": model})


def test_a_training_starts_from_another_and_only_from_its_like(inputs, tmp_path):
    run(checkpoint=tmp_path / "first", params=PARAMS, **inputs)
    again = dataclasses.replace(PARAMS, epochs=1, learning_rate=1e-9, ema=0.0, start_from=str(tmp_path / "first"))
    run(checkpoint=tmp_path / "second", params=again, **inputs)
    for name, value in load_checkpoint(tmp_path / "first")[0].named_parameters():
        torch.testing.assert_close(value, weights(tmp_path / "second")[name], atol=1e-6, rtol=0)
    other = dataclasses.replace(inputs["model"], token_dim=32)
    with pytest.raises(ValueError, match="train.start_from: .*another model"):
        run(checkpoint=tmp_path / "third", params=again, **{**inputs, "model": other})


@pytest.mark.parametrize(("change", "message"), [
    ({"layouts": ("4x3",)}, "train.layouts: unknown layout '4x3'"), ({"wear": 3.0}, "train.wear: must lie in 0-2"),
    ({"mixup": 1.5}, "train.mixup")])
def test_settings_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PARAMS, **change)
