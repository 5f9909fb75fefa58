"""TorchServe's management API: what deploy and rollback do to a running server."""

from dataclasses import dataclass
from pathlib import Path

import requests

from serving.keys import bearer, fresh_key


class ServerRefused(RuntimeError):
    """The server answered, and said no."""

    def __init__(self, what: str, status: int, message: str):
        super().__init__(f"TorchServe refused to {what}: HTTP {status}, {message}")
        self.status = status


@dataclass(frozen=True)
class Management:
    """The management side of one server; keys come from its state folder."""

    address: str
    key_file: Path
    timeout_s: float = 120.0

    def versions(self, name: str) -> dict[str, bool]:
        """Return the loaded versions of a model, each with whether it is the default; empty when there is none."""
        try:
            described = self._call("GET", f"models/{name}/all", what=f"describe {name}")
        except ServerRefused as refusal:
            if refusal.status == 404:
                return {}
            raise
        default = self._call("GET", f"models/{name}", what=f"describe {name}")[0]["modelVersion"]
        return {model["modelVersion"]: model["modelVersion"] == default for model in described}

    def default(self, name: str) -> str | None:
        """Return the version that answers where none is named; None where no version is loaded."""
        return next((version for version, is_default in self.versions(name).items() if is_default), None)

    def ready(self, name: str, version: str) -> bool:
        """Whether a version has a worker that answers."""
        return bool(self.workers(name, version))

    def workers(self, name: str, version: str) -> list[int]:
        """Return the process numbers of a version's workers that answer."""
        described = self._call("GET", f"models/{name}/{version}", what=f"describe {name} {version}")[0]
        return [worker["pid"] for worker in described["workers"] if worker["status"] == "READY"]

    def register(self, archive: str, name: str, *, workers: int, batch_size: int, max_batch_delay_ms: int,
                 startup_timeout_s: int, response_timeout_s: int) -> None:
        """Load an archive of the model store beside what is loaded, and wait for its workers.

        Args:
            archive: file name within the model store; anything else the server refuses.
            name: of the model; its version is in the archive.
        """
        self._call("POST", "models", what=f"load {archive}", url=archive, model_name=name, initial_workers=workers,
                   synchronous="true", batch_size=batch_size, max_batch_delay=max_batch_delay_ms,
                   startup_timeout=startup_timeout_s, response_timeout=response_timeout_s)

    def scale(self, name: str, version: str, workers: int) -> None:
        """Set the number of workers of a version, and wait for them."""
        self._call("PUT", f"models/{name}/{version}", what=f"scale {name} {version}", min_worker=workers,
                   max_worker=workers, synchronous="true")

    def set_default(self, name: str, version: str) -> None:
        """Send requests that name no version to this one from now on."""
        self._call("PUT", f"models/{name}/{version}/set-default", what=f"switch {name} to {version}")

    def unregister(self, name: str, version: str) -> None:
        """Unload a version."""
        self._call("DELETE", f"models/{name}/{version}", what=f"unload {name} {version}")

    def _call(self, method: str, path: str, *, what: str, **query):
        headers = bearer(fresh_key(self.key_file, "management"))
        try:
            reply = requests.request(method, f"{self.address.rstrip('/')}/{path}", params=query, headers=headers,
                                     timeout=self.timeout_s)
        except requests.RequestException as error:
            raise RuntimeError(f"{what}: TorchServe at {self.address} does not answer ({type(error).__name__}); see "
                               "its logs") from None
        if not reply.ok:
            raise ServerRefused(what, reply.status_code, _message(reply))
        return reply.json()


def _message(reply: requests.Response) -> str:
    try:
        return str(reply.json().get("message", ""))[:300]
    except (ValueError, AttributeError):
        return reply.reason or ""
