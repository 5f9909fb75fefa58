"""How a pipeline ended: in MLflow whatever happens, to the webhook where there is one, and never a key in the open."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from components.notify.step import drifted, reasons, run, tell
from components.tracking import connect
from model.params import TrackingParams


@pytest.fixture
def webhook():
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(self.server.status)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.taken, server.status = [], 200
    server.address = f"http://127.0.0.1:{server.server_port}/services/s3cret"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_an_ending_is_told_and_recorded(webhook, tmp_path):
    tracking = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db")
    result = run(state="FAILED", job="job-1", message="x" * 9000, commit="c0ffee", tracking=tracking,
                 webhook=webhook.address)
    (text,) = webhook.taken
    assert result.told and text.startswith("vizecgnet: FAILED job-1\nxxx") and len(text) < 4100
    tags = connect(tracking).MlflowClient().get_run(result.run_id).data.tags
    assert (tags["pipeline_state"], tags["pipeline_told"]) == ("FAILED", "true")
    assert "s3cret" not in json.dumps(tags)


@pytest.mark.parametrize("status", [500, 403, 302])
def test_a_webhook_that_refuses_is_said_without_its_address(status, webhook, capsys):
    webhook.status = status
    assert not tell(webhook.address, "text")
    said = capsys.readouterr().err
    assert f"did not take the message (status {status})" in said and "s3cret" not in said
    assert len(webhook.taken) == 1, "no redirection is followed"


def test_a_webhook_that_is_away_or_is_none_is_said(capsys):
    assert not tell("http://127.0.0.1:9/s3cret", "text") and not tell("file:///etc/s3cret", "text")
    said = capsys.readouterr().err
    assert "(ConnectionError)" in said and "no http(s) address" in said and "s3cret" not in said


def test_the_reasons_are_those_of_the_rules_that_failed(tmp_path):
    rules = [{"passed": False, "reason": "auroc 0.6 < 0.9"}, {"passed": True, "reason": "f1 is fine"}]
    (tmp_path / "decision.json").write_text(json.dumps({"rules": rules}))
    assert reasons(tmp_path) == "auroc 0.6 < 0.9"
    (tmp_path / "monitor.json").write_text(json.dumps({"drifted": ["scores of MI", "confidence"]}))
    assert drifted(tmp_path) == "scores of MI\nconfidence"


def test_the_components_tell_and_record(webhook, tmp_path, monkeypatch):
    from kfp import dsl

    from components.notify.component import notify, notify_refused
    from components.notify.drift_component import notify_drift
    from components.notify.step import WEBHOOK

    monkeypatch.setenv(WEBHOOK, webhook.address)
    (tmp_path / "decision.json").write_text(json.dumps({"rules": [{"passed": False, "reason": "too low"}]}))
    (tmp_path / "monitor.json").write_text(json.dumps({"drifted": ["confidence"]}))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    common = {"tracking": {"uri": uri}, "commit": "c0ffee"}
    status = dsl.PipelineTaskFinalStatus(state="SUCCEEDED", pipeline_job_resource_name="job-1",
                                         pipeline_task_name="training", error_code=None, error_message=None)
    notify.python_func(status=status, **common)
    notify_refused.python_func(decision=dsl.Artifact(uri=str(tmp_path)), job="job-2", **common)
    notify_drift.python_func(watched=dsl.Artifact(uri=str(tmp_path)), job="job-3", **common)
    assert webhook.taken == ["vizecgnet: SUCCEEDED job-1", "vizecgnet: REFUSED job-2\ntoo low",
                             "vizecgnet: DRIFT job-3\nconfidence"]
    client = connect(TrackingParams(uri=uri)).MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name(TrackingParams().experiment).experiment_id])
    assert {run.data.tags["pipeline_state"] for run in runs} == {"SUCCEEDED", "REFUSED", "DRIFT"}
