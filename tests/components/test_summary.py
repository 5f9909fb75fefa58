"""The summary says the figures as they stand in metrics.json."""

import json

import pytest

from components.summary import run

FIGURES = ("auroc", "auprc", "f1", "precision", "recall", "specificity")


@pytest.fixture
def evaluation(tmp_path):
    macro = {name: {"value": 0.5 + i / 100, "low": 0.25, "high": 0.75} for i, name in enumerate(FIGURES)}
    unknown = {name: {"value": None, "low": None, "high": None} for name in FIGURES}
    block = {"macro": macro, "classes": {"AFIB": macro, "NORM": unknown}, "records": 60, "patients": 40}
    (tmp_path / "metrics.json").write_text(json.dumps({"test": {"clean": block}}))
    return tmp_path


def test_the_table_has_a_row_a_class_and_the_ends_of_the_intervals(evaluation, tmp_path):
    lines = run(evaluation=evaluation, decision=tmp_path / "none").splitlines()
    assert lines[0] == "test split, clean pages: 60 records of 40 patients"
    assert [line.split() for line in lines[1:7]] == [
        list(FIGURES), ["macro", "0.500", "0.510", "0.520", "0.530", "0.540", "0.550"], ["low", *["0.250"] * 6],
        ["high", *["0.750"] * 6], ["AFIB", "0.500", "0.510", "0.520", "0.530", "0.540", "0.550"], ["NORM", *"------"]]
    assert lines[-1] == f"report: {evaluation / 'report.html'}"


def test_several_captures_stand_side_by_side_first(evaluation, tmp_path):
    metrics = json.loads((evaluation / "metrics.json").read_text())
    block = metrics["test"]["clean"]
    better = {**block, "macro": {name: {**figure, "value": 0.9} for name, figure in block["macro"].items()}}
    metrics["test"] = {"clean": block, "photo": better, "clean@6x2-cabrera": better}
    (evaluation / "metrics.json").write_text(json.dumps(metrics))
    lines = run(evaluation=evaluation, decision=tmp_path / "none").splitlines()
    assert lines[0] == "test split, macro, by capture@layout:" and lines[1].split() == list(FIGURES)
    rows = {line[:line.rindex(" 0.", 0, line.index(" 0.") + 3)].strip(): line.split()[-6:] for line in lines[2:6]}
    assert list(rows) == ["clean", "photo", "clean@6x2-cabrera", "mean, clean x 2"]
    assert rows["mean, clean x 2"] == ["0.700", "0.705", "0.710", "0.715", "0.720", "0.725"]


def test_the_verdict_and_its_reasons_follow(evaluation):
    (evaluation / "decision.json").write_text(json.dumps(
        {"passed": False, "rules": [{"passed": False, "reason": "auroc is 0.5, must be at least 0.9"}]}))
    text = run(evaluation=evaluation, decision=evaluation)
    assert "gate: not passed\n  FAILED  auroc is 0.5, must be at least 0.9\n" in text


def test_a_damaged_file_is_named(evaluation):
    (evaluation / "metrics.json").write_text("{")
    with pytest.raises(ValueError, match="metrics.json: not valid JSON"):
        run(evaluation=evaluation, decision=evaluation)
