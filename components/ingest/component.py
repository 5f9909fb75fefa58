"""ingest on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data"), install_kfp_package=False)
def ingest(data: str, params: dict, seed: int, data_digest: str, commit: str, records: dsl.Output[dsl.Dataset],
           shard: int = 1, shards: list = []):  # noqa: B006 - Kubeflow reads the default and never changes it
    """Raw source to record store. `data_digest` and `commit` are part of the key under which the result is cached.

    With `shards`, the numbers 1, 2, … of all parts, only part `shard` is read, for merge_shards.
    """
    import os
    from dataclasses import asdict
    from pathlib import Path

    from components.ingest.step import run
    from model.params import SALT_VARIABLE, IngestParams
    from model.typed import from_dict

    result = run(data=data, records=Path(records.path), params=from_dict(IngestParams, params, "ingest"),
                 seed=seed, salt=os.environ.get(SALT_VARIABLE, ""),
                 shard=(int(shard), len(shards)) if shards else None)
    records.metadata.update(asdict(result), raw_data_digest=data_digest, git_commit=commit)
