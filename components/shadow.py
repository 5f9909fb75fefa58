"""shadow: a challenger beside what is served reads a copy of the traffic; its answers are compared, not returned."""

from dataclasses import asdict, dataclass
from pathlib import Path

from components.deploy.step import state_folder
from components.web import refuse_taken
from model.checkpoint import read_json
from model.package import check_package
from model.params import DeployParams
from serving.client import Client, file_token
from serving.front import make_front, stoppable
from serving.keys import fresh_key
from serving.rollout import load, unload
from serving.shadow import Shadow
from serving.torchserve import reach


@dataclass(frozen=True)
class ShadowResult:
    """How many pages the challenger read too, and how its answers compared."""

    champion: str
    challenger: str
    copied: int
    same: int
    differ: int
    failed: int
    skipped: int
    largest: float


def run(*, package: Path, deployment: Path, log: Path, params: DeployParams, port: int) -> ShadowResult:
    """Serve the champion at another port, with the challenger in its shadow, until the process is told to stop.

    Args:
        package: of the challenger; loaded beside what is served, tried on its page, unloaded at the end.
        deployment: what deploy wrote; its server is used.
        log: one line of JSON a page is added to it.
        params: section deploy of params.yaml.
        port: on loopback, where the traffic goes meanwhile; callers bring TorchServe's inference key as before.

    Raises:
        ValueError: the port is taken, or the log cannot be written; nothing is served, the challenger is what is
            served, or its answer to its page is wrong.
    """
    import uvicorn

    version = check_package(package)["version"]
    read_json(deployment / "deployment.json", made_by="vizecg deploy")
    refuse_taken("127.0.0.1", port)
    try:
        open(log, "a").close()
    except OSError as error:
        raise ValueError(f"--log: {log} cannot be written ({error.strerror}); name another file") from None
    with reach(state_folder(deployment, params), params) as server:
        # Asked before it is loaded: the first version of a server is what the server answers with.
        served = server.management.default(params.name)
        if served in (None, version):
            raise ValueError(f"{package}: " + ("nothing is served that it could be compared with" if served is None
                             else "is what is served") + "; deploy another version first")
        loaded = load(server, package, params)
    challenger = Client(f"{server.inference.rstrip('/')}/predictions/{loaded.name}/{loaded.version}",
                        file_token(server.key_file), retries=0)
    shadow = Shadow(challenger, log)
    try:
        app = make_front(server, loaded.name, token=lambda: fresh_key(server.key_file, "inference"), shadow=shadow)
        with stoppable():
            uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning", server_header=False)
    finally:
        try:
            seen = shadow.close()
        finally:
            if loaded.new:
                unload(server, loaded.name, loaded.version)
    counts = {name: seen["summary"].get(name, 0) for name in ("copied", "same", "differ", "failed", "skipped")}
    return ShadowResult(served, version, **counts, largest=seen["largest"])


def say(result: ShadowResult) -> str:
    """Return one line about it."""
    return "shadow: " + ", ".join(f"{name}={value}" for name, value in asdict(result).items())
