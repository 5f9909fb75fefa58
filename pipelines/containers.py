"""The tasks in containers of this machine: the same images as on a cluster, over Docker's or podman's socket."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from components.deploy.contained import contained
from components.images import PLACEHOLDERS
from model.params import Params
from pipelines.machines import KEYS

HERE = "sqlite:///"
KERNELS = ".numba"
"""Below the root of the runs."""


@dataclass(frozen=True)
class Containers:
    """A run in containers: the parameters as they hold within, the images' names here, and how each one is started."""

    params: Params
    images: dict[str, str]
    options: dict

    def runner(self):
        """Return kfp's runner of the tasks."""
        from kfp import local

        return local.DockerRunner(**self.options)

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Have the server answer and kfp's tasks followed to their end meanwhile."""
        with self.server(), _followed():
            yield

    def server(self) -> AbstractContextManager[None]:
        """Have TorchServe answer for the task that deploys; see `contained`."""
        return contained(_engine(), self.images["serve"], self.params.deploy, self.options)


def containers(params: Params, *, data: Path, root: Path) -> Containers:
    """Return how the tasks run in containers here.

    They run as this user and on the host's network, so that files belong to the user and servers on loopback are
    reached; they see the data read-only, the root of the runs, the folders of MLflow and TorchServe, and those keys of
    the environment that a cluster's Secret would hold.

    Raises:
        ValueError: no engine answers, or an image is missing.
    """
    from docker.types import Mount

    # Podman gives a name without a registry one of its own, and kfp would look for the bare one and then pull it.
    known = {tag.removeprefix("localhost/").removeprefix("docker.io/"): tag
             for image in _engine().images.list() for tag in image.tags}
    for reference in PLACEHOLDERS.values():
        if reference not in known:
            raise ValueError(f"run --docker: there is no image {reference}; make it with 'make images'")
    state = Path(params.deploy.state)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.mkdir(parents=True, exist_ok=True)
    kept = {root, state}
    if params.tracking.uri.startswith(HERE):
        database = Path(params.tracking.uri.removeprefix(HERE)).absolute()
        params = replace(params, tracking=replace(params.tracking, uri=f"{HERE}{database}"))
        kept.add(database.parent)
    mounts = [Mount(str(data), str(data), type="bind", read_only=True),
              *(Mount(str(folder), str(folder), type="bind") for folder in sorted(kept))]
    environment = {key: os.environ[key] for key in KEYS if key in os.environ}
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return Containers(params, {target: known[reference] for target, reference in PLACEHOLDERS.items()},
                      {"mounts": mounts, "network_mode": "host", "user": f"{os.getuid()}:{os.getgid()}",
                       # One compiles the kernels, the others find them.
                       "environment": {**environment, "HOME": "/tmp", "OMP_NUM_THREADS": threads,
                                       "NUMBA_CACHE_DIR": str(root / KERNELS)}})


def run_container(client, image: str, command: list[str], volumes: dict, **options) -> int:
    """Run a container, print what it says, and return its exit status."""
    container = client.containers.create(image, command, volumes=volumes, **options)
    try:
        container.start()
        rest = b""
        for piece in container.logs(stream=True, follow=True):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                print(line.decode(errors="replace"))
        if rest:
            print(rest.decode(errors="replace"))
        return container.wait()["StatusCode"]
    finally:
        container.remove(force=True)


@contextmanager
def _followed() -> Iterator[None]:
    """Let kfp run containers by `run_container`: its own takes one that is removed before it is asked as a success."""
    from kfp.local import docker_task_handler

    theirs = docker_task_handler.run_docker_container
    docker_task_handler.run_docker_container = run_container
    try:
        yield
    finally:
        docker_task_handler.run_docker_container = theirs


def _engine():
    import docker

    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        raise ValueError(f"run --docker: no container engine answers ({type(error).__name__}); start Docker, or podman "
                         "with 'podman system service' and DOCKER_HOST set to its socket") from None
    return client
