"""What a run is made from, as keys of its cached results: the code and the raw data."""

import hashlib
from pathlib import Path

from components.lineage import ROOT, git_commit

PACKAGES = ("ecg", "model", "serving", "components")


def code_identity() -> str:
    """Return the commit; where files differ from it, or there is none, with a digest of every file.

    A task's command only names our code, so that nothing else would tell two versions of it apart.
    """
    commit = git_commit()
    if commit != "unknown" and not commit.endswith("-dirty"):
        return commit
    whole = hashlib.sha256()
    # Whatever lies in the packages: label schemes, weights of the test for a page and words are JSON.
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*")
                       if path.is_file() and path.parent.name != "__pycache__"):
        whole.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return f"{commit}+{whole.hexdigest()[:12]}"


def data_identity(folder: Path) -> str:
    """Return a digest of the names, sizes and times of a folder's files: cheap, and changed by whatever writes one."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        stat = path.stat()
        whole.update(f"{path.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return f"stat:{whole.hexdigest()[:32]}"
