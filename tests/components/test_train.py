"""The train step on real simulated records: it learns, it resumes, it refuses."""

import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch._inductor.config

from components.train import step
from components.train.step import run
from components.train.teachers import asked_each_time, taught
from ecg.records import RecordStore
from model.baselines import build
from model.checkpoint import checkpoint_digest, load_checkpoint, save_checkpoint
from model.params import PageParams, TrackingParams, TrainParams
from model.states import LocalFolder, States
from model.teaching import answers
from tests.model.tiny import TINY

PAGE = PageParams(height=96, width=192, px_per_mm=0.75)
PARAMS = TrainParams(epochs=2, batch_size=8, precision="fp32")


@pytest.fixture
def inputs(store, tmp_path):
    validation = tmp_path / "validation"
    validation.mkdir()
    (validation / "validation.json").write_text(json.dumps(
        {"success": True, "critical_failed": [], "warnings": [], "expectations": [], "data_digest": store.digest}))
    return {"records": store.path, "validation": validation, "model": TINY, "page": PAGE, "seed": 3,
            "tracking": TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db")}


def kept(folder):
    """The states of the one run whose states lie in a folder."""
    return States(LocalFolder(folder), next(iter(folder.glob("*.pt"))).name.split("-")[0])


def weights(folder):
    return load_checkpoint(folder)[0].state_dict()


def test_a_run_is_tracked_and_its_checkpoint_complete(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    result = run(checkpoint=tmp_path / "out", params=dataclasses.replace(PARAMS, profile=2), **inputs)
    _, meta = load_checkpoint(tmp_path / "out")
    assert meta["run_id"] == result.run_id and meta["epochs"] == 2 and meta["precision"] == "float32"
    from mlflow import MlflowClient

    tracked = MlflowClient(inputs["tracking"].uri).get_run(result.run_id)
    assert tracked.info.status == "FINISHED"
    assert tracked.data.tags["data_digest"] == meta["data_digest"]
    assert tracked.data.tags["git_commit"] == meta["git_commit"]
    assert tracked.data.params["train.epochs"] == "2"
    measured = tracked.data.metrics
    assert measured["validate_auroc"] == pytest.approx(result.validate_auroc)
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes", "images_per_second",
            *(f"seconds_{phase}" for phase in ("data", "forward", "backward", "optimizer"))} <= measured.keys()
    assert measured["seconds_to_first_step"] > 0
    with gzip.open(tmp_path / "out" / "trace.json.gz") as file:
        events = [event["name"] for event in json.load(file)["traceEvents"] if "name" in event]
    assert events.count("ProfilerStep#3") == events.count("ProfilerStep#4") == 1 and "ProfilerStep#5" not in events
    assert any("conv" in event for event in events)


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
    assert len(kept(tmp_path / "state").latest()["history"]) == 2
    run(checkpoint=tmp_path / "cut", params=whole, state=tmp_path / "state", resume=True, **inputs)
    assert not list((tmp_path / "state").iterdir())
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "cut")[name]), name


def test_runs_keep_states_of_their_own_and_a_forged_one_is_refused(inputs, tmp_path, monkeypatch):
    params, state = dataclasses.replace(PARAMS, epochs=1), tmp_path / "state"
    monkeypatch.setattr(step.States, "clear", lambda _: None)  # a finished run leaves its states
    run(checkpoint=tmp_path / "out", params=params, state=state, **inputs)
    mine = kept(state)
    run(checkpoint=tmp_path / "out", params=params, state=state, **{**inputs, "seed": 8})
    assert len({file.name.split("-")[0] for file in state.iterdir()}) == 2
    mine.save({"signature": "another"}, step=10**6)
    with pytest.raises(ValueError, match="other parameters or data"):
        run(checkpoint=tmp_path / "out", params=params, state=state, resume=True, **inputs)


def test_a_training_ends_where_validation_no_longer_improves(inputs, tmp_path):
    params = dataclasses.replace(PARAMS, epochs=12, patience=1, shuffle_labels=True)
    epochs = run(checkpoint=tmp_path / "out", params=params, **inputs).epochs
    scores = [row["validate_auroc"] for row in json.loads((tmp_path / "out" / "history.json").read_text())]
    assert epochs == len(scores) < 12 and scores[-1] <= max(scores[:-1])


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
                                      {"lambda_align": 0.5, "kd_mutual": True},
                                      {"accumulate": 2, "deterministic": True}, {"sampling": "balanced"},
                                      {"sampling": "patient", "save_steps": 2}])
def test_every_switch_of_the_loop_changes_what_is_learnt(inputs, tmp_path, switches):
    once = dataclasses.replace(PARAMS, epochs=1)
    run(checkpoint=tmp_path / "plain", params=once, **inputs)
    result = run(checkpoint=tmp_path / "out", params=dataclasses.replace(once, **switches), **inputs)
    assert result.epochs == 1 and 0 <= result.validate_auroc <= 1
    assert any(not torch.equal(v, weights(tmp_path / "out")[k]) for k, v in weights(tmp_path / "plain").items())


@pytest.mark.slow
def test_where_the_compiler_fails_the_training_says_so_and_goes_on(inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    with torch._inductor.config.patch({"cpp.cxx": (None, "/nonexistent/c++"), "fx_graph_cache": False}):
        run(checkpoint=tmp_path / "out", params=dataclasses.replace(PARAMS, epochs=1, compile=True), **inputs)
    assert capsys.readouterr().err.count("train.compile: goes on without, the compiler failed") == 1
    run(checkpoint=tmp_path / "plain", params=dataclasses.replace(PARAMS, epochs=1), **inputs)
    plain = weights(tmp_path / "plain")
    assert all(torch.equal(value, plain[name]) for name, value in weights(tmp_path / "out").items())


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
    for name in ("out", "again"):
        run(checkpoint=tmp_path / name, params=taught, state=tmp_path / "state", **{**inputs, "model": model})
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history[0]["loss_kd"] > 0
    assert json.loads((tmp_path / "out" / "model.json").read_text())["built_on"] == {
        folder: checkpoint_digest(Path(folder)) for folder in taught.teachers}
    assert len(list((tmp_path / "state").glob("teacher-*.npy"))) == 2
    for name, value in weights(tmp_path / "out").items():
        torch.testing.assert_close(value, weights(tmp_path / "again")[name], atol=0, rtol=0)


def test_teachers_asked_each_time_answer_what_is_drawn(inputs, tmp_path):
    """Of signals as they are they say the same as when asked once; of blends, and of those alone, something else."""
    signal = dataclasses.replace(inputs["model"], architecture="resnet1d_wang", signal_crop=250)
    run(checkpoint=tmp_path / "signal", params=PARAMS, **{**inputs, "model": signal})
    run(checkpoint=tmp_path / "page", params=PARAMS, **inputs)
    inputs["model"] = dataclasses.replace(inputs["model"], signal_stream=False, cmam=False)
    once = dataclasses.replace(PARAMS, teachers=(str(tmp_path / "signal"),), augment=0.0, pretrain=1)
    each = dataclasses.replace(once, ask_teachers="each")

    def first_loss(name, params):
        run(checkpoint=tmp_path / name, params=params, state=tmp_path / f"{name}-state", **inputs)
        return json.loads((tmp_path / name / "history.json").read_text())[0]["loss_kd"]

    plain = first_loss("once", once)
    assert first_loss("each", each) == pytest.approx(plain, rel=1e-4) and plain > 0
    blended = [first_loss(f"blends-{p.ask_teachers}", dataclasses.replace(p, mixup=1.0)) for p in (once, each)]
    assert abs(blended[0] - blended[1]) > 0.01 * plain
    with pytest.raises(ValueError, match="page reads pages, and train.ask_teachers is each"):
        run(checkpoint=tmp_path / "out", params=dataclasses.replace(each, teachers=(str(tmp_path / "page"),)), **inputs)
    with pytest.raises(ValueError, match="train.ask_teachers: each needs train.teachers"):
        dataclasses.replace(each, teachers=())


def test_a_teacher_may_know_more_findings_and_in_another_order(inputs, tmp_path, store):
    """A teacher whose head has the same findings reversed, and one more, says of each what it said before."""
    signal = dataclasses.replace(inputs["model"], architecture="vit1d")
    run(checkpoint=tmp_path / "signal", params=PARAMS, **{**inputs, "model": signal})
    net, meta = load_checkpoint(tmp_path / "signal")
    names = list(meta["label_names"])
    wider = build(signal, classes=len(names) + 1, page=PAGE)
    order = [*reversed(range(len(names))), 0]
    wider.load_state_dict({name: value[order] if value.shape[:1] == (len(names),) else value
                           for name, value in net.state_dict().items()})
    (tmp_path / "wider").mkdir()
    save_checkpoint(tmp_path / "wider", wider, meta={**meta, "label_names": [*reversed(names), "more"]}, history=[])
    rows = store.rows("train")
    said = [taught((str(tmp_path / name),), store, rows, kept=None) for name in ("signal", "wider")]
    np.testing.assert_allclose(said[1], said[0], atol=1e-6)
    drawn = torch.from_numpy(store.signals[rows[:4]] / 1000).float()
    live = answers(asked_each_time((str(tmp_path / "wider"),), tuple(names)), drawn)
    np.testing.assert_allclose(live, said[0][:4], atol=1e-5)
    with pytest.raises(ValueError, match="more is none of the teacher's findings"):
        asked_each_time((str(tmp_path / "signal"),), (*names, "more"))


@pytest.mark.parametrize("weight", ["lambda_trace", "lambda_align"])
def test_pretraining_needs_no_labels_and_is_begun_with(inputs, tmp_path, weight):
    model = dataclasses.replace(inputs.pop("model"), smam=False, cmam=False,
                                digitiser=weight == "lambda_trace")
    without_labels = dataclasses.replace(PARAMS, lambda_cls=0.0, lambda_kd=0.0, mask=0.4, **{weight: 1.0})
    shuffled = dataclasses.replace(without_labels, shuffle_labels=True)
    for name, params in (("first", without_labels), ("blind", shuffled)):
        run(checkpoint=tmp_path / name, params=params, model=model, **inputs)
    for name, value in weights(tmp_path / "first").items():
        assert torch.equal(value, weights(tmp_path / "blind")[name]), name
    history = json.loads((tmp_path / "first" / "history.json").read_text())
    assert history[-1]["loss"] < history[0]["loss"]
    start = dataclasses.replace(PARAMS, epochs=1, start_from=str(tmp_path / "first"), learning_rate=1e-9, ema=0.0)
    model = dataclasses.replace(model, signal_stream=False, digitiser=False)
    run(checkpoint=tmp_path / "then", params=start, model=model, **inputs)
    name = "image.backbone.stem.0.weight"
    torch.testing.assert_close(weights(tmp_path / "then")[name], weights(tmp_path / "first")[name], atol=1e-6, rtol=0)


def test_pretraining_in_the_same_run_looks_at_no_label_and_is_gone_on_with(inputs, tmp_path, monkeypatch):
    """Cut after the first epoch with labels, the run goes on from there; the pretraining is not done again."""
    said, once = [], dataclasses.replace(PARAMS, pretrain=2, epochs=1)
    run(checkpoint=tmp_path / "out", params=once, **inputs)
    run(checkpoint=tmp_path / "blind", params=dataclasses.replace(once, shuffle_labels=True), **inputs)
    first, blind = (load_checkpoint(tmp_path / name)[1]["pretraining"] for name in ("out", "blind"))
    for row, other in zip(first, blind, strict=True):
        assert (row["loss"], row["loss_trace"]) == (other["loss"], other["loss_trace"])
    assert first[1]["loss"] != first[0]["loss"]

    class Cut(Exception):
        """Stands for the kill."""

    def cut(line):
        said.append(line)
        if line.startswith("epoch 1/"):
            raise Cut

    params, state = dataclasses.replace(PARAMS, pretrain=2), tmp_path / "state"
    run(checkpoint=tmp_path / "whole", params=params, **inputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "say", cut)
        with pytest.raises(Cut):
            run(checkpoint=tmp_path / "cut", params=params, state=state, **inputs)
    assert sum(line.startswith("pretrain epoch") for line in said) == 2
    run(checkpoint=tmp_path / "other", params=dataclasses.replace(params, epochs=1), state=state, **inputs)
    monkeypatch.setattr(step, "say", said.append)
    result = run(checkpoint=tmp_path / "cut", params=params, state=state, resume=True, **inputs)
    assert sum(line.startswith("pretrain epoch") for line in said) == 2
    assert not list(state.iterdir())
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "cut")[name]), name
    _, meta = load_checkpoint(tmp_path / "cut")
    losses = [row["loss_trace"] for row in meta["pretraining"]]
    assert len(losses) == 2 and losses[1] < losses[0] and meta["epochs"] == 2
    from mlflow import MlflowClient

    tracked = MlflowClient(inputs["tracking"].uri).get_run(result.run_id).data.metrics
    assert tracked["pretrain_loss_trace"] == pytest.approx(losses[1])


def test_another_teacher_in_the_same_folder_is_another_run(inputs, tmp_path):
    store, params = RecordStore.open(inputs["records"]), dataclasses.replace(PARAMS, teachers=(str(tmp_path),))
    names = []
    for contents in (b"one", b"another", b"one"):
        for file in ("model.pt", "model.json"):
            (tmp_path / file).write_bytes(contents)
        names.append(step._signature(store, params, inputs["model"], inputs["page"], 1))
    assert names[0] == names[2] != names[1]


def test_masks_for_a_model_that_reads_no_page_are_refused(inputs, tmp_path):
    model = dataclasses.replace(inputs.pop("model"), architecture="resnet1d_wang")
    with pytest.raises(ValueError, match="train.mask: blanks parts of pages, and resnet1d_wang reads none"):
        run(checkpoint=tmp_path / "out", params=dataclasses.replace(PARAMS, mask=0.4), model=model, **inputs)


def test_a_digitiser_that_nothing_teaches_is_refused(inputs, tmp_path):
    model = dataclasses.replace(inputs.pop("model"), digitiser=True)
    with pytest.raises(ValueError, match="model.digitiser: train.lambda_trace is 0"):
        run(checkpoint=tmp_path / "out", params=PARAMS, model=model, **inputs)


def test_pretraining_without_an_image_stream_is_refused(inputs, tmp_path):
    with pytest.raises(ValueError, match="train.pretrain: needs an image stream"):
        run(checkpoint=tmp_path / "out", params=dataclasses.replace(PARAMS, pretrain=1),
            **{**inputs, "model": dataclasses.replace(inputs["model"], architecture="resnet2d")})


def test_streams_that_compare_their_attention_come_closer(inputs, tmp_path):
    model = dataclasses.replace(inputs.pop("model"), cmam=False)
    run(checkpoint=tmp_path / "out", params=dataclasses.replace(PARAMS, epochs=4, lambda_attention=5.0), model=model,
        **inputs)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history[-1]["loss_attention"] < history[0]["loss_attention"]


def test_lead_positions_of_other_layouts_are_refused(inputs, tmp_path):
    model = dataclasses.replace(inputs.pop("model"), lead_positions=True)
    with pytest.raises(ValueError, match="model.lead_positions: knows where the leads of 3x4.1R lie"):
        run(checkpoint=tmp_path / "out", params=dataclasses.replace(PARAMS, layouts=("6x2",)), model=model, **inputs)
    run(checkpoint=tmp_path / "out", params=dataclasses.replace(PARAMS, epochs=1, page_scale_start=0.5), model=model,
        **inputs)
    assert load_checkpoint(tmp_path / "out")[0].image.leads.code.weight.abs().sum() > 0


@pytest.mark.parametrize("field", ["lambda_trace", "lambda_align", "lambda_attention"])
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
    without_signals = dataclasses.replace(inputs["model"], signal_stream=False, cmam=False, digitiser=True)
    run(checkpoint=tmp_path / "alone", params=dataclasses.replace(again, lambda_trace=1.0),
        **{**inputs, "model": without_signals})
    for name, value in load_checkpoint(tmp_path / "first")[0].page_path().named_parameters():
        torch.testing.assert_close(value, load_checkpoint(tmp_path / "alone")[0].page_path().get_parameter(name),
                                   atol=1e-6, rtol=0)
    other = dataclasses.replace(inputs["model"], token_dim=32)
    with pytest.raises(ValueError, match="train.start_from: .*another model.token_dim;"):
        run(checkpoint=tmp_path / "third", params=again, **{**inputs, "model": other})


@pytest.mark.parametrize(("change", "message"), [
    ({"nodes": 2}, "train.shared: must name a folder or s3"), ({"nodes": 0}, "train.nodes"),
    ({"layouts": ("4x3",)}, "train.layouts: unknown layout '4x3'"), ({"wear": 3.0}, "train.wear: must lie in 0-2"),
    ({"mixup": 1.5}, "train.mixup")])
def test_settings_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PARAMS, **change)
