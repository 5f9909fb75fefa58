"""notify: how a pipeline ended, as a run in MLflow that a dashboard or an alert can watch."""

from dataclasses import dataclass

from components.tracking import start_run
from model.params import TrackingParams


@dataclass(frozen=True)
class NotifyResult:
    """The run in MLflow that says how the pipeline ended."""

    run_id: str


def run(*, state: str, job: str, message: str, commit: str, tracking: TrackingParams) -> NotifyResult:
    """Record the final state of a pipeline.

    Args:
        state: as Kubeflow names it: SUCCEEDED, FAILED or CANCELLED.
        job: the pipeline's run in Kubeflow.
        message: of the error; empty when there was none.
        commit: of the code that ran.
        tracking: section of params.yaml.
    """
    tags = {"step": "pipeline", "pipeline_state": state, "pipeline_job": job, "pipeline_error": message,
            "git_commit": commit}
    with start_run(tracking, name="pipeline", tags=tags) as mlflow:
        run_id = mlflow.active_run().info.run_id
        mlflow.log_metric("succeeded", float(state == "SUCCEEDED"))
    return NotifyResult(run_id)
