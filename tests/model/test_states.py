"""States of a training: whole or not believed."""

import torch

from model.states import LocalFolder, States


def state(step):
    return {"weights": torch.full((3,), float(step)), "history": [{"loss": 0.5}] * step, "step": step}


def test_the_newest_two_are_kept_and_the_newest_is_read(tmp_path):
    states = States(LocalFolder(tmp_path / "deep"), "run")
    assert states.latest() is None and not states.found()
    for step in (1, 2, 3):
        states.save(state(step), step=step)
    assert [file.name.split("-")[1] for file in sorted((tmp_path / "deep").iterdir())] == ["0000000002", "0000000003"]
    assert states.latest()["step"] == 3
    torch.testing.assert_close(states.latest()["weights"], torch.full((3,), 3.0))


def test_a_torn_or_changed_state_is_said_and_the_one_before_it_taken(tmp_path):
    said = []
    states = States(LocalFolder(tmp_path), "run", warn=said.append)
    for step in (1, 2):
        states.save(state(step), step=step)
    newest = max(tmp_path.iterdir())
    whole = newest.read_bytes()
    for damaged in (whole[:-100], whole[:500] + b"x" + whole[501:], b""):
        newest.write_bytes(damaged)
        assert states.latest()["step"] == 1
    assert len(said) == 3 and all("damaged (digest)" in line for line in said)
    min(tmp_path.iterdir()).write_bytes(b"")
    assert states.latest() is None


def test_a_damaged_state_is_not_one_of_those_kept(tmp_path):
    states = States(LocalFolder(tmp_path), "run", warn=lambda _: None)
    for step in (1, 2, 3):
        states.save(state(step), step=step)
    for name in ("run-0000000003-0000000000000000.pt", "run-0000000003-ffffffffffffffff.pt"):
        (tmp_path / name).write_bytes(b"torn")
    newest = max(tmp_path.glob("run-0000000003-*"), key=lambda file: file.stat().st_size)
    newest.write_bytes(b"torn")
    again = {**state(3), "seconds": 0.25}
    states.save(again, step=3)
    assert len(list(tmp_path.iterdir())) == 2 and states.latest()["seconds"] == 0.25
    max(tmp_path.iterdir()).write_bytes(b"torn too")
    assert states.latest()["step"] == 2


def test_runs_in_one_folder_do_not_see_each_other(tmp_path):
    one, other = (States(LocalFolder(tmp_path), run) for run in ("a", "b"))
    one.save(state(1), step=1)
    assert other.latest() is None
    other.save(state(5), step=5)
    one.clear()
    assert not one.found() and other.latest()["step"] == 5
