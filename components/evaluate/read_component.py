"""The reading of one capture on Kubeflow: the part of evaluate that takes a GPU, one task a capture."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def read_capture(checkpoint: dsl.Input[dsl.Model], pages: dsl.Input[dsl.Dataset], capture: str, params: dict,
                 readings: dsl.Output[dsl.Dataset]):
    """Checkpoint and the pages of one capture to predictions."""
    from pathlib import Path

    from components.evaluate.step import read
    from model.params import EvaluateParams
    from model.typed import from_dict

    read(checkpoint=Path(checkpoint.path), pages=Path(pages.path), readings=Path(readings.path), capture=capture,
         params=from_dict(EvaluateParams, params, "evaluate"))
