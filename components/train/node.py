"""What each node of a TrainJob does: `python -m components.train.node SHARED/RUN`.

It brings the records here, trains among the other nodes, resuming where the run had been, and the node with the first
process leaves the checkpoint in the shared place.
"""

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from components.train.cluster import CHECKPOINT, JOB, RESULT, STORE, VALIDATION
from components.train.shared import bring, leave, shared
from components.train.step import run
from model.checkpoint import checkpoint_digest
from model.distributed import Meeting, launch
from model.params import ModelParams, PageParams, TrackingParams, TrainParams
from model.typed import from_dict


def train_node(address: str, meeting: Meeting) -> None:
    """Train as one node of several; `address` is where the run's files lie.

    Raises:
        ValueError: the place cannot be reached.
        SystemExit: of status 75 when SIGTERM ended it, of 1 when a process failed.
    """
    place = shared(address)
    job = json.loads(place.read(JOB))
    params = from_dict(TrainParams, job["params"], "train")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bring(shared(job["records"]), STORE, folder / "records")
        bring(place, (VALIDATION,), folder / "validation")
        result = launch(run, params.processes, {
            "records": folder / "records", "validation": folder / "validation", "checkpoint": folder / "checkpoint",
            "params": params, "model": from_dict(ModelParams, job["model"], "model"),
            "page": from_dict(PageParams, job["page"], "page"), "seed": job["seed"], "state": job["states"],
            "tracking": from_dict(TrackingParams, job["tracking"], "tracking"), "resume": True}, meeting=meeting)
        if result:
            leave(place, CHECKPOINT, folder / "checkpoint")
            place.write(RESULT, json.dumps({"result": asdict(result),
                                            "checkpoint": checkpoint_digest(folder / "checkpoint")}).encode())


def main(arguments: list[str]) -> int:
    """Run one node. Returns the exit status: 0 done, 2 a user's mistake."""
    try:
        address, = arguments
        train_node(address, Meeting.announced(os.environ, run=address.rpartition("/")[2]))
    except ValueError as error:
        print(f"vizecg: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
