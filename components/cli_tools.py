"""The verbs around the steps: simulate, recipe, predict, web, pseudonym, summary, bench."""

import argparse
import importlib
import os
from dataclasses import asdict
from pathlib import Path

from components.cli_verb import Verb, place
from components.registry import ARTIFACTS, STEPS

ZOO = Path(__file__).resolve().parents[1] / "zoo" / "ptbxl"
"""The reader that comes with the project: five superclasses of PTB-XL, read from the page."""
KEY_FILE = Path(ARTIFACTS, "torchserve", "key_file.json")
"""Where a server that deploy started keeps its keys."""
TOKEN = "VIZECG_TOKEN"
"""The environment's variable that holds an endpoint's token."""


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
    parser.add_argument("--data", type=place, metavar="DIR", help="where the recipe's data lies; or s3://BUCKET/PREFIX")
    parser.add_argument("--out", type=Path, default=Path("params.yaml"), metavar="FILE",
                        help="file to write (params.yaml)")


def _recipe(arguments: argparse.Namespace) -> None:
    from components.recipe import run

    _say("recipe", run(name=arguments.name, out=arguments.out, data=arguments.data))


def add_reader_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says who reads a page: --package, or --endpoint with --token or --key-file."""
    package = STEPS["package"].folder
    reader = parser.add_mutually_exclusive_group()
    reader.add_argument("--package", type=Path, metavar="DIR",
                        help=f"package that reads ({package} if there is one, else the PTB-XL reader of zoo/)")
    reader.add_argument("--endpoint", metavar="URL", help="served model that reads instead")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--token", metavar="TEXT", help=f"for the endpoint (${TOKEN}, which other users of the machine do "
                     "not see)")
    key.add_argument("--key-file", type=Path, metavar="FILE", help=f"TorchServe's key file instead ({KEY_FILE})")
    parser.add_argument("--layout", metavar="NAME", help="how the pages are arranged, such as 6x2 or 12x1, where it is "
                        "not as the package expects")


def reader_of(arguments: argparse.Namespace, verb: str) -> dict:
    """Return the arguments of `components.predict.reader` as the user means them."""
    endpoint, package, token, key_file = arguments.endpoint, arguments.package, arguments.token, arguments.key_file
    if endpoint is None:
        if token or key_file:
            raise ValueError("--token and --key-file open an endpoint: name it with --endpoint URL")
        return {"package": package or _own_package(verb), "layout": arguments.layout}
    if key_file is None:
        token = token or os.environ.get(TOKEN)
    if token is None:
        key_file = key_file or KEY_FILE
        if not key_file.exists():
            raise ValueError(f"{key_file}: no such file; give the server's --token, or its --key-file")
    return {"endpoint": endpoint, "token": token, "key_file": key_file, "layout": arguments.layout}


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pages", type=Path, nargs="+", metavar="PAGE",
                        help="page files (PNG, JPEG, WebP, TIFF, PDF, DICOM), folders of them, or patterns")
    add_reader_arguments(parser)
    for kind, what in (("json", "the answers"), ("csv", "a table, a row a finding,"),
                       ("html", "a page for people, with pictures,"), ("fhir", "a bundle of FHIR resources")):
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE", help=f"file to write {what} to")


_PREDICT_MORE = """  vizecg predict page.jpg                                one page, read on this machine
  vizecg predict scans/ 'archive/**/*.dcm' --html a.html a folder and a pattern; a page to look at and print
  vizecg predict old/ --package zoo/ptbxl --layout 6x2   pages of six rows, two columns
  VIZECG_TOKEN=... vizecg predict page.pdf --endpoint http://127.0.0.1:8080
                                                         asks a served model

A * marks the findings that reach their threshold; "likely" is the calibrated probability; "not decided" means that the
page does not decide about a finding, "doubtful" that the page was hard to read. Not for diagnosis without a physician.
Exit status: 0 every page was read, 2 a page was not or something is to be put right, 1 the server failed."""


def _predict(arguments: argparse.Namespace) -> int:
    from components.predict import exit_status, run

    return exit_status(run(page_paths=arguments.pages, json_out=arguments.json, csv_out=arguments.csv,
                           html_out=arguments.html, fhir_out=arguments.fhir, **reader_of(arguments, "predict")))


def _own_package(verb: str) -> Path:
    """What the pipeline made here, or the reader that comes with the project."""
    made = Path(STEPS["package"].folder)
    if made.is_dir():
        return made
    print(f"{verb}: read by {ZOO.parent.name}/{ZOO.name}, which comes with the project; for research only, "
          "see its README.md")
    return ZOO


def _web_arguments(parser: argparse.ArgumentParser) -> None:
    add_reader_arguments(parser)
    parser.add_argument("--host", default="127.0.0.1", metavar="NAME", help="address to listen at (127.0.0.1: this "
                        "machine alone; put a server with TLS and sign-on before any other)")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="port to listen at (8000)")


def _web(arguments: argparse.Namespace) -> None:
    from components.web import run

    run(host=arguments.host, port=arguments.port, **reader_of(arguments, "web"))


def _pseudonym_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("record", "patient"), help="what the names are of")
    parser.add_argument("names", nargs="+", metavar="NAME", help="names as the source has them")


def _pseudonym(arguments: argparse.Namespace) -> None:
    from components.ingest.privacy import pseudonym
    from model.params import SALT_VARIABLE

    salt = os.environ.get(SALT_VARIABLE, "")
    for name in arguments.names:
        print(f"{name}\t{pseudonym(name, kind=arguments.kind, salt=salt)}")


def _summary_arguments(parser: argparse.ArgumentParser) -> None:
    for name, step in (("evaluation", "evaluate"), ("decision", "gate")):
        parser.add_argument(f"--{name}", type=Path, default=Path(STEPS[step].folder), metavar="DIR",
                            help=f"what {step} wrote ({STEPS[step].folder})")


def _summary(arguments: argparse.Namespace) -> None:
    from components.summary import run

    print(run(evaluation=arguments.evaluation, decision=arguments.decision))


def _merge_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shards", type=Path, nargs="+", metavar="DIR", help="stores that 'vizecg ingest --shard' wrote")
    parser.add_argument("--out", type=Path, default=Path(STEPS["ingest"].folder), metavar="DIR",
                        help=f"the store to write ({STEPS['ingest'].folder})")


def _merge(arguments: argparse.Namespace) -> None:
    from components.ingest.merge import merge

    _say("merge", merge(shards=arguments.shards, records=arguments.out))


def _bench_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a module of benchmarks/")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="its own options")


def _bench(arguments: argparse.Namespace) -> int | None:
    folder = Path(importlib.import_module("benchmarks").__path__[0])
    known = sorted(file.stem for file in folder.glob("*.py") if "\ndef main(" in file.read_text())
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
    Verb("predict", "read page files: a table of findings with their probabilities, JSON, CSV, HTML, FHIR",
         "vizecg predict scans/ --json findings.json", _predict_arguments, _predict, _PREDICT_MORE),
    Verb("web", "serve a web page on which a person drops or photographs a page and sees the findings",
         "vizecg web --port 8000", _web_arguments, _web),
    Verb("pseudonym", "print the pseudonyms that ingest.hash_ids gives names; the salt is VIZECG_ID_SALT",
         "vizecg pseudonym record 000123", _pseudonym_arguments, _pseudonym),
    Verb("summary", "print the figures of the last evaluation", "vizecg summary", _summary_arguments, _summary),
    Verb("merge", "put the shards of an ingest together", "vizecg merge shards/*", _merge_arguments, _merge),
    Verb("bench", "run a benchmark: ours and the peer's, side by side", "vizecg bench render",
         _bench_arguments, _bench),
)
