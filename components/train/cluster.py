"""A training on several machines of a cluster: its data to a shared place, a TrainJob over it, the checkpoint back."""

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from components.train.begin import before
from components.train.shared import Shared, below, bring, leave, shared
from ecg.records import RecordStore, write_beside
from model.checkpoint import checkpoint_digest
from model.params import ModelParams, PageParams, TrackingParams, TrainParams
from model.states import States
from model.typed import as_dict

STORE = ("signals.npy", "records.parquet", "store.json")
CHECKPOINT = ("model.pt", "model.json", "history.json")
VALIDATION = "validation.json"
JOB, RESULT = "job.json", "result.json"
COMMAND = ("python", "-m", "components.train.node")


def train_on_cluster(store: RecordStore, validation: Path, checkpoint: Path, *, params: TrainParams,
                     model: ModelParams, page: PageParams, tracking: TrackingParams, seed: int, run: str,
                     resume: bool, say: Callable[[str], None]) -> dict:
    """Train on `params.nodes` nodes of a TrainJob and write the checkpoint here; return the step's result.

    Args:
        store, validation, checkpoint, params, model, page, tracking, seed: as the step has them.
        run: what tells this run's files in the shared place from others'.
        resume: go on from this run's state in the shared place, if there is one.
        say: takes a line that the user should see.

    Raises:
        ValueError: the shared place or the cluster cannot be reached, or refuses; a setting names this machine's files.
        RuntimeError: the TrainJob failed; what it left in the shared place serves to resume.
        SystemExit: of status 75; SIGTERM came.
    """
    from components.train.trainjob import Cluster, Nodes

    for name in ("teachers", "start_from"):
        if getattr(params, name):
            raise ValueError(f"train.{name}: names a folder of this machine, which train.nodes {params.nodes} cannot "
                             "read; leave one of the two out")
    cluster = Cluster(say=say)
    image = params.image or cluster.own_image()
    if not image:
        raise ValueError("train.image: name the image of the nodes; here is no pod whose image they could have")
    records, address = below(params.shared, f"records-{store.digest[:16]}"), below(params.shared, run)
    place = shared(address)
    _stage(store, shared(records), say)
    place.upload(VALIDATION, validation / VALIDATION)
    place.delete(RESULT)
    if not resume:
        for name in (run, before(run)):
            States(shared(params.shared), name).clear()
    alone = replace(params, nodes=1)
    sections = {"params": alone, "model": model, "page": page, "tracking": tracking}
    place.write(JOB, json.dumps({**{name: as_dict(section) for name, section in sections.items()}, "seed": seed,
                                 "records": records, "states": params.shared}).encode())
    cluster.run(f"vizecg-{run[:8]}-{uuid.uuid4().hex[:5]}",
                Nodes(image, (*COMMAND, address), params.nodes, params.processes, params.runtime, params.accelerator,
                      params.secret))
    return _collect(place, checkpoint)


def _stage(store: RecordStore, place: Shared, say: Callable[[str], None]) -> None:
    """Put the records where the nodes find them, unless they lie there: their folder is named by their digest."""
    if STORE[-1] not in place.names():
        say(f"records: {store.signals.nbytes / 2**20:.0f} MiB to {place}")
        leave(place, STORE, store.path)


def _collect(place: Shared, checkpoint: Path) -> dict:
    if RESULT not in place.names():
        raise RuntimeError(f"{place}: the nodes ended well and left no {RESULT}; do they reach the same place?")
    result = json.loads(place.read(RESULT))
    with write_beside(checkpoint) as folder:
        bring(place, CHECKPOINT, folder)
        if checkpoint_digest(folder) != result["checkpoint"]:
            raise RuntimeError(f"{place}: the checkpoint is not the one that the nodes wrote (digest)")
    return result["result"]
