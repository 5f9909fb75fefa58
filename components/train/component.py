"""train on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def train(records: dsl.Input[dsl.Dataset], validation: dsl.Input[dsl.Artifact], params: dict, model: dict, page: dict,
          tracking: dict, seed: int, checkpoint: dsl.Output[dsl.Model]):
    """Record store to checkpoint; the run in MLflow is named in the checkpoint's metadata."""
    from dataclasses import asdict
    from pathlib import Path

    from components.train.step import run
    from model.params import ModelParams, PageParams, TrackingParams, TrainParams, from_dict

    result = run(records=Path(records.path), validation=Path(validation.path), checkpoint=Path(checkpoint.path),
                 params=from_dict(TrainParams, params, "train"), model=from_dict(ModelParams, model, "model"),
                 page=from_dict(PageParams, page, "page"),
                 tracking=from_dict(TrackingParams, tracking, "tracking"), seed=seed)
    checkpoint.metadata.update(asdict(result))
