"""What the pods of one training share: a folder that all mount, or a prefix of a bucket."""

import shutil
from pathlib import Path
from typing import Protocol

from components.train.bucket import Bucket, is_bucket
from ecg.files import beside
from model.states import Folder, LocalFolder


class Shared(Folder, Protocol):
    """Keeps files of any size under names with slashes; a file appears whole or not at all."""

    def upload(self, name: str, path: Path) -> None:
        """Write a file of this machine."""

    def download(self, name: str, path: Path) -> None:
        """Bring a file to this machine."""


class SharedFolder(LocalFolder):
    """A folder that every pod mounts at the same place."""

    def upload(self, name: str, path: Path) -> None:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with beside(place) as scratch:
            shutil.copyfile(path, scratch)

    def download(self, name: str, path: Path) -> None:
        shutil.copyfile(self.path / name, path)


def shared(address: str) -> Shared:
    """Return what lies at a folder or at `s3://BUCKET/PREFIX`.

    Raises:
        ValueError: there is no such bucket, or it cannot be reached.
    """
    return Bucket(address) if is_bucket(address) else SharedFolder(Path(address))


def below(address: str, name: str) -> str:
    """Return the address of a part of a shared place."""
    return f"{address.rstrip('/')}/{name}"


def bring(place: Shared, names: tuple[str, ...], folder: Path) -> None:
    """Bring files into a folder of this machine, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        place.download(name, folder / name)


def leave(place: Shared, names: tuple[str, ...], folder: Path) -> None:
    """Put files of a folder into a shared place, the last one last: where it lies, all do."""
    for name in names:
        place.upload(name, folder / name)
