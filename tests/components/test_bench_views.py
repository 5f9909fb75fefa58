"""The benchmark of views reads a package's pages one by one and shifted; its figures decide nothing here."""

import re

import numpy as np
import pytest
import torch

from benchmarks.views import main, one_at_a_time, shifted_readings
from model.calibration import logit
from model.data import PageSource
from model.network import VIEWS
from model.params import PageParams
from tests.model.test_export import network


def test_a_shift_is_what_views_reads(store):
    page = PageParams(height=64, width=128, px_per_mm=0.5)
    source = PageSource(store, np.arange(3), np.zeros((3, 3), np.float32), page, 0.0, 0)
    seen = []

    def reader(pages):
        seen.append(pages.numpy())
        return torch.sigmoid(network(0)(1 - pages[:, None] / 255).image.detach())

    scores, seconds = shifted_readings(reader, source)
    assert scores.shape == (5, 3, 3) and seconds.shape == (5,)
    for (right, down), pages in zip(VIEWS, seen, strict=True):
        np.testing.assert_array_equal(np.roll(pages, (-down, -right), (1, 2))[:, 2:-2, 2:-2], seen[0][:, 2:-2, 2:-2])
    np.testing.assert_allclose(scores[0], logit(reader(torch.from_numpy(seen[0])).numpy()))
    whole = seen[0]
    seen.clear()
    assert one_at_a_time((reader, reader), source).shape == (2,)
    np.testing.assert_array_equal(np.concatenate(seen[::2]), whole, "each page by itself, in turn")


def test_each_number_of_views_has_its_row_and_other_findings_are_refused(packaged, store, capsys):
    main(["--package", str(packaged.package), "--records", str(store.path)])
    out = capsys.readouterr().out
    assert re.search(r"one at a time a page takes [\d.]+ ms, [\d.]+ of the program's time under PyTorch\n", out)
    rows = re.findall(r"^\| (\d) \| ([\d.]+|nan) \| ([\d.]+) \|$", out, re.MULTILINE)
    assert [row[0] for row in rows] == ["1", "3", "5"]
    with pytest.raises(ValueError, match="the package reads NORM, MI"):
        main(["--records", str(store.path)])
