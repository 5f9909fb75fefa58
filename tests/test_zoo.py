"""The reader that comes with the project: whole, small, and it reads as it did when it was packaged."""

import json

import pytest

from components.cli import main
from components.cli_tools import ZOO
from model.reading import PageReading, probabilities

MOST_BYTES = 20_000_000


def test_it_reads_its_sample_page_as_it_did_when_it_was_packaged():
    answer = PageReading.open(ZOO).read((ZOO / "sample.png").read_bytes())
    known = json.loads((ZOO / "sample.json").read_text())["probabilities"]
    assert probabilities(answer) == pytest.approx(known, abs=1e-4)
    assert [finding["label"] for finding in answer["findings"]] == ["NORM", "MI", "STTC", "CD", "HYP"]


def test_it_is_small_and_says_what_it_is():
    assert sum(file.stat().st_size for file in ZOO.iterdir()) < MOST_BYTES
    card = (ZOO / "README.md").read_text()
    assert "PTB-XL" in card and "CC BY 4.0" in card and "not a medical device" in card.lower()


def test_predict_uses_it_where_nothing_was_packaged(tmp_path, monkeypatch, capsys):
    page = (ZOO / "sample.png").read_bytes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.png").write_bytes(page)
    assert main(["predict", "page.png", "--json", "answers.json"]) == 0
    assert "zoo/ptbxl, which comes with the project" in capsys.readouterr().out
    answer, = json.loads((tmp_path / "answers.json").read_text())
    assert answer["file"] == "page.png" and len(answer["findings"]) == 5
