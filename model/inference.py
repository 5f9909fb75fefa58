"""Probabilities of many pages, a batch at a time."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from model.network import PageReader, ink
from model.task import Batch


def predict_pages(reader: Callable[[Tensor], Tensor], pages: np.ndarray, *, batch_size: int) -> np.ndarray:
    """Read pages with any reader: the eager `PageReader`, the packaged program, a function.

    Args:
        reader: takes uint8 pages (B, H, W) and returns probabilities (B, C). A module decides by its own
            device and its own train or eval mode.
        pages: uint8 (N, H, W), grey, 255 = paper; may be memory-mapped, it is read a batch at a time.
        batch_size: pages at once.

    Returns:
        Float32 (N, C).

    Raises:
        ValueError: the pages are not uint8 of three axes, there is none, or the reader gives a value that is
            no probability.
    """
    if pages.dtype != np.uint8 or pages.ndim != 3 or not len(pages):
        raise ValueError(f"pages: expected uint8 of shape (N, H, W) with N >= 1, got {pages.dtype} {pages.shape}")
    device = device_of(reader)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(pages), batch_size):
            # A copy: torch refuses to share memory that is mapped read-only.
            batch = torch.from_numpy(np.array(pages[start:start + batch_size])).to(device)
            parts.append(reader(batch).float().cpu().numpy())
    probabilities = np.concatenate(parts)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        row = int(np.argmin(((probabilities >= 0) & (probabilities <= 1)).all(axis=1)))
        raise ValueError(f"pages: the reader gives {probabilities[row].tolist()} for page {row}, not probabilities; "
                         "train the model again")
    return probabilities


def predict_batches(net: torch.nn.Module, batches: Iterable[Batch], *,
                    device: torch.device | str = "cpu") -> np.ndarray:
    """Predict with any network from what it reads, pages or signals or both: float32 probabilities (N, C)."""
    net.eval()
    reader = PageReader(net) if net.reads == ("page",) else None
    with torch.inference_mode():
        parts = [(reader(batch.pages.to(device)) if reader else
                  torch.sigmoid(net(ink(batch.pages.to(device)), batch.signals.to(device)).image)).float().cpu()
                 for batch in batches]
    return torch.cat(parts).numpy()


def device_of(reader: Callable[[Tensor], Tensor]) -> torch.device:
    """Return where a reader's weights lie; what has none reads on the processor."""
    parameter = next(reader.parameters(), None) if isinstance(reader, torch.nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device
