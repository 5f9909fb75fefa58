"""The container's command as a process: the reader comes up, answers, and ends on SIGTERM with all that it began."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from serving.container import main
from serving.keys import bearer
from tests.serving.conftest import free_ports

ZOO = Path(__file__).parents[2] / "zoo" / "ptbxl"
TOKEN = "a-token-of-the-operator"


@pytest.fixture
def scratch():
    """A folder of a short name: the paths of workers' sockets may have 107 letters."""
    with tempfile.TemporaryDirectory(prefix="ecg-") as folder:
        yield Path(folder)


def started(tmp_path, scratch, port):
    """The command, listening on a port, with a temporary folder of its own."""
    (tmp_path / "token").write_text(TOKEN)
    return subprocess.Popen(
        [sys.executable, "-m", "serving.container", "--package", str(ZOO), "--token-file", str(tmp_path / "token"),
         "--host", "127.0.0.1", "--port", str(port), "--inside", str(free_ports(1)[0])], cwd=ZOO.parents[1],
        env={**os.environ, "TMPDIR": str(scratch)})


def wait_until_ready(address, process):
    until = time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(f"{address}/health/ready", timeout=10).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise AssertionError("it does not come up")


@pytest.mark.live
@pytest.mark.slow
def test_it_serves_the_reader_of_the_project_and_leaves_nothing_behind(tmp_path, scratch):
    port, = free_ports(1)
    address, process = f"http://127.0.0.1:{port}", started(tmp_path, scratch, port)
    try:
        wait_until_ready(address, process)
        family = psutil.Process(process.pid).children(recursive=True)
        assert any(child.name() == "java" for child in family)
        page = (ZOO / "sample.png").read_bytes()

        def send():
            return requests.post(f"{address}/predictions/vizecgnet", data=page, headers=bearer(TOKEN), timeout=120)

        def connected():
            return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port
                       for c in psutil.Process(process.pid).net_connections("tcp"))

        with ThreadPoolExecutor(8) as pool:  # more than its workers read at once
            under_way = [pool.submit(send) for _ in range(8)]
            while connected() + sum(reply.done() for reply in under_way) < 8:
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            assert not all(reply.done() for reply in under_way)
            assert [reply.result().status_code for reply in under_way] == [200] * 8
        assert process.wait(timeout=60) == 0
        assert psutil.wait_procs(family, timeout=30)[1] == [], "TorchServe runs on"
        assert list(scratch.glob("vizecg-*")) == []
    finally:
        process.kill()


@pytest.mark.parametrize("harm", ["package", "token"])
def test_what_the_operator_can_mend_is_one_line_and_status_2(tmp_path, capsys, harm):
    (tmp_path / "token").write_text(TOKEN)
    package, token = (tmp_path / "none", tmp_path / "token") if harm == "package" else (ZOO, tmp_path / "none")
    assert main(["--package", str(package), "--token-file", str(token)]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and str(tmp_path / "none") in said
