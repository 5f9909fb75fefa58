"""notify on Kubeflow: served pages differ from those that the model was measured on."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def notify_drift(watched: dsl.Input[dsl.Artifact], tracking: dict, commit: str, job: str):
    """The checks that drifted, to MLflow and to the webhook."""
    import os
    from pathlib import Path

    from components.notify.step import WEBHOOK, drifted, run
    from model.params import TrackingParams
    from model.typed import from_dict

    run(state="DRIFT", job=job, message=drifted(Path(watched.path)), commit=commit,
        tracking=from_dict(TrackingParams, tracking, "tracking"), webhook=os.environ.get(WEBHOOK, ""))
