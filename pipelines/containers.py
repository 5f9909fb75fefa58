"""The tasks in containers of this machine: the same images as on a cluster, over Docker's or podman's socket."""

import os
from dataclasses import replace
from pathlib import Path

from components.images import PLACEHOLDERS
from model.params import Params

HERE = "sqlite:///"


def container_runner(params: Params, *, data: Path, root: Path):
    """Return the parameters as they hold within containers, kfp's runner of them, and the images' names here.

    The containers run as this user and on the host's network, so that files belong to the user and servers on
    loopback are reached; they see the data read-only, the root of the runs, and the folders of MLflow and TorchServe.

    Raises:
        ValueError: no engine answers, an image is missing, or MLflow's database would be another file in there.
    """
    import docker
    from kfp import local

    client = _engine(docker)
    # Podman gives a name without a registry one of its own, and kfp would look for the bare one and then pull it.
    known = {tag.removeprefix("localhost/").removeprefix("docker.io/"): tag
             for image in client.images.list() for tag in image.tags}
    for reference in PLACEHOLDERS.values():
        if reference not in known:
            raise ValueError(f"run --docker: there is no image {reference}; make it with 'make images'")
    names = {target: known[reference] for target, reference in PLACEHOLDERS.items()}
    kept = {root, Path(params.deploy.state)}
    if params.tracking.uri.startswith(HERE):
        database = Path(params.tracking.uri.removeprefix(HERE)).absolute()
        params = replace(params, tracking=replace(params.tracking, uri=f"{HERE}{database}"))
        kept.add(database.parent)
    for folder in kept:
        folder.mkdir(parents=True, exist_ok=True)
    mount = docker.types.Mount
    mounts = [mount(str(data), str(data), type="bind", read_only=True),
              *(mount(str(folder), str(folder), type="bind") for folder in sorted(kept))]
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return params, local.DockerRunner(mounts=mounts, network_mode="host", user=f"{os.getuid()}:{os.getgid()}",
                                      environment={"HOME": "/tmp", "OMP_NUM_THREADS": threads}), names


def _engine(docker):
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        raise ValueError(f"run --docker: no container engine answers ({type(error).__name__}); start Docker, or podman "
                         "with 'podman system service' and DOCKER_HOST set to its socket") from None
    return client
