"""Submitting: what is sent to a Kubeflow Pipelines server, and what is said when none is there."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest

from model.params import Params, TrainParams, from_dict
from pipelines.verbs import submit


class Kubeflow(BaseHTTPRequestHandler):
    """As much of the server's API as starting a run needs; keeps what it was sent."""

    def do_GET(self):
        path = urlsplit(self.path).path
        self._answer({"/apis/v2beta1/healthz": {"multi_user": False}, "/apis/v2beta1/experiments": {}}.get(path))

    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.sent.append((self.path, sent))
        answers = {"/apis/v2beta1/experiments": {"experiment_id": "e1", "display_name": "vizecgnet"},
                   "/apis/v2beta1/runs": {"run_id": "r1"}}
        self._answer(None if self.server.refuses else answers.get(self.path))

    def _answer(self, body):
        self.send_response(200 if body is not None else 403)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    server = HTTPServer(("127.0.0.1", 0), Kubeflow)
    server.sent, server.refuses = [], False
    server.host = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_run_is_started_with_the_parameters(server):
    link = submit(Params(train=TrainParams(epochs=3)), host=server.host, data_digest="abc")
    assert link == f"{server.host}/#/runs/details/r1"
    (_, experiment), (path, run) = server.sent
    assert experiment["display_name"] == "vizecgnet" and path == "/apis/v2beta1/runs"
    assert run["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "vizecgnet-training"
    parameters = run["runtime_config"]["parameters"]
    assert from_dict(TrainParams, parameters["train"]) == TrainParams(epochs=3)
    assert parameters["data_digest"] == "abc" and parameters["commit"]


def test_without_a_digest_no_cached_ingest_is_taken(server):
    submit(Params(), host=server.host)
    assert server.sent[-1][1]["runtime_config"]["parameters"]["data_digest"].startswith("unknown at ")


def test_a_refusal_is_one_line(server):
    server.refuses = True
    with pytest.raises(ValueError, match="the server refuses the run: 403 Forbidden"):
        submit(Params(), host=server.host)


def test_a_closed_port_is_one_line():
    with pytest.raises(ValueError, match="no Kubeflow Pipelines server answers there \\(ConnectionError\\)"):
        submit(Params(), host="http://127.0.0.1:9")


def test_a_server_that_never_answers_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("pipelines.verbs.SECONDS_TO_ANSWER", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ValueError, match="ReadTimeout"):
        submit(Params(), host=f"http://127.0.0.1:{silent.getsockname()[1]}")
