"""Parts of a page's work beside each other: a single page is waited for, and most machines have a second core."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import parent_process

_MOST = 4
"""Parts: more bring less each, and other pages may want the cores too."""


def cores() -> int:
    """Return how many cores there are for this process: one where it is of a pool, whose others have the rest."""
    if parent_process() is not None:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def beside(work: Callable[[slice], None], count: int) -> None:
    """Do a work of `count` equal pieces, cut into one run of them for each core; raises what the work raises.

    Args:
        work: does the pieces of a slice; it lets go of the interpreter's lock, and no piece needs another.
        count: of the pieces.
    """
    parts = min(cores(), _MOST, count)
    if parts < 2:
        return work(slice(0, count))
    ends = [count * part // parts for part in range(parts + 1)]
    # Threads of its own each time: a pool that is kept would be lost in a process forked from this one.
    with ThreadPoolExecutor(parts - 1) as pool:
        others = [pool.submit(work, slice(*pair)) for pair in zip(ends[1:-1], ends[2:], strict=True)]
        work(slice(*ends[:2]))
        for other in others:
            other.result()
