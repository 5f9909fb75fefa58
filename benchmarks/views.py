"""What reading shifted copies of a page would bring a package: `vizecg bench views --records STORE`.

Clean pages of the validation records, none of the test fold's, read as they are and as the mean log-odds over the
shifts of `model.views`, with the time that this takes: in batches, and one page at a time as an idle server reads, the
latter beside the package's program under PyTorch.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from components.progress import track
from ecg.records import RecordStore
from model.calibration import logit
from model.data import PageSource
from model.export import Reader
from model.metrics import auroc
from model.network import VIEWS
from model.reading import PageReading

CHUNK = 16
"""Pages in a batch, at most."""
PAPER = 255


def shifted_readings(reader: Reader, source: PageSource) -> tuple[np.ndarray, np.ndarray]:
    """Read every page in each shift, in batches.

    Returns:
        The log-odds, (views, N, C), and the seconds of one core that each shift took, (views,).
    """
    parts, seconds = [], np.zeros(len(VIEWS))
    for pages in _drawn(source):
        read = []
        for number, (right, down) in enumerate(VIEWS):
            probabilities, spent = _timed(reader, F.pad(pages, (right, -right, down, -down), value=PAPER))
            read.append(probabilities)
            seconds[number] += spent
        parts.append(logit(np.stack(read)))
    return np.concatenate(parts, axis=1), seconds


def one_at_a_time(readers: tuple[Reader, ...], source: PageSource) -> np.ndarray:
    """Return the seconds of one core that each reader takes for all pages, (readers,); they take turns at each."""
    return sum(np.array([_timed(reader, page)[1] for reader in readers])
               for pages in _drawn(source) for page in pages.split(1))


def _drawn(source: PageSource) -> Iterator[Tensor]:
    renderers = source.renderers()
    chunks = np.array_split(np.arange(len(source)), -(-len(source) // CHUNK))
    for chunk in track(chunks, label="views"):
        yield source.draw(chunk, epoch=0, renderers=renderers).pages


def _timed(reader: Reader, pages: Tensor) -> tuple[np.ndarray, float]:
    begun = time.process_time()
    with torch.inference_mode():
        probabilities = reader(pages).numpy()
    return probabilities, time.process_time() - begun


def macro_auroc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean over the findings, both (N, C)."""
    return float(np.mean([auroc(truth[:, c], scores[:, c]) for c in range(truth.shape[1])]))


def main(arguments: list[str] | None = None) -> None:
    """Print AUROC and time of one view, and of more."""
    parser = argparse.ArgumentParser(prog="vizecg bench views", description=__doc__.split("\n")[0])
    parser.add_argument("--package", type=Path, default=Path("zoo/ptbxl"), metavar="DIR")
    parser.add_argument("--records", type=Path, required=True, metavar="DIR", help="a record store with its findings")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th validation record (1)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    opened, store = PageReading.open(options.package), RecordStore.open(options.records)
    meta, reader = opened.meta, opened.reader
    if list(store.label_names) != list(meta["label_names"]):
        raise ValueError(f"{options.records}: has {', '.join(store.label_names)}, the package reads "
                         f"{', '.join(meta['label_names'])}")
    rows = store.rows("validate")[::options.every]
    source = PageSource(store, rows, store.labels[rows].astype(np.float32), opened.page, augment=0.0, seed=0)
    scores, seconds = shifted_readings(reader, source)
    alone, program = 1e3 * one_at_a_time((reader, reader.program), source) / len(rows)
    print(f"{len(rows)} validation records, one core, batches of up to {CHUNK}; one at a time a page takes {alone:.1f} "
          f"ms, {alone / program:.2f} of the program's time under PyTorch\n\n"
          "| views | macro AUROC | ms a page |\n|---|---|---|")
    for count in (1, 3, 5):
        print(f"| {count} | {macro_auroc(scores[:count].mean(axis=0), source.targets):.4f} "
              f"| {1e3 * seconds[:count].sum() / len(rows):.1f} |")


if __name__ == "__main__":
    main()
