"""The parts of a reading put together on Kubeflow."""

from typing import List  # noqa: UP035 - the only spelling of a list of artifacts that Kubeflow reads

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def gather(parts: dsl.Input[List[dsl.Dataset]], readings: dsl.Output[dsl.Dataset],  # noqa: UP006
           metrics: dsl.Output[dsl.Metrics]):
    """Every part to readings.json and readings.parquet."""
    from dataclasses import asdict
    from pathlib import Path

    from components.scans.step import gather as run

    result = asdict(run(parts=tuple(Path(part.path) for part in parts), readings=Path(readings.path)))
    readings.metadata.update(result)
    for name, value in result.items():
        metrics.log_metric(name, value)
