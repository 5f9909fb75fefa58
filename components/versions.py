"""What a registered version holds, fetched from the registry: its package, and its papers from its run."""

from pathlib import Path

from components.tracking import PACKAGE_ARTIFACT
from model.papers import DECISION, EVALUATION


def fetch_package(mlflow, version, scratch: Path) -> Path:
    """Download a version's package.

    Raises:
        ValueError: the version holds none.
    """
    try:
        model = mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}",
                                                    dst_path=str(scratch / "model"))
    except Exception as error:
        # Each kind of artifact store has exceptions of its own.
        raise ValueError(f"{version.name} version {version.version}: no package can be fetched from the registry "
                         f"({type(error).__name__}); register it again") from None
    package = Path(model) / "artifacts" / PACKAGE_ARTIFACT
    if not package.is_dir():
        raise ValueError(f"{version.name} version {version.version}: holds no package of ours; register it again")
    return package


def fetch_papers(mlflow, version, scratch: Path) -> tuple[Path, Path]:
    """Download a version's evaluation and decision.

    Raises:
        ValueError: the version's run holds none.
    """
    try:
        return tuple(Path(mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path=name,
                                                              dst_path=str(scratch)))
                     for name in (EVALUATION, DECISION))
    except Exception:
        raise ValueError(f"{version.name} version {version.version}: its run holds no evaluation and no decision of "
                         "the gate; register it with 'vizecg register'") from None
