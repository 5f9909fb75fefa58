"""A Kubeflow Pipelines server: start a run, follow it, have one started again and again."""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import requests
import urllib3

from model.params import Params
from pipelines.compiled import PIPELINES, compile_pipeline

SECONDS_TO_ANSWER = 5
SECONDS_BETWEEN_LOOKS = 10.0
LOOKS_THAT_MAY_FAIL = 30
"""In a row: a server is away while it is updated, and the run goes on without it."""
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
NOT_A_TASK = ("root", "driver", "executor")
"""Parts of the name of what Kubeflow lists beside the tasks themselves."""


@dataclass(frozen=True)
class Server:
    """Where the API is, and as whom to speak to it.

    `token_file` holds a bearer token, read anew for each client, and by `follow` when the one before has run out;
    `account` is the
    Kubernetes service account of the tasks, `namespace` the profile's on a multi-user cluster.
    """

    host: str
    namespace: str = ""
    token_file: Path | None = None
    account: str = ""

    def token(self) -> str | None:
        """Return the token of now.

        Raises:
            ValueError: the file cannot be read.
        """
        if self.token_file is None:
            return None
        try:
            return self.token_file.read_text().strip()
        except OSError as error:
            raise ValueError(f"{self.token_file}: {error.strerror}; give --token-file a file with a token") from None

    def client(self):
        """Return kfp's client, once the server answers: that alone would try for minutes.

        Raises:
            ValueError: no server answers, or not to us.
        """
        headers = {"Authorization": f"Bearer {token}"} if (token := self.token()) else {}
        try:
            answer = requests.get(f"{self.address}/apis/v2beta1/healthz", timeout=SECONDS_TO_ANSWER, headers=headers)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise ValueError(f"{self.host}: no Kubeflow Pipelines server answers there ({type(error).__name__}); "
                             "give --host the address of its API, such as http://127.0.0.1:8888, and --token-file if "
                             "it wants a token") from None
        from kfp import Client

        return Client(host=self.host, existing_token=self.token(), namespace=self.namespace or "kubeflow")

    @property
    def address(self) -> str:
        """The host without a slash at its end."""
        return self.host.rstrip("/")

    def link(self, run: str) -> str:
        """Return where a person looks at a run."""
        return f"{self.address}/#/runs/details/{run}"


@contextmanager
def _refusals(server: Server, what: str) -> Iterator[None]:
    """One line for what the server refuses; kfp's own lines about where things lie are left to us to say."""
    from kfp_server_api import ApiException

    try:
        with redirect_stdout(io.StringIO()):
            yield
    except ApiException as error:
        raise ValueError(f"{server.host}: the server refuses {what}: {error.status} {error.reason}") from None


def submit(server: Server, params: Params, arguments: dict, *, which: str = "training", release: bool = True) -> str:
    """Start a run and return its id.

    Args:
        server: where.
        params: the experiment's name is among them.
        arguments: the pipeline's parameters.
        which: the pipeline.
        release: with the images of images.lock; otherwise with placeholders, which a cluster has only if somebody
            loaded them into its nodes.

    Raises:
        ValueError: nothing is released, no server answers, or it refuses the run.
    """
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / f"{which}.yaml"
        compile_pipeline(which, package, release=release)
        client = server.client()
        with _refusals(server, "the run"):
            run = client.create_run_from_pipeline_package(
                str(package), experiment_name=params.tracking.experiment, arguments=arguments,
                run_name=_name(which), namespace=server.namespace or None, service_account=server.account or None)
    return run.run_id


def schedule(server: Server, params: Params, arguments: dict, *, cron: str, which: str = "training",
             release: bool = True) -> str:
    """Have a pipeline started at the times of a cron expression; returns the recurring run's id.

    Runs never overlap, missed ones are not made up for, and none takes cached results: that the data is new is the
    point of running again, and nothing else would say so.

    Raises:
        ValueError: as `submit`, or no cron expression.
    """
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / f"{which}.yaml"
        compile_pipeline(which, package, release=release, cache=False)
        expression = six_fields(cron)
        client = server.client()
        with _refusals(server, "the schedule"):
            experiment = client.create_experiment(params.tracking.experiment, namespace=server.namespace or None)
            job = client.create_recurring_run(
                experiment.experiment_id, _name(which), cron_expression=expression, max_concurrency=1, no_catchup=True,
                params=arguments, pipeline_package_path=str(package), service_account=server.account or None)
    return job.recurring_run_id


def follow(server: Server, run: str, *, say: Callable[[str], None]) -> str:
    """Say each state of a run and of its tasks until it has ended; returns the last.

    Raises:
        ValueError: no server answers, or it does not know the run.
        RuntimeError: the server stopped answering.
    """
    client, shown = server.client(), {}
    while True:
        client, seen = _look(server, client, run)
        for name, state in _states(seen).items():
            if shown.get(name) != state:
                shown[name] = state
                say(f"{name}: {state}")
        if seen.state in ENDED:
            for line in _errors(seen):
                say(line)
            return seen.state
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _look(server: Server, client, run: str) -> tuple:
    """Ask for a run, again and again while the server is away; the client is a new one where the token ran out."""
    from kfp_server_api import ApiException

    for _ in range(LOOKS_THAT_MAY_FAIL):
        try:
            return client, client.get_run(run)
        except ApiException as error:
            if error.status == 404:
                raise ValueError(f"{server.host}: there is no run {run}") from None
            why = f"{error.status} {error.reason}"
            if error.status == HTTPStatus.UNAUTHORIZED:
                with contextlib.suppress(ValueError):
                    client = server.client()
        except urllib3.exceptions.HTTPError as error:
            why = type(error).__name__
        time.sleep(SECONDS_BETWEEN_LOOKS)
    raise RuntimeError(f"{server.host}: does not answer any more ({why}); the run goes on: "
                       f"vizecg pipeline follow {run} --host {server.host}")


def six_fields(cron: str) -> str:
    """Return a cron expression as Kubeflow reads it, seconds first; five fields begin at second 0.

    Raises:
        ValueError: neither five nor six fields.
    """
    fields = cron.split()
    if len(fields) not in (5, 6):
        raise ValueError(f"--cron: {cron!r} has {len(fields)} fields; write minute, hour, day, month, weekday, such as "
                         "'0 3 * * 1' for each Monday at three")
    return " ".join(["0", *fields] if len(fields) == 5 else fields)


def _states(seen) -> dict[str, str]:
    """The run's own state last, so that what led to it is read first."""
    details = seen.run_details.task_details if seen.run_details else None
    tasks = {task.display_name: task.state for task in details or []
             if task.state and task.display_name and not task.display_name.endswith(NOT_A_TASK)}
    return {**tasks, **({"run": seen.state} if seen.state else {})}


def _errors(seen) -> Iterator[str]:
    details = seen.run_details.task_details if seen.run_details else None
    for task in details or []:
        if task.state == "FAILED" and task.error and task.error.message:
            yield f"{task.display_name}: {task.error.message}"
    if seen.error and seen.error.message:
        yield f"run: {seen.error.message}"


def _name(which: str) -> str:
    return f"{PIPELINES[which].display} {time.strftime('%Y-%m-%d %H:%M:%S')}"
