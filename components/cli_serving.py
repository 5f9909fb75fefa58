"""The verbs about serving: shadow, export."""

import argparse
from pathlib import Path

from components.cli_verb import Verb, add_params_arguments, params_of
from components.registry import ARTIFACTS, STEPS


def _shadow_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--package", type=Path, default=Path(STEPS["package"].folder), metavar="DIR",
                        help=f"the challenger ({STEPS['package'].folder})")
    parser.add_argument("--deployment", type=Path, default=Path(STEPS["deploy"].folder), metavar="DIR",
                        help=f"what deploy wrote ({STEPS['deploy'].folder})")
    parser.add_argument("--log", type=Path, default=Path(ARTIFACTS, "shadow.jsonl"), metavar="FILE",
                        help=f"gets a line of JSON a page ({ARTIFACTS}/shadow.jsonl)")
    parser.add_argument("--port", type=int, default=8090, metavar="N", help="where the traffic goes meanwhile (8090)")
    add_params_arguments(parser)


def _shadow(arguments: argparse.Namespace) -> None:
    from components.shadow import run, say

    print(say(run(package=arguments.package, deployment=arguments.deployment, log=arguments.log, port=arguments.port,
                  params=params_of(arguments).deploy)))


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--package", type=Path, default=Path(STEPS["package"].folder), metavar="DIR",
                        help=f"what package wrote ({STEPS['package'].folder})")
    parser.add_argument("--pages", type=Path, metavar="DIR", help="pages that both are compared on, of the package's "
                        f"size and findings ({STEPS['render'].folder}; without --int8, for another --package: the page "
                        "that comes with it)")
    parser.add_argument("--onnx", type=Path, default=Path(ARTIFACTS, "onnx", "model.onnx"), metavar="FILE",
                        help="file to write, and beside it, ending in .json, what was measured; not "
                        f"in the package's folder ({ARTIFACTS}/onnx/model.onnx)")
    parser.add_argument("--int8", type=Path, metavar="FILE", help="8-bit file to write as well; its loss is measured")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="test pages a capture for the loss (all)")


def _export(arguments: argparse.Namespace) -> None:
    from components.export import run

    rendered = Path(STEPS["render"].folder)
    own = arguments.package == Path(STEPS["package"].folder)
    pages = arguments.pages or (rendered if own or arguments.int8 else None)
    result = run(package=arguments.package, pages=pages, onnx=arguments.onnx, int8=arguments.int8,
                 limit=arguments.limit)
    print(f"export: {result.onnx}: at most {result.parity:.1e} from the package's probabilities")
    if result.int8:
        print(f"export: {result.int8}: macro AUROC {result.auroc_int8:.4f}, the package's {result.auroc:.4f}, "
              f"loss {result.loss:.4f}")


SERVING_VERBS = (
    Verb("shadow", "let a challenger read a copy of the traffic and compare its answers; Ctrl-C ends it",
         "vizecg shadow --package artifacts/package --port 8090", _shadow_arguments, _shadow),
    Verb("export", "write a package as ONNX and 8-bit ONNX for other runtimes, each compared with the package",
         "vizecg export --onnx model.onnx --int8 model.int8.onnx", _export_arguments, _export),
)
