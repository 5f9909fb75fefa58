"""Whether a registered version may be served: its package and its papers, fetched and checked anew each time.

Tags and aliases are easily set by hand in MLflow's pages. What counts is that the package is the registered one, that
evaluation and decision in the version's run are about it, that judging again gives the same, and that the gate
passed, or that somebody answers for it by name.
"""

from pathlib import Path

from components.versions import fetch_papers
from model.override import TAGS, Override, is_recorded
from model.package import check_package, package_digest
from model.papers import check_papers


def check_registered(package: Path, registered, *, override: Override | None = None) -> None:
    """Refuse a package that is not the one of a registered version.

    Raises:
        ValueError: its digest is not the version's tag, its parts do not belong together, or the gate refused it
            and nobody answers for it.
    """
    meta = check_package(package)
    if package_digest(package) != registered.tags.get("package_digest"):
        raise ValueError(f"{package}: not the package registered as {registered.name} version {registered.version} "
                         "(package_digest); run 'vizecg register' first")
    if meta["gate"]["passed"] is not True and override is None and not is_recorded(registered.tags):
        raise ValueError(f"{package}: the gate refused this model; it cannot be deployed, unless somebody answers for "
                         "it: --override-by NAME --override-reason WHY")


def check_version(mlflow, registered, package: Path, scratch: Path, *, override: Override | None = None) -> None:
    """Check a version's package and papers; an override that is needed is recorded in its tags.

    Raises:
        ValueError: naming what is wrong, as `check_registered` and `model.papers.check_papers` do.
    """
    check_registered(package, registered, override=override)
    evaluation, decision = fetch_papers(mlflow, registered, scratch)
    tags = registered.tags
    papers = check_papers(package, evaluation, decision, digest=tags.get("decision_digest", ""))
    recorded = papers.decided.get("override")
    if papers.passed:
        return
    if is_recorded(tags) and recorded == {name: tags[name] for name in TAGS}:
        return
    if override is None:
        raise ValueError(f"{decision}/decision.json: the gate refused this model ({papers.reasons}) and no override is "
                         "recorded in it; give --override-by NAME --override-reason WHY")
    for name, value in override.record().items():
        mlflow.MlflowClient().set_model_version_tag(registered.name, str(registered.version), name, value)
