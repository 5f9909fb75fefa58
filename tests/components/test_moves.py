"""Aliases, their ledger, and two promotions at once: in a store of one's own, and on a server with passwords."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from components.deploy.step import serve_champion
from components.models import run as models
from components.moves import (
    CHALLENGER,
    CHAMPION,
    LEDGER,
    PREVIOUS,
    Lost,
    adopt,
    crown,
    held_by,
    ledger,
    move,
    moves_of,
    standing,
    version_of,
)
from components.promote import run as promote
from components.rollback import in_registry
from components.tracking import connect
from model.params import DeployParams, TrackingParams

ROOT = Path(__file__).resolve().parents[2]
NAME = "reader"
USER, PASSWORD = "admin", "a password for tests"


@pytest.fixture
def tracking(tmp_path):
    return TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def client(tracking):
    return filled(connect(tracking).MlflowClient())


def filled(client, source="file:///nowhere"):
    """A registry with three versions of nothing."""
    client.create_registered_model(NAME)
    for _ in range(3):
        client.create_model_version(NAME, source)
    return client


def test_a_promotion_made_on_what_no_longer_stands_is_lost(client):
    seen = standing(client, NAME)
    assert crown(client, NAME, "1", why="first", seen=seen) is None
    with pytest.raises(Lost, match=r"version 2 was not made champion: .* made version 1 the champion at .* \(first\)"):
        crown(client, NAME, "2", why="second", seen=seen)
    assert held_by(client, NAME, CHAMPION) == "1" and [entry.to for entry in ledger(client, NAME)] == ["1"]
    assert crown(client, NAME, "2", why="third", seen=standing(client, NAME)) == "1"
    assert (held_by(client, NAME, CHAMPION), held_by(client, NAME, PREVIOUS)) == ("2", "1")


def test_the_history_says_time_actor_from_to_and_why(client):
    move(client, NAME, CHALLENGER, "2", why="register")
    crown(client, NAME, "1", why="a")
    crown(client, NAME, "2", why="b")
    registered, crowned = moves_of(version_of(client, NAME, "2"))
    assert crowned == {"alias": CHAMPION, "from": "1", "to": "2", "why": "b", "entry": "2",
                       "actor": registered["actor"], "at": crowned["at"]}
    assert "@" in crowned["actor"] and crowned["at"] >= registered["at"]
    # A champion is no challenger any more.
    assert held_by(client, NAME, CHALLENGER) == ""


def test_an_alias_set_by_hand_is_seen_and_entered(client, tracking):
    crown(client, NAME, "1", why="a")
    client.set_registered_model_alias(NAME, CHAMPION, "3")
    seen = standing(client, NAME)
    assert seen.by_hand and seen.champion == "3"
    assert "set by hand in MLflow, to version 3" in models(name=NAME, tracking=tracking)
    assert adopt(client, NAME, seen) == standing(client, NAME)
    assert held_by(client, NAME, PREVIOUS) == "1"
    # By hand again, and then a promotion: both are in the history, in their order.
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    assert crown(client, NAME, "2", why="b") == "1"
    assert [(entry.before, entry.to) for entry in ledger(client, NAME)] == [
        ("", "1"), ("1", "3"), ("3", "1"), ("1", "2")]
    said = models(name=NAME, tracking=tracking, moves=True)
    assert "by hand" not in said.split("champions of")[0] and "1 -> 2" in said


def test_a_promotion_whose_maker_died_is_finished_by_the_next_who_looks(client, monkeypatch):
    from components import moves

    crown(client, NAME, "1", why="a")
    monkeypatch.setattr(moves, "settle", lambda *_: None)
    crown(client, NAME, "2", why="dies before the aliases are set")
    monkeypatch.undo()
    assert held_by(client, NAME, CHAMPION) == "1"
    with pytest.raises(Lost, match="is making version 2 the champion at this moment"):
        standing(client, NAME)
    monkeypatch.setattr(moves, "IN_FLIGHT_S", 0.0)
    assert standing(client, NAME).champion == held_by(client, NAME, CHAMPION) == "2"
    assert held_by(client, NAME, PREVIOUS) == "1"


def test_promote_refuses_what_is_not_there_or_not_as_expected(client, tracking):
    crown(client, NAME, "1", why="a")
    for wanted, said in (("9", "reader version 9: not in this registry"), ("chalenger", "no version has the alias")):
        with pytest.raises(ValueError, match=said):
            promote(wanted=wanted, name=NAME, tracking=tracking)
    with pytest.raises(ValueError, match="the champion is version 1, not 3"):
        promote(wanted="2", name=NAME, tracking=tracking, instead_of="3")
    with pytest.raises(ValueError, match="reader version 2: (no package can be fetched|holds no package)"):
        promote(wanted="2", name=NAME, tracking=tracking)


def test_of_an_empty_registry_nothing_is_served_or_taken_back(tracking, tmp_path):
    connect(tracking).MlflowClient().create_registered_model(NAME)
    with pytest.raises(ValueError, match="reader: no version has the alias champion; give it one with"):
        serve_champion(deployment=tmp_path / "out", params=DeployParams(), tracking=tracking, name=NAME)
    with pytest.raises(ValueError, match="reader: no version has the alias previous_champion"):
        in_registry(name=NAME, tracking=tracking)


def test_models_of_an_empty_registry(tracking):
    with pytest.raises(ValueError, match="nothing: no version in the registry"):
        models(name="nothing", tracking=tracking)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real MLflow server that asks for a password."""
    pytest.importorskip("flask_wtf")
    folder = tmp_path_factory.mktemp("guarded")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--app-name", "basic-auth", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
               "--artifacts-destination", str(folder / "files")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
                   "MLFLOW_FLASK_SERVER_SECRET_KEY": "only for tests"}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder, env=environment)
    try:
        _wait(f"http://127.0.0.1:{port}", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(900):
        assert process.poll() is None, log.read_text()
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    raise AssertionError("the MLflow server does not answer")


PROMOTER = """
import sys
from mlflow import MlflowClient
from components.moves import Lost, crown, standing

client, name, version = MlflowClient(sys.argv[1], sys.argv[1]), sys.argv[2], sys.argv[3]
seen = standing(client, name)
print("ready", flush=True)
sys.stdin.readline()
try:
    crown(client, name, version, why=f"promoter of {version}", seen=seen)
    print("won", version)
except Lost as lost:
    print("lost", lost)
"""


@pytest.mark.live
@pytest.mark.slow
def test_of_promotions_at_once_on_a_server_one_wins(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    from mlflow import MlflowClient

    client = filled(MlflowClient(server, server), "s3://nowhere/model")
    crown(client, NAME, "1", why="first")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    promoters = [subprocess.Popen([sys.executable, "-c", PROMOTER, server, NAME, version], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
                 for version in ("2", "3", "2", "3")]
    assert [promoter.stdout.readline() for promoter in promoters] == ["ready\n"] * 4
    for promoter in promoters:
        promoter.stdin.write("now\n")
        promoter.stdin.flush()
    said = [promoter.communicate()[0] for promoter in promoters]
    won = [text.split()[1] for text in said if text.startswith("won")]
    assert len(won) == 1 and sum(text.startswith("lost") for text in said) == 3, said
    assert (held_by(client, NAME, CHAMPION), held_by(client, NAME, PREVIOUS)) == (won[0], "1")
    assert [entry.to for entry in ledger(client, NAME)] == ["1", won[0]]
    assert len(client.search_model_versions(f"name = '{NAME}{LEDGER}'")) == 5


@pytest.mark.live
@pytest.mark.slow
def test_a_server_with_passwords_lets_nobody_else_promote(server, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "not the password")
    with pytest.raises(MlflowException, match="401|not authenticated|Unauthorized"):
        crown(MlflowClient(server, server), NAME, "1", why="a guess")
