"""A Kubeflow Pipelines server: what is sent to it, what is said of a run, and what when none is there."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from components.cli import main
from model.params import Params, TrainParams
from model.typed import from_dict
from pipelines.server import Server, follow, schedule, six_fields, submit
from pipelines.verbs import pipeline_arguments

ROOT = Path(__file__).resolve().parents[2]
API = "/apis/v2beta1"


class Kubeflow(BaseHTTPRequestHandler):
    """As much of the server's API as starting, scheduling and following takes; keeps what it was sent."""

    def do_GET(self):
        path = urlsplit(self.path).path
        self.server.tokens.append(self.headers.get("Authorization", ""))
        if self.server.tokens[-1] in self.server.run_out:
            return self._answer(None, 401)
        if path == f"{API}/runs/r1":
            looks = self.server.looks
            return self._answer(looks.pop(0) if len(looks) > 1 else looks[0])
        self._answer({f"{API}/healthz": {"multi_user": False}, f"{API}/experiments": {}}.get(path))

    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.sent.append((self.path, sent))
        answers = {f"{API}/experiments": {"experiment_id": "e1", "display_name": "vizecgnet"},
                   f"{API}/runs": {"run_id": "r1"}, f"{API}/recurringruns": {"recurring_run_id": "j1"}}
        self._answer(None if self.server.refuses else answers.get(self.path))

    def _answer(self, body, refusal=403):
        self.send_response(200 if body is not None else refusal)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        """Say nothing."""


def look(state, *tasks, error=""):
    """What the server says of a run at one moment."""
    details = [{"display_name": name, "state": task, **({"error": {"message": said}} if said else {})}
               for name, task, said in tasks]
    return {"run_id": "r1", "created_at": "2026-01-01T00:00:00Z", "state": state,
            "run_details": {"task_details": details}, **({"error": {"message": error}} if error else {})}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("pipelines.server.SECONDS_BETWEEN_LOOKS", 0.01)
    server = HTTPServer(("127.0.0.1", 0), Kubeflow)
    server.sent, server.tokens, server.refuses, server.looks = [], [], False, [look("SUCCEEDED")]
    server.run_out = set()
    server.host = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def arguments(params, digest="abc"):
    return pipeline_arguments(params, data="s3://archive/ptb-xl", data_digest=digest)


def vizecg(server, *line):
    """The verb with the parameters of the repository, recorded on a server."""
    return main(["pipeline", line[0], "--host", server.host, "--params", str(ROOT / "params.yaml"), *line[1:]])


def test_a_run_is_started_with_the_parameters(server):
    params = Params(train=TrainParams(epochs=3))
    assert submit(Server(server.host, account="vizecg"), params, arguments(params), release=False) == "r1"
    (_, experiment), (path, run) = server.sent
    assert experiment["display_name"] == "vizecgnet" and path == f"{API}/runs"
    assert run["service_account"] == "vizecg"
    spec = run["pipeline_spec"]
    assert spec["pipeline_spec"]["pipelineInfo"]["name"] == "vizecgnet-training"
    assert spec["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]["secretAsEnv"]
    parameters = run["runtime_config"]["parameters"]
    assert from_dict(TrainParams, parameters["train"]) == TrainParams(epochs=3)
    assert parameters["data_digest"] == "abc" and parameters["commit"]
    assert parameters["captures"] == ["clean"] and parameters["trials"] == [{"train": {}}]


def test_what_is_sent_has_every_input_of_the_pipeline_and_no_other(server):
    submit(Server(server.host), Params(), arguments(Params()), release=False)
    run = server.sent[-1][1]
    known = run["pipeline_spec"]["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    assert run["runtime_config"]["parameters"].keys() <= known.keys()


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")


def test_submit_waits_and_says_each_state_once(server, elsewhere, capsys):
    server.looks = [look("RUNNING", ("ingest", "RUNNING", ""), ("root-driver", "RUNNING", "")),
                    look("RUNNING", ("ingest", "SUCCEEDED", "")), look("RUNNING", ("ingest", "SUCCEEDED", "")),
                    look("FAILED", ("ingest", "SUCCEEDED", ""), ("validate", "FAILED", "enough_records fails with 60"),
                         error="1 task failed")]
    assert vizecg(server, "submit", "--placeholders", "--input", "gpus=1", "--input", 'gpu_node_selector={"gpu": "a"}',
                  "--trial", '{"seed": 8}') == 1
    link = f"{server.host}/#/runs/details/r1"
    assert capsys.readouterr().out.splitlines() == [
        f"pipeline submit: {link}", "ingest: RUNNING", "run: RUNNING", "ingest: SUCCEEDED", "validate: FAILED",
        "run: FAILED", "validate: enough_records fails with 60", "run: 1 task failed", f"pipeline: FAILED {link}"]
    sent = server.sent[-1][1]["runtime_config"]["parameters"]
    assert sent["gpus"] == "1" and sent["gpu_node_selector"] == {"gpu": "a"} and sent["trials"] == [{"seed": 8}]
    assert sent["data_digest"].startswith("unknown at "), "no digest: no cached ingest may be taken"


def test_ctrl_c_leaves_the_run_running_and_says_how_to_follow(server, elsewhere, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.server.time.sleep", interrupted)
    server.looks = [look("RUNNING")]
    assert vizecg(server, "submit", "--placeholders") == 130
    assert f"the run goes on; follow it again with: vizecg pipeline follow r1 --host {server.host}" in \
        capsys.readouterr().err
    assert [path for path, _ in server.sent] == [f"{API}/experiments", f"{API}/runs"], "nothing was sent to end it"


def test_a_token_that_runs_out_on_the_way_is_read_anew(server, tmp_path):
    token, said = tmp_path / "token", []
    token.write_text("first")
    server.looks = [look("RUNNING"), look("SUCCEEDED")]

    def say(line):
        said.append(line)
        token.write_text("second")
        server.run_out.add("Bearer first")

    assert follow(Server(server.host, token_file=token), "r1", say=say) == "SUCCEEDED"
    assert said == ["run: RUNNING", "run: SUCCEEDED"] and server.tokens[-1] == "Bearer second"


def test_a_run_is_scheduled_without_the_cache_and_never_twice_at_a_time(server, elsewhere, capsys):
    assert vizecg(server, "schedule", "--placeholders", "--cron", "0 3 * * 1") == 0
    path, job = server.sent[-1]
    assert path == f"{API}/recurringruns" and job["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 1"
    assert int(job["max_concurrency"]) == 1 and job["no_catchup"] is True and job["mode"] == "ENABLE"
    executors = job["pipeline_spec"]["pipeline_spec"]
    cached = [task.get("cachingOptions", {}).get("enableCache", False)
              for component in [executors["root"], *executors["components"].values()] if "dag" in component
              for task in component["dag"]["tasks"].values()]
    assert cached and not any(cached)
    assert capsys.readouterr().out.strip() == f"pipeline schedule: {server.host}/#/recurringrun/details/j1"


@pytest.mark.parametrize("which", ["batch_predict", "monitor"])
def test_pages_of_a_bucket_are_read_in_parts(which, server, elsewhere):
    assert vizecg(server, "submit", "--placeholders", "--no-wait", "--which", which, "--input", "scans=s3://scans/new",
                  "--input", "parts=3") == 0
    run = server.sent[-1][1]
    sent, spec = run["runtime_config"]["parameters"], run["pipeline_spec"]["pipeline_spec"]
    assert sent["scans"] == "s3://scans/new" and sent["parts"] == [0, 1, 2]
    assert sent["tracking"]["uri"] == "http://mlflow:5000"
    assert sent.keys() <= spec["root"]["inputDefinitions"]["parameters"].keys()


def test_mistakes_are_one_line(server, elsewhere, capsys, tmp_path):
    for line, message in ((("submit",), "data has no reference of the form NAME@sha256"),
                          (("schedule", "--placeholders", "--cron", "daily"), "'daily' has 1 fields"),
                          (("submit", "--placeholders", "--input", "gpus"), "'gpus' is not NAME=VALUE"),
                          (("submit", "--placeholders", "--trial", "8"), "'8' is no object"),
                          (("submit", "--placeholders", "--trial", "{8"), "is not JSON"),
                          (("submit", "--placeholders", "--recipe", "no"), "no recipe is called 'no'"),
                          (("submit", "--placeholders", "--which", "monitor"), "--input scans=PLACE"),
                          (("submit", "--placeholders", "--which", "batch_predict", "--input", "scans=a", "--input",
                            "layout=7x2"), "unknown layout '7x2'"),
                          (("submit", "--placeholders", "--token-file", str(tmp_path / "t")), "No such file")):
        assert vizecg(server, *line) == 2
        assert message in capsys.readouterr().err
    assert server.sent == []


def test_runs_that_only_one_machine_could_record_are_refused(server, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert vizecg(server, "submit", "--placeholders") == 2
    assert "set MLFLOW_TRACKING_URI to a server that the cluster reaches" in capsys.readouterr().err


def test_a_token_is_sent_where_one_is_wanted(server, tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    submit(Server(server.host, token_file=tmp_path / "token"), Params(), arguments(Params()), release=False)
    assert server.tokens[0] == "Bearer s3cret"


def test_a_refusal_is_one_line(server):
    server.refuses = True
    for start in (submit, lambda *given, **named: schedule(*given, cron="0 3 * * *", **named)):
        with pytest.raises(ValueError, match="the server refuses the (run|schedule): 403 Forbidden"):
            start(Server(server.host), Params(), arguments(Params()), release=False)


def test_a_closed_port_is_one_line():
    with pytest.raises(ValueError, match="no Kubeflow Pipelines server answers there \\(ConnectionError\\)"):
        Server("http://127.0.0.1:9").client()


def test_a_server_that_never_answers_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("pipelines.server.SECONDS_TO_ANSWER", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ValueError, match="ReadTimeout"):
        Server(f"http://127.0.0.1:{silent.getsockname()[1]}").client()


def test_a_server_that_goes_away_is_given_up_after_a_while(server, monkeypatch):
    monkeypatch.setattr("pipelines.server.LOOKS_THAT_MAY_FAIL", 3)
    server.looks = [look("RUNNING"), None]
    with pytest.raises(RuntimeError, match="does not answer any more"):
        follow(Server(server.host), "r1", say=lambda _: None)


def test_cron_has_seconds_in_kubeflow():
    assert six_fields("*/5 * * * *") == "0 */5 * * * *" and six_fields("30 0 3 * * 1") == "30 0 3 * * 1"


@pytest.mark.parametrize("verb", ["create", "submit"])
def test_kfps_own_command_starts_the_committed_file(verb, server):
    from click.testing import CliRunner
    from kfp.cli import cli

    golden = str(ROOT / "pipelines" / "training.yaml")
    done = CliRunner().invoke(cli.cli, ["--endpoint", server.host, "run", verb, "-e", "vizecgnet", "-f", golden,
                                        "data=/workspace/ptb-xl", 'gpus="1"'], obj={})
    assert done.exit_code == 0, done.output
    path, run = server.sent[-1]
    assert path == f"{API}/runs"
    assert run["runtime_config"]["parameters"] == {"data": "/workspace/ptb-xl", "gpus": "1"}
