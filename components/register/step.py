"""register: package to a version in the MLflow registry, alias challenger, traceable to data, code and parameters."""

import hashlib
import json
import shutil
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from components.lineage import ROOT, image_digest
from components.moves import CHALLENGER, CHAMPION, holder, move
from components.tracking import PACKAGE_ARTIFACT, connect, log_dataset, metric_name, shown, start_run
from ecg.records import write_beside
from model.checkpoint import read_json
from model.override import Override
from model.package import evaluation_digest, package_digest
from model.papers import DECISION, EVALUATION, Papers, check_papers, refuse_other_rules, with_override
from model.params import GateParams, RegisterParams, TrackingParams

PAPERS = ("report.html", "model_card.md")
MEASURED = ("metrics.json", "thresholds.json", "predictions.parquet")
"""What of an evaluation is kept with a version: it takes these to judge again, and to compare the next model."""
PARAMS_FILE = "params.yaml"
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
        gate: GateParams, tracking: TrackingParams, seed: int, pipeline_run: str = "",
        override: Override | None = None) -> RegisterResult:
    """Register a package that passed the gate, or that somebody lets through by name.

    The version's run keeps what it takes to judge the model again (evaluation, decision) and to make it again
    (params.yaml of all steps).

    Args:
        package: the package folder.
        evaluation: what evaluate wrote about the package's checkpoint.
        decision: what gate wrote about that evaluation.
        registration: the folder to write.
        params, gate, tracking: sections of params.yaml; the decision must have been taken with the rules of `gate`.
        seed: not used; every step has one.
        pipeline_run: the run of the pipeline that this is a task of, if any.
        override: who lets a model through that the gate refused, and why; not needed, and then not recorded, for a
            model that passed.

    Raises:
        ValueError: the gate refused the model; evaluation, decision and package are not about the same model;
            one of them was changed after it was made; the decision was taken with other rules, or without the
            champion where a rule compares with it.
    """
    papers = check_papers(package, evaluation, decision)
    refuse_other_rules(decision, papers.decided, gate)
    _refuse_without_champion(papers, decision, params, tracking)
    if not papers.passed and override is None:
        raise ValueError(f"{package}: the gate refused this model ({papers.reasons}); it cannot be registered, unless "
                         "somebody answers for it: --override-by NAME --override-reason WHY")
    record = None if papers.passed else override.record()
    decided = with_override(papers.decided, record)
    meta = papers.meta
    tags = {**_tags(meta, package, evaluation), "pipeline_run": pipeline_run,
            "decision_digest": hashlib.sha256(decided.encode()).hexdigest(),
            "pages_digest": papers.metrics["pages_digest"], "gate": "overridden" if record else "passed",
            **(record or {})}
    with (write_beside(registration) as folder,
          start_run(tracking, name="register", tags={**tags, "step": "register"}) as mlflow):
        (folder / "decision.json").write_text(decided)
        mlflow.log_metrics(_figures(meta))
        _log_evaluated(mlflow, evaluation)
        _log_papers(mlflow, evaluation, folder, meta)
        logged = _log_package(mlflow, package, tags["package_digest"])
        version = mlflow.register_model(logged.model_uri, params.name, tags=tags)
        _describe(mlflow.MlflowClient(), params.name, version.version, evaluation)
        result = RegisterResult(params.name, str(version.version), CHALLENGER, mlflow.active_run().info.run_id,
                                shown(tracking.uri), tags["package_digest"])
        (folder / "version.json").write_text(json.dumps(asdict(result), indent=1) + "\n")
    return result


def _refuse_without_champion(papers: Papers, decision: Path, params: RegisterParams, tracking: TrackingParams) -> None:
    """Refuse a decision that should have compared with the champion, and did not, or with another one."""
    if not any(rule["comparison"] == "champion" for rule in papers.decided["rules"]):
        return
    champion = holder(connect(tracking).MlflowClient(), params.name, CHAMPION)
    if champion is None:
        return
    same_pages = champion.tags.get("pages_digest") == papers.decided["pages_digest"]
    stated, known = (("champion_digest", "evaluation_digest") if same_pages else
                     ("champion_checkpoint", "checkpoint_digest"))
    if papers.decided.get(stated) != champion.tags.get(known):
        raise ValueError(f"{decision}/decision.json: {stated} is not that of the champion, {params.name} version "
                         f"{champion.version}; run 'vizecg gate --champion registry' and package again")


def _tags(meta: dict, package: Path, evaluation: Path) -> dict[str, str]:
    """What a version can be traced by: data, code, parameters, images, and a digest of each thing on its way."""
    return {"data_digest": meta["data_digest"], "git_commit": meta["git_commit"], "params_hash": meta["params_hash"],
            "image_digest": image_digest(), "train_image": meta.get("train_image", "none"),
            "package_image": meta["packaged_by"]["image_digest"], "checkpoint_digest": meta["checkpoint_digest"],
            "evaluation_digest": evaluation_digest(evaluation), "package_digest": package_digest(package),
            "package_version": meta["version"], "train_run_id": meta["run_id"] or ""}


def _log_papers(mlflow, evaluation: Path, decision: Path, meta: dict) -> None:
    for name in PAPERS:
        mlflow.log_artifact(str(evaluation / name))
    for name in MEASURED:
        mlflow.log_artifact(str(evaluation / name), EVALUATION)
    mlflow.log_artifact(str(decision / "decision.json"), DECISION)
    mlflow.log_text(yaml.safe_dump(meta["made_with"], sort_keys=False), PARAMS_FILE)


def _figures(meta: dict) -> dict[str, float]:
    """The macro figures of the test split, under the names that metrics.json gives them as far as MLflow takes them."""
    return {metric_name(f"test.{capture}.macro.{name}"): figure["value"] for capture, block in meta["metrics"].items()
            for name, figure in block.items() if figure["value"] is not None}


def _log_evaluated(mlflow, evaluation: Path) -> None:
    """Name the store whose pages the figures come from."""
    metrics = read_json(evaluation / "metrics.json", made_by="vizecg evaluate")
    records = next(iter(metrics["test"].values()))["records"]
    log_dataset(mlflow, digest=metrics["data_digest"], name="records", context="evaluation", records=records)


def _log_package(mlflow, package: Path, digest: str):
    """Log the package as a model that `mlflow.pyfunc.load_model` loads, with the code it takes to read a page."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="vizecg-register-") as scratch:
        # MLflow keeps the folder under its own name; and what was checked must be what is kept.
        copy = shutil.copytree(package, Path(scratch) / PACKAGE_ARTIFACT)
        if package_digest(copy) != digest:
            raise ValueError(f"{package}: was changed while it was registered; package again")
        # It takes bytes or a path or a list of either, which MLflow's type hints cannot say.
        warnings.filterwarnings("ignore", message=".*type hints.*")
        return mlflow.pyfunc.log_model(
            name=PACKAGE_ARTIFACT, python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={PACKAGE_ARTIFACT: str(copy)}, code_paths=[str(ROOT / "ecg"), str(ROOT / "model")],
            pip_requirements=_requirements())


def _requirements() -> list[str]:
    """The installed versions of what the reading path imports."""
    from importlib.metadata import version

    names = ("numpy", "scipy", "torch", "onnxruntime", "numba", "opencv-python-headless", "isal", "pillow", "pypdfium2",
             "pydicom", "pandas", "pyarrow", "pyyaml", "mlflow")
    return [f"{name}=={version(name).split('+')[0]}" for name in names]


def _describe(client, name: str, version: str, evaluation: Path) -> None:
    card = (evaluation / "model_card.md").read_text(encoding="utf-8")
    client.update_model_version(name, version, description=card[:DESCRIPTION_LIMIT])
    move(client, name, CHALLENGER, version, why="register")
