"""The verb `pipeline`: compile, run on this machine, submit to a cluster."""

import argparse
import importlib
from pathlib import Path

from components.cli_verb import Verb, add_params_arguments, params_of

COMPILED = Path("pipelines/training.yaml")
LOCAL_ROOT = Path("local")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    compiling = actions.add_parser("compile", help="write the DAG as YAML, the same bytes on any machine")
    compiling.add_argument("--out", type=Path, default=COMPILED, metavar="FILE", help=f"file to write ({COMPILED})")
    compiling.set_defaults(act=_compile)
    running = actions.add_parser("run", help="run the whole DAG on this machine, register and deploy included")
    running.add_argument("--root", type=Path, default=LOCAL_ROOT, metavar="DIR",
                         help=f"where the tasks write ({LOCAL_ROOT})")
    add_params_arguments(running)
    running.set_defaults(act=_run_local)
    submitting = actions.add_parser("submit", help="start a run on a Kubeflow Pipelines server")
    submitting.add_argument("--host", required=True, metavar="URL", help="address of the server's API")
    submitting.add_argument("--data-digest", default="", metavar="TEXT",
                            help="digest of the raw data: part of the key of cached tasks")
    add_params_arguments(submitting)
    submitting.set_defaults(act=_submit)


def _compile(arguments: argparse.Namespace) -> None:
    _verbs().compile_training(arguments.out)
    print(f"pipeline compile: {arguments.out}")


def _run_local(arguments: argparse.Namespace) -> int:
    outcome = _verbs().run_local(params_of(arguments), root=arguments.root)
    print("\n".join(outcome.lines))
    return 0 if outcome.good else 1


def _submit(arguments: argparse.Namespace) -> None:
    link = _verbs().submit(params_of(arguments), host=arguments.host, data_digest=arguments.data_digest)
    print(f"pipeline submit: {link}")


def _verbs():
    """Found by name when called, as steps are: pipelines are made of components, which know nothing of them."""
    return importlib.import_module("pipelines.verbs")


PIPELINE_VERBS = (
    Verb("pipeline", "compile, run or submit the Kubeflow pipeline",
         "vizecg pipeline run | vizecg pipeline submit --host http://127.0.0.1:8888",
         _add_arguments, lambda arguments: arguments.act(arguments)),
)
