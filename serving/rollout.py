"""Bring a package into a running TorchServe: load beside the old one, try it on a real page, then switch."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from model.checkpoint import read_json
from model.package import archive_of, check_package
from model.params import DeployParams
from model.reading import PageReading, probabilities
from serving.client import Client, file_token
from serving.management import ServerRefused
from serving.torchserve import RESPONSE_TIMEOUT_S, Server


@dataclass(frozen=True)
class Loaded:
    """A version that stands ready beside the old one and has answered as it must."""

    name: str
    version: str
    previous: str | None
    """The default version before."""
    parity: float
    """Largest difference between the served and the in-process probabilities."""
    new: bool
    """False: it was loaded before."""


def load(server: Server, package: Path, params: DeployParams) -> Loaded:
    """Load a package beside what is served and compare its answer with the in-process one. Nothing is switched.

    Raises:
        ValueError: the package is damaged, or the served answer differs by more than `params.parity`.
        RuntimeError: the server refuses or fails. In either case the version is unloaded again.
    """
    version, name = check_package(package)["version"], params.name
    before = server.management.versions(name)
    loaded = Loaded(name, version, next((known for known, default in before.items() if default), None), 0.0,
                    version not in before)
    try:
        if loaded.new:
            _register(server, package, loaded, params)
        else:
            server.management.scale(name, version, params.workers)
        parity = smoke_test(server, package, loaded, limit=params.parity)
    except BaseException:
        if loaded.new:
            unload(server, name, version)
        raise
    return Loaded(name, version, loaded.previous, parity, loaded.new)


def switch(server: Server, loaded: Loaded) -> None:
    """Make a loaded version the default, and unload all but it and the one before."""
    server.management.set_default(loaded.name, loaded.version)
    for version in server.management.versions(loaded.name):
        if version not in (loaded.version, loaded.previous):
            unload(server, loaded.name, version)


def take_back(server: Server, loaded: Loaded) -> None:
    """Undo `load` and `switch`: the version before is the default again."""
    if loaded.previous not in (None, loaded.version):
        server.management.set_default(loaded.name, loaded.previous)
    if loaded.new:
        unload(server, loaded.name, loaded.version)


def unload(server: Server, name: str, version: str) -> None:
    """Unload a version, if it is there, and remove its archive from the model store."""
    with contextlib.suppress(ServerRefused):
        server.management.unregister(name, version)
    (server.model_store / archive_name(name, version)).unlink(missing_ok=True)


def smoke_test(server: Server, package: Path, loaded: Loaded, *, limit: float) -> float:
    """Send the package's real page to its served version; returns the largest difference of probabilities.

    The in-process answer is compared with the one that was packaged as well: reading a page takes code that is
    not in the package, and which may have changed since the model was evaluated.

    Raises:
        ValueError: either difference is more than `limit`.
    """
    page = (package / "sample.png").read_bytes()
    client = Client(f"{server.inference.rstrip('/')}/predictions/{loaded.name}/{loaded.version}",
                    file_token(server.key_file))
    ours = probabilities(PageReading.open(package).read(page))
    then = read_json(package / "sample.json", made_by="vizecg package")["probabilities"]
    if not (drift := _difference(then, ours)) <= limit:
        raise ValueError(f"deploy.parity: the code here reads the sample page otherwise than when it was packaged, "
                         f"by {drift:.2g}, more than {limit:g}; evaluate and package again")
    if not (worst := _difference(probabilities(client.predict(page)), ours)) <= limit:
        raise ValueError(f"deploy.parity: the server's answer to the sample page differs by {worst:.2g} from the "
                         f"package's own, more than {limit:g}; it was not switched to")
    return worst


def _difference(left: dict[str, float], right: dict[str, float]) -> float:
    return max(abs(left[label] - value) for label, value in right.items())


def archive_name(name: str, version: str) -> str:
    """Return the name of a version's archive in the model store."""
    return f"{name}-{version}.mar"


def _register(server: Server, package: Path, loaded: Loaded, params: DeployParams) -> None:
    target = server.model_store / archive_name(loaded.name, loaded.version)
    scratch = target.with_suffix(".writing")
    shutil.copyfile(archive_of(package), scratch)
    scratch.replace(target)
    server.management.register(target.name, loaded.name, workers=params.workers, batch_size=params.batch_size,
                               max_batch_delay_ms=params.max_batch_delay_ms,
                               startup_timeout_s=params.startup_timeout_s, response_timeout_s=RESPONSE_TIMEOUT_S)
