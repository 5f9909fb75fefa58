"""promote: a version becomes the champion in the registry; `vizecg deploy --champion` then serves it."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from components.deploy.trust import check_version
from components.moves import crown, holder, standing, version_of
from components.tracking import connect
from components.versions import fetch_package
from model.override import Override
from model.params import TrackingParams


@dataclass(frozen=True)
class PromoteResult:
    """Who is champion now, and who was before."""

    name: str
    version: str
    previous_version: str | None


def run(*, wanted: str, name: str, tracking: TrackingParams, why: str = "promote", instead_of: str | None = None,
        override: Override | None = None) -> PromoteResult:
    """Promote a version.

    Args:
        wanted: its number, or an alias that it has.
        name: of the registered model.
        tracking: section of params.yaml.
        why: for the history.
        instead_of: refuse unless this version is the champion now.
        override: who lets a model through that the gate refused, and why.

    Raises:
        ValueError: no such version, its package or papers do not hold, the gate refused it, or another promotion
            came first (`moves.Lost`).
    """
    mlflow = connect(tracking)
    client = mlflow.MlflowClient()
    version = named(client, name, wanted)
    seen = standing(client, name)
    if instead_of is not None and seen.champion != instead_of:
        raise ValueError(f"{name}: the champion is version {seen.champion or 'none'}, not {instead_of}; look at "
                         "'vizecg models'")
    with tempfile.TemporaryDirectory(prefix="vizecg-promote-") as scratch:
        package = fetch_package(mlflow, version, Path(scratch))
        check_version(mlflow, version, package, Path(scratch), override=override)
    number = str(version.version)
    return PromoteResult(name, number, crown(client, name, number, why=why, seen=seen))


def named(client, name: str, wanted: str):
    """Return the version of a number or an alias.

    Raises:
        ValueError: there is none.
    """
    if wanted.isdecimal():
        return version_of(client, name, wanted)
    version = holder(client, name, wanted)
    if version is None:
        raise ValueError(f"{name}: no version has the alias {wanted!r}; give a number of 'vizecg models'")
    return version
