"""train on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def train(records: dsl.Input[dsl.Dataset], validation: dsl.Input[dsl.Artifact], params: dict, model: dict, page: dict,
          tracking: dict, seed: int, trial: dict, checkpoint: dsl.Output[dsl.Model]):
    """Record store to checkpoint; the run in MLflow is named in the checkpoint's metadata."""
    from dataclasses import asdict
    from pathlib import Path

    from components.train.step import run
    from components.train.trial import of_trial
    from model.params import PageParams, TrackingParams
    from model.typed import from_dict

    training, network, seed = of_trial(trial, params=params, model=model, seed=seed)
    # A task that Kubeflow tries again goes on where the first try stopped, if its states lie outside its pod.
    result = run(records=Path(records.path), validation=Path(validation.path), checkpoint=Path(checkpoint.path),
                 params=training, model=network, page=from_dict(PageParams, page, "page"),
                 tracking=from_dict(TrackingParams, tracking, "tracking"), seed=seed, state=training.shared or None,
                 resume=bool(training.shared))
    checkpoint.metadata.update(asdict(result))
