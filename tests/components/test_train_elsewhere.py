"""The train step in several processes, and with its state in a bucket (a real S3 protocol, on loopback)."""

import dataclasses
import json
import os

import pytest
import torch

from components.train import step
from components.train.bucket import Bucket
from components.train.cluster import CHECKPOINT, JOB, RESULT, STORE, VALIDATION
from components.train.step import run
from model.checkpoint import load_checkpoint
from model.params import TrackingParams
from model.states import States
from tests.components.cluster import LoopbackCluster
from tests.components.test_train import PARAMS, inputs, weights

__all__ = ["inputs"]


@pytest.mark.live
def test_states_in_a_bucket_are_as_those_in_a_folder(bucket):
    states = States(Bucket(bucket), "run", warn=print)
    assert states.latest() is None
    for number in (1, 2, 3):
        states.save({"step": number, "weights": torch.ones(2)}, step=number)
    assert states.latest()["step"] == 3 and len(Bucket(bucket).names()) == 2
    newest = max(Bucket(bucket).names())
    Bucket(bucket).write(newest, b"torn")
    assert states.latest()["step"] == 2
    states.clear()
    assert not Bucket(bucket).names()
    with pytest.raises(ValueError, match="names no bucket"):
        Bucket("s3://")
    with pytest.raises(ValueError, match="--state: s3://nowhere/run: .*404"):
        Bucket("s3://nowhere/run")


@pytest.mark.live
def test_a_training_goes_on_from_a_bucket(bucket, inputs, tmp_path, monkeypatch):
    run(checkpoint=tmp_path / "whole", params=PARAMS, **inputs)
    said = step.say

    def cut_after_one(line):
        said(line)
        if line.startswith("epoch 2/"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(step, "say", cut_after_one)
        with pytest.raises(KeyboardInterrupt):
            run(checkpoint=tmp_path / "cut", params=PARAMS, state=bucket, **inputs)
    assert len(Bucket(bucket).names()) == 1
    run(checkpoint=tmp_path / "cut", params=PARAMS, state=bucket, resume=True, **inputs)
    assert not Bucket(bucket).names()
    assert all(torch.equal(value, weights(tmp_path / "cut")[name])
               for name, value in weights(tmp_path / "whole").items())


@pytest.mark.slow
def test_two_processes_leave_one_checkpoint_and_one_run(inputs, tmp_path):
    params = dataclasses.replace(PARAMS, processes=2)
    result = run(checkpoint=tmp_path / "out", params=params, state=tmp_path / "state", **inputs)
    _, meta = load_checkpoint(tmp_path / "out")
    assert (meta["processes"], meta["run_id"]) == (2, result.run_id)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert len(history) == PARAMS.epochs and all(row["seconds_backward"] > 0 for row in history)
    from mlflow import MlflowClient

    client = MlflowClient(TrackingParams(uri=inputs["tracking"].uri).uri)
    assert len(client.search_runs([client.get_experiment_by_name("vizecgnet").experiment_id])) == 1


@pytest.mark.slow
def test_a_mistake_in_several_processes_is_said_once(inputs, tmp_path, capfd):
    params = dataclasses.replace(PARAMS, processes=2, batch_size=7)
    with pytest.raises(SystemExit) as ended:
        run(checkpoint=tmp_path / "out", params=params, **inputs)
    assert ended.value.code == 2
    assert capfd.readouterr().err.count("vizecg: error: train.batch_size: 7 is no multiple of 2 processes") == 1


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    api = LoopbackCluster()
    api.write_kubeconfig(tmp_path / "kubeconfig")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield api
    api.close()


ON_TWO = dataclasses.replace(PARAMS, nodes=2, shared="s3://replaced", image="vizecgnet/python-train:1", secret="keys")


@pytest.mark.slow
@pytest.mark.live
def test_two_nodes_of_a_trainjob_train_on_what_the_bucket_holds(bucket, cluster, inputs, tmp_path, capsys, monkeypatch):
    cluster.secrets["keys"] = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    params = dataclasses.replace(ON_TWO, shared=bucket)
    result = run(checkpoint=tmp_path / "out", params=params, **inputs)
    _, meta = load_checkpoint(tmp_path / "out")
    assert (meta["processes"], meta["epochs"], meta["run_id"]) == (2, PARAMS.epochs, result.run_id)
    said = capsys.readouterr().err
    assert "[node 0] starting at epoch 1" in said or "[node 1] starting at epoch 1" in said
    assert "TrainJob vizecg-" in said and said.rstrip().endswith(": deleted") and not cluster.jobs
    from mlflow import MlflowClient

    client = MlflowClient(inputs["tracking"].uri)
    assert client.get_run(result.run_id).info.status == "FINISHED"
    left = sorted(name.rpartition("/")[2] for name in Bucket(bucket).names())
    assert left == sorted([*STORE, *CHECKPOINT, VALIDATION, JOB, RESULT])


def test_a_trainjob_that_leaves_nothing_or_cannot_read_what_is_named_is_refused(cluster, inputs, tmp_path, monkeypatch):
    params = dataclasses.replace(ON_TWO, shared=str(tmp_path / "shared"))
    for change, message in (({"image": ""}, "train.image: name the image"),
                            ({"teachers": ("there",), "ask_teachers": "each"}, "train.teachers: names a folder of"),
                            ({"start_from": "there"}, "train.start_from: names a folder of this machine")):
        with pytest.raises(ValueError, match=message):
            run(checkpoint=tmp_path / "out", params=dataclasses.replace(params, **change), **inputs)
    monkeypatch.setattr("components.train.cluster.COMMAND", ("true",))
    with pytest.raises(RuntimeError, match="left no result.json; do they reach the same place"):
        run(checkpoint=tmp_path / "out", params=params, **inputs)
    shared_run, = (path for path in (tmp_path / "shared").iterdir() if not path.name.startswith("records-"))
    job = json.loads((shared_run / JOB).read_text())
    assert (job["params"]["nodes"], job["seed"]) == (1, inputs["seed"]) and not (tmp_path / "out").exists()
    staged, = (tmp_path / "shared").glob("records-*")
    assert (staged / "signals.npy").read_bytes() == (inputs["records"] / "signals.npy").read_bytes()
