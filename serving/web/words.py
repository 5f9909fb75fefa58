"""Plain words for findings, the same in the web page and in the files for people."""

import json
from functools import cache
from pathlib import Path


@cache
def words() -> dict[str, str]:
    """Return the words by label; a label that is not among them stands for itself."""
    return json.loads(Path(__file__).parent.joinpath("static", "words.json").read_text())
