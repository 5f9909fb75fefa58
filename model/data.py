"""Batches for training: pages rendered on the fly from the record store, a fresh style for each epoch.

Every random choice of a sample comes from (seed, epoch, position), so any page of any epoch can be drawn
again, whatever the number of threads.
"""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import connection
from threading import Thread

import numpy as np
import torch

from ecg.paper.layout import fitted, layout
from ecg.paper.page import CLEAN, Renderer, Style, sample_style
from ecg.paper.transform import Transform
from ecg.paper.wear import worn
from ecg.records import MICROVOLTS_PER_MILLIVOLT, RecordStore
from model.params import PageParams
from model.task import Batch

MAX_MILLIVOLTS = 10.0
# Network strides: a page's sides stay multiples of this at every scale.
SIDE = 32


@dataclass(frozen=True)
class PageSource:
    """The records of one split, with what is needed to draw them.

    Args:
        store: the record store.
        rows: positions of the split's records.
        targets: float32 (len(rows), C).
        page: the canonical page.
        augment: strength of the augmentation; 0 draws clean pages.
        seed: of everything random.
        layouts: arrangements, one of which each page of an epoch gets; empty: the canonical page's own.
        wear: strength of what copying and finding leave on a page.
        drawn: False leaves the pages empty, for models that read signals alone.
        soft: what fixed teachers say of the records, float32 (len(rows), C).
        traced: whether batches say what the traces show.
        mixup: share of the samples that are blends of two records.
        any_second: share of the pages whose columns begin at any second of the record.
        sampling: `uniform`, every record once an epoch; `patient`, one record of each patient; `balanced`, as many
            draws as records, a record the likelier the rarer its rarest finding.
    """

    store: RecordStore
    rows: np.ndarray
    targets: np.ndarray
    page: PageParams
    augment: float
    seed: int
    layouts: tuple[str, ...] = ()
    wear: float = 0.0
    drawn: bool = True
    soft: np.ndarray | None = None
    traced: bool = False
    mixup: float = 0.0
    any_second: float = 0.0
    sampling: str = "uniform"

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def epoch_length(self) -> int:
        """Samples of an epoch."""
        return len(np.unique(self._patients)) if self.sampling == "patient" else len(self)

    def order(self, epoch: int) -> np.ndarray:
        """Return the positions of an epoch's samples, in their order."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self))
        if self.sampling == "patient":
            return order[np.sort(np.unique(self._patients[order], return_index=True)[1])]
        if self.sampling == "balanced":
            return rng.choice(len(self), size=len(self), p=self._weights)
        return order

    @property
    def _patients(self) -> np.ndarray:
        return self.store.table["patient"].to_numpy()[self.rows]

    @cached_property
    def _weights(self) -> np.ndarray:
        rarity = 1 / np.maximum(self.targets.mean(axis=0), 1 / len(self))
        weights = np.where(self.targets > 0, rarity, 1.0).max(axis=1)
        return weights / weights.sum()

    def batches(self, *, batch_size: int, epoch: int, scale: float = 1.0, workers: int = 0, start: int = 0,
                part: tuple[int, int] = (0, 1), pinned: bool = False,
                processes: ProcessPoolExecutor | None = None) -> Iterator[Batch]:
        """Yield one epoch in a fresh order; a last incomplete batch is left to the next epoch's order.

        Args:
            batch_size: pages in a batch, of all processes together.
            epoch: decides order and augmentation, with the seed.
            scale: share of the page's resolution.
            workers: threads that draw ahead of the consumer; the kernel runs without the interpreter lock.
            start: batches to leave out, those of an epoch that was interrupted.
            part: this process and how many there are; each draws its part of every batch.
            pinned: put batches into page-locked memory, from which a GPU fetches them by itself.
            processes: what `drawing_processes` returned for this source; they draw in place of threads.
        """
        order, (mine, parts) = self.order(epoch), part
        batch_size = min(batch_size, len(order))
        chunks = [order[i:i + batch_size][batch_size * mine // parts:batch_size * (mine + 1) // parts]
                  for i in range(start * batch_size, len(order) - batch_size + 1, batch_size)]
        if processes is not None:
            drawn = ahead(chunks, partial(_drawn_elsewhere, epoch=epoch, scale=scale), workers, pool=processes)
            batches = (Batch(*(None if x is None else torch.from_numpy(x) for x in arrays)) for arrays in drawn)
        else:
            renderers = self.renderers(scale)
            batches = ahead(chunks, lambda chunk: self.draw(chunk, epoch=epoch, renderers=renderers), workers)
        return (Batch(*(None if x is None else x.pin_memory() for x in batch)) if pinned else batch
                for batch in batches)

    def draw(self, positions: np.ndarray, *, epoch: int, renderers: tuple[Renderer, ...]) -> Batch:
        """Draw the samples at `positions` (into `rows`) as they look in `epoch`, each by one of the renderers."""
        rngs = [np.random.default_rng([self.seed, epoch, int(p)]) for p in positions]
        signals_uv = np.asarray(self.store.signals[self.rows[positions]], np.float32)
        targets, soft = self.targets[positions], None if self.soft is None else self.soft[positions]
        if self.mixup > 0:
            signals_uv, targets, soft = self._mixed(signals_uv, targets, soft, rngs)
        styles = [CLEAN] * len(positions)
        if self.augment > 0:
            signals_uv = np.stack([augment_signal(s, r, self.augment) for s, r in zip(signals_uv, rngs, strict=True)])
            styles = [sample_style(rng, self.augment) for rng in rngs]
        pages, traces = np.zeros((len(positions), 1, 1), np.uint8), None
        if self.drawn:
            pages, traces = self._pages(signals_uv, styles, rngs, renderers)
        return Batch(*(None if part is None else torch.from_numpy(part)
                       for part in (pages, millivolts(signals_uv), targets, soft, traces)))

    def _mixed(self, signals_uv: np.ndarray, targets: np.ndarray, soft: np.ndarray | None,
               rngs: list[np.random.Generator]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Blend a share of the samples with another record each (Zhang et al. 2018), before anything is drawn."""
        drawn = np.array([(rng.random(), rng.integers(len(self)), rng.uniform(0, 0.5)) for rng in rngs])
        others = drawn[:, 1].astype(int)
        share = np.where(drawn[:, 0] < self.mixup, drawn[:, 2], 0.0).astype(np.float32)
        partners = np.asarray(self.store.signals[self.rows[others]], np.float32)

        def blend(own: np.ndarray, other: np.ndarray) -> np.ndarray:
            weight = share.reshape(-1, *[1] * (own.ndim - 1))
            return (1 - weight) * own + weight * other

        return (blend(signals_uv, partners), blend(targets, self.targets[others]),
                None if soft is None else blend(soft, self.soft[others]))

    def _pages(self, signals_uv: np.ndarray, styles: list[Style], rngs: list[np.random.Generator],
               renderers: tuple[Renderer, ...]) -> tuple[np.ndarray, np.ndarray | None]:
        """Draw the pages, uint8 (B, H, W), and say what their traces show, mV (B, 12, W), if that is wanted."""
        chosen = np.array([rng.integers(len(renderers)) if len(renderers) > 1 else 0 for rng in rngs])
        if self.any_second > 0:
            signals_uv = np.stack([
                renderers[k].begun_elsewhere(signal, rng) if rng.random() < self.any_second else signal
                for k, signal, rng in zip(chosen, signals_uv, rngs, strict=True)])
        pages = np.empty((len(signals_uv), renderers[0].height, renderers[0].width), np.uint8)
        for number in np.unique(chosen):
            mine = np.flatnonzero(chosen == number)
            pages[mine] = renderers[number].draw_batch(signals_uv[mine], [styles[i] for i in mine])
        moved: list[Transform | None] = [None] * len(pages)
        if self.wear > 0:
            scale = renderers[0].px_per_mm
            for i, rng in enumerate(rngs):
                pages[i], moved[i] = worn(pages[i], rng=rng, px_per_mm=scale, strength=self.wear)
        if not self.traced:
            return pages, None
        return pages, millivolts(np.stack([renderers[k].shown(signal, style, transform) for k, signal, style, transform
                                           in zip(chosen, signals_uv, styles, moved, strict=True)]))

    def renderers(self, scale: float = 1.0) -> tuple[Renderer, ...]:
        """Return a renderer for each layout, at a share of the page's resolution, sides rounded to the network's
        stride."""
        height, width = (max(SIDE, round(side * scale / SIDE) * SIDE) for side in (self.page.height, self.page.width))
        px_per_mm = self.page.px_per_mm * width / self.page.width
        return tuple(Renderer(fitted(layout(name), height_mm=height / px_per_mm), height=height, width=width,
                              px_per_mm=px_per_mm, sampling_rate=self.store.sampling_rate,
                              samples=self.store.signals.shape[-1])
                     for name in self.layouts or (self.page.layout,))


def millivolts(signals_uv: np.ndarray) -> np.ndarray:
    """Return signals as networks take them: float32 millivolt, clipped where no heart reaches."""
    signals_mv = signals_uv / np.float32(MICROVOLTS_PER_MILLIVOLT)
    return np.clip(signals_mv, -MAX_MILLIVOLTS, MAX_MILLIVOLTS).astype(np.float32)


def augment_signal(signal_uv: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Vary what a repeat recording would vary: gain, baseline wander and noise; (12, T) µV to the same.

    Both streams see the same varied signal, so the teacher and the student look at one heart.
    """
    samples, single = signal_uv.shape[-1], np.float32  # three times as fast as in double precision
    gain = single(1 + 0.1 * strength * rng.uniform(-1, 1))
    turns = (2 * np.pi * rng.uniform(1, 4, size=(12, 1)) / samples).astype(single)
    phase = rng.uniform(0, 2 * np.pi, size=(12, 1)).astype(single)
    wander = np.sin(turns * np.arange(samples, dtype=single) + phase)
    noise = rng.standard_normal((12, samples), dtype=single)
    wander *= (strength * rng.uniform(0, 40, size=(12, 1))).astype(single)
    noise *= single(strength * rng.uniform(0, 12))
    return gain * signal_uv.astype(single, copy=False) + wander + noise


def page_scale(epoch: int, *, epochs: int, start: float, full_from: float) -> float:
    """Return the share of the resolution in an epoch: from `start`, linearly, to 1 at `full_from` of the epochs."""
    full = full_from * epochs
    return 1.0 if epoch >= full else start + (1 - start) * epoch / full


def ahead(items: list, work: Callable, workers: int, pool: Executor | None = None) -> Iterator:
    """Map `work` over `items` in order, `workers` threads, or those of a pool, computing two items each ahead."""
    if workers == 0:
        yield from map(work, items)
        return
    with contextlib.nullcontext(pool) if pool else ThreadPoolExecutor(workers) as pool:
        waiting: list[Future] = []
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * workers:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()


def drawing_processes(source: PageSource, count: int) -> ProcessPoolExecutor:
    """Start processes that draw a source's batches, epoch after epoch.

    The kernels run without the interpreter's lock, but what calls them does not: a GPU takes more pages a second than
    the threads of one interpreter can prepare beside its steps. Each process costs some 300 MiB.
    """
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_take, initargs=(source,))


_TAKEN: dict = {}
"""Of a drawing process: its source, and the renderers of each scale."""


def _take(source: PageSource) -> None:
    # Who ends a whole group of processes wants the training's state first, and that takes the batches on their way:
    # the training ends these processes itself, or they see that it is gone.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Thread(target=_end_with, args=(multiprocessing.parent_process().sentinel,), daemon=True).start()
    torch.set_num_threads(1)
    _TAKEN["source"] = source


def _end_with(parent: int) -> None:
    connection.wait([parent])
    os._exit(1)


def _drawn_elsewhere(positions: np.ndarray, epoch: int, scale: float) -> list[np.ndarray | None]:
    """Draw one batch; plain arrays, since tensors would go through shared memory, of which containers have little."""
    if scale not in _TAKEN:
        _TAKEN[scale] = _TAKEN["source"].renderers(scale)
    batch = _TAKEN["source"].draw(positions, epoch=epoch, renderers=_TAKEN[scale])
    return [None if part is None else part.numpy() for part in batch]
