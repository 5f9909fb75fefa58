"""What a verb of the command line is, and the options that many share."""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from components.s3 import is_bucket
from model.override import Override, override_of
from model.params import Params, load_params


@dataclass(frozen=True)
class Verb:
    """One verb: `run` takes the parsed arguments and returns the exit status, None for 0."""

    name: str
    summary: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]
    more: str = ""
    """Further examples and what is worth knowing, for the verb's own help."""


def add_params_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --params, --set and --seed."""
    group = parser.add_argument_group("parameters")
    group.add_argument("--params", default="params.yaml", metavar="FILE", help="file of every knob (params.yaml)")
    group.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides",
                       help="overrides one knob; may be given many times")
    group.add_argument("--seed", type=int, help="overrides seed of the file")


def place(text: str) -> Path | str:
    """Read an input's place: a folder, or the address of a bucket, which no Path can hold."""
    return text if is_bucket(text) else Path(text)


def add_override_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --override-by and --override-reason."""
    group = parser.add_argument_group("against the gate")
    group.add_argument("--override-by", metavar="NAME", help="who lets a model through that the gate refused; recorded")
    group.add_argument("--override-reason", metavar="WHY", help="why; recorded")


def override_from(arguments: argparse.Namespace) -> Override | None:
    """Read the override that the arguments give, if any."""
    return override_of(arguments.override_by, arguments.override_reason)


def params_of(arguments: argparse.Namespace) -> Params:
    """Read the parameters that the arguments name; MLFLOW_TRACKING_URI has the last word on tracking.uri."""
    params = load_params(arguments.params, tuple(arguments.overrides))
    if arguments.seed is not None:
        params = replace(params, seed=arguments.seed)
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        params = replace(params, tracking=replace(params.tracking, uri=uri))
    return params
