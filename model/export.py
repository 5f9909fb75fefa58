"""The exported reader: canonical pages in, probabilities out, with neither our code nor pickle needed to run it."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ecg.files import write_whole
from model.folding import fold
from model.inference import predict_pages
from model.network import PageReader, VizECGNet

PARITY_BATCHES = (1, 3, 8)
"""Batch sizes on which the program is compared with the eager model; the export itself saw another (2)."""

Reader = Callable[[Tensor], Tensor]
"""Pages, uint8 (B, H, W), to probabilities, float32 (B, C)."""


def export_reader(net: VizECGNet, meta: dict) -> ExportedProgram:
    """Export the image stream of a network.

    Args:
        net: the network; its signal stream stays behind.
        meta: what the checkpoint's model.json says; `page` gives the geometry of the canonical page.

    Returns:
        The program: uint8 (B, H, W), any B, to float32 (B, C).
    """
    height, width = meta["page"]["height"], meta["page"]["width"]
    # A batch of 1 would be taken for a constant; 2 is the smallest that stands for any.
    example = torch.zeros(2, height, width, dtype=torch.uint8)
    with torch.no_grad():
        return torch.export.export(PageReader(net), (example,), dynamic_shapes=({0: Dim("batch", min=1)},))


def save_reader(program: ExportedProgram, path: Path) -> None:
    """Write a program as .pt2, under its name only once it is whole."""
    # Through memory, because torch writes the file's own name into it: the same program has the same bytes anywhere.
    # And without the places in this machine's files that each operation came from.
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    whole = io.BytesIO()
    torch.export.save(program, whole)
    write_whole(path, whole.getvalue())


def load_reader(path: Path) -> Reader:
    """Read a .pt2, its norms folded; the program is in inference mode for good (it must not be sent `.eval()`).

    Raises:
        ValueError: the file is missing or no exported program.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; make it with 'vizecg package'")
    try:
        program = torch.export.load(path).module()
    except Exception as error:
        # Torch raises a dozen types for a torn or foreign file; the user's remedy is the same.
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ValueError(f"{path}: not an exported program ({reason}); package again") from None
    # Convolutions of few images at once are a fifth faster with channels last.
    return fold(program).to(memory_format=torch.channels_last)


def worst_difference(ours: Reader, reference: Reader, pages: np.ndarray) -> float:
    """Return the largest difference between two readers' probabilities, over the batches of `PARITY_BATCHES`.

    Args:
        pages: uint8 (N, H, W); a batch takes them in turn, from the start again where N is less.
    """
    worst = 0.0
    for size in PARITY_BATCHES:
        batch = pages[np.arange(size) % len(pages)]
        both = [predict_pages(reader, batch, batch_size=size) for reader in (ours, reference)]
        worst = max(worst, float(np.abs(both[0] - both[1]).max()))
    return worst


def check_parity(path: Path, load: Callable[[Path], Reader], net: VizECGNet, pages: np.ndarray, *,
                 limit: float) -> float:
    """Compare a written program, loaded as a server loads it, with the eager network; returns the largest difference.

    Raises:
        ValueError: it is more than `limit`.
    """
    worst = worst_difference(load(path), PageReader(net), pages)
    if not worst <= limit:
        raise ValueError(f"{path}: differs from the checkpoint by {worst:.2g} in probability, more than package.parity "
                         f"({limit:g}); export on the machine that trained, or raise the limit")
    return worst
