"""The verbs of the steps, made from the registry."""

import argparse
import json
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from components.cli_verb import Verb, add_params_arguments, params_of
from components.registry import STEPS, Step, load_run
from model.params import Params

TRAIN_STATE = Path("artifacts-state/train")
"""The state to resume from. Not below artifacts/: DVC empties a stage's output before it runs."""


def step_arguments(step: Step, params: Params) -> dict:
    """Return the keyword arguments of a step's `run` that come from params.yaml: its sections and the seed."""
    first, *others = step.sections
    return {"params": getattr(params, first), **{name: getattr(params, name) for name in others}, "seed": params.seed}


def _add_arguments(parser: argparse.ArgumentParser, *, step: Step) -> None:
    for name, producer in step.inputs.items():
        parser.add_argument(f"--{name}", type=Path, default=Path(STEPS[producer].folder), metavar="DIR",
                            help=f"what {producer} wrote ({STEPS[producer].folder})")
    for name, key in step.external.items():
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=f"input folder ({key} of the parameters)")
    parser.add_argument(f"--{step.output}", "--out", type=Path, default=Path(step.folder), metavar="DIR",
                        dest=step.output, help=f"folder to write ({step.folder})")
    _SPECIAL.get(step.name, lambda _: None)(parser)
    add_params_arguments(parser)


def _run(arguments: argparse.Namespace, *, step: Step) -> int:
    if getattr(arguments, "source", None):
        arguments.overrides.append(f"ingest.source={arguments.source}")
    params = params_of(arguments)
    given = {name: getattr(arguments, name) for name in (*step.inputs, step.output)}
    for name, key in step.external.items():
        given[name] = getattr(arguments, name) or _from_params(params, key)
        params = _with_param(params, key, str(given[name]))
    if step.name == "train":
        given |= {"state": arguments.state, "resume": arguments.resume}
    if step.name == "evaluate":
        given["records"] = arguments.records
    if step.name == "gate":
        given["champion"] = arguments.champion
    started = time.monotonic()
    result = load_run(step.name)(**given, **step_arguments(step, params))
    _report(step, given[step.output], asdict(result), time.monotonic() - started)
    return 0


def _report(step: Step, output: Path, result: dict, seconds: float) -> None:
    values = ", ".join(f"{name}={_plain(value)}" for name, value in result.items())
    print(f"{step.name}: {values} -> {output} ({seconds:.1f} s)")
    if step.name == "gate":
        for rule in json.loads((output / "decision.json").read_text())["rules"]:
            print(f"  {'passed' if rule['passed'] else 'FAILED'}  {rule['reason']}")


def _plain(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _from_params(params: Params, key: str) -> Path:
    section, name = key.split(".")
    return Path(getattr(getattr(params, section), name))


def _with_param(params: Params, key: str, value: str) -> Params:
    section, name = key.split(".")
    return replace(params, **{section: replace(getattr(params, section), **{name: value})})


def _ingest_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", metavar="NAME", help="kind of the source (ingest.source of the parameters)")


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted training stopped")
    parser.add_argument("--state", type=Path, default=TRAIN_STATE, metavar="DIR",
                        help=f"where the state to resume from is kept ({TRAIN_STATE})")


def _gate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--champion", type=Path, metavar="DIR",
                        help="evaluation of the champion on the same pages, to compare with")


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=Path, metavar="DIR",
                        help="record store of the pages; only a baseline that reads signals needs it")


_SPECIAL = {"ingest": _ingest_arguments, "train": _train_arguments, "evaluate": _evaluate_arguments,
            "gate": _gate_arguments}

STEP_VERBS = tuple(Verb(step.name, step.summary, step.example, partial(_add_arguments, step=step),
                        partial(_run, step=step)) for step in STEPS.values())
