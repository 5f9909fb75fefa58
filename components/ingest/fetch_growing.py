"""The near side of a fetch: files that grow in parts beside their place, and the ledger of those that are whole."""

import json
import os
import threading
from pathlib import Path

from components.ingest.fetch_remote import LEDGER, Thing, is_wanted
from ecg.files import write_whole


class Ledger:
    """What has been fetched into a folder: one line a file, added once it stands in its place.

    Held by one process at a time. A line that a kill tore is passed over: its file is looked at again.

    Raises:
        ValueError: another process fetches into the folder.
    """

    def __init__(self, folder: Path):
        import fcntl

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / LEDGER
        self._file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 - held until close
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise ValueError(f"{folder}: another fetch is writing there; wait for it to end") from None
        self._lock = threading.Lock()
        self._file.seek(0)
        text = self._file.read()
        self._known = {row["name"]: row for row in map(_row, text.splitlines()) if row}
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def holds(self, path: Path, thing: Thing) -> bool:
        """Whether the file is the one that was fetched, and the object the one that it was fetched from."""
        row = self._known.get(thing.name)
        if row is None or not path.is_file():
            return False
        found = path.stat()
        return (row["etag"], row["size"], row["mtime_ns"]) == (thing.etag, found.st_size, found.st_mtime_ns) and (
            found.st_size == thing.size)

    def add(self, path: Path, thing: Thing, evidence: str) -> None:
        found = path.stat()
        row = {"name": thing.name, "etag": thing.etag, "size": found.st_size, "mtime_ns": found.st_mtime_ns,
               "proved_by": evidence}
        with self._lock:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
            self._known[thing.name] = row

    def gone(self, things: list[Thing], include: tuple[str, ...]) -> list[str]:
        """Name the files that were fetched, lie here still, and of those asked for are in the bucket no more."""
        there = {thing.name for thing in things}
        return sorted(name for name in self._known if name not in there and is_wanted(name, include)
                      and (self.path.parent / name).is_file())

    def close(self) -> None:
        self._file.close()


def _row(line: str) -> dict | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) and {"name", "etag", "size", "mtime_ns"} <= row.keys() else None


class Growing:
    """A file of which parts arrive in any order: `NAME.part`, with a list of what has arrived beside it.

    The list counts only for the same object cut alike; what a list does not name is fetched again.
    """

    def __init__(self, path: Path, thing: Thing, part_bytes: int):
        self.path, self.thing, self.part_bytes = path, thing, part_bytes
        self.part = path.with_name(f"{path.name}.part")
        self.list = path.with_name(f"{path.name}.part.json")
        self.count = max(1, -(-thing.size // part_bytes))
        self.encrypted, self.failures = False, 0
        self.lock = threading.Lock()
        self._descriptor: int | None = None
        self.arrived = self._remembered()
        self.left = {n for n in range(self.count) if self.span(n)[0] + self.arrived.get(n, 0) < self.span(n)[1]}
        self.left = self.left or {0}  # an empty file is one part of nothing

    def span(self, number: int) -> tuple[int, int]:
        """First byte of a part, and the one after its last."""
        return number * self.part_bytes, min((number + 1) * self.part_bytes, self.thing.size)

    @property
    def kept(self) -> int:
        """Bytes that an earlier call left."""
        return sum(self.arrived.values())

    @property
    def _cut(self) -> dict:
        return {"etag": self.thing.etag, "size": self.thing.size, "part_bytes": self.part_bytes}

    def _remembered(self) -> dict[int, int]:
        try:
            row = json.loads(self.list.read_text())
            same = {key: row[key] for key in self._cut} == self._cut and self.part.is_file()
            return {int(n): int(b) for n, b in row["arrived"].items() if int(n) < self.count} if same else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def write(self, data: bytes, at: int) -> None:
        with self.lock:
            if self._descriptor is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                anew = 0 if self.arrived else os.O_TRUNC  # what no list vouches for goes
                self._descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | anew, 0o644)
        view = memoryview(data)
        while view:  # a disk that runs full takes a part of it, and refuses the next
            written = os.pwrite(self._descriptor, view, at)
            view, at = view[written:], at + written

    def note(self, number: int, received: int) -> None:
        """Remember how much of a part has arrived; on the disk before it is said to be."""
        with self.lock:
            self.arrived[number] = received
            if self.count > 1 or received < self.thing.size:
                if self._descriptor is not None:
                    os.fsync(self._descriptor)
                write_whole(self.list, json.dumps({**self._cut, "arrived": self.arrived}))

    def done(self, number: int) -> bool:
        """Count a part off; whether it was the last."""
        with self.lock:
            self.left.discard(number)
            return not self.left

    def close(self) -> None:
        with self.lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = None

    def settle(self) -> None:
        """Put the whole file in its place."""
        os.replace(self.part, self.path)
        self.list.unlink(missing_ok=True)

    def forget(self) -> None:
        """Begin again: what arrived is not what the bucket holds."""
        self.close()
        self.list.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)
        self.arrived, self.left = {}, set(range(self.count))
