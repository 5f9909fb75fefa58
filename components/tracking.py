"""MLflow runs: one context manager that every step uses."""

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests

from model.params import TrackingParams
from model.typed import as_dict

# MLflow joins a run named in the environment and forgets it after; a step always starts its own.
_JOINED = ("MLFLOW_RUN_ID",)
TRIES, SECONDS_TO_ANSWER, SECONDS_BETWEEN = 3, 5.0, 2.0
PACKAGE_ARTIFACT = "package"
"""Name of the package among a model version's artifacts."""


def connect(tracking: TrackingParams):
    """Point MLflow at the server or database of `tracking` and return the `mlflow` module.

    Raises:
        ValueError: the address is neither sqlite, postgresql, mysql nor http(s), nobody answers there, or the server
            refuses us.
    """
    if not tracking.uri.startswith(("sqlite:", "postgresql", "mysql", "http://", "https://")):
        raise ValueError(f"tracking.uri: {shown(tracking.uri)!r} is no MLflow address; use sqlite:///FILE or http(s)://HOST")
    # Each small file would draw a bar of its own.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # An image has no git; MLflow's search for one would take ten lines to say so.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    if tracking.uri.startswith("http"):
        _refuse_silence(tracking.uri)
    import mlflow
    from sqlalchemy.exc import SQLAlchemyError

    # Making the database narrates every table at INFO (set by the import); a user wants the step's own lines.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)

    mlflow.set_tracking_uri(tracking.uri)
    mlflow.set_registry_uri(tracking.uri)
    try:
        if mlflow.get_experiment_by_name(tracking.experiment) is None:
            mlflow.create_experiment(tracking.experiment, artifact_location=_artifact_location(tracking.uri))
        mlflow.set_experiment(tracking.experiment)
    except ImportError as error:
        raise ValueError(f"tracking.uri: {shown(tracking.uri)} needs the package {error.name}, which is not installed; "
                         f"pip install {error.name}") from None
    except (mlflow.exceptions.MlflowException, SQLAlchemyError) as error:
        why = str(error).splitlines()[0].replace(tracking.uri, shown(tracking.uri))
        raise ValueError(f"tracking.uri: MLflow at {shown(tracking.uri)} does not answer as it should ({why[:300]}); "
                         "see MLFLOW_TRACKING_URI, and the user and password in its variables") from None
    return mlflow


def _refuse_silence(uri: str) -> None:
    """MLflow asks a server that is not there for minutes, without a word; whatever answers at all is MLflow's to judge.

    Raises:
        ValueError: nobody answers, in three tries.
    """
    for attempt in range(TRIES):
        try:
            requests.head(shown(uri), timeout=SECONDS_TO_ANSWER, allow_redirects=False)
            return
        except requests.exceptions.SSLError:
            return  # Somebody is there; whether to trust them MLflow's own variables say.
        except requests.RequestException as error:
            failure = type(error).__name__
        if attempt < TRIES - 1:
            time.sleep(SECONDS_BETWEEN)
    raise ValueError(f"tracking.uri: MLflow at {shown(uri)} does not answer ({failure}); see MLFLOW_TRACKING_URI")


def shown(uri: str) -> str:
    """Return an address without the user and the password that may stand in it."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri  # put together again, sqlite:////FILE would lack two of its slashes
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def start_run(tracking: TrackingParams, *, name: str, tags: dict[str, str], machine: bool = False) -> Iterator:
    """Open an MLflow run called `name`, closed as FAILED when the body raises. Yields the `mlflow` module.

    `machine`: log what the machine does meanwhile as well: processor, memory, disk, network, and GPUs where there are.
    """
    for variable in _JOINED:
        os.environ.pop(variable, None)
    mlflow = connect(tracking)
    with mlflow.start_run(run_name=name, tags=tags, log_system_metrics=machine):
        yield mlflow


DATASET_DIGEST = 36
"""Characters of a dataset's digest that MLflow's tables hold; its source's tags have all of it."""


def log_dataset(mlflow, *, digest: str, name: str, context: str, records: int) -> None:
    """Say in the open run which record store it used: MLflow's datasets, by the store's content and no place.

    Args:
        mlflow: as `start_run` yields it.
        digest: of the store's content.
        name: of the dataset.
        context: what for, such as training.
        records: how many it has.
    """
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = CodeDatasetSource(tags={"made_by": "vizecg ingest", "data_digest": digest, "records": str(records)})
    mlflow.log_input(MetaDataset(source, name=name, digest=digest[:DATASET_DIGEST]), context=context)


def flat_params(**sections) -> dict[str, str]:
    """Return `section.key` → value of params dataclasses, as MLflow logs them."""
    return {f"{name}.{key}": str(value) for name, section in sections.items()
            for key, value in as_dict(section).items()}


def metric_name(name: str) -> str:
    """Return a figure's name as MLflow takes it: of a capture in a layout, `clean@3x4+1R`, it is `clean/3x4-1R`."""
    return re.sub(r"[^/\w.\- :]", "-", name.replace("@", "/"))


def _artifact_location(uri: str) -> str | None:
    """Artifacts lie beside a sqlite file; a server decides for itself."""
    if not uri.startswith("sqlite:///"):
        return None
    database = Path(uri.removeprefix("sqlite:///")).resolve()
    return (database.parent / "mlruns").as_uri()
