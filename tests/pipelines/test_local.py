"""The local run: a readable transcript, a failed task found, the branch behind the gate proved."""

import io
import json
import os

import pytest
from kfp import dsl

from pipelines.local import LocalRun, Transcript, run_pipeline
from pipelines.verbs import _prove_branch

IMAGE = "python-test"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def halve(number: int, half: dsl.Output[dsl.Artifact]):
    import json
    from pathlib import Path

    if number % 2:
        raise ValueError(f"{number} is odd")
    print("halving")
    Path(half.path).mkdir()
    (Path(half.path) / "half.json").write_text(json.dumps({"half": number // 2}))


@dsl.pipeline(name="halving")
def halving(number: int):
    halve(number=number)


def test_a_run_shows_states_and_the_tasks_own_lines(tmp_path, capsys):
    done = run_pipeline(halving, {"number": 4}, root=tmp_path)
    assert done.succeeded and done.failed_task == ""
    assert done.read_json("halve", "half/half.json") == {"half": 2}
    assert done.read_json("halve", "half/other.json") is None
    first, own, last = capsys.readouterr().out.splitlines()
    assert (first, own.strip()) == ("halve: running", "halving") and last.startswith("halve: SUCCESS (")
    assert "Got executor_input" in done.log.read_text()


def test_a_failed_task_is_named_with_its_last_lines(tmp_path, capsys):
    done = run_pipeline(halving, {"number": 3}, root=tmp_path)
    assert not done.succeeded and done.failed_task == "halve"
    assert done.failed_lines[-1].strip() == "ValueError: 3 is odd"
    assert "halve: FAILURE (" in capsys.readouterr().out


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def needs(half: dsl.Input[dsl.Artifact], file: str):
    from pathlib import Path

    print("needing", Path(half.path).name)
    Path(file).read_text()


@dsl.pipeline(name="needing")
def needing(number: int, file: str):
    needs(half=halve(number=number).outputs["half"], file=file)


def test_a_failed_run_is_taken_up_without_redoing_what_was_finished(tmp_path, capsys, monkeypatch):
    """Its last line is the error, though Python would keep what was printed before it until the end."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    missing = tmp_path / "missing"
    first = run_pipeline(needing, {"number": 4, "file": str(missing)}, root=tmp_path / "runs")
    assert first.failed_task == "needs" and "FileNotFoundError" in first.failed_lines[-1]
    missing.write_text("there now")
    capsys.readouterr()
    second = run_pipeline(needing, {"number": 4, "file": str(missing)}, root=tmp_path / "runs")
    assert second.succeeded and second.reused == {"halve": first.folder / "halve"}
    assert second.read_json("halve", "half/half.json") == {"half": 2}
    said = capsys.readouterr().out
    assert "halve: done before, taken from the cache" in said and "halve: running" not in said
    other = run_pipeline(needing, {"number": 6, "file": str(missing)}, root=tmp_path / "runs")
    assert other.succeeded and other.reused == {}
    assert "PYTHONUNBUFFERED" not in os.environ


def test_the_transcript_of_two_tasks_at_a_time():
    log, terminal = io.StringIO(), io.StringIO()
    transcript = Transcript(log, terminal)
    transcript.write("Executing task 'read'\nExecuting task 'read'\n    [KFP Executor] Got executor_input:\n    {\n"
                     '            {\n        "inputs": {\n    }\n        "x": 1\n'
                     "            8.0,\n                1.0\n"
                     "    reading clean\n        reading scan\n"
                     "Task 'read' finished with status SUCCESS\n    still reading\n"
                     "Task 'read' finished with status FAILURE\n")
    said = [line.strip() for line in terminal.getvalue().splitlines()]
    assert not any(line.startswith(("8.0", "1.0", "{", '"')) for line in said)
    assert [line for line in said if line.startswith(("reading", "still"))] == ["reading clean", "reading scan",
                                                                              "still reading"]
    assert transcript.failed_lines[-1] == "still reading" and transcript.failed_task == "read"


def test_the_transcript_takes_text_in_pieces():
    log, terminal = io.StringIO(), io.StringIO()
    transcript = Transcript(log, terminal)
    for piece in ("09:00 - INFO - Executing task '\x1b[96mtr", "ain\x1b[0m'\n    ", "epoch 1\n",
                  "    [KFP Executor] x\n", "Task 'train' finished with status \x1b[92mSUCCESS\x1b[0m\n    left: 1\n"):
        transcript.write(piece)
    first, own, last = terminal.getvalue().splitlines()
    assert (first, own) == ("train: running", "    epoch 1") and last.startswith("train: SUCCESS")
    assert "left: 1" in log.getvalue()


@pytest.fixture
def done(tmp_path):
    """A run whose gate was passed and whose tasks behind it left their outputs."""
    written = {"gate/decision/decision.json": {"passed": True, "rules": []},
               "register/registration/version.json": {"name": "m", "version": 3, "run_id": "r"},
               "deploy/deployment/deployment.json": {"name": "m", "version": 3, "endpoint": "http://here"}}
    for name, value in written.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(json.dumps(value))
    return LocalRun(tmp_path, tmp_path / "log.txt", True, "", ())


def test_a_passed_gate_is_proved_by_what_lies_behind_it(done):
    outcome = _prove_branch(done)
    assert outcome.good and "deployed m version 3 at http://here" in "\n".join(outcome.lines)


def test_a_branch_that_was_skipped_in_silence_is_a_failure(done):
    (done.folder / "deploy/deployment/deployment.json").unlink()
    outcome = _prove_branch(done)
    assert not outcome.good and "left no trace" in outcome.lines[0]


def test_a_gate_that_was_not_passed_is_said_with_its_reasons(done):
    rules = [{"passed": False, "reason": "auroc 0.6 < 0.9"}, {"passed": True, "reason": "f1 is fine"}]
    (done.folder / "gate/decision/decision.json").write_text(json.dumps({"passed": False, "rules": rules}))
    outcome = _prove_branch(done)
    assert outcome.good and "not passed" in outcome.lines[0] and outcome.lines[1] == "    auroc 0.6 < 0.9"
