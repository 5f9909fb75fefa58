"""render: record store to the frozen evaluation pages, their index, and pictures to look at."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from components.progress import track
from components.render.captures import BLANK, CapturedPages, OwnPages, view
from components.render.contact_sheet import contact_sheet
from ecg.acceptability import lead_scores, measure_leads, score
from ecg.pages import digest_of
from ecg.paper.header import Header
from ecg.paper.layout import fitted, layout
from ecg.paper.page import CLEAN, Renderer
from ecg.paper.png import write_png
from ecg.paper.sheet import draw_sheet
from ecg.pictures import Pictures
from ecg.records import RecordStore, write_beside
from model.params import PageParams, RenderParams
from model.typed import as_dict

SCHEMA_VERSION = 1
BLOCK = 256
"""Pages drawn before they are written."""
COLUMNS = ("record", "patient", "split", "age", "sex", "device")
OWN = "own"
"""The capture that is not drawn: the records' own pictures."""


@dataclass(frozen=True)
class RenderResult:
    """How many pages of how many captures were drawn, and the digest of them all."""

    pages: int
    captures: tuple[str, ...]
    digest: str


def run(*, records: Path, pages: Path, params: RenderParams, page: PageParams, seed: int) -> RenderResult:
    """Draw the pages on which models are measured.

    Args:
        records: the record store.
        pages: the folder to write.
        params: what to draw.
        page: the canonical page.
        seed: decides which records the contact sheet and the samples show.

    Raises:
        ValueError: no record store, an unknown layout, no record in one of the splits, a record without signal that
            is to be drawn, or a store without pictures that are to be shown.
    """
    store = RecordStore.open(records)
    rows = np.concatenate([store.rows(split) for split in params.splits])
    drawn = [capture for capture in params.captures if view(capture, page)[0] != OWN]
    if drawn:
        store.refuse_without_signal(rows, f"render.captures: {drawn[0]} is drawn from the signal; for scanned pages "
                                          "use --set render.captures=[own]")
    index = store.table.iloc[rows][[*COLUMNS, *(f"label:{name}" for name in store.label_names)]]
    index.insert(len(COLUMNS), "signal_quality", _signal_quality(store, rows))
    with write_beside(pages) as scratch:
        hashes, unread = [], {}
        for capture in params.captures:
            drawn, missed = _draw_capture(scratch / f"{capture}.npy", capture, page, store, rows, seed)
            hashes.append(drawn)
            unread[capture] = missed
        index.to_parquet(scratch / "index.parquet", index=False)
        digest = digest_of(hashes, index, params.captures, as_dict(page))
        meta = {"schema": SCHEMA_VERSION, "digest": digest, "data_digest": store.digest,
                "label_names": store.label_names, "captures": params.captures, "not_located": unread,
                "page": as_dict(page), "made_with": {**store.made_with, "render": as_dict(params)}}
        (scratch / "pages.json").write_text(json.dumps(meta, indent=2) + "\n")
        _draw_pictures(scratch, store, rows, params, page, np.random.default_rng(seed))
    return RenderResult(len(rows), params.captures, digest)


def _signal_quality(store: RecordStore, rows: np.ndarray) -> np.ndarray:
    """Score records as `ecg.acceptability` does, from 0 to 1, float32; NaN of those that are pictures only."""
    known = store.with_signal(rows)
    quality = np.full(len(rows), np.nan, np.float32)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        measures = measure_leads(store.signals[rows[block]], rate=store.sampling_rate)
        quality[block] = np.where(known[block], score(lead_scores(measures)), np.nan)
    return quality


def _draw_capture(path: Path, capture: str, page: PageParams, store: RecordStore, rows: np.ndarray,
                  seed: int) -> tuple[str, int]:
    """Draw all pages of one capture into a memory-mapped file, a block at a time.

    Returns:
        The pages' hash, and on how many the ECG was not found; those stay blank, and the model is measured on them.
    """
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(rows), page.height, page.width))
    digest, unread = hashlib.sha256(), 0
    with _drawer(capture, page, store, seed) as draw:
        for start in track(range(0, len(rows), BLOCK), label=f"render: {capture} pages, in blocks of {BLOCK}"):
            chosen = rows[start:start + BLOCK]
            block = draw(store.signals[chosen], store.table["record"].iloc[chosen])
            out[start:start + len(block)] = block
            unread += int((block == BLANK).all(axis=(1, 2)).sum())
            digest.update(block)
    out.flush()
    return digest.hexdigest(), unread


@contextmanager
def _drawer(capture: str, page: PageParams, store: RecordStore, seed: int) -> Iterator[Callable]:
    """Yield what draws a block: signals (B, 12, T) and the records' names to pages (B, height, width)."""
    kind, arranged = view(capture, page)
    if kind == "clean":
        renderer = Renderer(fitted(layout(arranged), height_mm=page.height / page.px_per_mm), height=page.height,
                            width=page.width, px_per_mm=page.px_per_mm, sampling_rate=store.sampling_rate,
                            samples=store.signals.shape[-1])
        yield lambda signals, _: renderer.draw_batch(signals, [CLEAN] * len(signals))
    elif kind == OWN:
        with OwnPages(capture, page, store.path) as pages:
            yield pages.draw
    else:
        with CapturedPages(capture, page, store.sampling_rate, seed) as pages:
            yield pages.draw


def _draw_pictures(folder: Path, store: RecordStore, rows: np.ndarray, params: RenderParams, page: PageParams,
                   rng: np.random.Generator) -> None:
    """Write the contact sheet of the first capture, and full-size colour pages with the list of their labels."""
    chosen = pick_varied(store.labels[rows], params.contact_sheet, rng)
    drawn = np.load(folder / f"{params.captures[0]}.npy", mmap_mode="r")
    captions = [f"{store.table['record'].iloc[rows[i]]}: {', '.join(_labels(store, rows[i]))}" for i in chosen]
    write_png(folder / "contact_sheet.png", contact_sheet(drawn[chosen], captions))
    split = "test" if "test" in params.splits else params.splits[-1]
    candidates = store.rows(split)
    samples = folder / "samples"
    samples.mkdir()
    sample = _copy_sample if view(params.captures[0], page)[0] == OWN else _draw_sample
    listed = [sample(samples, store, row, params, page)
              for row in candidates[pick_varied(store.labels[candidates], params.samples, rng)]]
    pd.DataFrame(listed, columns=["file", "record", "labels"]).to_csv(samples / "labels.csv", index=False)


def _draw_sample(folder: Path, store: RecordStore, row: int, params: RenderParams, page: PageParams) -> dict:
    """Write one full-size page; its header names the record but no finding."""
    described = store.table.iloc[row]
    record = str(described["record"])
    about = [f"{described['age']:.0f} years" if np.isfinite(described["age"]) else "", str(described["sex"] or "")]
    header = Header(((record, ", ".join(part for part in about if part)),))
    file = re.sub(r"[^\w.-]+", "_", record) + ".png"
    write_png(folder / file, draw_sheet(store.signals[row], sampling_rate=store.sampling_rate, header=header,
                                        layout=layout(page.layout), dpi=params.sample_dpi).page)
    return {"file": file, "record": record, "labels": " ".join(_labels(store, row))}


def _copy_sample(folder: Path, store: RecordStore, row: int, params: RenderParams, page: PageParams) -> dict:
    """Write one record's own picture."""
    record = str(store.table["record"].iloc[row])
    data = Pictures(store.path).read(record)
    file = re.sub(r"[^\w.-]+", "_", record) + (".png" if data.startswith(b"\x89PNG") else ".jpg")
    (folder / file).write_bytes(data)
    return {"file": file, "record": record, "labels": " ".join(_labels(store, row))}


def _labels(store: RecordStore, row: int) -> list[str]:
    return [name for name in store.label_names if store.table[f"label:{name}"].iloc[row]]


def pick_varied(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose records so that their labels differ.

    Each choice goes to the record whose labels the earlier ones showed least; chance decides between equals.

    Args:
        labels: 0/1, (N, C).
        count: how many are wanted; at most N are given.
        rng: its state decides.

    Returns:
        Positions, (min(count, N),).
    """
    order = rng.permutation(len(labels))
    shown = np.zeros(labels.shape[1])
    chosen: list[int] = []
    for _ in range(min(count, len(labels))):
        novelty = (labels[order] / (1 + shown) ** 2).sum(axis=1) / np.maximum(labels[order].sum(axis=1), 1)
        novelty[np.isin(order, chosen)] = -1
        chosen.append(int(order[np.argmax(novelty)]))
        shown += labels[chosen[-1]]
    return np.array(chosen, int)
