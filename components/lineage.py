"""Where a result came from: the git commit, a hash of the parameters, the image."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

from model.typed import as_dict

ROOT = Path(__file__).resolve().parents[1]


def params_hash(*sections) -> str:
    """Return the SHA-256 of params dataclasses, the same for the same values on any machine."""
    text = json.dumps([as_dict(section) for section in sections], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def git_commit() -> str:
    """Return the commit of this code, with `-dirty` for uncommitted changes of tracked files.

    An image has no git folder: it carries the commit in VIZECG_COMMIT, set when it is built. Without
    either the answer is "unknown", and so it is for a copy that is installed below somebody else's git folder.
    """
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return os.environ.get("VIZECG_COMMIT", "unknown")
        commit = _git("rev-parse", "HEAD")
        return commit + ("-dirty" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("VIZECG_COMMIT", "unknown")


def image_digest() -> str:
    """Return the container image that this runs in, set when it is built; "none" outside one."""
    return os.environ.get("VIZECG_IMAGE", "none")


def lineage(*sections) -> dict[str, str]:
    """Return the tags that every run and every model version carries."""
    return {"git_commit": git_commit(), "params_hash": params_hash(*sections), "image_digest": image_digest()}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
