"""deploy, predict and rollback on a real TorchServe and a real registry, as one story; and what is refused."""

import json
import os
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

import components.deploy.step as deploy_step
import components.predict
import components.register.step
import components.rollback
import components.shadow
from components.deploy.trust import check_registered
from components.moves import CHAMPION, PREVIOUS, crown, holder, ledger, moves_of, version_of
from components.tracking import connect
from model.package import check_package
from model.params import GateParams, RegisterParams, Rule, TrackingParams
from model.reading import PageReading, probabilities
from serving.keys import KEY_FILE
from serving.management import Management
from serving.metrics import counted, scrape
from serving.torchserve import PID_FILE, stop
from tests.components.conftest import edit_json
from tests.serving.conftest import deploy_params

NAME = "reader"


class Place:
    """A registry, a server's folder, and what has been registered."""

    def __init__(self, root):
        self.root, self.deployment = root, root / "deployment"
        self.tracking = TrackingParams(uri=f"sqlite:///{root}/mlflow.db")
        self.params = deploy_params()
        self.registrations = {}

    @property
    def client(self):
        return connect(self.tracking).MlflowClient()

    def register(self, folders):
        out = self.root / f"registration{len(self.registrations)}"
        result = components.register.step.run(
            package=folders.package, evaluation=folders.evaluation, decision=folders.decision, registration=out,
            params=RegisterParams(name=NAME), gate=GateParams(rules=(Rule(limit=0.0),)), tracking=self.tracking,
            seed=1)
        self.registrations[folders.package] = out
        return result.version

    def deploy(self, folders, **changes):
        return deploy_step.run(package=folders.package, registration=self.registrations[folders.package],
                               deployment=self.deployment, params=replace(self.params, **changes),
                               tracking=self.tracking, seed=1)

    def champions(self):
        held = [holder(self.client, NAME, alias) for alias in (CHAMPION, PREVIOUS)]
        return tuple(str(version.version) if version else None for version in held)

    @property
    def management(self):
        return Management(self.params.management, self.root / "torchserve" / KEY_FILE)

    @contextmanager
    def once_switched_to(self, folders, strike):
        """Call `strike` with a version in its first minute."""
        version = check_package(folders.package)["version"]

        def read():
            return counted(scrape(self.params.metrics), "vizecg_pages", outcome="read", version=version)

        def take():
            # After the smoke test and the first look: it strikes between two looks.
            until = time.monotonic() + 300
            while read() < before + 2 and time.monotonic() < until:
                time.sleep(0.05)
            strike(version)

        before = read()
        with ThreadPoolExecutor(1) as pool:
            taken = pool.submit(take)
            yield
        taken.result()

    def take_workers(self, version):
        """As a reader that runs out of memory would lose them."""
        self.management.scale(self.params.name, version, 0)

    def kill_server(self, version):
        """As a machine that runs out of memory would."""
        process = json.loads((self.root / "torchserve" / PID_FILE).read_text())["pid"]
        os.killpg(os.getpgid(process), signal.SIGKILL)

    def served(self, page):
        """What the endpoint of deployment.json answers to a page."""
        about = json.loads((self.deployment / "deployment.json").read_text())
        answer, = components.predict.run(page_paths=[page], endpoint=about["endpoint"],
                                         key_file=self.root / "torchserve" / "key_file.json")
        return answer


@pytest.fixture(scope="module")
def place(packaged, another, tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("deploy"))
    assert (place.register(packaged), place.register(another)) == ("1", "2")
    yield place
    stop(place.root / "torchserve")


def test_a_shadow_whose_port_is_taken_is_refused_before_anything_is_loaded(packaged, tmp_path):
    (tmp_path / "deployment.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"^--port: cannot listen at 127.0.0.1:{port} .*; give another$"):
            components.shadow.run(package=packaged.package, deployment=tmp_path, log=tmp_path / "log.jsonl",
                                  params=deploy_params(), port=port)
    assert [path.name for path in tmp_path.iterdir()] == ["deployment.json"]


def test_a_registration_that_names_no_version_is_refused(packaged, tmp_path):
    (tmp_path / "version.json").write_text("{}")
    with pytest.raises(ValueError, match="version.json: has no name and version; run 'vizecg register' again"):
        deploy_step.run(package=packaged.package, registration=tmp_path, deployment=tmp_path / "out",
                        params=deploy_params(), tracking=TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db"), seed=1)


@pytest.mark.live
@pytest.mark.slow
def test_deploy_then_the_next_then_a_failure_then_back(place, packaged, another):
    page = packaged.package / "sample.png"
    ours = {folders: probabilities(PageReading.open(folders.package).read(page.read_bytes()))
            for folders in (packaged, another)}
    assert ours[packaged] != ours[another]

    first = place.deploy(packaged)
    assert (first.version, first.previous_version) == ("1", None) and first.parity <= place.params.parity
    assert place.champions() == ("1", None)
    assert probabilities(place.served(page)) == pytest.approx(ours[packaged], abs=1e-5)

    with pytest.raises(ValueError, match="deploy.parity"):
        place.deploy(another, parity=-1.0)
    assert place.champions() == ("1", None) and place.served(page)["version"] == first.served_version

    with (place.once_switched_to(another, place.take_workers),
          pytest.raises(RuntimeError, match="its workers ended soon after the switch")):
        place.deploy(another, watch_s=120.0)
    assert place.champions() == ("1", None) and place.served(page)["version"] == first.served_version
    assert place.management.versions(place.params.name) == {first.served_version: True}

    second = place.deploy(another)
    assert (second.version, second.previous_version) == ("2", "1") and place.champions() == ("2", "1")
    assert probabilities(place.served(page)) == pytest.approx(ours[another], abs=1e-5)
    assert place.deploy(another).previous_version is None and place.champions() == ("2", "1")

    # The server forgets everything: a challenger is not what it begins to answer with, the old version comes back.
    stopped = [deploy_step.stop_server(place.deployment, place.params) for _ in range(2)]
    assert stopped == [True, False]
    with pytest.raises(ValueError, match="nothing is served that it could be compared with"):
        components.shadow.run(package=packaged.package, deployment=place.deployment, log=place.root / "shadow.jsonl",
                              params=place.params, port=1)
    assert place.management.versions(place.params.name) == {}
    back = components.rollback.run(deployment=place.deployment, params=place.params, tracking=place.tracking)
    assert (back.version, back.previous_version) == ("1", "2") and place.champions() == ("1", "2")
    assert probabilities(place.served(page)) == pytest.approx(ours[packaged], abs=1e-5)
    moves = moves_of(version_of(place.client, NAME, "1"))
    assert [move["alias"] for move in moves] == ["challenger", CHAMPION, PREVIOUS, CHAMPION]
    assert [move["why"] for move in moves] == ["register", "deploy", "deploy", "rollback"]
    assert (moves[-1]["from"], moves[-1]["to"]) == ("2", "1")

    # Somebody sets the alias in MLflow's pages: deploying the other version is refused, that one is served.
    place.client.set_registered_model_alias(NAME, CHAMPION, "2")
    with pytest.raises(ValueError, match="set the champion by hand, to version 2; serve that with"):
        place.deploy(packaged)
    by_hand = deploy_step.serve_champion(deployment=place.deployment, params=place.params, tracking=place.tracking,
                                         name=NAME)
    assert by_hand.version == "2" and place.champions() == ("2", "1")
    assert probabilities(place.served(page)) == pytest.approx(ours[another], abs=1e-5)
    assert ledger(place.client, NAME)[-1].why == "alias set by hand in MLflow"

    # The server dies in the watch: that it could not be taken back either is said beside why it failed.
    with place.once_switched_to(packaged, place.kill_server), pytest.raises(RuntimeError) as failed:
        place.deploy(packaged, watch_s=120.0)
    assert any("Nor could it be taken back: " in note for note in failed.value.__notes__)
    assert place.champions() == ("2", "1")


def refuse(place, folders, match):
    with pytest.raises(ValueError, match=match):
        place.deploy(folders)


def test_a_package_that_is_not_the_registered_one_is_refused(place, packaged, another, copied):
    place.registrations[copied.package] = place.registrations[another.package]
    refuse(place, copied, "not the package registered as reader version 2")
    place.registrations[copied.package] = place.registrations[packaged.package]
    edit_json(copied.package / "sample.json", record="another")
    refuse(place, copied, "not the package registered as reader version 1")


def test_a_version_that_was_never_registered_is_refused(place, packaged, copied, tmp_path):
    registration = tmp_path / "registration"
    shutil.copytree(place.registrations[packaged.package], registration)
    edit_json(registration / "version.json", version="99")
    place.registrations[copied.package] = registration
    refuse(place, copied, "reader version 99: not in this registry")


def test_a_registered_version_that_the_gate_refused_is_refused(place, refused):
    """Somebody registers it past the verb, with the right digest."""
    from model.package import package_digest

    client = place.client
    client.create_registered_model("smuggled")
    version = client.create_model_version("smuggled", "file:///nowhere",
                                          tags={"package_digest": package_digest(refused.package)})
    with pytest.raises(ValueError, match="the gate refused this model"):
        check_registered(refused.package, version)


def test_a_move_is_appended_and_never_changed(tmp_path):
    client = connect(TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db")).MlflowClient()
    client.create_registered_model(NAME)
    for _ in range(2):
        client.create_model_version(NAME, "file:///nowhere")
    assert holder(client, NAME, CHAMPION) is None
    assert crown(client, NAME, "1", why="a") is None and crown(client, NAME, "1", why="again") is None
    assert crown(client, NAME, "2", why="b") == "1" and crown(client, NAME, "1", why="c") == "2"
    moves = [(move["alias"], move["why"]) for move in moves_of(version_of(client, NAME, "1"))]
    assert moves == [(CHAMPION, "a"), (PREVIOUS, "b"), (CHAMPION, "c")]
    assert [(entry.before, entry.to) for entry in ledger(client, NAME)] == [("", "1"), ("1", "2"), ("2", "1")]
    assert str(holder(client, NAME, PREVIOUS).version) == "2"


def test_rollback_without_a_previous_champion_is_refused(tmp_path):
    tracking = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db")
    connect(tracking).MlflowClient().create_registered_model(NAME)
    (tmp_path / "deployment").mkdir()
    (tmp_path / "deployment" / "deployment.json").write_text(json.dumps({"name": NAME}))
    with pytest.raises(ValueError, match="nothing to roll back to"):
        components.rollback.run(deployment=tmp_path / "deployment", params=deploy_params(), tracking=tracking)


def test_rollback_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="vizecg deploy"):
        components.rollback.run(deployment=tmp_path, params=deploy_params(), tracking=TrackingParams(uri="sqlite://"))


def test_the_version_served_is_that_of_the_package(packaged, another):
    assert check_package(packaged.package)["version"] != check_package(another.package)["version"]
