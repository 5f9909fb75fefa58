"""A TorchServe that a process keeps up: ready, stopped by SIGTERM, and told apart from one that ended by itself."""

import json
import signal
import subprocess
import sys

import psutil
import pytest

from model.typed import as_dict
from serving.keep import READY
from serving.torchserve import PID_FILE, find
from tests.serving.conftest import deploy_params

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def params():
    return deploy_params()


@pytest.fixture
def kept(tmp_path, params):
    """The process that keeps a server, once that is ready."""
    line = [sys.executable, "-m", "serving.keep", str(tmp_path / "state"), json.dumps(as_dict(params))]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().strip() == READY, process.stderr.read()
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_it_answers_until_it_is_told_to_stop(kept, params, tmp_path):
    assert find(tmp_path / "state", params).management.versions(params.name) == {}
    kept.send_signal(signal.SIGTERM)
    assert kept.wait(60) == 0 and find(tmp_path / "state", params) is None


def test_a_server_that_ends_by_itself_ends_it_with_the_place_of_the_log(kept, tmp_path):
    psutil.Process(json.loads((tmp_path / "state" / PID_FILE).read_text())["pid"]).kill()
    assert kept.wait(60) == 1
    assert f"TorchServe ended; see {tmp_path / 'state' / 'logs'}" in kept.stderr.read()
