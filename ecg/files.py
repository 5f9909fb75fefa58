"""Files and folders that appear whole or not at all."""

import contextlib
import fcntl
import glob
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEFT_S = 60.0
"""Age from which a scratch folder that nobody holds was left by a writer that died."""
DEVICES = ("/dev", "/dev/fd", "/proc/self/fd")
"""Folders whose files are devices and pipes, whatever they lead to; /dev/shm holds files like any other folder."""


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a file beside `path` that nobody else has, and that takes its place in one move unless the body raises."""
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.writing")
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` that nobody else has, gone afterwards unless it was moved; those of the dead go too.

    A writer holds its folder's lock, which ends with the writer however that ends.
    """
    _remove_left(path)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.writing")
    scratch.mkdir(parents=True)
    held = os.open(scratch, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # A file system without locks: its leftovers stay.
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(held)


def take_place(scratch: Path, path: Path) -> None:
    """Put a finished folder in the place of an older one, or of none; whatever ends this, one of them stands there.

    A kill between the two moves leaves both beside their place: the older one as `.NAME.….old`.
    """
    old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
    try:
        if path.exists():
            path.rename(old)
        scratch.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    finally:
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


def _remove_left(path: Path) -> None:
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.writing"):
        with contextlib.suppress(OSError):
            if not left.is_dir() or time.time() - left.stat().st_mtime < LEFT_S:
                continue
            held = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(held)


def write_whole(path: Path | str, content: bytes | str, *, durable: bool = False) -> None:
    """Write a file beside its place and put it there in one move; a kill leaves the old one or the new one.

    Args:
        path: of the file; folders above it are made.
        content: bytes, or text for UTF-8.
        durable: return only once the disk has it, for what must outlive a power cut.
    """
    path, data = Path(path), content.encode() if isinstance(content, str) else content
    if str(path.parent) in DEVICES or (path.exists() and not path.is_file()):
        path.write_bytes(data)  # /dev/stdout, a pipe: a move would put a file in its place
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as scratch, open(scratch, "wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())
