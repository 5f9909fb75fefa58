"""register: package to a version in the MLflow registry, alias challenger, traceable to data, code and parameters."""

import json
import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from components.lineage import ROOT, image_digest
from components.tracking import start_run
from ecg.records import write_beside
from model.checkpoint import read_json
from model.package import check_package, decided_on, evaluation_digest, package_digest
from model.params import RegisterParams, TrackingParams

ALIAS = "challenger"
PACKAGE_ARTIFACT = "package"
PAPERS = ("report.html", "model_card.md")
DESCRIPTION_LIMIT = 5000
"""Characters of a version's description that MLflow keeps."""


@dataclass(frozen=True)
class RegisterResult:
    """The registered version; also the contents of version.json."""

    name: str
    version: str
    alias: str
    run_id: str
    tracking_uri: str
    package_digest: str


def run(*, package: Path, evaluation: Path, decision: Path, registration: Path, params: RegisterParams,
        tracking: TrackingParams, seed: int) -> RegisterResult:
    """Register a package that passed the gate.

    Args:
        package: the package folder.
        evaluation: what evaluate wrote about the package's checkpoint.
        decision: what gate wrote about that evaluation.
        registration: the folder to write.
        params, tracking: sections of params.yaml.
        seed: not used; every step has one.

    Raises:
        ValueError: the gate refused the model; evaluation, decision and package are not about the same model;
            the package was changed after it was made.
    """
    meta = check_package(package)
    _refuse(meta, package, evaluation, decision)
    tags = _tags(meta, package, evaluation)
    with (write_beside(registration) as folder,
          start_run(tracking, name="register", tags={**tags, "step": "register"}) as mlflow):
        mlflow.log_metrics(_figures(meta))
        for name in PAPERS:
            mlflow.log_artifact(str(evaluation / name))
        logged = _log_package(mlflow, package)
        version = mlflow.register_model(logged.model_uri, params.name, tags=tags)
        _describe(mlflow.MlflowClient(), params.name, version.version, evaluation)
        result = RegisterResult(params.name, str(version.version), ALIAS, mlflow.active_run().info.run_id, tracking.uri,
                                tags["package_digest"])
        (folder / "version.json").write_text(json.dumps(asdict(result), indent=1) + "\n")
    return result


def _refuse(meta: dict, package: Path, evaluation: Path, decision: Path) -> None:
    decided = decided_on(evaluation, decision, checkpoint=meta["checkpoint_digest"])
    if not (decided["passed"] and meta["gate"]["passed"]):
        reasons = "; ".join(rule["reason"] for rule in decided["rules"] if not rule["passed"])
        raise ValueError(f"{package}: the gate refused this model ({reasons or 'at the time it was packaged'}); "
                         "it cannot be registered")
    if read_json(evaluation / "thresholds.json", made_by="vizecg evaluate") != meta["thresholds"]:
        raise ValueError(f"{package}/model.json: thresholds are not those of {evaluation}; package again")


def _tags(meta: dict, package: Path, evaluation: Path) -> dict[str, str]:
    return {"data_digest": meta["data_digest"], "git_commit": meta["git_commit"], "params_hash": meta["params_hash"],
            "image_digest": image_digest(), "checkpoint_digest": meta["checkpoint_digest"],
            "evaluation_digest": evaluation_digest(evaluation), "package_digest": package_digest(package),
            "package_version": meta["version"], "train_run_id": meta["run_id"] or ""}


def _figures(meta: dict) -> dict[str, float]:
    """The macro figures of the test split, under the names that metrics.json gives them."""
    return {f"test.{capture}.macro.{name}": figure["value"] for capture, block in meta["metrics"].items()
            for name, figure in block.items() if figure["value"] is not None}


def _log_package(mlflow, package: Path):
    """Log the package as a model that `mlflow.pyfunc.load_model` loads, with the code it takes to read a page."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with warnings.catch_warnings():
        # It takes bytes or a path or a list of either, which MLflow's type hints cannot say.
        warnings.filterwarnings("ignore", message=".*type hints.*")
        return mlflow.pyfunc.log_model(
            name=PACKAGE_ARTIFACT, python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={PACKAGE_ARTIFACT: str(package)}, code_paths=[str(ROOT / "ecg"), str(ROOT / "model")],
            pip_requirements=_requirements())


def _requirements() -> list[str]:
    """The installed versions of what the reading path imports."""
    from importlib.metadata import version

    names = ("numpy", "torch", "numba", "opencv-python-headless", "pillow", "pandas", "pyarrow", "pyyaml", "mlflow")
    return [f"{name}=={version(name).split('+')[0]}" for name in names]


def _describe(client, name: str, version: str, evaluation: Path) -> None:
    card = (evaluation / "model_card.md").read_text(encoding="utf-8")
    client.update_model_version(name, version, description=card[:DESCRIPTION_LIMIT])
    client.set_registered_model_alias(name, ALIAS, version)
