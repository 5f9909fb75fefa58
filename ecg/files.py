"""Files that appear whole or not at all."""

import os
from pathlib import Path


def write_whole(path: Path | str, content: bytes | str, *, durable: bool = False) -> None:
    """Write a file beside its place and put it there in one move; a kill leaves the old one or the new one.

    Args:
        path: of the file; folders above it are made.
        content: bytes, or text for UTF-8.
        durable: return only once the disk has it, for what must outlive a power cut.
    """
    path, data = Path(path), content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.writing")
    try:
        with open(scratch, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
