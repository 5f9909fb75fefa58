"""The verbs about the model registry: models, promote, rollback, reproduce, and monitor after them."""

import argparse
from dataclasses import asdict
from pathlib import Path

from components.cli_verb import Verb, add_override_arguments, add_params_arguments, override_from, params_of
from components.registry import ARTIFACTS, STEPS
from model.params import Params
from model.params_release import refuse_name


def _name(arguments: argparse.Namespace, params: Params) -> str:
    if arguments.name:
        refuse_name(arguments.name, "--name")
    return arguments.name or params.register.name


def _models_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help="registered model (register.name of the parameters)")
    parser.add_argument("--moves", action="store_true", help="show the history of the aliases as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file to write the table to")
    add_params_arguments(parser)


def _models(arguments: argparse.Namespace) -> None:
    from components.models import run

    params = params_of(arguments)
    print(run(name=_name(arguments, params), tracking=params.tracking, moves=arguments.moves,
              json_out=arguments.json))


def _promote_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", metavar="VERSION", help="a number, or an alias such as challenger")
    parser.add_argument("--why", default="promote", metavar="TEXT", help="for the history (promote)")
    parser.add_argument("--instead-of", metavar="VERSION", help="refuse unless this version is champion now")
    parser.add_argument("--name", metavar="NAME", help="registered model (register.name of the parameters)")
    add_override_arguments(parser)
    add_params_arguments(parser)


def _promote(arguments: argparse.Namespace) -> None:
    from components.promote import run

    params = params_of(arguments)
    _say("promote", run(wanted=arguments.version, name=_name(arguments, params), why=arguments.why,
                        tracking=params.tracking, instead_of=arguments.instead_of,
                        override=override_from(arguments)))


def _rollback_arguments(parser: argparse.ArgumentParser) -> None:
    folder = STEPS["deploy"].folder
    parser.add_argument("--deployment", type=Path, default=Path(folder), metavar="DIR",
                        help=f"what deploy wrote; written anew ({folder})")
    parser.add_argument("--registry-only", action="store_true", help="move the alias only; servers elsewhere follow it")
    add_params_arguments(parser)


def _rollback(arguments: argparse.Namespace) -> None:
    from components.rollback import in_registry, run

    params = params_of(arguments)
    if arguments.registry_only:
        _say("rollback", in_registry(name=params.register.name, tracking=params.tracking))
        return
    _say("rollback", run(deployment=arguments.deployment, params=params.deploy, tracking=params.tracking))


def _reproduce_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", metavar="VERSION", help="a number, or an alias such as champion")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the source's data lies now (as recorded)")
    parser.add_argument("--tolerance", type=float, default=0.02, metavar="X",
                        help="largest difference of a figure that counts as the same (0.02)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder to work in, and to keep")
    parser.add_argument("--repository", type=Path, metavar="DIR", help="git repository with the commit (this code's)")
    parser.add_argument("--name", metavar="NAME", help="registered model (register.name of the parameters)")
    add_params_arguments(parser)


def _reproduce(arguments: argparse.Namespace) -> int:
    from components.reproduce import run

    params = params_of(arguments)
    result = run(wanted=arguments.version, name=_name(arguments, params), tracking=params.tracking,
                 data=arguments.data, tolerance=arguments.tolerance, keep=arguments.keep,
                 repository=arguments.repository)
    print(result.table())
    return 0 if result.same else 1


def _monitor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("served", type=Path, metavar="LOG|FOLDER",
                        help="answers as JSON lines or as 'predict --json' writes them, or a folder of pages to read")
    parser.add_argument("--reference", type=Path, default=Path(STEPS["evaluate"].folder), metavar="DIR|LOG",
                        help="what evaluate wrote about the served model, or a log of a good time "
                        f"({STEPS['evaluate'].folder})")
    parser.add_argument("--package", type=Path, default=Path(STEPS["package"].folder), metavar="DIR",
                        help=f"package that reads a folder of pages ({STEPS['package'].folder})")
    parser.add_argument("-o", "--out", type=Path, default=Path(ARTIFACTS, "monitor"), metavar="DIR",
                        help=f"folder for report.html and monitor.json ({ARTIFACTS}/monitor)")
    add_params_arguments(parser)


def _monitor(arguments: argparse.Namespace) -> int:
    from components.monitor import read_log, run
    from components.predict import read_pages

    params = params_of(arguments)
    folder = arguments.served.is_dir()
    answers = read_pages(arguments.served, arguments.package) if folder else read_log(arguments.served)
    result = run(answers=answers, reference=arguments.reference, report=arguments.out, params=params.monitor)
    print(f"monitor: {result.state} on {result.pages} pages -> {arguments.out / 'report.html'}")
    for name in result.drifted:
        print(f"  drift  {name}")
    return result.status


def _say(name: str, result) -> None:
    print(f"{name}: " + ", ".join(f"{key}={value}" for key, value in asdict(result).items()))


REGISTRY_VERBS = (
    Verb("models", "the versions in the registry: aliases, figures, data, commit, when", "vizecg models --moves",
         _models_arguments, _models),
    Verb("promote", "make a version the champion, if its papers hold and nobody else came first",
         "vizecg promote challenger --why 'better on photos'", _promote_arguments, _promote),
    Verb("rollback", "serve the previous champion again", "vizecg rollback", _rollback_arguments, _rollback),
    Verb("reproduce", "make a version again from its commit, data and parameters, and compare the figures",
         "vizecg reproduce champion --data data/simulated", _reproduce_arguments, _reproduce),
    Verb("monitor", "compare served pages or a log of answers with what was measured; exit status 3 on drift",
         "vizecg monitor served.jsonl --reference artifacts/evaluate", _monitor_arguments, _monitor),
)
