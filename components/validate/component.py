"""validate on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data"), install_kfp_package=False)
def validate(records: dsl.Input[dsl.Dataset], params: dict, seed: int, validation: dsl.Output[dsl.Artifact]):
    """Record store to the result of its expectations; a failed critical one stops the pipeline."""
    from dataclasses import asdict
    from pathlib import Path

    from components.validate.step import run
    from model.params import ValidateParams
    from model.typed import from_dict

    result = run(records=Path(records.path), validation=Path(validation.path),
                 params=from_dict(ValidateParams, params, "validate"), seed=seed)
    validation.metadata.update(asdict(result))
