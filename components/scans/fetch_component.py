"""The registered reader on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def fetch(name: str, alias: str, tracking: dict, package: dsl.Output[dsl.Model], evaluation: dsl.Output[dsl.Artifact]):
    """A version of MLflow's registry, by its alias, and what was measured of it."""
    from dataclasses import asdict
    from pathlib import Path

    from components.scans.step import fetch as run
    from model.params import TrackingParams
    from model.typed import from_dict

    result = run(name=name, alias=alias, package=Path(package.path), evaluation=Path(evaluation.path),
                 tracking=from_dict(TrackingParams, tracking, "tracking"))
    package.metadata.update(asdict(result))
