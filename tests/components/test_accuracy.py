"""The accuracy table: rows are trained once, kept in MLflow, and printed from there."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from benchmarks.accuracy import ROWS, main
from model.params import ModelParams
from model.typed import as_dict
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
        {"success": True, "critical_failed": [], "warnings": [], "expectations": [], "data_digest": store.digest}))
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
    said = capsys.readouterr()
    assert said.out == first and "is recorded" not in said.err
    main([*command, "--seeds", "1", "--print"])
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == len(first.splitlines())
    count = len(yaml.safe_load(ROWS.read_text()))
    assert f"of {count - 2} of {count} rows and seeds no run" in said.err


@pytest.mark.slow
def test_a_row_finds_its_teacher_and_kept_checkpoints_are_only_read_again(command, capsys):
    rows = ["--rows", "resnet1d_wang", "taught", "--seeds", "1"]
    main([*command, *rows])
    assert "| taught | page |" in capsys.readouterr().out
    main([*command, *rows, "--set", "evaluate.resamples=30"])
    said = capsys.readouterr()
    assert "resnet1d_wang: kept in local/accuracy/resnet1d_wang-1" in said.out + said.err
    assert "taught: kept in local/accuracy/taught-1" in said.out + said.err
    main([*command, "--rows", "resnet1d_wang", "--seeds", "1", "--set", "train.weight_decay=0.02"])
    said = capsys.readouterr()
    assert "was trained otherwise; trained again" in said.out + said.err


@pytest.mark.slow
def test_a_row_for_a_choice_reads_no_page_of_the_test_split(command, capsys):
    main([*command, "--rows", "VizECGNet, SMAM after the last stage", "--seeds", "1"])
    cells = _cells(capsys.readouterr().out, "VizECGNet, SMAM after the last stage")
    assert 0 <= float(cells[3]) <= 1 and set(cells[4:-2]) == {"–"}
    kept = Path("local/accuracy/vizecgnet-smam-after-the-last-stage-1")
    assert "cores of" in (kept / "model.json").read_text()

    # The same network in a row that is no choice: its figure on the validation split does not stand for the test split.
    kept.rename(kept.with_name("vizecgnet-1"))
    main([*command, "--rows", "VizECGNet", "--seeds", "1", "--set", "model.smam_place=tokens"])
    said = capsys.readouterr()
    assert "VizECGNet: kept in local/accuracy/vizecgnet-1" in said.out + said.err
    assert all(0 <= float(cell) <= 1 for cell in _cells(said.out, "VizECGNet")[4:-2])


def _cells(said: str, row: str) -> list[str]:
    line, = [line for line in said.splitlines() if line.startswith(f"| {row} |")]
    return line.strip("| ").split(" | ")


@pytest.mark.slow
def test_a_row_begins_with_another_rows_weights(command, capsys):
    rows = ["--rows", "pretraining by masks", "image alone, pretrained by masks", "--seeds", "1"]
    main([*command, *rows])
    begun = json.loads(Path("local/accuracy/image-alone-pretrained-by-masks-1/model.json").read_text())["train"]
    assert begun["start_from"] == "local/accuracy/pretraining-by-masks-1"
    capsys.readouterr()
    main([*command, *rows, "--set", "evaluate.resamples=30"])
    said = capsys.readouterr()
    assert "image alone, pretrained by masks: kept in" in said.out + said.err


def test_a_recipe_gives_the_settings_wherever_its_data_lie(tmp_path, monkeypatch):
    from components.recipe import compose

    monkeypatch.chdir(tmp_path)
    assert compose("ptbxl-fast", tmp_path / "params.yaml").page.width == 256


def test_an_unknown_row_is_named(command):
    with pytest.raises(ValueError, match="no row is called 'lstm'; there are resnet1d_wang"):
        main([*command, "--rows", "lstm"])


def test_every_row_changes_the_parameters_into_ones_that_exist(command, tmp_path):
    from benchmarks.accuracy import planned

    rows = planned([], [1], "params.yaml", [])
    assert [row.name for row in rows] == list(yaml.safe_load(ROWS.read_text()))
    assert len({(row.params.model, row.params.train) for row in rows}) == len(rows)


def test_rows_share_their_epochs_though_a_recipe_pretrains(tmp_path):
    from benchmarks.accuracy import planned
    from components.recipe import compose

    recipe = compose("ptbxl-fast", tmp_path / "params.yaml")
    rows = planned([], [1], tmp_path / "params.yaml", [])
    assert recipe.train.pretrain and not any(row.params.train.pretrain for row in rows)
