"""Pages are read in batches, from memory or a mapped file, by any reader."""

import numpy as np
import pytest
import torch

from model.inference import predict_pages
from model.network import PageReader, VizECGNet
from tests.model.tiny import TINY


def ink_share(pages: torch.Tensor) -> torch.Tensor:
    return 1 - pages.float().mean(dim=(1, 2))[:, None] / 255


@pytest.fixture
def pages():
    return np.random.default_rng(0).integers(0, 256, (7, 64, 96), dtype=np.uint8)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_every_page_is_read_once_and_in_order(pages, batch_size):
    got = predict_pages(ink_share, pages, batch_size=batch_size)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[:, 0], 1 - pages.mean(axis=(1, 2)) / 255, atol=1e-6)


def test_a_mapped_file_gives_the_same_and_is_left_alone(pages, tmp_path):
    np.save(tmp_path / "pages.npy", pages)
    mapped = np.load(tmp_path / "pages.npy", mmap_mode="r")

    def blacken(batch: torch.Tensor) -> torch.Tensor:
        seen = ink_share(batch)
        batch.zero_()
        return seen

    np.testing.assert_array_equal(predict_pages(blacken, mapped, batch_size=4),
                                  predict_pages(ink_share, pages, batch_size=4))
    np.testing.assert_array_equal(np.load(tmp_path / "pages.npy"), pages)


def test_the_network_gives_the_same_whatever_the_batch(pages):
    torch.manual_seed(0)
    reader = PageReader(VizECGNet(TINY, classes=3))
    whole = predict_pages(reader, pages, batch_size=7)
    assert whole.shape == (7, 3) and np.ptp(whole) > 0
    np.testing.assert_allclose(predict_pages(reader, pages, batch_size=2), whole, atol=1e-6)


@pytest.mark.parametrize("wrong", [np.zeros((0, 8, 8), np.uint8), np.zeros((8, 8), np.uint8), np.zeros((2, 8, 8))])
def test_what_is_no_page_is_refused(wrong):
    with pytest.raises(ValueError, match="expected uint8"):
        predict_pages(ink_share, wrong, batch_size=2)


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_what_is_no_probability_is_refused_with_its_page(pages, value):
    def reader(batch: torch.Tensor) -> torch.Tensor:
        answer = ink_share(batch)
        answer[-1] = value
        return answer

    with pytest.raises(ValueError, match="for page 6"):
        predict_pages(reader, pages, batch_size=7)
