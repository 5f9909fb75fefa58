"""The whole pipeline on 60 records, from a WFDB record to a served prediction: every part the real one."""

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from components.notify.step import WEBHOOK
from components.registry import HELPERS, STEPS
from model.params import TrackingParams, load_params
from model.typed import as_dict

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "validate": {"min_records": 10, "min_prevalence": 0.0},
    "page": {"height": 96, "width": 192, "px_per_mm": 0.75},
    "render": {"contact_sheet": 4, "samples": 1, "captures": ["clean", "scan"]},
    "model": {"image_widths": [8] * 4, "image_depths": [1] * 4, "signal_widths": [8] * 4, "signal_depths": [1] * 4,
              "token_dim": 16, "heads": 2},
    "train": {"epochs": 1, "batch_size": 16, "precision": "fp32"},
    "evaluate": {"resamples": 20},
    "gate": {"rules": [{"metric": "test.clean.macro.auroc", "limit": 0.0}]},
}


def free_addresses(count: int) -> list[str]:
    """Loopback addresses with ports that nobody has now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"http://127.0.0.1:{s.getsockname()[1]}" for s in held]
    for s in held:
        s.close()
    return addresses


def vizecg(folder: Path, *line, **environment) -> subprocess.CompletedProcess:
    """Call the command line as a user does, in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run([sys.executable, "-m", "components", *map(str, line)], cwd=folder, env=environment,
                          capture_output=True, text=True)


def write_params(folder: Path, archive: Path, **sections) -> None:
    params = as_dict(load_params(ROOT / "params.yaml"))
    params["ingest"]["data"] = str(archive)
    for name, section in (SMALL | sections).items():
        params[name] |= section
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def client_of(folder: Path):
    """A client of the folder's own runs and registry, whatever server a test before this one left behind."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder}/mlflow.db"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs(folder: Path, step: str) -> list:
    client = client_of(folder)
    experiment = client.get_experiment_by_name(TrackingParams().experiment)
    return client.search_runs([experiment.experiment_id], f"tags.step = '{step}'")


class Webhook(BaseHTTPRequestHandler):
    """Takes messages as Slack does."""

    def do_POST(self):
        self.server.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def webhook():
    server = HTTPServer(("127.0.0.1", 0), Webhook)
    server.taken, server.host = [], f"http://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def project(archive, webhook, tmp_path_factory):
    """A folder in which the pipeline ran once, as a sweep of two; its server is stopped after the tests."""
    from serving.torchserve import stop

    folder = tmp_path_factory.mktemp("project")
    inference, management, metrics = free_addresses(3)
    write_params(folder, archive, deploy={"inference": inference, "management": management, "metrics": metrics,
                                         "watch_s": 1.0})
    done = vizecg(folder, "pipeline", "run", "--shards", "2", "--trial", '{"seed": 7}', "--trial",
                  '{"seed": 8, "train": {"learning_rate": 0.0001}}', **{WEBHOOK: webhook.host})
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    yield folder
    stop(folder / "artifacts" / "torchserve")


@pytest.fixture(scope="module")
def outputs(project):
    """Each step's output folder in the pipeline's run."""
    (run,) = (project / "local").glob("*/vizecgnet-training-*")
    through = {"ingest": "merge-shards", "train": "choose"}
    return {name: run / through.get(name, name) / step.output for name, step in STEPS.items()}


@pytest.mark.slow
@pytest.mark.live
class TestWholePipeline:
    def test_every_task_succeeded_and_the_branch_behind_the_gate_ran(self, project, outputs):
        said = (project / "stdout.txt").read_text()
        for name in ({*STEPS, *HELPERS} - {"notify-refused"}):
            assert f"{name}: SUCCESS" in said
        assert "notify-refused" not in said
        assert "the gate was passed and the tasks behind it ran" in said
        assert all(folder.is_dir() for folder in outputs.values())

    def test_mlflow_knows_how_it_ended(self, project):
        (ending,) = runs(project, "pipeline")
        assert ending.data.tags["pipeline_state"] == "SUCCEEDED"

    def test_the_webhook_is_told(self, project, webhook):
        (message,) = webhook.taken
        assert message["text"].startswith("vizecgnet: SUCCEEDED ")

    def test_of_two_trials_the_better_on_validation_goes_on(self, project, outputs):
        run = outputs["gate"].parents[1]
        trials = [json.loads(path.read_text()) for path in sorted(run.glob("for-loop-*/train/checkpoint/model.json"))]
        assert sorted(trial["seed"] for trial in trials) == [7, 8]
        chosen = json.loads((outputs["train"] / "model.json").read_text())
        assert chosen["validate_auroc"] == max(trial["validate_auroc"] for trial in trials)
        assert f"{chosen['validate_auroc']:.4f}**" in (run / "choose" / "sweep").read_text()
        measured = json.loads((outputs["evaluate"] / "metrics.json").read_text())["validate"]["clean"]["macro"]["auroc"]
        assert chosen["validate_auroc"] == pytest.approx(measured["value"], abs=2e-3)

    def test_every_capture_was_read_for_itself_and_measured_together(self, outputs):
        run = outputs["gate"].parents[1]
        assert len(list(run.glob("for-loop-*/read-capture/readings/predictions.parquet"))) == 2
        assert json.loads((outputs["evaluate"] / "metrics.json").read_text())["test"].keys() == {"clean", "scan"}

    def test_the_served_version_is_the_champion_and_leads_back_to_its_data(self, project, outputs):
        deployment = json.loads((outputs["deploy"] / "deployment.json").read_text())
        client = client_of(project)
        champion = client.get_model_version_by_alias(deployment["name"], "champion")
        assert str(champion.version) == str(deployment["version"])
        trained = client.get_run(champion.tags["train_run_id"])
        store = json.loads((outputs["ingest"] / "store.json").read_text())
        assert trained.data.tags["data_digest"] == champion.tags["data_digest"] == store["digest"]

    def test_a_printed_page_is_read_the_same_by_the_package_and_the_server(self, project, outputs):
        (page,) = (outputs["render"] / "samples").glob("*.png")
        endpoint = json.loads((outputs["deploy"] / "deployment.json").read_text())["endpoint"]
        served = vizecg(project, "predict", page, "--endpoint", endpoint, "--json", "served.json")
        packaged = vizecg(project, "predict", page, "--package", outputs["package"], "--json", "packaged.json")
        assert (served.returncode, packaged.returncode) == (0, 0), served.stderr + packaged.stderr
        answers = [{f["label"]: f["probability"] for f in json.loads((project / name).read_text())[0]["findings"]}
                   for name in ("served.json", "packaged.json")]
        assert answers[0] == pytest.approx(answers[1], abs=1e-3) and len(answers[0]) == 9

    def test_the_command_line_comes_to_the_same_figures(self, project, outputs):
        """Train, evaluate and decide once more, step by step, on what the pipeline ingested and rendered."""
        chosen = json.loads((outputs["train"] / "model.json").read_text())
        trial = ("--seed", chosen["seed"], "--set", f"train.learning_rate={chosen['train']['learning_rate']}")
        for line in (("train", *trial, "--records", outputs["ingest"], "--validation", outputs["validate"]),
                     ("evaluate", "--pages", outputs["render"]), ("gate", "--pages", outputs["render"])):
            done = vizecg(project, *line)
            assert done.returncode == 0, done.stderr
        ours, theirs = (json.loads((folder / "metrics.json").read_text())
                        for folder in (project / "artifacts" / "evaluate", outputs["evaluate"]))
        assert ours["test"] == theirs["test"] and ours["validate"] == theirs["validate"]

    def test_evaluate_writes_the_same_bytes_from_the_command_line(self, project, outputs):
        done = vizecg(project, "evaluate", "--checkpoint", outputs["train"], "--pages", outputs["render"],
                      "--out", "same")
        assert done.returncode == 0, done.stderr
        for name in ("metrics.json", "thresholds.json", "predictions.parquet"):
            assert (project / "same" / name).read_bytes() == (outputs["evaluate"] / name).read_bytes()


@pytest.mark.slow
def test_a_failed_task_ends_the_run_with_its_last_lines_and_mlflow_knows(archive, tmp_path):
    write_params(tmp_path, archive, validate={"min_records": 1000})
    done = vizecg(tmp_path, "pipeline", "run")
    assert done.returncode == 1
    message = done.stdout[done.stdout.index("pipeline run: task validate failed"):]
    assert "enough_records fails with 60" in message and "log: " in message
    assert "train: running" not in done.stdout
    (ending,) = runs(tmp_path, "pipeline")
    assert ending.data.tags["pipeline_state"] == "FAILED"
    again = vizecg(tmp_path, "pipeline", "run")
    assert again.returncode == 1 and "validate: running" in again.stdout
    assert "ingest: done before, taken from the cache" in again.stdout and "ingest: running" not in again.stdout
