"""The parts of an ingest put together on Kubeflow."""

from typing import List  # noqa: UP035 - the only spelling of a list of artifacts that Kubeflow reads

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data"), install_kfp_package=False)
def merge_shards(parts: dsl.Input[List[dsl.Dataset]], records: dsl.Output[dsl.Dataset]):  # noqa: UP006
    """All parts (`dsl.Collected`) to the store that `ingest` would have written."""
    from dataclasses import asdict
    from pathlib import Path

    from components.ingest.merge import merge

    records.metadata.update(asdict(merge(shards=[Path(part.path) for part in parts], records=Path(records.path))))
