"""Where an interrupted training finds itself again: numbered states, each believed only while its digest fits."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from ecg.files import write_whole

KEPT = 2
"""States of a run: the newest, and the one before it in case the newest is torn."""
DIGEST = 16


class Folder(Protocol):
    """What keeps the states: a local folder here, a bucket elsewhere. A write appears whole or not at all."""

    def names(self) -> list[str]:
        """Return the names of all files."""

    def read(self, name: str) -> bytes:
        """Return a file."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""

    def delete(self, name: str) -> None:
        """Remove a file."""


class LocalFolder:
    """A folder of this machine, made when the first state is written."""

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> list[str]:
        return [file.name for file in self.path.glob("*") if file.is_file()]

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        write_whole(self.path / name, data, durable=True)

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)


class States:
    """The states of one run, called `RUN-STEP-DIGEST.pt`.

    Args:
        folder: where they are kept; other runs may keep theirs there too.
        run: what tells this run's files from others'.
        warn: told of a file that is not believed.
    """

    def __init__(self, folder: Folder, run: str, *, warn: Callable[[str], None] = print):
        self.folder, self.run, self.warn = folder, run, warn

    def save(self, state: dict, *, step: int) -> None:
        """Write the state of a step and remove those that are no longer needed."""
        whole = io.BytesIO()
        torch.save(state, whole)
        data = whole.getvalue()
        before, mine = f"{self.run}-{step:010d}-", f"{self.run}-{step:010d}-{_digest(data)}.pt"
        self.folder.write(mine, data)
        names = self._names()
        # Another file of this step or of a later one is damaged, or the run would have gone on from it: it must not
        # count as one of those kept.
        older = [name for name in names if name < before]
        for name in names:
            if name != mine and name not in older[1 - KEPT:]:
                self.folder.delete(name)

    def latest(self) -> dict | None:
        """Return the newest state that is whole; None where there is none."""
        for name in reversed(self._names()):
            data = self.folder.read(name)
            if _digest(data) == name.rpartition("-")[2].removesuffix(".pt"):
                return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            self.warn(f"{self.folder}/{name}: damaged (digest); the state before it is taken")
        return None

    def found(self) -> bool:
        """Whether there is a state to resume from, whole or not."""
        return bool(self._names())

    def clear(self) -> None:
        """Remove every state of this run."""
        for name in self._names():
            self.folder.delete(name)

    def _names(self) -> list[str]:
        return sorted(name for name in self.folder.names() if name.startswith(f"{self.run}-") and name.endswith(".pt"))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGEST]
