"""The image of each step: a placeholder in what is committed, a digest in what is released.

Never from the environment: a compiled pipeline must name the same images wherever it is compiled. The committed YAML
names placeholders, which are also the local tags that `make images` gives; a release puts the digests of images.lock,
written by `make push`, in their place.
"""

import re
from pathlib import Path

import yaml

LOCK = Path(__file__).with_name("images.lock")
TARGETS = ("data", "train", "serve")
PLACEHOLDERS = {target: f"vizecgnet/python-{target}:0.1.0" for target in TARGETS}
PINNED = re.compile(r"[\w.:/-]+@sha256:[0-9a-f]{64}")


def image(target: str) -> str:
    """Return the placeholder of an image target: data, train or serve.

    Raises:
        ValueError: there is no such target.
    """
    if target not in PLACEHOLDERS:
        raise ValueError(f"images: no image is called {target!r}; there are {', '.join(TARGETS)}")
    return PLACEHOLDERS[target]


def released(lock: Path = LOCK) -> dict[str, str]:
    """Return the pinned reference of every target.

    Raises:
        ValueError: the file lacks a target, or names one by a tag, which may be moved, and not by its digest.
    """
    references = yaml.safe_load(lock.read_text()) if lock.exists() else None
    for target in TARGETS:
        if not PINNED.fullmatch(str((references or {}).get(target, ""))):
            raise ValueError(f"{lock}: {target} has no reference of the form NAME@sha256:…; "
                             "'make push REGISTRY=…' writes them")
    return {target: references[target] for target in TARGETS}


def with_references(compiled: str, references: dict[str, str]) -> str:
    """Return a compiled pipeline with the placeholders replaced by references."""
    for target, reference in references.items():
        compiled = compiled.replace(f"image: {PLACEHOLDERS[target]}\n", f"image: {reference}\n")
    return compiled
