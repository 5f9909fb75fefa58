"""ingest on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data"), install_kfp_package=False)
def ingest(data: str, params: dict, seed: int, data_digest: str, commit: str, records: dsl.Output[dsl.Dataset]):
    """Raw source to record store. `data_digest` and `commit` are part of the key under which the result is cached."""
    from dataclasses import asdict
    from pathlib import Path

    from components.ingest.step import run
    from model.params import IngestParams, from_dict

    result = run(data=Path(data), records=Path(records.path), params=from_dict(IngestParams, params, "ingest"),
                 seed=seed)
    records.metadata.update(asdict(result), raw_data_digest=data_digest, git_commit=commit)
