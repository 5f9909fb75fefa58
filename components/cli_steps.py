"""The verbs of the steps, made from the registry."""

import argparse
import json
import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from components.cli_verb import Verb, add_override_arguments, add_params_arguments, override_from, params_of, place
from components.registry import STEPS, Step, load_run
from ecg.sources.kinds import help_text
from model.params import SALT_VARIABLE, Params

TRAIN_STATE = Path("artifacts-state/train")
"""The state to resume from. Not below artifacts/: DVC empties a stage's output before it runs."""

OVERRIDABLE = ("register", "deploy")
REGISTRY = "registry"
"""In place of a folder: what the registry keeps."""


def step_arguments(step: Step, params: Params) -> dict:
    """Return the keyword arguments of a step's `run` that come from params.yaml: its sections and the seed."""
    first, *others = step.sections
    return {"params": getattr(params, first), **{name: getattr(params, name) for name in others}, "seed": params.seed}


def _add_arguments(parser: argparse.ArgumentParser, *, step: Step) -> None:
    for name, producer in step.inputs.items():
        parser.add_argument(f"--{name}", type=Path, default=Path(STEPS[producer].folder), metavar="DIR",
                            help=f"what {producer} wrote ({STEPS[producer].folder})")
    for name, key in step.external.items():
        parser.add_argument(f"--{name}", type=place, metavar="DIR",
                            help=f"input folder, or s3://BUCKET/PREFIX ({key} of the parameters)")
    parser.add_argument(f"--{step.output}", "--out", type=Path, default=Path(step.folder), metavar="DIR",
                        dest=step.output, help=f"folder to write ({step.folder})")
    _SPECIAL.get(step.name, lambda _: None)(parser)
    add_params_arguments(parser)


def _run(arguments: argparse.Namespace, *, step: Step) -> int:
    if getattr(arguments, "source", None):
        arguments.overrides.append(f"ingest.source={arguments.source}")
    params = params_of(arguments)
    if step.name == "deploy" and arguments.stop:
        return _stop(arguments.deployment, params)
    given = {name: getattr(arguments, name) for name in (*step.inputs, step.output)}
    for name, key in step.external.items():
        given[name] = getattr(arguments, name) or _from_params(params, key)
        params = _with_param(params, key, str(given[name]))
    if step.name == "ingest":
        given["salt"] = os.environ.get(SALT_VARIABLE, "")
        given["shard"] = arguments.shard
    if step.name == "train":
        given |= {"state": arguments.state, "resume": arguments.resume}
    if step.name == "evaluate":
        given |= {"records": arguments.records, "against": dict(arguments.against)}
    if step.name == "validate":
        given["reference"] = arguments.reference
    if step.name in OVERRIDABLE:
        given["override"] = override_from(arguments)
    started = time.monotonic()
    with ExitStack() as stack:
        if step.name == "gate":
            given["champion"] = _champion(arguments.champion, given["pages"], params, stack)
        result = _call(step, arguments, given, params)
    if os.environ.get("RANK", "0") != "0":
        return 0  # one of several processes of a training; the first reports
    _report(step, given[step.output], asdict(result), time.monotonic() - started)
    return 0


def _stop(deployment: Path, params: Params) -> int:
    from components.deploy.step import stop_server

    print(f"deploy: {'TorchServe is stopped' if stop_server(deployment, params.deploy) else 'no TorchServe runs'}")
    return 0


def _call(step: Step, arguments: argparse.Namespace, given: dict, params: Params):
    if step.name == "deploy" and arguments.champion:
        from components.deploy.step import serve_champion

        return serve_champion(deployment=arguments.deployment, params=params.deploy, tracking=params.tracking,
                              name=params.register.name, override=given["override"])
    return load_run(step.name)(**given, **step_arguments(step, params))


def _champion(wanted: str | None, pages: Path, params: Params, stack: ExitStack) -> Path | None:
    """The folder of the champion's evaluation; that of the registry's champion is there for as long as it takes."""
    if wanted != REGISTRY:
        return None if wanted is None else Path(wanted)
    from components.gate.champion import champion_evaluation

    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="vizecg-champion-"))
    return champion_evaluation(pages=pages, scratch=Path(scratch), name=params.register.name, tracking=params.tracking)


def _report(step: Step, output: Path, result: dict, seconds: float) -> None:
    values = ", ".join(f"{name}={_plain(value)}" for name, value in result.items())
    print(f"{step.name}: {values} -> {output} ({seconds:.1f} s)")
    if step.name == "gate":
        for rule in json.loads((output / "decision.json").read_text())["rules"]:
            print(f"  {'passed' if rule['passed'] else 'FAILED'}  {rule['reason']}")


def _plain(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _from_params(params: Params, key: str) -> Path | str:
    section, name = key.split(".")
    return place(getattr(getattr(params, section), name))


def _with_param(params: Params, key: str, value: str) -> Params:
    section, name = key.split(".")
    return replace(params, **{section: replace(getattr(params, section), **{name: value})})


def _ingest_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", metavar="NAME", help="kind of the source (ingest.source of the parameters)")
    parser.add_argument("--shard", type=_shard, metavar="I/N", help="read the I-th of N parts only; 'vizecg merge' "
                        "puts them together")
    parser.epilog = f"{parser.epilog}\n\n{help_text()}"


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 3/8")
    return int(number), int(count)


def _validate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reference", type=Path, metavar="DIR",
                        help="record store to compare every field with: has the data drifted?")


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted training stopped")
    parser.add_argument("--state", default=str(TRAIN_STATE), metavar="DIR",
                        help=f"where the state to resume from is kept; s3://BUCKET/PREFIX for a bucket ({TRAIN_STATE})")


def _gate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--champion", metavar="DIR", help="evaluation of the champion on the same pages, to compare "
                        f"with; '{REGISTRY}': that of the registry's champion, if there is one, "
                        "which then reads these pages where it was measured on others")


def _deploy_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--champion", action="store_true", help="serve what has the alias champion in the registry, "
                        "with the registry's package; --package and --registration are not read")
    parser.add_argument("--stop", action="store_true", help="stop the TorchServe that a deployment started, which runs "
                        "on after the command; nothing is deployed, the registry stays as it is")
    add_override_arguments(parser)


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=Path, metavar="DIR",
                        help="record store of the pages; only a baseline that reads signals needs it")
    parser.add_argument("--against", type=_named_folder, action="append", default=[], metavar="NAME=DIR",
                        help="evaluation of another model on the same pages, to test the differences; repeatable")


def _named_folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r}: give a name and a folder, such as champion=old/evaluation")
    return name, Path(folder)


_SPECIAL = {"ingest": _ingest_arguments, "validate": _validate_arguments, "train": _train_arguments,
            "evaluate": _evaluate_arguments, "gate": _gate_arguments,
            "register": add_override_arguments, "deploy": _deploy_arguments}

STEP_VERBS = tuple(Verb(step.name, step.summary, step.example, partial(_add_arguments, step=step),
                        partial(_run, step=step)) for step in STEPS.values())
