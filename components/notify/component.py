"""notify on Kubeflow: the exit task, and what is said when the gate refuses."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def notify(status: dsl.PipelineTaskFinalStatus, tracking: dict, commit: str):
    """How the pipeline ended, as a run in MLflow and to the webhook, whether it succeeded or failed."""
    import os

    from components.notify.step import WEBHOOK, run
    from model.params import TrackingParams
    from model.typed import from_dict

    run(state=status.state, job=status.pipeline_job_resource_name, message=status.error_message or "", commit=commit,
        tracking=from_dict(TrackingParams, tracking, "tracking"), webhook=os.environ.get(WEBHOOK, ""))


@dsl.component(base_image=image("train"), install_kfp_package=False)
def notify_refused(decision: dsl.Input[dsl.Artifact], tracking: dict, commit: str, job: str):
    """The gate's reasons, to the same places: a model that is not good enough is an outcome, not an error."""
    import os
    from pathlib import Path

    from components.notify.step import WEBHOOK, reasons, run
    from model.params import TrackingParams
    from model.typed import from_dict

    run(state="REFUSED", job=job, message=reasons(Path(decision.path)), commit=commit,
        tracking=from_dict(TrackingParams, tracking, "tracking"), webhook=os.environ.get(WEBHOOK, ""))
