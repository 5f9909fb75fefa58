"""reproduce: what it refuses before any work, and how it compares. docs/registry.md shows a whole run."""

import subprocess

import pytest

from components.register.step import run as register
from components.reproduce import Reproduced, run
from components.tracking import connect
from model.params import GateParams, RegisterParams, Rule, TrackingParams

NAME = "reader"


@pytest.fixture(scope="module")
def tracking(packaged, tmp_path_factory):
    """A registry with one version, said to come from a commit that there is."""
    root = tmp_path_factory.mktemp("reproduce")
    tracking = TrackingParams(uri=f"sqlite:///{root}/mlflow.db")
    register(package=packaged.package, evaluation=packaged.evaluation, decision=packaged.decision,
             registration=root / "registration", params=RegisterParams(name=NAME),
             gate=GateParams(rules=(Rule(limit=0.0),)), tracking=tracking, seed=1)
    return tracking


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit that is not the recorded one."""
    folder = tmp_path / "repository"
    folder.mkdir()
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for line in (("init", "-q"), (*author, "commit", "-q", "--allow-empty", "-m", "a")):
        subprocess.run(["git", "-C", str(folder), *line], check=True)
    return folder


def recorded_commit(tracking, commit):
    connect(tracking).MlflowClient().set_model_version_tag(NAME, "1", "git_commit", commit)


@pytest.mark.parametrize("commit", ["unknown", "a" * 40 + "-dirty", "--upload-pack=evil", "HEAD"])
def test_a_version_of_code_that_no_commit_holds_is_refused(tracking, archive, commit):
    recorded_commit(tracking, commit)
    with pytest.raises(ValueError, match="made from code that no commit holds"):
        run(wanted="1", name=NAME, tracking=tracking, data=archive)


def test_a_commit_that_is_not_here_is_refused_and_leaves_nothing(tracking, archive, repository):
    recorded_commit(tracking, "0" * 40)
    with pytest.raises(ValueError, match="git worktree failed: .*; 'git fetch' may bring the commit"):
        run(wanted="1", name=NAME, tracking=tracking, data=archive, repository=repository)
    listed = subprocess.run(["git", "-C", str(repository), "worktree", "list"], capture_output=True, text=True)
    assert len(listed.stdout.splitlines()) == 1


def test_data_that_is_gone_and_a_folder_in_use_are_refused(tracking, tmp_path):
    with pytest.raises(ValueError, match="nowhere: no such folder; say where the data lies with --data"):
        run(wanted="1", name=NAME, tracking=tracking, data=tmp_path / "nowhere")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(ValueError, match="used: is not empty"):
        run(wanted="1", name=NAME, tracking=tracking, keep=tmp_path / "used")
    with pytest.raises(ValueError, match="--tolerance: must be"):
        run(wanted="1", name=NAME, tracking=tracking, tolerance=1.0)


def test_figures_are_the_same_within_the_tolerance_and_so_is_what_cannot_be_measured():
    def made(then, now, tolerance=0.01):
        return Reproduced("1", "c", "d", tolerance, (("test.clean.macro.auroc", then, now),))

    assert made(0.9, 0.905).same and made(0.9, 0.9, 0.0).same and made(None, None).same
    for then, now in ((0.9, 0.92), (0.9, None), (None, 0.9)):
        assert not made(then, now).same and "DIFFERS" in made(then, now).table()
    assert "NOT reproduced within 0.01" in made(0.9, 0.8).table() and "-0.100000" in made(0.9, 0.8).table()
