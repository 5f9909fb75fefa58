"""The verbs around the steps: simulate, recipe, summary, bench."""

import argparse
import importlib
import pkgutil
from dataclasses import asdict
from pathlib import Path

from components.cli_verb import Verb
from components.registry import STEPS


def _simulate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("data/simulated"), metavar="DIR",
                        help="folder to write (data/simulated)")
    parser.add_argument("--records", type=int, default=600, metavar="N", help="how many records (600)")
    parser.add_argument("--seed", type=int, default=7, help="of everything drawn (7)")


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
    import benchmarks

    known = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__))
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
    Verb("summary", "print the figures of the last evaluation", "vizecg summary", _summary_arguments, _summary),
    Verb("bench", "run a benchmark: ours and the peer's, side by side", "vizecg bench raster",
         _bench_arguments, _bench),
)
