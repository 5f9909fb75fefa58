"""Tasks in containers, where an engine has the images of `make images`: what fails is said, what is served stays."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from kfp import dsl

from model.params import Params, TrackingParams
from pipelines.containers import containers
from pipelines.local import run_pipeline
from serving.torchserve import find
from tests.serving.conftest import deploy_params
from tests.test_images import engine  # noqa: F401  the same fixture

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def socket(engine, tmp_path, monkeypatch):  # noqa: F811
    """The engine's socket, where Docker's client looks for it."""
    if engine == "docker":
        yield
        return
    address = f"unix://{tmp_path}/engine.sock"
    monkeypatch.setenv("DOCKER_HOST", address)
    process = subprocess.Popen(["podman", "system", "service", "--time", "0", address])
    try:
        for _ in range(100):
            if (tmp_path / "engine.sock").exists():
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def inside(socket, tmp_path):
    """A run's containers, its server among them."""
    (tmp_path / "data").mkdir()
    params = Params(deploy=deploy_params(state=str(tmp_path / "state")),
                    tracking=TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow/mlflow.db"))
    return containers(params, data=tmp_path / "data", root=tmp_path / "runs")


def halve(number: int, secret: str, half: dsl.Output[dsl.Artifact]):
    import os
    from pathlib import Path

    if number % 2:
        raise ValueError(f"{number} is odd")
    print("halving", os.environ[secret], os.getuid())
    Path(half.path).write_text(str(number // 2))


@pytest.fixture
def halving(inside):
    component = dsl.component(halve, base_image=inside.images["data"], install_kfp_package=False)

    @dsl.pipeline(name="halving")
    def pipeline(number: int):
        component(number=number, secret="VIZECG_WEBHOOK")

    return pipeline


@pytest.fixture(autouse=True)
def webhook(monkeypatch):
    monkeypatch.setenv("VIZECG_WEBHOOK", "http://127.0.0.1/hook")


def test_a_task_runs_as_the_caller_and_sees_the_keys(inside, halving, tmp_path, capsys):
    with inside.ready():
        done = run_pipeline(halving, {"number": 4}, root=tmp_path / "runs", runner=inside.runner())
    assert done.succeeded and (done.folder / "halve" / "half").read_text() == "2"
    assert f"halving http://127.0.0.1/hook {os.getuid()}" in capsys.readouterr().out


def test_a_container_that_fails_fails_its_task_with_its_last_lines(inside, halving, tmp_path):
    with inside.ready():
        done = run_pipeline(halving, {"number": 3}, root=tmp_path / "runs", runner=inside.runner())
    assert not done.succeeded and done.failed_task == "halve"
    assert "ValueError: 3 is odd" in done.failed_lines[-1]


def test_the_server_answers_meanwhile_and_goes_when_nothing_was_loaded(inside):
    deploy = inside.params.deploy
    with inside.ready():
        assert find(Path(deploy.state), deploy).management.versions(deploy.name) == {}
    assert find(Path(deploy.state), deploy) is None
