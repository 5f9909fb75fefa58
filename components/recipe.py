"""recipe: write params.yaml from the demo recipe and another laid over it, comments kept.

`recipes/demo.yaml` holds every knob; any other recipe holds only what differs from it.
"""

import os
from collections.abc import MutableMapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from components.s3 import is_bucket
from model.params import Params, load_params

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
BASE = "demo"


@dataclass(frozen=True)
class RecipeResult:
    """What was written: the recipe, its source and the data that it reads."""

    recipe: str
    source: str
    data: str


def run(*, name: str, out: Path, data: Path | str | None = None, recipes: Path = RECIPES) -> RecipeResult:
    """Write `out` as the base recipe overlaid with the recipe `name`.

    Args:
        name: a file of the recipes folder, without its ending.
        out: the params.yaml to write; replaced as a whole.
        data: where the source lies, a folder or `s3://BUCKET/PREFIX`; the recipe's own place when it is None.
        recipes: folder of the recipes.

    Raises:
        ValueError: no such recipe, no such data folder, or a value that the pipeline refuses.
    """
    yaml, merged = _merged(name, recipes)
    if data is not None:
        merged["ingest"]["data"] = _place(data)
    place = Path(merged["ingest"]["data"])
    asked = data is not None or name != BASE
    if asked and not is_bucket(merged["ingest"]["data"]) and not place.is_dir():
        raise ValueError(f"{place}: no such folder; give --data the folder of the recipe {name}")
    params = _write(out, yaml, merged, name)
    return RecipeResult(name, params.ingest.source, params.ingest.data)


def compose(name: str, out: Path, *, recipes: Path = RECIPES) -> Params:
    """Write `out` as `run` does, wherever the recipe's data may lie; for those who only need its settings.

    Raises:
        ValueError: no such recipe, or a value that the pipeline refuses.
    """
    yaml, merged = _merged(name, recipes)
    return _write(out, yaml, merged, name)


def _merged(name: str, recipes: Path) -> tuple[YAML, MutableMapping]:
    known = sorted(path.stem for path in recipes.glob("*.yaml"))
    if name not in known:
        raise ValueError(f"no recipe is called {name!r}; there are {', '.join(known)}")
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    merged = yaml.load((recipes / f"{BASE}.yaml").read_text())
    if name != BASE:
        overlay(merged, yaml.load((recipes / f"{name}.yaml").read_text()))
    return yaml, merged


def overlay(base: MutableMapping, top: MutableMapping) -> None:
    """Write the values of `top` into `base`, section by section; the comments of `base` stay."""
    for key, value in top.items():
        if isinstance(value, MutableMapping) and isinstance(base.get(key), MutableMapping):
            overlay(base[key], value)
        else:
            base[key] = value


def _place(data: Path | str) -> str:
    """Keep a folder inside the project relative, so that params.yaml means the same on another machine."""
    if is_bucket(data):
        return str(data)
    full, here = Path(os.path.abspath(data)), Path.cwd()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(full)


def _write(out: Path, yaml: YAML, merged: MutableMapping, name: str) -> Params:
    """Write the file once its values are known to be good."""
    text = StringIO()
    yaml.dump(merged, text)
    scratch = out.with_name(f".{out.name}.tmp")
    scratch.write_text(text.getvalue())
    try:
        params = load_params(scratch)
    except ValueError as error:
        scratch.unlink()
        raise ValueError(f"recipe {name}: {str(error).removeprefix(f'{scratch}: ')}") from None
    os.replace(scratch, out)
    return params
