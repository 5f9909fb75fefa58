"""Who is champion: aliases in the MLflow registry, and each move written down in tags that are never changed."""

import getpass
import socket
from datetime import UTC, datetime

CHAMPION, PREVIOUS = "champion", "previous_champion"


def holder(client, name: str, alias: str):
    """Return the model version that holds an alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise


def crown(client, name: str, version: str, *, why: str) -> str | None:
    """Make a version the champion and the one before it the previous champion.

    Returns:
        The version before; None when there was none or it is the same one.
    """
    before = holder(client, name, CHAMPION)
    if before is not None and str(before.version) == version:
        return None
    if before is not None:
        _move(client, name, str(before.version), PREVIOUS, why)
    _move(client, name, version, CHAMPION, why)
    return None if before is None else str(before.version)


def version_of(client, name: str, version: str):
    """Return a registered version.

    Raises:
        ValueError: the registry has no such version.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise ValueError(f"{name} version {version}: not in this registry; see tracking.uri, or run "
                         "'vizecg register'") from None


def _move(client, name: str, version: str, alias: str, why: str) -> None:
    """Set an alias; MLflow keeps no history of aliases, so the move is appended as a tag of its own."""
    client.set_registered_model_alias(name, alias, version)
    now = datetime.now(UTC)
    client.set_model_version_tag(name, version, f"move.{now:%Y%m%dT%H%M%S.%fZ}",
                                 f"{alias} by {getpass.getuser()}@{socket.gethostname()}: {why}")
