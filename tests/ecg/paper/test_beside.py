"""Parts of a work beside each other."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from ecg.paper import beside as module
from ecg.paper.beside import beside


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100])
@pytest.mark.parametrize("cores", [1, 2, 3, 64])
def test_every_piece_is_done_once(monkeypatch, count, cores):
    monkeypatch.setattr(module, "cores", lambda: cores)
    done = np.zeros(count, int)

    def work(part: slice) -> None:
        done[part] += 1

    beside(work, count)
    assert (done == 1).all()


@pytest.mark.parametrize("bad", [0, 5, 9])
def test_what_a_part_raises_is_raised(monkeypatch, bad):
    monkeypatch.setattr(module, "cores", lambda: 3)

    def work(part: slice) -> None:
        if part.start <= bad < part.stop:
            raise ValueError(f"piece {bad}")

    with pytest.raises(ValueError, match=f"piece {bad}"):
        beside(work, 10)


def parts_of_four() -> int:
    """Into how many parts four pieces are cut, were there three cores."""
    module.cores, parts = lambda: 3, []
    beside(parts.append, 4)
    return len(parts)


def test_a_process_of_a_pool_works_alone(monkeypatch):
    monkeypatch.setattr(module, "cores", module.cores)
    assert parts_of_four() == 3
    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
        assert pool.submit(parts_of_four).result() == 1
