"""The inputs of the pipelines that read pages, from params.yaml and what the user adds."""

from components.tracking import shown
from ecg.paper.layout import layout
from model.params import Params
from model.typed import as_dict
from pipelines.identity import code_identity


def refuse_password(uri: str) -> None:
    """A pipeline's inputs are stored and shown wherever it runs.

    Raises:
        ValueError: MLflow's address holds a user and a password.
    """
    if shown(uri) != uri:
        raise ValueError(f"tracking.uri: {shown(uri)} is given with a user and a password, which would be stored with "
                         "the run; leave them out: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are for them")


def of(params: Params, which: str, given: dict) -> dict:
    """Return the inputs of `batch_predict` or `monitor`.

    Args:
        params: the registry's name, MLflow's address and, for monitor, its section.
        which: the pipeline.
        given: by the user; `scans` must be there, `parts` may be a number.

    Raises:
        ValueError: no scans, no such layout, or parts that are no number above 0.
    """
    if not given.get("scans"):
        raise ValueError(f"--input scans=PLACE: which pages {which} reads, a folder of the workspace or s3://BUCKET/PREFIX")
    if given.get("layout"):
        layout(given["layout"])
    refuse_password(params.tracking.uri)
    sections = as_dict(params)
    values = {"name": params.register.name, "commit": code_identity(), "tracking": sections["tracking"], **given}
    if which == "monitor":
        values["params"] = sections.get("monitor", {})
    if isinstance(values.get("parts"), str):
        if not values["parts"].isdigit() or int(values["parts"]) < 1:
            raise ValueError(f"--input parts: {values['parts']!r} is no number above 0")
        values["parts"] = list(range(int(values["parts"])))
    return values
