"""What the gate sees for itself: that checkpoint, pages and predictions belong together, and what the network costs.

Whoever writes metrics.json and predictions.parquet can make them agree with each other. They cannot make them agree
with the checkpoint and the pages: those are read here, the pages' digest and table as a whole, and the predictions
on pages that the evaluation's own digest picks.
"""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ecg.pages import PageSet
from model.baselines import Network
from model.checkpoint import checkpoint_digest, load_checkpoint
from model.inference import predict_pages
from model.network import PageReader
from model.package import evaluation_digest
from model.page_quality import qualities, refusal_figures
from model.rules import Subject

SPOT_TOLERANCE = 0.01
"""Of a probability: a GPU's bf16 and a CPU's float32 differ by less; a forged answer by more."""
LATENCY_PAGES = 9
BYTES_PER_MEGABYTE = 1e6


def attest(evaluation: Path, checkpoint: Path, pages: Path, *, spot_checks: int) -> Subject:
    """Read an evaluation, check it against checkpoint and pages, and measure the network.

    Args:
        evaluation, checkpoint, pages: the folders.
        spot_checks: pages of each capture that are read again.

    Raises:
        ValueError: a file was changed or is about something else; the message names it.
    """
    net, meta = load_checkpoint(checkpoint)
    page_set = PageSet.open(pages)
    subject = Subject.open(evaluation, network_cost(net, page_set))
    stated = subject.metrics
    where = f"{evaluation}/metrics.json"
    if stated["checkpoint_digest"] != checkpoint_digest(checkpoint):
        raise ValueError(f"{where}: is about another checkpoint than {checkpoint} (checkpoint_digest); run "
                         "'vizecg evaluate' again")
    page_set.refuse_changed()
    for name, right in (("pages_digest", page_set.digest), ("data_digest", page_set.data_digest)):
        if stated[name] != right:
            raise ValueError(f"{where}: {name} is not that of {pages}; run 'vizecg evaluate' again")
    if meta["data_digest"] != page_set.data_digest:
        raise ValueError(f"{pages}/pages.json: data_digest is not that of the store which {checkpoint} was trained on; "
                         "nothing shows that no patient is in both: render the training's own store")
    _refuse_other_table(evaluation, subject, page_set)
    _refuse_other_answers(evaluation, subject, page_set, net, spot_checks)
    _refuse_other_refusal(evaluation, subject, page_set)
    return subject


def network_cost(net: Network, pages: PageSet) -> dict[str, float]:
    """Measure what is shipped of a network, on this machine.

    Returns:
        latency_ms: median time of reading one canonical page, in milliseconds; megabytes: its weights, in 10^6
        bytes; parameters: how many.
    """
    reader = PageReader(net)
    page = np.array(pages.array(pages.captures[0])[:1])
    times = []
    for _ in range(LATENCY_PAGES + 2):
        started = time.perf_counter()
        predict_pages(reader, page, batch_size=1)
        times.append(time.perf_counter() - started)
    weights = list(reader.parameters())
    held = sum(part.numel() * part.element_size() for part in (*weights, *reader.buffers()))
    return {"latency_ms": float(np.median(times[2:]) * 1000), "megabytes": held / BYTES_PER_MEGABYTE,
            "parameters": float(sum(part.numel() for part in weights))}


def _refuse_other_table(evaluation: Path, subject: Subject, pages: PageSet) -> None:
    """Every page must have been predicted, once for each capture, with the labels and patients of the pages' index."""
    columns = ["record", "patient", "split", *(f"label:{name}" for name in pages.label_names)]
    wanted = pages.index[columns].reset_index(drop=True)
    for capture in pages.captures:
        table = subject.predictions
        found = table[table["capture"] == capture][columns].reset_index(drop=True)
        if not _same_table(found, wanted):
            raise ValueError(f"{evaluation}/predictions.parquet: its records, splits or labels of capture {capture} "
                             f"are not those of {pages.path}/index.parquet; run 'vizecg evaluate' again")
    if extra := set(subject.predictions["capture"]) - set(pages.captures):
        raise ValueError(f"{evaluation}/predictions.parquet: {pages.path} has no capture {', '.join(sorted(extra))}; "
                         "run 'vizecg evaluate' again")


def _same_table(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    return len(a) == len(b) and all((a[name].to_numpy() == b[name].to_numpy()).all() for name in b)


def _refuse_other_answers(evaluation: Path, subject: Subject, pages: PageSet, net: Network, count: int) -> None:
    """Read some pages again; which ones nobody knows before the predictions are settled."""
    rng = np.random.default_rng(int(evaluation_digest(evaluation), 16))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    reader = PageReader(net).to(device)
    names = [*(f"p:{name}" for name in pages.label_names), "quality"]
    if "quality" not in subject.predictions:
        raise ValueError(f"{evaluation}/predictions.parquet: no column quality; run 'vizecg evaluate' again")
    for capture in pages.captures:
        rows = np.sort(rng.choice(len(pages.index), size=min(count, len(pages.index)), replace=False))
        again = np.column_stack([predict_pages(reader, pages.array(capture)[rows], batch_size=16),
                                 qualities(pages, capture, rows)])
        stated = subject.predictions[subject.predictions["capture"] == capture][names].to_numpy(float)[rows]
        worst = np.unravel_index(np.argmax(np.abs(stated - again)), again.shape)
        if not abs(stated[worst] - again[worst]) <= SPOT_TOLERANCE:
            record = pages.index["record"].iloc[rows[worst[0]]]
            raise ValueError(f"{evaluation}/predictions.parquet: {names[worst[1]]} of record {record}, {capture}, is "
                             f"{stated[worst]:.4f}, but checkpoint and page give {again[worst]:.4f}; run 'vizecg "
                             "evaluate' again")


def _refuse_other_refusal(evaluation: Path, subject: Subject, pages: PageSet) -> None:
    """The bound below which the package will refuse pages must be what the pages' qualities give."""
    again = refusal_figures(pages, subject.predictions, refused=subject.measured.params.refused)
    if subject.metrics.get("refusal") != again:
        raise ValueError(f"{evaluation}/metrics.json: refusal is not what the qualities in predictions.parquet "
                         "give; run 'vizecg evaluate' again")
