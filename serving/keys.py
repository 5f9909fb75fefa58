"""TorchServe's keys: read from its key file at every use, renewed when they have run out, never logged."""

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import requests

KEY_FILE = "key_file.json"
CONFIG_FILE = "config.properties"
RENEWAL_TIMEOUT_S = 10.0
WRITING_ATTEMPTS = 20
_RENEWING = threading.Lock()


def read_key(key_file: Path, kind: str) -> str:
    """Return a key as it now stands in the key file.

    Args:
        key_file: TorchServe's `key_file.json`, or the folder it lies in.
        kind: "inference" or "management".

    Raises:
        ValueError: no such file, or no key of that kind in it.
    """
    return _entry(key_file, kind)["key"]


def fresh_key(key_file: Path, kind: str) -> str:
    """Return a key that has not run out, asking the server for a new one where need be.

    The server is known from the configuration beside the key file; without it the key is returned as it is,
    and the server has the last word. Each renewal ends the key before it, so that one thread does it for all.
    """
    config = _path(key_file).parent / CONFIG_FILE
    if _holds(_entry(key_file, kind)) or not config.is_file():
        return read_key(key_file, kind)
    with _RENEWING:
        if _holds(_entry(key_file, kind)):
            return read_key(key_file, kind)
        reply = requests.get(f"{_management(config)}/token", params={"type": kind}, timeout=RENEWAL_TIMEOUT_S,
                             headers=bearer(_entry(key_file, "API")["key"]))
        if not reply.ok:
            raise ValueError(f"{key_file}: the {kind} key has run out and the server does not renew it (HTTP "
                             f"{reply.status_code}); is this the key file of the running server?")
        return read_key(key_file, kind)


def bearer(key: str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"Authorization": f"Bearer {key}"}


def _holds(entry: dict) -> bool:
    expires = entry.get("expiration time")
    return expires is None or datetime.fromisoformat(expires) > datetime.now(UTC)


def _path(key_file: Path) -> Path:
    return key_file / KEY_FILE if key_file.is_dir() else key_file


def _entry(key_file: Path, kind: str) -> dict:
    path = _path(key_file)
    try:
        return _read(path)[kind]
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; it lies in the state folder of a running TorchServe") from None
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: no {kind} key can be read from it ({type(error).__name__})") from None


def _read(path: Path) -> dict:
    """Read the key file; the server writes it in place, so that it may be empty or torn for a moment."""
    for _ in range(WRITING_ATTEMPTS):
        try:
            return json.loads(path.read_text())
        except json.JSONDecodeError:
            time.sleep(0.05)
    return json.loads(path.read_text())


def _management(config: Path) -> str:
    lines = dict(line.split("=", 1) for line in config.read_text().splitlines() if "=" in line)
    return lines["management_address"].rstrip("/")
