"""Bring a package into a running TorchServe: load beside the old one, try it on a real page, switch, and watch it."""

import contextlib
import io
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from ecg.files import beside
from model.checkpoint import read_json
from model.package import archive_of, check_package
from model.params import DeployParams
from model.reading import PageReading, probabilities
from serving.client import Client, Unavailable, Unreadable, file_token
from serving.management import ServerRefused
from serving.metrics import counted, scrape
from serving.torchserve import RESPONSE_TIMEOUT_S, Server

WATCH_PAUSE_S = 1.0
"""Between two looks at a version that was just switched to."""
DRAIN_S, DRAIN_PAUSE_S = 30.0, 2.0
"""Longest wait for the last answer of a version that is unloaded, and the moment for its other workers."""


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
    faults: float
    """Pages that it had failed at before."""


def load(server: Server, package: Path, params: DeployParams) -> Loaded:
    """Load a package beside what is served and compare its answer with the in-process one. Nothing is switched.

    Raises:
        ValueError: the package is damaged, or the served answer differs by more than `params.parity`.
        RuntimeError: the server refuses or fails. In either case the version is unloaded again.
    """
    version, name = check_package(package)["version"], params.name
    loaded = Loaded(name, version, server.management.default(name), 0.0,
                    version not in server.management.versions(name), _faults(server, version))
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
    return replace(loaded, parity=parity)


def switch(server: Server, loaded: Loaded) -> None:
    """Make a loaded version the default, and unload all but it and the one before."""
    server.management.set_default(loaded.name, loaded.version)
    for version in server.management.versions(loaded.name):
        if version not in (loaded.version, loaded.previous):
            unload(server, loaded.name, version)


def watch(server: Server, package: Path, loaded: Loaded, params: DeployParams) -> int:
    """Look at a version for `params.watch_s` after the switch; returns how often it was looked at.

    Each time it must have a worker, be the one that answers at the address that names no version, answer the
    package's page as it did before, and have met no new fault of its own on anybody's page.

    Raises:
        ValueError: it answers otherwise.
        RuntimeError: it has no worker, does not answer, or failed at a page. Nothing is taken back here.
    """
    client = Client(f"{server.inference.rstrip('/')}/predictions/{loaded.name}", file_token(server.key_file), retries=0)
    page = (package / "sample.png").read_bytes()
    expected = read_json(package / "sample.json", made_by="vizecg package")["probabilities"]
    looks, until = 0, time.monotonic() + params.watch_s
    while params.watch_s and (not looks or time.monotonic() < until):
        if not server.management.ready(loaded.name, loaded.version):
            raise RuntimeError(f"{loaded.name} {loaded.version}: its workers ended soon after the switch; see the logs")
        answer = client.predict(page)
        if answer["version"] != loaded.version:
            raise RuntimeError(f"{loaded.name}: version {answer['version']} answers, not {loaded.version}, which was "
                               "switched to; was another deployed at the same time?")
        if not (worst := _difference(expected, probabilities(answer))) <= params.parity:
            raise ValueError(f"deploy.parity: {loaded.version} came to read the sample page otherwise by {worst:.2g}, "
                             f"more than {params.parity:g}")
        if (faults := _faults(server, loaded.version) - loaded.faults) > 0:
            raise RuntimeError(f"{loaded.name} {loaded.version}: failed at {faults:g} pages after the switch; the log "
                               f"of the server says how ({server.state / 'logs'})")
        looks += 1
        time.sleep(min(WATCH_PAUSE_S, max(0.0, until - time.monotonic())))
    return looks


def take_back(server: Server, loaded: Loaded) -> None:
    """Undo `load` and `switch`: the version before is the default again."""
    if loaded.previous not in (None, loaded.version):
        server.management.set_default(loaded.name, loaded.previous)
    if loaded.new:
        drain(server, loaded)
        unload(server, loaded.name, loaded.version)


def drain(server: Server, loaded: Loaded) -> None:
    """Wait until a version that is the default no more has answered the requests that it took before.

    A queue is first in, first out: what comes last is answered after all that came before. Where several workers
    take from it, one of them may still be at its last batch then; it gets a moment.
    """
    last = Client(f"{server.inference.rstrip('/')}/predictions/{loaded.name}/{loaded.version}",
                  file_token(server.key_file), timeout_s=DRAIN_S, retries=0)
    # It may be unable to answer at all, which may be why it is taken back.
    with contextlib.suppress(ValueError, RuntimeError):
        last.predict(b"the last one")
    with contextlib.suppress(RuntimeError):
        if len(server.management.workers(loaded.name, loaded.version)) > 1:
            time.sleep(DRAIN_PAUSE_S)


def unload(server: Server, name: str, version: str) -> None:
    """Unload a version, if it is there, and remove its archive from the model store."""
    with contextlib.suppress(ServerRefused):
        server.management.unregister(name, version)
    (server.model_store / archive_name(name, version)).unlink(missing_ok=True)


def smoke_test(server: Server, package: Path, loaded: Loaded, *, limit: float) -> float:
    """Send the package's real page to its served version; returns the largest difference of probabilities.

    Then an empty sheet and something that is no picture: both must be refused with a reason.

    The in-process answer is compared with the one that was packaged as well: reading a page takes code that is
    not in the package, and which may have changed since the model was evaluated.

    Raises:
        ValueError: either difference is more than `limit`, or there are findings where there is no ECG.
        RuntimeError: the server fails.
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
    for what, data in (("an empty sheet", _empty_sheet()), ("no picture", b"no picture")):
        _must_refuse(client, what, data)
    return worst


def _faults(server: Server, version: str) -> float:
    """At how many pages a version failed since the server started; it is counted on when a version is loaded again."""
    return counted(scrape(server.metrics), "vizecg_pages", outcome="fault", version=version)


def _must_refuse(client: Client, what: str, data: bytes) -> None:
    """What shows no ECG must be refused, and with a reason: a server that finds something on everything is broken."""
    try:
        client.predict(data)
    except Unreadable:
        return
    except Unavailable as failure:
        raise RuntimeError(f"the smoke test sent {what} and met a fault of the server; {failure}") from None
    raise ValueError(f"the smoke test sent {what} and got findings for it; it was not switched to")


def _empty_sheet() -> bytes:
    sheet = io.BytesIO()
    Image.new("RGB", (1100, 850), "white").save(sheet, "PNG")
    return sheet.getvalue()


def _difference(left: dict[str, float], right: dict[str, float]) -> float:
    return max(abs(left[label] - value) for label, value in right.items())


def archive_name(name: str, version: str) -> str:
    """Return the name of a version's archive in the model store."""
    return f"{name}-{version}.mar"


def _register(server: Server, package: Path, loaded: Loaded, params: DeployParams) -> None:
    target = server.model_store / archive_name(loaded.name, loaded.version)
    with beside(target) as scratch:
        shutil.copyfile(archive_of(package), scratch)
    server.management.register(target.name, loaded.name, workers=params.workers, batch_size=params.batch_size,
                               max_batch_delay_ms=params.max_batch_delay_ms,
                               startup_timeout_s=params.startup_timeout_s, response_timeout_s=RESPONSE_TIMEOUT_S)
