"""Parts of a page's work beside each other: a single page is waited for, and most machines have a second core."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import parent_process

from ecg.cores import cores

_MOST = 4
"""Parts: more bring less each, and other pages may want the cores too."""


def beside(work: Callable[[slice], None], count: int) -> None:
    """Do a work of `count` equal pieces, cut into one run of them for each core; raises what the work raises.

    A process of a pool does them alone: its others have the other cores.

    Args:
        work: does the pieces of a slice; it lets go of the interpreter's lock, and no piece needs another.
        count: of the pieces.
    """
    parts = 1 if parent_process() is not None else min(cores(), _MOST, count)
    if parts < 2:
        return work(slice(0, count))
    ends = [count * part // parts for part in range(parts + 1)]
    # Threads of its own each time: a pool that is kept would be lost in a process forked from this one.
    with ThreadPoolExecutor(parts - 1) as pool:
        others = [pool.submit(work, slice(*pair)) for pair in zip(ends[1:-1], ends[2:], strict=True)]
        work(slice(*ends[:2]))
        for other in others:
            other.result()
