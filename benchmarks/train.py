"""How fast a training goes, and what holds it up: `vizecg bench train --records artifacts/ingest`.

In one run: the step alone on one batch that never changes, the loader alone, both together, the same with more
processes, and beside them a plain PyTorch loop that decodes pages from a folder of JPEG files into the same network.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from components.progress import say
from components.recipe import RECIPES, compose
from components.registry import STEPS
from ecg.paper.draw import PageOptions, draw_page
from ecg.records import RecordStore
from model.baselines import build
from model.clock import Clock
from model.data import PageSource
from model.distributed import join, launch
from model.loop import Trainer
from model.network import ink
from model.params import Params, load_params
from model.task import Batch

WARM_UP, TURNS, COUNTED = 3, 5, 20
JPEG_DPI = 100


@dataclass(frozen=True)
class Rate:
    """Samples a second, and milliseconds of processor time that one takes, of all threads together."""

    a_second: float
    processor_ms: float


def rates_of(steps: dict[str, Callable[[], int]], *, seconds: float, settling: int = WARM_UP) -> dict[str, Rate]:
    """Measure steps that return how many samples they did, taking turns: what else the machine does hits all alike.

    Args:
        steps: what is measured.
        seconds: of each, in all.
        settling: calls before the clock of each turn runs; they use up what was made while others had their turn.
    """
    done = {name: np.zeros(3) for name in steps}
    while any(spent[1] < seconds for spent in done.values()):
        for name, step in steps.items():
            for _ in range(settling):
                step()
            samples, wall, processor = 0, time.perf_counter(), time.process_time()
            while time.perf_counter() - wall < seconds / TURNS:
                samples += step()
            done[name] += samples, time.perf_counter() - wall, time.process_time() - processor
    return {name: Rate(samples / wall, processor / samples * 1e3) for name, (samples, wall, processor) in done.items()}


def trainer_of(params: Params, records: Path) -> Trainer:
    """A trainer as the train step makes it, without states, teachers and a start from other weights."""
    store = RecordStore.open(records)
    labels = store.labels.astype(np.float32)
    p = replace(params.train.alone(), pretrain=0)
    net = build(params.model, classes=labels.shape[1], page=params.page)
    drawn = "page" in net.reads
    sources = [PageSource(store, store.rows(split), labels[store.rows(split)], params.page, augment, params.seed,
                          p.layouts, p.wear, drawn, traced=drawn and p.lambda_trace > 0, any_second=p.any_second)
               for split, augment in (("train", p.augment), ("validate", 0.0))]
    return Trainer(net, train=sources[0], validate=sources[1], params=p, seed=params.seed, states=None, signature="",
                   world=join())


def endless(trainer: Trainer) -> Iterator:
    """Batches as an epoch has them, one epoch after the other."""
    epoch = 0
    while True:
        yield from trainer.train.batches(batch_size=trainer.batch_size, epoch=epoch, workers=trainer.params.workers,
                                         part=(trainer.world.rank, trainer.world.size), processes=trainer.drawers)
        epoch += 1


def measured(params: Params, records: Path, seconds: float, threads: int) -> dict[str, Rate]:
    """Measure in this process, or among those that train together, with the same number of threads each."""
    torch.set_num_threads(threads)
    trainer = trainer_of(params, records)
    with trainer.drawing() as trainer.drawers:
        batches, one = endless(trainer), next(endless(trainer))
        step = _step_of(trainer)
        steps = {"loader and step": lambda: step(next(batches))}
        if trainer.world.size == 1:
            steps = {"step alone": lambda: step(one), "loader alone": lambda: len(next(batches).targets), **steps}
        # Among several processes each turn would end at another's step: then there is one kind of step, of one length.
        return rates_of(steps, seconds=seconds, settling=2 * params.train.workers + WARM_UP) if len(steps) > 1 else {
            "loader and step": _counted(steps["loader and step"], trainer)}


def _step_of(trainer: Trainer) -> Callable[[Batch], int]:
    """The trainer's own step of a batch; it returns the pages of all processes."""
    clock = Clock(trainer.device)
    trainer.task.train()

    def step(batch: Batch) -> int:
        trainer._step(batch, clock)
        return trainer.batch_size

    return step


def _counted(step: Callable[[], int], trainer: Trainer) -> Rate:
    """The rate over a number of steps that all processes know."""
    for _ in range(WARM_UP):
        step()
    samples, wall, processor = 0, time.perf_counter(), time.process_time()
    for _ in range(COUNTED):
        samples += step()
    spent = trainer.world.total(torch.tensor(time.process_time() - processor)).item()
    return Rate(samples / (time.perf_counter() - wall), spent / samples * 1e3)


def gflop_a_page(params: Params, records: Path) -> float:
    """Work of one step, forward and backward, as PyTorch counts it."""
    trainer = trainer_of(params, records)
    one = next(endless(trainer))
    return _flops(trainer, one) / len(one.targets) / 1e9


def memory_of_workers(params: Params, records: Path, *, workers: int = 4) -> tuple[float, float]:
    """Return the resident memory of a process that has drawn in its loop, and what each thread that draws adds, MiB."""
    def drawn(threads: int) -> float:
        trainer = trainer_of(replace(params, train=replace(params.train, workers=threads)), records)
        batches = endless(trainer)
        for _ in range(8 * max(1, threads)):
            next(batches)
        return psutil.Process().memory_info().rss / 2**20

    alone = drawn(0)
    return alone, (drawn(workers) - alone) / workers


def seconds_to_first_step(params_file: Path, overrides: list[str], records: Path) -> float:
    """Seconds from the start of `vizecg train` until the state of its first step lies on disk; then it is killed."""
    with tempfile.TemporaryDirectory() as folder:
        states, validation = Path(folder, "states"), Path(folder, "validation")
        validation.mkdir()
        (validation / "validation.json").write_text(json.dumps(
            {"success": True, "critical_failed": [], "warnings": [], "expectations": [],
             "data_digest": RecordStore.open(records).digest}))
        # So many epochs that it cannot end, and take its states away, before it is looked at.
        settings = [*overrides, "train.epochs=100000", "train.save_steps=1", "train.compile=false",
                    "train.processes=1", f"tracking.uri=sqlite:///{folder}/mlflow.db"]
        began = time.perf_counter()
        with open(Path(folder, "log"), "w+") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "components", "train", "--params", str(params_file), "--records", str(records),
                 "--validation", str(validation), "--state", str(states), "--out", str(Path(folder, "out")),
                 *(word for setting in settings for word in ("--set", setting))], stderr=log)
            while not any(states.glob("*.pt")):
                if process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"vizecg train ended before its first step: {log.read().strip()[-500:]}")
                time.sleep(0.02)
        waited = time.perf_counter() - began
        process.kill()
        process.wait()
        return waited


def _flops(trainer: Trainer, batch) -> float:
    """Multiply-adds of one step, twice each, forward and backward, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        trainer.task(batch).loss.backward()
    trainer.optimizer.zero_grad(set_to_none=True)
    return counter.get_total_flops()


def peak(threads: int) -> float:
    """Flop a second of a large float32 matrix product here: what the machine can do at best."""
    torch.set_num_threads(threads)
    a = torch.randn(2048, 2048)
    return rates_of({"product": lambda: (a @ a, 2 * 2048**3)[1]}, seconds=2.0)["product"].a_second


class JpegFolder(Dataset):
    """The peer's data: one JPEG file a page, decoded and made small for every epoch."""

    def __init__(self, folder: Path, targets: np.ndarray, height: int, width: int):
        self.files, self.targets, self.size = sorted(folder.glob("*.jpg")), targets, (width, height)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        page = Image.open(self.files[i]).convert("L").resize(self.size, Image.Resampling.BILINEAR)
        return torch.from_numpy(np.asarray(page).copy()), torch.from_numpy(self.targets[i])


def beside_plain_loop(params: Params, records: Path, seconds: float, threads: int, dpi: int,
                      pages: int = 128) -> dict[str, Rate]:
    """Measure the image stream alone as we train it, and in the loop that a tutorial has: DataLoader, AdamW."""
    torch.set_num_threads(threads)
    alone = replace(params, model=replace(params.model, signal_stream=False, cmam=False))
    trainer = trainer_of(alone, records)
    ours, batches = _step_of(trainer), endless(trainer)
    store = RecordStore.open(records)
    labels = store.labels.astype(np.float32)
    net = build(alone.model, classes=labels.shape[1], page=params.page).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    with tempfile.TemporaryDirectory() as folder:
        for i in range(min(pages, len(store.signals))):
            page = draw_page(np.asarray(store.signals[i], np.float32), sampling_rate=store.sampling_rate,
                             options=PageOptions(dpi=dpi))
            Image.fromarray(page.rgb).save(Path(folder, f"{i:05d}.jpg"), quality=90)
        data = JpegFolder(Path(folder), labels, params.page.height, params.page.width)
        loader = DataLoader(data, batch_size=trainer.batch_size, shuffle=True, drop_last=True)

        def forever() -> Iterator:
            while True:
                yield from loader

        files = forever()

        def plain() -> int:
            images, targets = next(files)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(net(ink(images)).image, targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return len(images)

        return rates_of({"image stream alone, loader and step": lambda: ours(next(batches)),
                         f"image stream alone, plain loop over JPEG files of {dpi} dpi": plain}, seconds=seconds,
                        settling=2 * params.train.workers + WARM_UP)


def table(params: Params, rows: dict[str, Rate], *, gflop: float, peak_rate: float, threads: int) -> str:
    """Lay the rates out as Markdown, each as a share of the step's alone, by the clock and by processor time."""
    alone = rows["step alone"]
    lines = [f"Page {params.page.height} x {params.page.width}, batch {params.train.batch_size}, {threads} threads, "
             f"{params.train.workers} of them besides that draw; {gflop:.2f} GFLOP a page, peak "
             f"{peak_rate / 1e9:.0f} GFLOP/s (float32 matrix product): utilisation of the step (MFU) "
             f"{alone.a_second * gflop * 1e9 / peak_rate:.0%}.", "",
             "| | pages/s | of the step alone | processor ms a page | of the step alone |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(
        f"| {name} | {rate.a_second:,.0f} | {rate.a_second / alone.a_second:.2f} | {rate.processor_ms:.2f} | "
        f"{alone.processor_ms / rate.processor_ms:.2f} |" for name, rate in rows.items())])


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="vizecg bench train", description=__doc__.split("\n")[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--params", default="params.yaml", metavar="FILE", help="file of every knob (params.yaml)")
    source.add_argument("--recipe", choices=sorted(path.stem for path in RECIPES.glob("*.yaml")), help="instead of it")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides")
    parser.add_argument("--records", type=Path, default=Path(STEPS["ingest"].folder), metavar="DIR")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="of each measurement (20)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), metavar="N", help="of all processes")
    parser.add_argument("--processes", type=int, nargs="*", default=[2], metavar="N", help="that train together (2)")
    parser.add_argument("--jpeg-dpi", type=int, default=JPEG_DPI, metavar="N",
                        help=f"resolution of the peer's pages ({JPEG_DPI}: 1,100 x 850 pixels, a small scan)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(options.params)
        if options.recipe:
            compose(options.recipe, file := Path(folder, "params.yaml"))
        params = load_params(file, tuple(options.overrides))
        say("a start")
        start = seconds_to_first_step(file, options.overrides, options.records)
    say("the step, the loader, and both")
    rows = measured(params, options.records, options.seconds, options.threads)
    for count in options.processes:
        say(f"{count} processes")
        together = launch(measured, count, {"params": params, "records": options.records, "seconds": options.seconds,
                                            "threads": max(1, options.threads // count)})
        rows[f"loader and step, {count} processes"] = together["loader and step"]
    say("the image stream alone, and the plain loop")
    rows |= beside_plain_loop(params, options.records, options.seconds, options.threads, options.jpeg_dpi)
    gflop, at_best = gflop_a_page(params, options.records), peak(options.threads)
    print(table(params, rows, gflop=gflop, peak_rate=at_best, threads=options.threads))
    resident, more = memory_of_workers(params, options.records)
    print(f"\nStart of vizecg train to the first step's state on disk {start:.1f} s. Resident memory {resident:.0f} "
          f"MiB; each thread that draws adds {more:.0f} MiB.")


if __name__ == "__main__":
    main()
