"""Trains a small network: `python -m tests.model.steps STORE OUT '{"epochs": 2}' [STATES [RANK]]`.

Of a training in several processes that of the RANK, and no other, is asked to stop after its first step.
What the tests of several processes, of several nodes and of killed ones start: alone, by torchrun, or with the
variables of a TrainJob's node. `python -m tests.model.steps serve` trains once for each line of JSON words, in a forked
process: a start that costs no import of torch, so that a test can afford twenty.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import torch

from components.train.shared import shared
from ecg.paper.layout import layout
from ecg.paper.page import Renderer, sample_style
from ecg.records import RecordStore
from model.baselines import build
from model.data import PageSource
from model.distributed import Meeting, join, launch
from model.loop import Trainer
from model.params import PageParams, TrainParams
from model.states import States
from model.typed import from_dict
from tests.model.tiny import TINY


def train(store_path: str, out: str, changes: str, states: str = "", asked: str = "") -> None:
    torch.set_num_threads(1)
    world = join()
    params = from_dict(TrainParams, {"batch_size": 16, "precision": "fp32", "deterministic": True,
                                     **json.loads(changes)}, "train")
    store, page = RecordStore.open(Path(store_path)), PageParams(height=64, width=128, px_per_mm=0.5)
    labels = store.labels.astype(np.float32)
    # Each training record twice: a page's look goes by its position, and a batch of 64 needs as many.
    rows = {"train": np.tile(store.rows("train"), 2), "validate": store.rows("validate")}
    sources = {split: PageSource(store, some, labels[some], page, 1.0, 3) for split, some in rows.items()}
    torch.manual_seed(3)
    net = build(from_dict(type(TINY), {**json.loads(json.dumps(vars(TINY))), "dropout": params.ema and 0.1}, "model"),
                classes=labels.shape[1])
    trainer = Trainer(net, **sources, params=params, seed=3, world=world, signature="test",
                      states=States(shared(states), "run") if states else None)
    print(f"ready at step {trainer.done}", flush=True)
    losses = []

    def on_step(values: dict) -> None:
        losses.append(values["loss"])
        print(f"step {trainer.done}", flush=True)
        if asked == str(world.rank):
            os.kill(os.getpid(), signal.SIGTERM)

    history = trainer.run(on_step=on_step, on_epoch=lambda _: None).history
    if world.leads:
        torch.save(trainer.shipped().state_dict(), f"{out}.pt")
        Path(out).write_text(json.dumps({"losses": losses, "history": history}))


def serve() -> None:
    """Fork a training for each line, say its process, and how it ended."""
    # What a training imports as it goes, and the compiled kernel, once for all; no thread may begin here.
    import pyarrow.parquet  # noqa: F401
    import torch._dynamo  # noqa: F401

    Renderer(layout("3x4+1R"), height=64, width=128, px_per_mm=0.5, sampling_rate=100.0, samples=1000).draw_batch(
        np.zeros((1, 12, 1000), np.float32), [sample_style(np.random.default_rng(0), 1.0)])
    for line in sys.stdin:
        if not (child := os.fork()):
            status = 1
            try:
                train(*json.loads(line))
                status = 0
            except SystemExit as ended:
                status = ended.code
            except Exception:
                traceback.print_exc(file=sys.stdout)
            finally:
                sys.stdout.flush()
                os._exit(status)
        print(f"process {child}", flush=True)
        print(f"ended {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}", flush=True)


def main(*words: str) -> None:
    if words == ("serve",):
        serve()
    elif "PET_NNODES" in os.environ:
        names = ("store_path", "out", "changes", "states")
        launch(train, 1, dict(zip(names, words, strict=False)), meeting=Meeting.announced(os.environ, run="test"))
    else:
        train(*words)


if __name__ == "__main__":
    main(*sys.argv[1:])
