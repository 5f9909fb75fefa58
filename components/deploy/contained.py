"""TorchServe in a container of this machine, for runs whose tasks are containers: what is served outlives its task."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from model.params import DeployParams
from model.typed import as_dict
from serving.keep import READY
from serving.torchserve import find

SECONDS_TO_STOP = 30


@contextmanager
def contained(engine, image: str, params: DeployParams, options: dict) -> Iterator[None]:
    """Have TorchServe answer in a container of its own, where it does not yet.

    It goes on afterwards, unless nothing was loaded into it.

    Args:
        engine: client of Docker or podman.
        image: that of target serve.
        params: its state folder is given, and mounted by the options.
        options: how the container is started, as the engine's `run` takes them.

    Raises:
        ValueError: another server has the port.
        RuntimeError: it does not come up.
    """
    state = Path(params.state)
    if find(state, params):
        yield
        return
    container = _started(engine, image, params, options)
    used = False
    try:
        yield
        used = bool((server := find(state, params)) and server.management.versions(params.name))
    finally:
        if used:
            print(f"torchserve: goes on in container {container.name}; end it with "
                  f"'podman stop' or 'docker stop', --time {SECONDS_TO_STOP}")
        else:
            container.stop(timeout=SECONDS_TO_STOP)


def _started(engine, image: str, params: DeployParams, options: dict):
    from docker.errors import APIError

    container = engine.containers.run(
        image, ["python", "-m", "serving.keep", params.state, json.dumps(as_dict(params))],
        name=f"vizecg-torchserve-{urlsplit(params.inference).port}", detach=True, auto_remove=True, **options)
    with suppress(APIError):  # it has ended already
        for line in container.logs(stream=True):
            if line.decode(errors="replace").strip() == READY:
                return container
    raise RuntimeError(f"run --docker: TorchServe does not come up; see {Path(params.state, 'logs')}")
