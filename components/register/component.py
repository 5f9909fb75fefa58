"""register on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def register(package: dsl.Input[dsl.Model], evaluation: dsl.Input[dsl.Artifact], decision: dsl.Input[dsl.Artifact],
             params: dict, gate: dict, tracking: dict, seed: int, pipeline_run: str,
             registration: dsl.Output[dsl.Artifact]):
    """Package to a version in the MLflow registry."""
    from dataclasses import asdict
    from pathlib import Path

    from components.register.step import run
    from model.params import GateParams, RegisterParams, TrackingParams
    from model.typed import from_dict

    result = run(package=Path(package.path), evaluation=Path(evaluation.path), decision=Path(decision.path),
                 registration=Path(registration.path), params=from_dict(RegisterParams, params, "register"),
                 gate=from_dict(GateParams, gate, "gate"), pipeline_run=pipeline_run,
                 tracking=from_dict(TrackingParams, tracking, "tracking"), seed=seed)
    registration.metadata.update(asdict(result))
