"""The reader that comes with the project: whole, small, and it reads as it did when it was packaged."""

import json
import subprocess
import sys

import pytest

from components.cli import main
from components.cli_tools import ZOO
from model.checkpoint import load_checkpoint
from model.inference import predict_pages
from model.network import PageReader
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


def test_its_weights_can_be_put_back_into_a_checkpoint(tmp_path):
    subprocess.run([sys.executable, "-m", "tools.zoo_checkpoint", str(tmp_path / "checkpoint")], cwd=ZOO.parents[1],
                   check=True)
    net, meta = load_checkpoint(tmp_path / "checkpoint")
    opened = PageReading.open(ZOO)
    page = opened.prepare((ZOO / "sample.png").read_bytes()).image[None]
    read = predict_pages(PageReader(net), page, batch_size=1)[0]
    assert read == pytest.approx(predict_pages(opened.reader, page, batch_size=1)[0], abs=1e-5)
    assert meta["data_digest"] == opened.meta["data_digest"] and meta["page"] == opened.meta["page"]
