"""One process, two, and two nodes of one train alike; a killed training ends as one that was left alone."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from model.distributed import Meeting, SyncedNorm
from tests.model.machines import connect, disconnect, on_loopback

ROOT = Path(__file__).resolve().parents[2]
# Without dropout, which every process draws by itself. One step an epoch: 96 pages, 64 a batch.
ALIKE = {"epochs": 20, "batch_size": 64, "ema": 0.0, "save_minutes": 0, "learning_rate": 0.0002}
STEPS = ["-m", "tests.model.steps"]


def words(store, out, changes, *states):
    return [str(store.path), str(out), json.dumps(changes), *map(str, states)]


def start(*arguments):
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def heard(process, beginning):
    """The rest of the first line that begins so, and of what was said before it."""
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith(beginning):
            return line.removeprefix(beginning).strip(), "".join(said)
    raise AssertionError("".join(said))


def finish(*processes):
    for process in processes:
        said = process.communicate(timeout=900)[0]
        assert process.returncode == 0, said


def weights(path):
    return torch.load(f"{path}.pt", weights_only=True)


def assert_equal(one, other):
    ours, theirs = weights(one), weights(other)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def node(machines, number, *arguments):
    return machines[number].start([*STEPS, *words(*arguments)], node=number, first=machines[0])


@pytest.fixture
def machines():
    try:
        two = connect()
    except (OSError, subprocess.CalledProcessError):
        two = on_loopback()
    yield two
    disconnect(two)


@pytest.mark.slow
def test_losses_are_the_same_for_one_process_for_two_and_for_two_nodes(store, tmp_path, machines):
    finish(start(*STEPS, *words(store, tmp_path / "one", ALIKE)))
    finish(start("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *STEPS,
                 *words(store, tmp_path / "two", ALIKE)))
    finish(*[node(machines, number, store, tmp_path / "nodes", ALIKE) for number in (0, 1)])
    one, two, nodes = (json.loads((tmp_path / name).read_text()) for name in ("one", "two", "nodes"))
    assert len(one["losses"]) == len(two["losses"]) == len(nodes["losses"]) == ALIKE["epochs"]
    for other in (two, nodes):
        assert other["losses"] == pytest.approx(one["losses"], rel=1e-5)
        assert other["history"][-1]["validate_auroc"] == pytest.approx(one["history"][-1]["validate_auroc"], abs=0.02)


@pytest.mark.slow
def test_a_node_that_is_killed_and_started_again_is_waited_for(store, tmp_path, machines):
    short = {**ALIKE, "epochs": 10, "save_steps": 1}
    finish(*[node(machines, number, store, tmp_path / "nodes", short) for number in (0, 1)])
    lost = store, tmp_path / "lost", short, tmp_path / "states"
    first, second = node(machines, 0, *lost), node(machines, 1, *lost)
    heard(second, "step 4")
    machines[1].pull_the_plug()
    second.communicate()
    assert second.returncode == -signal.SIGKILL and first.poll() is None
    again = node(machines, 1, *lost)
    assert int(heard(again, "ready at step ")[0]) >= 3
    finish(first, again)
    assert_equal(tmp_path / "lost", tmp_path / "nodes")


@pytest.mark.slow
@pytest.mark.parametrize(("place", "wanted"), [
    pytest.param("folder", 20, id="folder"), pytest.param("bucket", 3, id="bucket", marks=pytest.mark.live)])
def test_kills_at_any_moment_leave_no_trace_in_the_weights(store, tmp_path, request, place, wanted):
    states = request.getfixturevalue("bucket") if place == "bucket" else tmp_path / "states"
    changes = {"epochs": 24, "save_steps": 1, "save_minutes": 0}
    server = subprocess.Popen([sys.executable, *STEPS, "serve"], cwd=ROOT, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def begin(*arguments):
        print(json.dumps(words(store, *arguments)), file=server.stdin, flush=True)
        return int(heard(server, "process ")[0])

    begin(tmp_path / "whole", changes)
    assert heard(server, "ended ")[0] == "0"
    rng, at, torn = random.Random(5), [], 0
    for kill in range(wanted):
        process = begin(tmp_path / "killed", changes, states)
        step, said = heard(server, "ready at step ")
        assert not kill or kill != torn or "damaged (digest); the state before it is taken" in said
        at.append(int(step))
        for _ in range(2):  # The second says that the first one's state is written, however slow the machine is.
            heard(server, "step ")
        time.sleep(rng.uniform(0, 0.04))
        os.kill(process, signal.SIGKILL)
        assert heard(server, "ended ")[0] == "-9"
        if kill % 5 == 4:  # The disk was not as good as it said.
            torn, newest = kill + 1, max(states.glob("*.pt"))
            newest.write_bytes(newest.read_bytes()[:-1000])
    begin(tmp_path / "killed", changes, states)
    at.append(int(heard(server, "ready at step ")[0]))
    assert heard(server, "ended ")[0] == "0"
    server.communicate()
    assert all(after >= before - 1 for before, after in zip(at, at[1:], strict=False)) and at[-1] >= wanted // 2
    assert_equal(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_sigterm_writes_the_state_and_other_numbers_of_processes_go_on_from_it(store, tmp_path):
    long, states = {"epochs": 5000, "save_minutes": 0}, tmp_path / "states"
    for launcher in ((), ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")):
        process = start(*launcher, *STEPS, *words(store, tmp_path / "out", long, states))
        at = int(heard(process, "ready at step ")[0])
        heard(process, "step ")
        process.terminate()
        said = process.communicate(timeout=60)[0]
        assert "stopped as asked, the state is written" in said
        assert process.returncode == 75 or launcher, said
    assert at > 0
    process = start(*STEPS, *words(store, tmp_path / "out", {**long, "epochs": 1}, states))
    assert int(heard(process, "ready at step ")[0]) > at
    finish(process)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_alone_is_asked_to_stop_takes_the_others_along(store, tmp_path, rank):
    process = start("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *STEPS,
                    *words(store, tmp_path / "out", {"epochs": 5000}, tmp_path / "states", rank))
    said = process.communicate(timeout=120)[0]
    assert said.count("stopped as asked, the state is written") == 2, said
    # Two processes write into one pipe, also into one line.
    assert set(re.findall(r"(?<!at )step (\d+)", said)) == {"1", "2"}


def test_a_node_knows_the_meeting_from_the_variables_that_a_trainjob_sets():
    announced = {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": "29400", "PET_NODE_RANK": "1", "PET_NNODES": "2"}
    meeting = Meeting.announced(announced, run="r")
    assert meeting == Meeting("127.0.0.1:29400", 1, 2, "r") and meeting.own_address() == "127.0.0.1"
    with pytest.raises(ValueError, match="PET_NNODES: not set"):
        Meeting.announced({key: value for key, value in announced.items() if key != "PET_NNODES"}, run="r")


def test_norms_over_processes_take_half_precision_as_torchs_own_do(tmp_path):
    ours, theirs = SyncedNorm(3), torch.nn.BatchNorm2d(3)
    x = torch.randn(8, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 3 + 100
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        for given in (x, x.bfloat16()):
            found, expected = ours(given), theirs(given)
            assert found.dtype == expected.dtype == given.dtype
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-2 if given is not x else 1e-4)
    finally:
        dist.destroy_process_group()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-4, atol=1e-4)
