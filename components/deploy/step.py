"""deploy: registered version to a served model, tried on a real page before anything is switched; alias champion."""

import json
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.deploy.trust import check_version
from components.moves import CHAMPION, Standing, adopt, enter, holder, settle, standing, version_of
from components.tracking import connect
from components.versions import fetch_package
from ecg.records import write_beside
from model.checkpoint import read_json
from model.override import Override
from model.package import package_digest
from model.params import DeployParams, TrackingParams
from serving.rollout import load, switch, take_back, watch
from serving.torchserve import Server, reach, stop

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
        seed: int, override: Override | None = None) -> DeployResult:
    """Serve a registered package, and make its version the champion.

    Args:
        package: the package folder.
        registration: what register wrote about it.
        deployment: the folder to write.
        params, tracking: sections of params.yaml.
        seed: not used; every step has one.
        override: who lets a model through that the gate refused, and why.

    Raises:
        ValueError: the package is not the registered one, or did not pass the gate; the served answer differs
            from the package's; another server has the port; the champion was set by hand in MLflow, or
            another promotion came first.
        RuntimeError: TorchServe does not come up, refuses the model, or fails while it is watched after the switch.
            What was served before is served still, or again.
    """
    registered = read_json(registration / "version.json", made_by="vizecg register")
    if not isinstance(registered, dict) or not {"name", "version"} <= registered.keys():
        raise ValueError(f"{registration}/version.json: has no name and version; run 'vizecg register' again")
    mlflow = connect(tracking)
    client, name = mlflow.MlflowClient(), registered["name"]
    version = version_of(client, name, registered["version"])
    seen = standing(client, name)
    if seen.by_hand and seen.champion != str(version.version):
        raise ValueError(f"{name}: somebody set the champion by hand, to version {seen.champion or 'none'}; serve that "
                         f"with 'vizecg deploy --champion', or first 'vizecg promote {version.version}'")
    with tempfile.TemporaryDirectory(prefix="vizecg-deploy-") as scratch:
        check_version(mlflow, version, package, Path(scratch), override=override)
    with reach(state_folder(deployment, params), params) as server:
        return bring_out(server, client, package, name=name, version=str(version.version), seen=seen,
                         deployment=deployment, params=params, why="deploy")


def serve_champion(*, deployment: Path, params: DeployParams, tracking: TrackingParams, name: str,
                   override: Override | None = None) -> DeployResult:
    """Serve the version that has the alias champion, however it came by it; package and papers are the registry's.

    Args:
        deployment: the folder to write.
        params, tracking: sections of params.yaml.
        name: of the registered model.
        override: as for `run`.

    Raises:
        ValueError: there is no champion, or what `run` raises.
    """
    mlflow = connect(tracking)
    client = mlflow.MlflowClient()
    champion = holder(client, name, CHAMPION)
    if champion is None:
        raise ValueError(f"{name}: no version has the alias {CHAMPION}; give it one with 'vizecg promote VERSION'")
    with tempfile.TemporaryDirectory(prefix="vizecg-deploy-") as scratch:
        package = fetch_package(mlflow, champion, Path(scratch))
        check_version(mlflow, champion, package, Path(scratch), override=override)
        seen = adopt(client, name, standing(client, name))
        with reach(state_folder(deployment, params), params) as server:
            return bring_out(server, client, package, name=name, version=str(champion.version), seen=seen,
                             deployment=deployment, params=params, why="deploy")


def bring_out(server: Server, client, package: Path, *, name: str, version: str, seen: Standing,
              deployment: Path, params: DeployParams, why: str) -> DeployResult:
    """Load, try, switch, watch, enter the champion and write deployment.json; undone where a part of it fails.

    Once the champion is entered nothing is taken back: the aliases follow, now or when the registry answers again.
    """
    with write_beside(deployment) as folder:
        loaded = load(server, package, params)
        try:
            switch(server, loaded)
            watch(server, package, loaded, params)
            previous = enter(client, name, version, why=why, seen=seen)
        except BaseException as error:
            try:
                take_back(server, loaded)
            except RuntimeError as another:
                error.add_note(f"Nor could it be taken back: {another}")
            raise
        result = DeployResult(name=name, version=version, previous_version=previous, parity=loaded.parity,
                              endpoint=f"{params.inference.rstrip('/')}/predictions/{params.name}",
                              key_file=str(server.key_file), loaded_at=datetime.now(UTC).isoformat(timespec="seconds"),
                              served_version=loaded.version, package_digest=package_digest(package))
        (folder / "deployment.json").write_text(json.dumps(asdict(result), indent=1) + "\n")
    settle(client, name)
    return result


def stop_server(deployment: Path, params: DeployParams) -> bool:
    """Stop the TorchServe that serves a deployment; False where none runs."""
    return stop(state_folder(deployment, params))


def state_folder(deployment: Path, params: DeployParams) -> Path:
    """Return the folder of the server's keys, configuration, model store and logs."""
    return Path(params.state) if params.state else deployment.resolve().parent / STATE
