"""The verbs around the steps: simulate, recipe, predict, rollback, summary, bench."""

import argparse
import importlib
import pkgutil
from dataclasses import asdict
from pathlib import Path

from components.cli_verb import Verb, add_params_arguments, params_of
from components.registry import ARTIFACTS, STEPS

KEY_FILE = Path(ARTIFACTS, "torchserve", "key_file.json")
"""Where a server that deploy started keeps its keys."""


def _simulate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("data/simulated"), metavar="DIR",
                        help="folder to write (data/simulated)")
    parser.add_argument("--records", type=int, default=600, metavar="N", help="how many records (600)")
    parser.add_argument("--seed", type=int, default=20240805, help="of everything drawn (20240805: the embedded data)")


def _simulate(arguments: argparse.Namespace) -> None:
    from components.simulate import run

    _say("simulate", run(out=arguments.out, records=arguments.records, seed=arguments.seed))


def _recipe_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a file of recipes/, without its ending")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the recipe's data lies")
    parser.add_argument("--out", type=Path, default=Path("params.yaml"), metavar="FILE",
                        help="file to write (params.yaml)")


def _recipe(arguments: argparse.Namespace) -> None:
    from components.recipe import run

    _say("recipe", run(name=arguments.name, out=arguments.out, data=arguments.data))


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    package = STEPS["package"].folder
    parser.add_argument("pages", type=Path, nargs="+", metavar="PAGE", help="image files, or folders of them")
    reader = parser.add_mutually_exclusive_group()
    reader.add_argument("--package", type=Path, metavar="DIR", help=f"package that reads ({package})")
    reader.add_argument("--endpoint", metavar="URL", help="served model that reads instead")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--token", metavar="TEXT", help="for the endpoint")
    key.add_argument("--key-file", type=Path, metavar="FILE", help=f"TorchServe's key file instead ({KEY_FILE})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file to write the answers to")


def _predict(arguments: argparse.Namespace) -> int:
    from components.predict import exit_status, run

    endpoint, package, key_file = arguments.endpoint, arguments.package, arguments.key_file
    if endpoint is None:
        package = package or Path(STEPS["package"].folder)
    elif arguments.token is None:
        key_file = key_file or KEY_FILE
        if not key_file.exists():
            raise ValueError(f"{key_file}: no such file; give the server's --token, or its --key-file")
    return exit_status(run(page_paths=arguments.pages, package=package, endpoint=endpoint, token=arguments.token,
                           key_file=key_file, json_out=arguments.json))


def _rollback_arguments(parser: argparse.ArgumentParser) -> None:
    folder = STEPS["deploy"].folder
    parser.add_argument("--deployment", type=Path, default=Path(folder), metavar="DIR",
                        help=f"what deploy wrote; written anew ({folder})")
    add_params_arguments(parser)


def _rollback(arguments: argparse.Namespace) -> None:
    from components.rollback import run

    params = params_of(arguments)
    _say("rollback", run(deployment=arguments.deployment, params=params.deploy, tracking=params.tracking))


def _summary_arguments(parser: argparse.ArgumentParser) -> None:
    for name, step in (("evaluation", "evaluate"), ("decision", "gate")):
        parser.add_argument(f"--{name}", type=Path, default=Path(STEPS[step].folder), metavar="DIR",
                            help=f"what {step} wrote ({STEPS[step].folder})")


def _summary(arguments: argparse.Namespace) -> None:
    from components.summary import run

    print(run(evaluation=arguments.evaluation, decision=arguments.decision))


def _bench_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a module of benchmarks/")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="its own options")


def _bench(arguments: argparse.Namespace) -> int | None:
    package = importlib.import_module("benchmarks")
    known = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    if arguments.name not in known:
        raise ValueError(f"no benchmark is called {arguments.name!r}; there are {', '.join(known) or 'none'}")
    return importlib.import_module(f"benchmarks.{arguments.name}").main(arguments.rest)


def _say(name: str, result) -> None:
    print(f"{name}: " + ", ".join(f"{key}={value}" for key, value in asdict(result).items()))


TOOL_VERBS = (
    Verb("simulate", "write an archive of simulated 12-lead records", "vizecg simulate --records 600 --out archive",
         _simulate_arguments, _simulate),
    Verb("recipe", "write params.yaml for another source of data", "vizecg recipe ptbxl --data /archive/ptb-xl",
         _recipe_arguments, _recipe),
    Verb("predict", "read page images: a table of findings with their probabilities",
         "vizecg predict scans/ --json findings.json", _predict_arguments, _predict),
    Verb("rollback", "serve the previous champion again", "vizecg rollback", _rollback_arguments, _rollback),
    Verb("summary", "print the figures of the last evaluation", "vizecg summary", _summary_arguments, _summary),
    Verb("bench", "run a benchmark: ours and the peer's, side by side", "vizecg bench render",
         _bench_arguments, _bench),
)
