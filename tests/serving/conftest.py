"""A TorchServe with a small model on it, started once."""

import socket

import pytest

from model.params import DeployParams
from tests.components.conftest import another, packaged, pages  # noqa: F401  the same fixtures


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def deploy_params(**changes) -> DeployParams:
    """Parameters of a server on free ports; patient, for machines that do other work at the same time."""
    addresses = dict(zip(("inference", "management", "metrics"),
                         (f"http://127.0.0.1:{port}" for port in free_ports(3)), strict=True))
    return DeployParams(**{**addresses, "startup_timeout_s": 300, "watch_s": 1.0, **changes})


@pytest.fixture(scope="session")
def serve_params() -> DeployParams:
    return deploy_params()


@pytest.fixture(scope="session")
def server(packaged, serve_params, tmp_path_factory):  # noqa: F811
    from serving.rollout import load, switch
    from serving.torchserve import reach, stop

    state = tmp_path_factory.mktemp("serving") / "torchserve"
    try:
        with reach(state, serve_params) as server:
            switch(server, load(server, packaged.package, serve_params))
        yield server
    finally:
        stop(state)
