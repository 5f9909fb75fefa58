"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 10.0


def track(items: Iterable[T], *, total: int | None = None, label: str) -> Iterator[T]:
    """Yield `items` and show how far they are, on standard error.

    Args:
        items: what is worked through.
        total: how many there are; taken from `len(items)` where that exists.
        label: what the line begins with.
    """
    total = len(items) if total is None and hasattr(items, "__len__") else total
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=label, dynamic_ncols=True)
        return
    started = shown = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - shown >= SECONDS_BETWEEN_LINES:
            shown = now
            say(f"{label}: {done}{f' of {total}' if total else ''}, {now - started:.0f} s")


@contextmanager
def counter(total: int, *, label: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts bytes as they arrive, from any thread, and show how far they are."""
    lock, started = threading.Lock(), time.monotonic()
    terminal = sys.stderr.isatty()
    bar = tqdm(total=total, desc=label, unit="B", unit_scale=True, dynamic_ncols=True, disable=not terminal)
    state = {"done": 0, "shown": started}

    def count(size: int) -> None:
        with lock:
            bar.update(size)
            state["done"] += size
            now = time.monotonic()
            if not terminal and now - state["shown"] >= SECONDS_BETWEEN_LINES:
                state["shown"] = now
                rate = state["done"] / (now - started)
                say(f"{label}: {state['done'] / 1e6:,.1f} of {total / 1e6:,.1f} MB, {rate / 1e6:.1f} MB/s")

    with bar:
        yield count


def say(line: str) -> None:
    """Print one line to standard error at once."""
    print(line, file=sys.stderr, flush=True)
