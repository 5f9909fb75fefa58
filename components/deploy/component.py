"""deploy on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("serve"), install_kfp_package=False)
def deploy(package: dsl.Input[dsl.Model], registration: dsl.Input[dsl.Artifact], params: dict, tracking: dict,
           seed: int, deployment: dsl.Output[dsl.Artifact]):
    """Version to a served model."""
    from dataclasses import asdict
    from pathlib import Path

    from components.deploy.step import run
    from model.params import DeployParams, TrackingParams
    from model.typed import from_dict

    result = run(package=Path(package.path), registration=Path(registration.path), deployment=Path(deployment.path),
                 params=from_dict(DeployParams, params, "deploy"),
                 tracking=from_dict(TrackingParams, tracking, "tracking"), seed=seed)
    deployment.metadata.update(asdict(result))
