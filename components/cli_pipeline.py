"""The verb `pipeline`: compile and draw the DAGs, run one on this machine, start and schedule them on a cluster."""

import argparse
import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

from components.cli_verb import Verb, add_params_arguments, params_of

LOCAL_ROOT = Path("local")
WHICH = ("training", "batch_predict", "monitor")
LOCAL_TRACKING = "sqlite:"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    compiling = actions.add_parser("compile", help="write a DAG as YAML, the same bytes on any machine")
    compiling.add_argument("--out", type=Path, metavar="FILE", help="file to write (pipelines/PIPELINE.yaml)")
    compiling.add_argument("--release", action="store_true", help="name the images by the digests of images.lock")
    compiling.add_argument("--manifests", action="store_true",
                           help="as Pipeline and PipelineVersion resources, for kubectl apply")
    compiling.add_argument("--namespace", default="", metavar="NAME", help="of those resources")
    drawing = actions.add_parser("draw", help="draw a compiled DAG as Mermaid or, by the file's ending, as SVG")
    drawing.add_argument("--out", type=Path, required=True, metavar="FILE", help="FILE.mmd or FILE.svg")
    running = actions.add_parser("run", help="run the whole training DAG on this machine, register and deploy too")
    _run_arguments(running)
    submitting = actions.add_parser("submit", help="start a run on a Kubeflow Pipelines server and follow it")
    submitting.add_argument("--no-wait", action="store_true", help="start it and return")
    scheduling = actions.add_parser("schedule", help="have a pipeline started again and again")
    scheduling.add_argument("--cron", required=True, metavar="TEXT", help="when: minute hour day month weekday")
    following = actions.add_parser("follow", help="say the states of a run until it has ended")
    following.add_argument("run", metavar="RUN", help="id that submit printed")
    for each in (compiling, drawing, submitting, scheduling):
        each.add_argument("--which", choices=WHICH, default="training", help="the pipeline (training)")
    for each in (submitting, scheduling, following):
        _server_arguments(each)
    for each in (submitting, scheduling):
        _start_arguments(each)
    for each, act in ((compiling, _compile), (drawing, _draw), (running, _run_local), (submitting, _submit),
                      (scheduling, _schedule), (following, _follow)):
        each.set_defaults(act=act)


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, default=LOCAL_ROOT, metavar="DIR",
                        help=f"where the tasks write ({LOCAL_ROOT})")
    parser.add_argument("--docker", action="store_true", help="each task in a container of its image (make images)")
    parser.add_argument("--fresh", action="store_true", help="do everything again, take nothing from the cache")
    _trials_argument(parser)
    add_params_arguments(parser)


def _server_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", required=True, metavar="URL", help="address of the server's API")
    parser.add_argument("--namespace", default="", metavar="NAME", help="profile of a multi-user cluster")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="file with a bearer token")


def _start_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--account", default="", metavar="NAME", help="service account of the tasks")
    parser.add_argument("--data-digest", default="", metavar="TEXT",
                        help="digest of the raw data: part of the key of cached tasks")
    parser.add_argument("--placeholders", action="store_true",
                        help="name the images by their local tags, for clusters that have them loaded")
    parser.add_argument("--recipe", metavar="NAME", help="take the parameters from recipes/ instead of --params")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", dest="inputs",
                        help="any other input of the pipeline, such as gpus=1 or train_memory=64Gi; may be repeated")
    _trials_argument(parser)
    add_params_arguments(parser)


def _trials_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trial", action="append", default=[], metavar="JSON", dest="trials",
                        help='a training of a sweep, such as {"seed": 8, "train": {"epochs": 40}}; may be repeated, '
                             "the best by validation AUROC is taken")
    parser.add_argument("--shards", type=int, default=1, metavar="N",
                        help="parts of the source that are read at the same time (1)")


def _compile(arguments: argparse.Namespace) -> None:
    compiled = importlib.import_module("pipelines.compiled")
    out = arguments.out or compiled.PIPELINES[arguments.which].golden
    compiled.compile_pipeline(arguments.which, out, release=arguments.release, manifests=arguments.manifests,
                              namespace=arguments.namespace)
    print(f"pipeline compile: {out}")


def _draw(arguments: argparse.Namespace) -> None:
    importlib.import_module("pipelines.draw").draw(arguments.which, arguments.out)
    print(f"pipeline draw: {arguments.out}")


def _run_local(arguments: argparse.Namespace) -> int:
    verbs = importlib.import_module("pipelines.verbs")
    outcome = verbs.run_local(params_of(arguments), root=arguments.root, trials=_trials(arguments),
                              shards=_shards(arguments), docker=arguments.docker, cache=not arguments.fresh)
    print("\n".join(outcome.lines))
    return 0 if outcome.good else 1


def _submit(arguments: argparse.Namespace) -> int:
    server, params, values = _prepared(arguments)
    module = importlib.import_module("pipelines.server")
    run = module.submit(server, params, values, which=arguments.which, release=not arguments.placeholders)
    print(f"pipeline submit: {server.link(run)}", flush=True)
    return 0 if arguments.no_wait else _followed(server, run)


def _schedule(arguments: argparse.Namespace) -> None:
    server, params, values = _prepared(arguments)
    module = importlib.import_module("pipelines.server")
    job = module.schedule(server, params, values, cron=arguments.cron, which=arguments.which,
                          release=not arguments.placeholders)
    print(f"pipeline schedule: {server.address}/#/recurringrun/details/{job}")


def _follow(arguments: argparse.Namespace) -> int:
    return _followed(_server(arguments), arguments.run)


def _followed(server, run: str) -> int:
    """Follow a run; Ctrl-C ends the following alone."""
    module = importlib.import_module("pipelines.server")
    try:
        state = module.follow(server, run, say=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print(f"\nthe run goes on; follow it again with: vizecg pipeline follow {run} --host {server.host}",
              file=sys.stderr)
        return 130
    print(f"pipeline: {state} {server.link(run)}")
    return 0 if state == "SUCCEEDED" else 1


def _server(arguments: argparse.Namespace):
    return importlib.import_module("pipelines.server").Server(
        arguments.host, arguments.namespace, arguments.token_file, getattr(arguments, "account", ""))


def _prepared(arguments: argparse.Namespace):
    """The server, the parameters, and the pipeline's inputs that follow from them and from --input."""
    if arguments.recipe:
        with tempfile.TemporaryDirectory() as folder:
            importlib.import_module("components.recipe").compose(arguments.recipe, Path(folder) / "params.yaml")
            arguments.params = str(Path(folder) / "params.yaml")
            params = params_of(arguments)
    else:
        params = params_of(arguments)
    if params.tracking.uri.startswith(LOCAL_TRACKING):
        raise ValueError(f"tracking.uri: {params.tracking.uri} is a file of one machine, which the tasks do not share; "
                         "set MLFLOW_TRACKING_URI to a server that the cluster reaches")
    inputs = dict(_pair(text) for text in arguments.inputs)
    if arguments.which != "training":
        return _server(arguments), params, importlib.import_module("pipelines.inputs").of(params, arguments.which,
                                                                                          inputs)
    # Without a digest nothing says that the data is what it was: then no cached ingest may be taken.
    digest = arguments.data_digest or f"unknown at {time.time():.0f}"
    values = importlib.import_module("pipelines.verbs").pipeline_arguments(
        params, data=params.ingest.data, data_digest=digest, trials=_trials(arguments),
        shards=_shards(arguments))
    return _server(arguments), params, {**values, **inputs}


def _pair(text: str) -> tuple[str, object]:
    """NAME=VALUE; a value that is a JSON object or list is one, any other a text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--input: {text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value) if value[:1] in "{[" and value else value
    except json.JSONDecodeError as error:
        raise ValueError(f"--input: {text!r} begins like JSON and is none ({error.msg})") from None


def _shards(arguments: argparse.Namespace) -> int:
    if arguments.shards < 1:
        raise ValueError(f"--shards: {arguments.shards} is no number above 0")
    return arguments.shards


def _trials(arguments: argparse.Namespace) -> list[dict] | None:
    trials = []
    for text in arguments.trials:
        try:
            trials.append(json.loads(text))
        except json.JSONDecodeError as error:
            raise ValueError(f"--trial: {text!r} is not JSON ({error.msg})") from None
        if not isinstance(trials[-1], dict):
            raise ValueError(f'--trial: {text!r} is no object; write {{"seed": 8}}')
    return trials or None


PIPELINE_VERBS = (
    Verb("pipeline", "compile, draw, run, submit, schedule or follow the Kubeflow pipelines",
         "vizecg pipeline run | vizecg pipeline submit --host http://127.0.0.1:8888",
         _add_arguments, lambda arguments: arguments.act(arguments)),
)
