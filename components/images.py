"""The image of each step, from one file of references.

Never from the environment: a compiled pipeline must name the same images wherever it is compiled.
"""

from pathlib import Path

import yaml

LOCK = Path(__file__).with_name("images.lock")


def image(target: str) -> str:
    """Return the reference of an image target: data, train or serve.

    Raises:
        ValueError: images.lock has no such target.
    """
    references = yaml.safe_load(LOCK.read_text())
    if target not in references:
        raise ValueError(f"{LOCK}: no image is called {target!r}; there are {', '.join(references)}")
    return references[target]
