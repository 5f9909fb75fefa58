"""The verbs on data: fetch a bucket, compare two stores."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from components.cli_verb import Verb, add_params_arguments, params_of
from components.s3 import SIGN


def _fetch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="s3://BUCKET/PREFIX", help="what to fetch")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                        help="folder to fetch into; called again, it goes on, and fetches what has changed")
    parser.add_argument("--include", action="append", default=[], metavar="PATTERN",
                        help="only these, such as 'records100/*'; may be given many times")
    parser.add_argument("--source", metavar="NAME", help="only what this source reads (ptbxl: at ingest.source_rate)")
    parser.add_argument("--profile", metavar="NAME", help="of ~/.aws/config (ingest.fetch.profile)")
    parser.add_argument("--endpoint", metavar="URL", help="of MinIO or Ceph (ingest.fetch.endpoint)")
    parser.add_argument("--sign", choices=SIGN, help="never: without keys, for open buckets (ingest.fetch.sign)")
    add_params_arguments(parser)


def _fetch(arguments: argparse.Namespace) -> None:
    from components.ingest.fetch import fetch, needed

    if arguments.source:
        arguments.overrides.append(f"ingest.source={arguments.source}")
    ingest = params_of(arguments).ingest
    given = {name: value for name in ("profile", "endpoint", "sign") if (value := getattr(arguments, name)) is not None}
    params = replace(ingest.fetch, **given)
    include = tuple(arguments.include) or params.include or (needed(ingest) if arguments.source else ())
    result = fetch(arguments.address, arguments.out, params=params, include=include)
    print("fetch: " + ", ".join(f"{key}={value}" for key, value in asdict(result).items()))


def _data_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    comparing = actions.add_parser("diff", help="say which records, signals, labels and fields differ in two stores")
    comparing.add_argument("before", type=Path, metavar="A", help="a record store")
    comparing.add_argument("after", type=Path, metavar="B", help="another")
    comparing.add_argument("--json", type=Path, metavar="FILE", help="file to write every difference to")
    comparing.add_argument("--most", type=int, default=10, metavar="N", help="records named for each kind (10)")


def _data(arguments: argparse.Namespace) -> None:
    from components.data_diff import diff, lines

    found = diff(arguments.before, arguments.after)
    if arguments.json:
        from ecg.files import write_whole

        write_whole(arguments.json, json.dumps(found, indent=1) + "\n")
    print("\n".join(lines(found, most=arguments.most)))


DATA_VERBS = (
    Verb("fetch", "bring the data of a bucket here: whole, checked, and never twice",
         "vizecg fetch s3://my-bucket/ptb-xl --source ptbxl --out data/ptb-xl", _fetch_arguments, _fetch),
    Verb("data", "compare two record stores", "vizecg data diff store-2025 store-2026 --json changes.json",
         _data_arguments, _data),
)
