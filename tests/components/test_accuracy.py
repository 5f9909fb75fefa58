"""The accuracy table: rows are trained once, kept in MLflow, and printed from there."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from benchmarks.accuracy import ROWS, main
from model.params import ModelParams, as_dict
from tests.model.tiny import TINY

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["train.epochs=1", "train.batch_size=8", "evaluate.resamples=20", "page.height=96", "page.width=192",
         "page.px_per_mm=0.75", *(f"model.{name}={json.dumps(value)}" for name, value in as_dict(TINY).items()
                                  if value != as_dict(ModelParams())[name])]


@pytest.fixture
def command(tmp_path, store, pages, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    validation = tmp_path / "validation"
    validation.mkdir()
    (validation / "validation.json").write_text(json.dumps(
        {"success": True, "critical_failed": [], "data_digest": store.digest}))
    words = ["--records", str(store.path), "--validation", str(validation), "--pages", str(pages)]
    for setting in (*SMALL, f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"):
        words += ["--set", setting]
    return words


@pytest.mark.slow
def test_rows_are_trained_once_and_printed_from_mlflow(command, capsys, monkeypatch):
    rows = ["--rows", "image alone", "resnet1d_wang"]
    main([*command, *rows, "--seeds", "1", "2"])
    first = capsys.readouterr().out
    lines = [line.split(" | ") for line in first.splitlines() if line.startswith("| ")]
    assert [line[0].removeprefix("| ") for line in lines] == ["model", "image alone", "resnet1d_wang"]
    assert [line[1] for line in lines[1:]] == ["page", "signal"] and all(line[-2] == "2" for line in lines[1:])
    main([*command, *rows, "--seeds", "1", "2", "--print"])
    assert capsys.readouterr().out == first
    main([*command, "--seeds", "1", "--print"])
    assert len(capsys.readouterr().out.splitlines()) == len(first.splitlines())


def test_an_unknown_row_is_named(command):
    with pytest.raises(ValueError, match="no row is called 'lstm'; there are resnet1d_wang"):
        main([*command, "--rows", "lstm"])


def test_every_row_changes_the_parameters_into_ones_that_exist(command, tmp_path):
    from benchmarks.accuracy import planned

    rows = planned([], [1], "params.yaml", [])
    assert [row.name for row in rows] == list(yaml.safe_load(ROWS.read_text()))
    assert len({(row.params.model, row.params.train) for row in rows}) == len(rows)
