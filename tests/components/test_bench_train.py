"""The training benchmark runs and prints what it measured; its figures decide nothing here."""

import re

import pytest

from benchmarks.train import main
from tests.components.test_accuracy import SMALL


@pytest.mark.slow
def test_every_rate_is_measured_and_set_beside_the_step_alone(store, capsys):
    words = [word for setting in SMALL for word in ("--set", setting)]
    main(["--recipe", "demo", "--records", str(store.path), "--seconds", "0.2", "--threads", "2", *words])
    said = capsys.readouterr().out
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", said, re.MULTILINE)
    assert [name for name, *_ in rows] == [
        "step alone", "loader alone", "loader and step", "loader and step, 2 processes",
        "image stream alone, loader and step", "image stream alone, plain loop over JPEG files of 100 dpi"]
    # Not by the clock: on a machine that does other work a rate may well be shown as 0 pages a second.
    assert all(float(ms) > 0 for *_, ms, _ in rows)
    assert rows[0][2] == rows[0][4] == "1.00" and "GFLOP a page" in said
    found = re.search(r"on disk ([\d.]+) s. Resident memory (\d+) MiB; .* adds (-?\d+) MiB", said)
    start, resident, more = found.groups()
    assert float(start) > 0 and int(resident) > 100 and int(more) < 400, "no thread copies the store"
