"""rollback: the previous champion is served again, and is champion again."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from components.deploy.step import DeployResult, bring_out, state_folder
from components.deploy.trust import check_version
from components.moves import PREVIOUS, adopt, crown, holder, standing
from components.tracking import connect
from components.versions import fetch_package
from model.checkpoint import read_json
from model.params import DeployParams, TrackingParams
from serving.torchserve import reach


@dataclass(frozen=True)
class RegistryResult:
    """Who is champion again, and who was; nothing was served."""

    name: str
    version: str
    previous_version: str | None


def in_registry(*, name: str, tracking: TrackingParams) -> RegistryResult:
    """Make the previous champion the champion again, for servers that follow the alias.

    Args:
        name: of the registered model.
        tracking: section of params.yaml.

    Raises:
        ValueError: there is no previous champion, or another promotion came first.
    """
    mlflow = connect(tracking)
    client = mlflow.MlflowClient()
    seen = adopt(client, name, standing(client, name))
    previous = _previous(client, name)
    with tempfile.TemporaryDirectory(prefix="vizecg-rollback-") as scratch:
        check_version(mlflow, previous, fetch_package(mlflow, previous, Path(scratch)), Path(scratch))
    version = str(previous.version)
    return RegistryResult(name, version, crown(client, name, version, why="rollback", seen=seen))


def run(*, deployment: Path, params: DeployParams, tracking: TrackingParams) -> DeployResult:
    """Take a deployment back by one champion.

    The package comes from the registry, so that it works on a server that has forgotten the old version. A
    second rollback returns to where the first began.

    Args:
        deployment: what deploy wrote; written anew.
        params, tracking: sections of params.yaml.

    Raises:
        ValueError: nothing is deployed, or there is no previous champion.
        RuntimeError: TorchServe refuses the old version; what was served is served still.
    """
    name = read_json(deployment / "deployment.json", made_by="vizecg deploy")["name"]
    mlflow = connect(tracking)
    client = mlflow.MlflowClient()
    seen = adopt(client, name, standing(client, name))
    previous = _previous(client, name)
    with tempfile.TemporaryDirectory(prefix="vizecg-rollback-") as scratch:
        version = str(previous.version)
        package = fetch_package(mlflow, previous, Path(scratch))
        check_version(mlflow, previous, package, Path(scratch))
        with reach(state_folder(deployment, params), params) as server:
            return bring_out(server, client, package, name=name, version=version, seen=seen,
                             deployment=deployment, params=params, why="rollback")


def _previous(client, name: str):
    previous = holder(client, name, PREVIOUS)
    if previous is None:
        raise ValueError(f"{name}: no version has the alias {PREVIOUS}; there is nothing to roll back to")
    return previous
