"""notify on Kubeflow: the exit task."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def notify(status: dsl.PipelineTaskFinalStatus, tracking: dict, commit: str):
    """How the pipeline ended, as a run in MLflow, whether it succeeded or failed."""
    from components.notify.step import run
    from model.params import TrackingParams, from_dict

    run(state=status.state, job=status.pipeline_job_resource_name, message=status.error_message or "", commit=commit,
        tracking=from_dict(TrackingParams, tracking, "tracking"))
