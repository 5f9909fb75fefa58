"""rollback: the previous champion is served again, and is champion again."""

import tempfile
from pathlib import Path

from components.deploy.champion import PREVIOUS, holder
from components.deploy.step import DeployResult, bring_out, check_registered, state_folder
from components.register.step import PACKAGE_ARTIFACT
from components.tracking import connect
from model.checkpoint import read_json
from model.params import DeployParams, TrackingParams
from serving.torchserve import reach


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
    previous = holder(client, name, PREVIOUS)
    if previous is None:
        raise ValueError(f"{name}: no version has the alias {PREVIOUS}; there is nothing to roll back to")
    with tempfile.TemporaryDirectory(prefix="vizecg-rollback-") as scratch:
        version = str(previous.version)
        model = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=scratch)
        package = Path(model) / "artifacts" / PACKAGE_ARTIFACT
        check_registered(package, previous)
        with reach(state_folder(deployment, params), params) as server:
            return bring_out(server, client, package, name=name, version=version, deployment=deployment,
                             params=params, why="rollback")
