"""Tracking, lineage and progress."""

import subprocess
from urllib.parse import urlsplit

import pytest

import components.lineage
from components.lineage import git_commit, params_hash
from components.progress import track
from components.tracking import DATASET_DIGEST, connect, flat_params, log_dataset, shown, start_run
from model.params import TrackingParams, TrainParams
from tests.serving.scripted import answering


def test_a_failed_body_closes_its_run_as_failed(tmp_path):
    tracking = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db", experiment="e")
    with pytest.raises(RuntimeError), start_run(tracking, name="n", tags={"a": "b"}) as mlflow:
        run_id = mlflow.active_run().info.run_id
        raise RuntimeError
    run = mlflow.get_run(run_id)
    assert run.info.status == "FAILED" and run.data.tags["a"] == "b"
    assert run.info.artifact_uri.startswith((tmp_path / "mlruns").as_uri())


def test_a_run_names_the_store_that_it_used(tmp_path):
    tracking, digest = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db", experiment="e"), "0123456789abcdef" * 4
    with start_run(tracking, name="n", tags={}) as mlflow:
        log_dataset(mlflow, digest=digest, name="records", context="training", records=7)
        run_id = mlflow.active_run().info.run_id
    (used,) = mlflow.get_run(run_id).inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("records", digest[:DATASET_DIGEST])
    assert digest in used.dataset.source and [tag.value for tag in used.tags] == ["training"]


@pytest.mark.parametrize("uri", ["file:///tmp/x", "mlruns", ""])
def test_an_address_that_mlflow_no_longer_takes_is_named(uri):
    with pytest.raises(ValueError, match="tracking.uri"):
        connect(TrackingParams(uri=uri))


@pytest.mark.parametrize("closed", [True, False])
def test_a_server_that_does_not_answer_or_refuses_is_named_in_one_line_without_its_password(closed, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with answering([(401, {"error_code": "PERMISSION_DENIED", "message": "no"})]) as server:
        host = "127.0.0.1:9" if closed else urlsplit(server.address).netloc
        with pytest.raises(ValueError, match="^tracking.uri: MLflow at http://") as said:
            connect(TrackingParams(uri=f"http://somebody:secret@{host}"))
    assert host in str(said.value) and "secret" not in str(said.value) and "\n" not in str(said.value)


@pytest.mark.parametrize(("uri", "said"), [
    ("mssql://somebody:secret@host/x", "'mssql://host/x' is no MLflow address"),
    ("postgresql+nodriver://somebody:secret@host/x", "tracking.uri: "),
    ("sqlite:///{folder}/none.db", "none.db does not answer as it should")])
def test_a_database_that_is_none_is_named_in_one_line(tmp_path, uri, said):
    (tmp_path / "none.db").write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match="^tracking.uri: ") as error:
        connect(TrackingParams(uri=uri.format(folder=tmp_path)))
    assert said in str(error.value) and "secret" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("uri", "said"), [
    ("sqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db"), ("https://a:b@host:5000/x", "https://host:5000/x")])
def test_an_address_is_shown_whole_but_for_who_may_enter(uri, said):
    assert shown(uri) == said


def test_the_hash_is_of_values_alone():
    assert params_hash(TrainParams()) == params_hash(TrainParams(epochs=20))
    assert params_hash(TrainParams()) != params_hash(TrainParams(epochs=21))
    assert flat_params(train=TrainParams())["train.epochs"] == "20"


def test_a_copy_below_somebody_elses_git_folder_has_not_their_commit(tmp_path, monkeypatch):
    for command in ("init -q", "-c user.name=a -c user.email=a@b commit -q --allow-empty -m a"):
        subprocess.run(["git", "-C", str(tmp_path), *command.split()], check=True)
    (tmp_path / "deep").mkdir()
    monkeypatch.setattr(components.lineage, "ROOT", tmp_path / "deep")
    monkeypatch.delenv("VIZECG_COMMIT", raising=False)
    assert git_commit() == "unknown"
    monkeypatch.setenv("VIZECG_COMMIT", "abc")
    assert git_commit() == "abc"
    monkeypatch.setattr(components.lineage, "ROOT", tmp_path)
    assert len(git_commit()) == 40


def test_the_commit_is_a_commit():
    assert len(git_commit().removesuffix("-dirty")) == 40 or git_commit() == "unknown"


def test_progress_passes_everything_on():
    assert list(track(iter(range(5)), total=5, label="x")) == [0, 1, 2, 3, 4]
