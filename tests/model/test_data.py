"""Training batches: any sample can be drawn again, and threads change nothing."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from ecg.paper.page import CLEAN
from model.data import PageSource, augment_signal, drawing_processes, page_scale
from model.params import PageParams

ROOT = Path(__file__).resolve().parents[2]
PAGE = PageParams(height=96, width=192, px_per_mm=0.75)
KILLED = """
import multiprocessing, os, signal, sys
from pathlib import Path
import numpy as np
from ecg.records import RecordStore
from model.data import PageSource, drawing_processes
from model.params import PageParams

if __name__ == "__main__":
    store = RecordStore.open(Path(sys.argv[1]))
    source = PageSource(store, np.arange(8), store.labels[:8].astype(np.float32),
                        PageParams(height=96, width=192, px_per_mm=0.75), 1.0, 3)
    with drawing_processes(source, 1) as processes:
        next(source.batches(batch_size=4, epoch=0, workers=1, processes=processes))
        print(multiprocessing.active_children()[0].pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def source(store):
    rows = store.rows("train")
    return PageSource(store, rows, store.labels[rows].astype(np.float32), PAGE, 1.0, 3)


def test_an_epoch_visits_records_once_in_an_order_of_its_own(source):
    first, second = ([b.targets for b in source.batches(batch_size=4, epoch=e)] for e in (0, 1))
    assert sum(map(len, first)) == len(source) // 4 * 4
    assert sorted(source.order(0)) == sorted(source.order(1)) == list(range(len(source)))
    assert not torch.equal(torch.cat(first), torch.cat(second))


def test_pages_come_with_the_findings_of_their_records(store):
    rows = store.rows("train")
    source = PageSource(store, rows, store.labels[rows].astype(np.float32), PAGE, 0.0, 3)
    for number, batch in enumerate(source.batches(batch_size=4, epoch=2, workers=2)):
        mine = rows[source.order(2)[4 * number:4 * number + 4]]
        np.testing.assert_array_equal(batch.targets.numpy(), store.labels[mine])
        np.testing.assert_allclose(batch.signals.numpy() * 1000, np.clip(store.signals[mine], -10000, 10000), atol=0.01)
        again = source.renderers()[0].draw_batch(np.asarray(store.signals[mine], np.float32), [CLEAN] * len(mine))
        np.testing.assert_array_equal(batch.pages.numpy(), again)


def test_pages_may_begin_at_any_second_and_say_so(store):
    rows = store.rows("train")[:8]
    plain = PageSource(store, rows, store.labels[rows].astype(np.float32), PAGE, 0.0, 3, traced=True)
    moved = replace(plain, any_second=1.0)
    first, second = (source.draw(np.arange(8), epoch=0, renderers=source.renderers()) for source in (plain, moved))
    assert torch.equal(first.signals, second.signals) and torch.equal(first.targets, second.targets)
    changed = (first.pages != second.pages).flatten(1).any(1)
    assert changed.all()
    # The strip shows what it showed, and every other trace is said to show what is drawn.
    assert not torch.equal(first.traces.nan_to_num(), second.traces.nan_to_num())
    half = replace(plain, any_second=0.5)
    share = (half.draw(np.arange(8), epoch=0, renderers=half.renderers()).pages != first.pages).flatten(1).any(1)
    assert 0 < share.float().mean() < 1


def test_threads_change_nothing(source):
    plain, threaded = (list(source.batches(batch_size=4, epoch=2, workers=w)) for w in (0, 3))
    for left, right in zip(plain, threaded, strict=True):
        assert all(a is b is None or torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.slow
def test_processes_change_nothing_either(source):
    with drawing_processes(source, 2) as processes:
        for epoch, scale in ((2, 1.0), (3, 0.5)):
            plain = source.batches(batch_size=4, epoch=epoch, scale=scale)
            elsewhere = source.batches(batch_size=4, epoch=epoch, scale=scale, workers=2, processes=processes)
            for left, right in zip(plain, elsewhere, strict=True):
                assert all(a is b is None or torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.slow
def test_processes_draw_on_when_their_group_is_asked_to_end(source):
    """The training ends them: until its state is written it takes the batches on their way."""
    with drawing_processes(source, 1) as processes:
        batches = source.batches(batch_size=4, epoch=0, workers=1, processes=processes)
        next(batches)
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGTERM)
        assert len(list(batches)) == -(-len(source) // 4) - 1


@pytest.mark.slow
def test_processes_end_with_a_training_that_is_killed(store):
    said = subprocess.run([sys.executable, "-c", KILLED, str(store.path)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                          timeout=120)
    assert said.returncode == -signal.SIGKILL
    ended = time.monotonic() + 30
    while psutil.pid_exists(int(said.stdout)) and time.monotonic() < ended:
        time.sleep(0.1)
    assert not psutil.pid_exists(int(said.stdout))


def test_another_process_opens_the_store_by_its_path(source):
    assert len(pickle.dumps(source.store)) < 1000
    again = pickle.loads(pickle.dumps(source.store))
    assert again.digest == source.store.digest and isinstance(again.signals, np.memmap)


def test_a_sample_does_not_depend_on_its_batch(source):
    renderers = source.renderers()
    alone = source.draw(np.array([5]), epoch=1, renderers=renderers)
    together = source.draw(np.array([2, 5, 7]), epoch=1, renderers=renderers)
    assert torch.equal(alone.pages[0], together.pages[1])


def test_layouts_and_wear_vary_pages_but_not_signals(source):
    many = replace(source, layouts=("3x4+1R", "6x2", "12x1"), wear=1.0)
    plain, varied, again = (next(s.batches(batch_size=12, epoch=3)) for s in (source, many, many))
    assert torch.equal(varied.pages, again.pages) and torch.equal(plain.signals, varied.signals)
    assert varied.pages.shape == plain.pages.shape and not torch.equal(plain.pages, varied.pages)
    alone = many.draw(np.array([5]), epoch=1, renderers=many.renderers())
    together = many.draw(np.array([2, 5, 7]), epoch=1, renderers=many.renderers())
    assert torch.equal(alone.pages[0], together.pages[1])


def test_pages_and_signals_have_the_promised_form(source):
    batch = next(source.batches(batch_size=4, epoch=0))
    assert batch.pages.shape == (4, 96, 192) and batch.pages.dtype == torch.uint8
    assert batch.signals.shape == (4, 12, 1000) and batch.signals.abs().max() <= 10
    assert next(source.batches(batch_size=4, epoch=0, scale=0.5)).pages.shape == (4, 64, 96)


def test_without_augmentation_the_page_is_the_clean_one_in_every_epoch(store):
    rows = store.rows("train")[:4]
    source = PageSource(store, rows, store.labels[rows].astype(np.float32), PAGE, 0.0, 3)
    renderers = source.renderers()
    first, second = (source.draw(np.arange(4), epoch=e, renderers=renderers) for e in (0, 1))
    assert torch.equal(first.pages, second.pages)
    np.testing.assert_allclose(first.signals.numpy() * 1000, np.clip(store.signals[rows], -10000, 10000), atol=0.01)


def test_augmentation_is_small_beside_the_signal():
    signal = 1000 * np.sin(np.linspace(0, 60, 12000, dtype=np.float32)).reshape(12, 1000)
    varied = augment_signal(signal, np.random.default_rng(0), 1.0)
    assert varied.dtype == np.float32
    assert np.corrcoef(signal.ravel(), varied.ravel())[0, 1] > 0.99


def test_the_page_grows_to_full_resolution():
    scales = [page_scale(e, epochs=10, start=0.5, full_from=0.5) for e in range(10)]
    assert scales == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9, 1, 1, 1, 1, 1])


def test_traces_say_what_each_column_of_the_page_shows(store):
    """The sample that stands above a column, in every layout, is where the ink is."""
    rows = store.rows("train")[:8]
    plain = PageSource(store, rows, store.labels[rows].astype(np.float32), PAGE, 0.0, 3, layouts=("12x1",), traced=True)
    batch = plain.draw(np.arange(8), epoch=0, renderers=plain.renderers())
    assert batch.traces.shape == (8, 12, 192) and batch.traces.isfinite().float().mean() > 0.95
    times = np.arange(192) / PAGE.px_per_mm / 25 * 100
    inner = slice(12, 180)
    likeness = [np.corrcoef(batch.traces[0, 1, inner],
                            np.interp((times - shift)[inner], np.arange(1000), batch.signals[0, 1]))[0, 1]
                for shift in range(40)]
    assert max(likeness) > 0.97
    quarter = replace(plain, layouts=("3x4",), augment=1.0, wear=1.0)
    few = quarter.draw(np.arange(8), epoch=0, renderers=quarter.renderers()).traces.isfinite().float().mean(dim=(0, 2))
    assert few.min() > 0.2 and few.max() < 0.27


def test_traces_follow_what_wears_the_page():
    from ecg.paper.layout import fitted, layout
    from ecg.paper.page import CLEAN, Renderer
    from ecg.paper.wear import worn

    signal = np.zeros((12, 1000), np.float32)
    signal[:, 500:] = 1000.0
    renderer = Renderer(fitted(layout("12x1"), height_mm=128), height=192, width=384, px_per_mm=1.5,
                        sampling_rate=100, samples=1000)
    for seed in range(5):
        page = renderer.draw(signal, CLEAN)
        _, transform = worn(page, rng=np.random.default_rng(seed), px_per_mm=1.5, strength=2.0)
        x, y = renderer.trace_points(signal)[4]
        step = transform.points(np.array([[x[500], y[500]]]))[0, 0]
        read = renderer.shown(signal, CLEAN, transform)[renderer.layout.traces[4].lead]
        rises = np.flatnonzero(np.diff((read > 500).astype(int)) == 1)
        assert len(rises) == 1 and abs(rises[0] + 1 - step) < 1


def test_blends_mix_signals_and_findings_alike(source):
    soft = source.targets * 0.8 + 0.1
    plain, mixed = (replace(source, augment=0.0, soft=soft, mixup=share) for share in (0.0, 0.6))
    positions = np.arange(len(source))
    one, two = (s.draw(positions, epoch=0, renderers=s.renderers()) for s in (plain, mixed))
    changed = ~np.isclose(one.signals.numpy(), two.signals.numpy()).all(axis=(1, 2))
    assert 0.4 < changed.mean() < 0.8
    torch.testing.assert_close(two.soft, two.targets * 0.8 + 0.1)
    assert torch.equal(one.targets[~changed], two.targets[~changed])
    partial = (two.targets > 0) & (two.targets < 1)
    assert partial.any() and torch.where(two.targets > 0.5, 1.0, 0.0).equal(one.targets)


@pytest.mark.parametrize("name", ["3x4+1R", "6x2", "12x1"])
def test_columns_may_begin_at_any_second_of_the_record(name):
    from ecg.paper.layout import fitted, layout
    from ecg.paper.page import Renderer

    arranged = fitted(layout(name), height_mm=128)
    renderer = Renderer(arranged, height=96, width=192, px_per_mm=0.75, sampling_rate=100, samples=1000)
    signal = np.tile(np.arange(1000, dtype=np.float32), (12, 1))
    moved = renderer.begun_elsewhere(signal, np.random.default_rng(1))
    assert np.array_equal(signal, np.tile(np.arange(1000, dtype=np.float32), (12, 1)))
    starts = {}
    for box in arranged.traces[:12]:
        begin = round(box.start * 100)
        part = moved[box.lead, begin:begin + round(box.seconds * 100)]
        assert (np.diff(part) == 1).all()
        if not (arranged.rhythm and box.name == "II"):
            starts.setdefault(box.left, set()).add(part[0] - begin)
    assert all(len(of_column) == 1 for of_column in starts.values())
    assert name == "12x1" or any(of_column != {0} for of_column in starts.values())
    if arranged.rhythm:
        assert np.array_equal(moved[1], signal[1])


def test_sampling_takes_one_record_of_each_patient_or_rare_findings_more_often(store):
    rows = store.rows("train")
    labels = store.labels[rows].astype(np.float32)
    rarest = int(labels.mean(axis=0).argmin())

    def orders(sampling):
        source = PageSource(store, rows, labels, PAGE, 1.0, 3, sampling=sampling)
        return source.epoch_length, [source.order(epoch) for epoch in range(8)]

    patients = store.table["patient"].to_numpy()[rows]
    length, drawn = orders("patient")
    assert length == len(set(patients)) and all(len(set(patients[order])) == len(order) == length for order in drawn)
    length, drawn = orders("balanced")
    assert length == len(rows)
    assert labels[np.concatenate(drawn), rarest].mean() > 1.2 * labels[:, rarest].mean()
    assert all(np.array_equal(order, again) for order, again in zip(drawn, orders("balanced")[1], strict=True))


def test_the_store_is_mapped_not_copied(store):
    source = PageSource(store, store.rows("train"), store.labels[store.rows("train")].astype(np.float32), PAGE, 0.0, 3)
    assert isinstance(source.store.signals, np.memmap) and source.store.signals.mode == "r"
