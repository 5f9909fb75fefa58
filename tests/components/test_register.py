"""register in a real MLflow store and against a real server: what a version carries, and what is refused."""

import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components.lineage import ROOT, image_digest
from components.moves import MOVE, moves_of
from components.register.step import _figures, run
from components.tracking import connect, start_run
from model.package import check_package, evaluation_digest, package_digest
from model.params import GateParams, RegisterParams, Rule, TrackingParams
from model.reading import PageReading, file_digest, probabilities
from tests.components.conftest import edit_json

PARAMS = RegisterParams(name="reader")
GATE = GateParams(rules=(Rule(limit=0.0),))


def register(folders, tracking, out, **changes):
    given = {"package": folders.package, "evaluation": folders.evaluation, "decision": folders.decision, **changes}
    return run(**{"gate": GATE, **given}, registration=out, params=PARAMS, tracking=tracking, seed=1,
               pipeline_run="run-of-kubeflow")


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    return TrackingParams(uri=f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db")


@pytest.fixture(scope="module")
def registered(packaged, tracking, tmp_path_factory):
    out = tmp_path_factory.mktemp("registered") / "registration"
    return register(packaged, tracking, out), out


def test_a_version_can_be_traced_to_all_it_came_from(packaged, registered, tracking):
    result, out = registered
    assert json.loads((out / "version.json").read_text())["version"] == result.version == "1"
    version = connect(tracking).MlflowClient().get_model_version_by_alias("reader", "challenger")
    meta = check_package(packaged.package)
    (registered_as,) = moves_of(version)
    assert (registered_as["alias"], registered_as["to"], registered_as["why"]) == ("challenger", "1", "register")
    assert {name: text for name, text in version.tags.items() if not name.startswith(MOVE)} == {
        "data_digest": meta["data_digest"], "git_commit": "c0ffee", "params_hash": "f00d",
        "image_digest": image_digest(), "checkpoint_digest": meta["checkpoint_digest"],
        "package_digest": package_digest(packaged.package), "package_version": meta["version"],
        "evaluation_digest": evaluation_digest(packaged.evaluation), "train_run_id": "run-1", "gate": "passed",
        "decision_digest": file_digest(packaged.decision / "decision.json"), "pipeline_run": "run-of-kubeflow",
        "pages_digest": json.loads((packaged.pages / "pages.json").read_text())["digest"],
        "train_image": "none", "package_image": image_digest()}
    assert version.description == (packaged.evaluation / "model_card.md").read_text()[:5000]


def test_its_run_holds_figures_papers_and_the_whole_package(packaged, registered, tracking, tmp_path):
    result, _ = registered
    mlflow = connect(tracking)
    logged = mlflow.get_run(result.run_id)
    metrics = json.loads((packaged.evaluation / "metrics.json").read_text())
    assert logged.data.metrics["test.clean.macro.auroc"] == metrics["test"]["clean"]["macro"]["auroc"]["value"]
    papers = {item.path for item in mlflow.MlflowClient().list_artifacts(result.run_id)}
    assert {"report.html", "model_card.md", "evaluation", "gate", "params.yaml"} <= papers
    made_with = yaml.safe_load(mlflow.artifacts.load_text(f"runs:/{result.run_id}/params.yaml"))
    assert made_with["seed"] == 1 and made_with["ingest"]["source"] == "simulated"
    assert {"ingest", "render", "page", "model", "train", "evaluate", "gate", "package"} <= made_with.keys()
    fetched = mlflow.artifacts.download_artifacts("models:/reader/1", dst_path=str(tmp_path))
    assert package_digest(tmp_path / "artifacts" / "package") == result.package_digest
    assert not list((tmp_path / "code").rglob("*.pyc")) and fetched


def test_figures_of_pages_in_another_layout_are_logged_as_mlflow_takes_their_names(tracking):
    meta = {"metrics": {"clean": {"auroc": {"value": 0.9}},
                        "clean@3x4+2R": {"auroc": {"value": 0.8}, "f1": {"value": None}}}}
    with start_run(tracking, name="figures", tags={}) as mlflow:
        mlflow.log_metrics(_figures(meta))
        run_id = mlflow.active_run().info.run_id
    assert connect(tracking).get_run(run_id).data.metrics == {"test.clean.macro.auroc": 0.9,
                                                              "test.clean/3x4-2R.macro.auroc": 0.8}


@pytest.mark.slow
def test_mlflow_loads_the_version_and_it_reads_pages(packaged, registered, tracking):
    mlflow = connect(tracking)
    loaded = mlflow.pyfunc.load_model("models:/reader@challenger")
    page = packaged.package / "sample.png"
    ours = probabilities(PageReading.open(packaged.package).read(page.read_bytes()))
    answers = loaded.predict(str(page)) + loaded.predict([page.read_bytes(), str(page)])
    assert [probabilities(answer) for answer in answers] == [ours] * 3


def installed_with(requirements: list[str]) -> set[str]:
    """Names of what pip installs for requirements, by what this environment's distributions require."""
    wanted, found = [Requirement(line) for line in requirements], set()
    while wanted:
        name = canonicalize_name(wanted.pop().name)
        if name not in found:
            found.add(name)
            inner = map(Requirement, importlib.metadata.requires(name) or ())
            wanted += [one for one in inner if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def environment_of(names: set[str], folder: Path) -> Path:
    """A folder with links to the files of these distributions alone."""
    folder.mkdir()
    for name in names:
        files = importlib.metadata.files(name)
        for top in {file.parts[0] for file in files if file.parts[0] != ".."}:
            if not (folder / top).exists():
                (folder / top).symlink_to(files[0].locate().parents[len(files[0].parts) - 1] / top)
    return folder


READ = """
import sys
from pathlib import Path
from model.reading import PageReading

page, reading = Path(sys.argv[1], "sample.png").read_bytes(), PageReading.open(sys.argv[1])
print(reading.read(page)["version"], reading.explain(page)[0].label)
"""


def test_what_a_version_requires_is_enough_to_read_and_explain(packaged, registered, tracking, tmp_path):
    file = connect(tracking).artifacts.download_artifacts("models:/reader/1/requirements.txt")
    enough = installed_with(Path(file).read_text().split())
    meta = json.loads((packaged.package / "model.json").read_text())

    def read(environment):
        # -S: without this environment's own packages.
        return subprocess.run([sys.executable, "-S", "-c", READ, str(packaged.package)], capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": f"{environment}:{ROOT}"})

    done = read(environment_of(enough, tmp_path / "enough"))
    assert not done.returncode and done.stdout.split()[0] == meta["version"], done.stderr
    assert "No module named 'isal'" in read(environment_of(enough - {"isal"}, tmp_path / "less")).stderr


def test_another_package_is_the_next_challenger(another, registered, tracking, tmp_path):
    assert register(another, tracking, tmp_path / "out").version == "2"
    client = connect(tracking).MlflowClient()
    assert str(client.get_model_version_by_alias("reader", "challenger").version) == "2"


def refuse(folders, tracking, tmp_path, match, **changes):
    before = len(connect(tracking).search_runs(output_format="list"))
    with pytest.raises(ValueError, match=match):
        register(folders, tracking, tmp_path / "refused", **changes)
    assert not (tmp_path / "refused").exists()
    assert len(connect(tracking).search_runs(output_format="list")) == before


def test_a_model_that_the_gate_refused_is_refused(refused, tracking, tmp_path):
    refuse(refused, tracking, tmp_path, "the gate refused this model .test.clean.macro.auroc is",
           gate=GateParams(rules=(Rule(limit=0.999),)))


def test_a_decision_edited_to_pass_does_not_make_the_package_pass(refused, tracking, tmp_path):
    shutil.copytree(refused.decision, tmp_path / "decision")
    edit_json(tmp_path / "decision" / "decision.json", passed=True)
    refuse(refused, tracking, tmp_path, "passed is True, which its rules do not give", decision=tmp_path / "decision")


def test_papers_of_another_model_are_refused(packaged, another, tracking, tmp_path):
    refuse(packaged, tracking, tmp_path, "another checkpoint", evaluation=another.evaluation)
    refuse(packaged, tracking, tmp_path, "another checkpoint", decision=another.decision)


def test_a_package_changed_by_hand_is_refused(copied, another, tracking, tmp_path):
    whole = (copied.package / "model.json").read_bytes()
    edit_json(copied.package / "model.json", thresholds={"NORM": 0.0})
    refuse(copied, tracking, tmp_path, "model.json: was changed after it was written")
    (copied.package / "model.json").write_bytes(whole)
    shutil.copyfile(another.package / "vizecgnet.mar", copied.package / "vizecgnet.mar")
    refuse(copied, tracking, tmp_path, "is not the one beside it")


def test_an_unfinished_package_is_refused(copied, tracking, tmp_path):
    (copied.package / "sample.json").unlink()
    refuse(copied, tracking, tmp_path, "sample.json: no such file; package again")


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory):
    """A real MLflow server that keeps the artifacts too."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder,
                                   env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
    try:
        yield _wait(f"http://127.0.0.1:{port}", process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(address, process):
    for _ in range(600):
        assert process.poll() is None
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return address
        except requests.RequestException:
            time.sleep(0.5)
    raise AssertionError("the MLflow server does not answer")


@pytest.mark.live
@pytest.mark.slow
def test_a_server_takes_and_returns_the_package(packaged, mlflow_server, tmp_path):
    scheme, _, host = mlflow_server.partition("://")
    tracking = replace(TrackingParams(), uri=f"{scheme}://somebody:secret@{host}")
    result = register(packaged, tracking, tmp_path / "out")
    assert result.tracking_uri == mlflow_server, "a password stays out of what is written"
    assert "secret" not in (tmp_path / "out" / "version.json").read_text()
    mlflow = connect(tracking)
    version = mlflow.MlflowClient().get_model_version_by_alias("reader", "challenger")
    assert str(version.version) == result.version and version.tags["package_digest"] == result.package_digest
    mlflow.artifacts.download_artifacts(f"models:/reader/{version.version}", dst_path=str(tmp_path))
    assert package_digest(tmp_path / "artifacts" / "package") == result.package_digest
