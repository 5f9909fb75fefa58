"""monitor on what evaluate and predict really write: its report, its exit status, and what it refuses."""

import json
import shutil

import pandas as pd
import pytest

from components.cli import main
from components.monitor import read_log
from model.checkpoint import read_json
from tests.components.conftest import edit_json


@pytest.fixture(scope="module")
def answers(packaged):
    """What a server would answer to the test pages, from the evaluation itself."""
    table = pd.read_parquet(packaged.evaluation / "predictions.parquet")
    thresholds = read_json(packaged.evaluation / "thresholds.json", made_by="")
    return [{"findings": [{"label": name, "probability": float(row[f"p:{name}"]), "threshold": limit,
                           "present": bool(row[f"p:{name}"] >= limit)} for name, limit in thresholds.items()],
             "page": {"confidence": 0.9, "px_per_mm_found": 8.0, "warnings": []}, "version": "abc"}
            for _, row in table[table["split"] == "test"].iterrows()]


@pytest.fixture
def monitor(packaged, tmp_path, monkeypatch):
    """Calls the verb on answers; returns its exit status and what it wrote."""
    from pathlib import Path

    shutil.copy(Path(__file__).resolve().parents[2] / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)

    def call(answers, *options):
        (tmp_path / "served.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
        status = main(["monitor", "served.jsonl", "--reference", str(packaged.evaluation), "--set",
                       "monitor.least_pages=5", *options])
        return status, json.loads((tmp_path / "artifacts" / "monitor" / "monitor.json").read_text())
    return call


def test_the_answers_of_the_reference_itself_are_no_drift(monitor, answers, tmp_path):
    status, said = monitor(answers)
    assert (status, said["state"], said["models"]) == (0, "no drift", {"abc": len(answers)})
    page = (tmp_path / "artifacts" / "monitor" / "report.html").read_text()
    assert "No drift" in page and "<script" not in page and "http" not in page


def test_pages_that_cannot_be_read_end_in_status_3(monitor, answers):
    status, said = monitor(answers * 5 + [{"error": "no ECG grid here"}] * len(answers) * 5)
    assert status == 3 and "pages refused" in said["drifted"]


def test_scores_that_moved_end_in_status_3(monitor, answers):
    moved = [{**answer, "findings": [{**f, "probability": 1 - (1 - f["probability"]) / 4, "present": True}
                                     for f in answer["findings"]]} for answer in answers]
    status, said = monitor(moved * 10)
    assert status == 3 and any(name.endswith("score, distribution") for name in said["drifted"])


def test_too_few_pages_are_no_answer(monitor, answers):
    status, said = monitor(answers, "--set", "monitor.least_pages=1000")
    assert status == 4 and said["drifted"] == []


def test_the_array_of_predict_is_a_log_too(answers, tmp_path):
    (tmp_path / "array.json").write_text(json.dumps(answers, indent=1))
    assert read_log(tmp_path / "array.json") == answers


def test_each_page_of_a_file_of_several_counts(answers, tmp_path):
    unread = {"error": "no page there", "code": "unreadable"}
    lines = [{"file": "a.pdf", "pages": [*answers[:2], unread], "version": "1"}, answers[2]]
    (tmp_path / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_log(tmp_path / "log") == [*answers[:2], unread, answers[2]]


@pytest.mark.parametrize("text, said", [("", "must have 'findings'"), ("{\n", "line 1: not valid JSON"),
                                        ('{"a": 1}\n', "must have 'findings'"),
                                        ('{"pages": 1}\n', "must have 'findings'"),
                                        ('{"pages": [1]}\n', "must have 'findings'"),
                                        ('{"findings": [{"label": "MI"}]}\n', "must have label, probability")])
def test_a_log_that_is_none_is_refused(tmp_path, text, said):
    (tmp_path / "log").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_log(tmp_path / "log")


def test_answers_about_other_findings_are_refused(monitor, answers, capsys):
    other = [{**answer, "findings": answer["findings"][:1]} for answer in answers]
    with pytest.raises(FileNotFoundError):
        monitor(other)
    assert "give that of the same model" in capsys.readouterr().err


def test_a_damaged_reference_is_refused(copied, answers, tmp_path, monkeypatch, capsys):
    from pathlib import Path

    shutil.copy(Path(__file__).resolve().parents[2] / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    edit_json(copied.evaluation / "metrics.json", label_names=["NORM"])
    (tmp_path / "served.jsonl").write_text(json.dumps(answers[0]))
    assert main(["monitor", "served.jsonl", "--reference", str(copied.evaluation)]) == 2
    assert "the reference about NORM" in capsys.readouterr().err
