"""The reading of scans on Kubeflow: one task a part."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def read_scans(scans: str, package: dsl.Input[dsl.Model], part: int, parts: list, readings: dsl.Output[dsl.Dataset],
               layout: str = ""):
    """The scans of one part to answers. `parts` lists all parts, so that each task knows its share."""
    from dataclasses import asdict
    from pathlib import Path

    from components.scans.step import read

    result = read(scans=scans, package=Path(package.path), readings=Path(readings.path), part=int(part),
                  parts=len(parts), layout=layout)
    readings.metadata.update(asdict(result))
