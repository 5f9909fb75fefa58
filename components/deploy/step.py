"""deploy: registered version to a served model, tried on a real page before anything is switched; alias champion."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.deploy.champion import crown, version_of
from components.tracking import connect
from ecg.records import write_beside
from model.checkpoint import read_json
from model.package import check_package, package_digest
from model.params import DeployParams, TrackingParams
from serving.rollout import load, switch, take_back
from serving.torchserve import Server, reach

STATE = "torchserve"


@dataclass(frozen=True)
class DeployResult:
    """What is served now; also the contents of deployment.json."""

    name: str
    version: str
    endpoint: str
    key_file: str
    loaded_at: str
    previous_version: str | None
    parity: float
    served_version: str
    """The version's name on the server, from the package."""
    package_digest: str


def run(*, package: Path, registration: Path, deployment: Path, params: DeployParams, tracking: TrackingParams,
        seed: int) -> DeployResult:
    """Serve a registered package.

    Args:
        package: the package folder.
        registration: what register wrote about it.
        deployment: the folder to write.
        params, tracking: sections of params.yaml.
        seed: not used; every step has one.

    Raises:
        ValueError: the package is not the registered one, or did not pass the gate; the served answer differs
            from the package's; another server has the port.
        RuntimeError: TorchServe does not come up, or refuses the model. What was served before is served still.
    """
    registered = read_json(registration / "version.json", made_by="vizecg register")
    client = connect(tracking).MlflowClient()
    check_registered(package, version_of(client, registered["name"], registered["version"]))
    with reach(state_folder(deployment, params), params) as server:
        return bring_out(server, client, package, name=registered["name"], version=registered["version"],
                         deployment=deployment, params=params, why="deploy")


def bring_out(server: Server, client, package: Path, *, name: str, version: str, deployment: Path,
              params: DeployParams, why: str) -> DeployResult:
    """Load, try, switch, move the aliases and write deployment.json; undone where a part of it fails."""
    with write_beside(deployment) as folder:
        loaded = load(server, package, params)
        try:
            switch(server, loaded)
            previous = crown(client, name, version, why=why)
        except BaseException:
            take_back(server, loaded)
            raise
        result = DeployResult(name=name, version=version, previous_version=previous, parity=loaded.parity,
                              endpoint=f"{params.inference.rstrip('/')}/predictions/{params.name}",
                              key_file=str(server.key_file), loaded_at=datetime.now(UTC).isoformat(timespec="seconds"),
                              served_version=loaded.version, package_digest=package_digest(package))
        (folder / "deployment.json").write_text(json.dumps(asdict(result), indent=1) + "\n")
    return result


def check_registered(package: Path, registered) -> None:
    """Refuse a package that is not the one of a registered version.

    Raises:
        ValueError: its digest is not the version's tag, its parts do not belong together, or the gate refused it.
    """
    meta = check_package(package)
    if package_digest(package) != registered.tags.get("package_digest"):
        raise ValueError(f"{package}: not the package registered as {registered.name} version {registered.version} "
                         "(package_digest); run 'vizecg register' first")
    if meta["gate"]["passed"] is not True:
        raise ValueError(f"{package}: the gate refused this model; it cannot be deployed")


def state_folder(deployment: Path, params: DeployParams) -> Path:
    """Return the folder of the server's keys, configuration, model store and logs."""
    return Path(params.state) if params.state else deployment.resolve().parent / STATE
