"""notify: how a pipeline ended, as a run in MLflow that an alert can watch, and to a webhook."""

import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from components.tracking import start_run
from model.checkpoint import read_json
from model.params import TrackingParams

WEBHOOK = "VIZECG_WEBHOOK"
"""The variable with the webhook's address. Who knows the address may write there, so it is kept as a secret."""
SECONDS_TO_ANSWER = 10
TAG_LIMIT = 4000
"""Characters of a message that are passed on; MLflow keeps 8000 of a tag."""


@dataclass(frozen=True)
class NotifyResult:
    """The run in MLflow that says how the pipeline ended, and whether the webhook took the message."""

    run_id: str
    told: bool


def run(*, state: str, job: str, message: str, commit: str, tracking: TrackingParams,
        webhook: str = "") -> NotifyResult:
    """Record the final state of a pipeline.

    Args:
        state: as Kubeflow names it, SUCCEEDED, FAILED or CANCELLED; REFUSED when the gate said no.
        job: the pipeline's run in Kubeflow.
        message: of the error; empty when there was none.
        commit: of the code that ran.
        tracking: section of params.yaml.
        webhook: http(s) address that takes {"text": …} by POST, as Slack, Teams and Mattermost do; empty: none.
            One that does not answer is said on standard error and is no failure: the work is done.
    """
    message = message[:TAG_LIMIT]
    told = bool(webhook) and tell(webhook, f"vizecgnet: {state} {job}" + (f"\n{message}" if message else ""))
    tags = {"step": "pipeline", "pipeline_state": state, "pipeline_job": job, "pipeline_error": message,
            "git_commit": commit, "pipeline_told": str(told).lower()}
    with start_run(tracking, name="pipeline", tags=tags) as mlflow:
        run_id = mlflow.active_run().info.run_id
        mlflow.log_metric("succeeded", float(state == "SUCCEEDED"))
    return NotifyResult(run_id, told)


def reasons(decision: Path) -> str:
    """Return why the gate refused, a line a rule."""
    rules = read_json(decision / "decision.json", made_by="vizecg gate")["rules"]
    return "\n".join(rule["reason"] for rule in rules if not rule["passed"])


def drifted(watched: Path) -> str:
    """Return the names of the checks that drifted, a line each."""
    return "\n".join(read_json(watched / "monitor.json", made_by="vizecg monitor")["drifted"])


def tell(webhook: str, text: str) -> bool:
    """Send a text; returns whether it was taken. The address is never printed."""
    if urlsplit(webhook).scheme not in ("http", "https"):
        print(f"notify: {WEBHOOK} is no http(s) address; nothing was sent", file=sys.stderr)
        return False
    try:
        answer = requests.post(webhook, json={"text": text}, timeout=SECONDS_TO_ANSWER, allow_redirects=False)
        why = "" if 200 <= answer.status_code < 300 else f"status {answer.status_code}"
    except requests.RequestException as error:
        why = type(error).__name__
    if why:
        print(f"notify: the webhook did not take the message ({why})", file=sys.stderr)
    return not why
