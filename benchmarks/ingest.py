"""How fast an archive becomes a store, and in how much memory: `python -m benchmarks.ingest --ptbxl FOLDER`.

In one run over the same files: a loop of `wfdb.rdrecord`, ours by one process and by several, each in a process of its
own, so that the peak memory is its own. Processor seconds are those of the process and the ones that it started; both
sides import their libraries, ours loads its compiled kernel, and the system has the files at hand, before their clocks
start. `--rows` grows a simulated
archive to many rows and ingests and validates it: what memory does as they multiply is the slope.
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from components.progress import say
from model.params import IngestParams, ValidateParams

REAL_FILES = 1000
"""Of a grown archive; the others are the same under other names."""
MIB = 1 << 20


@dataclass(frozen=True)
class Cost:
    """What some work took; `peak` is resident memory in bytes, of its greatest process and of all together."""

    what: str
    records: int
    wall: float
    processor: float
    peak: int
    together: int

    @property
    def microseconds(self) -> float:
        """Processor time of a record."""
        return self.processor / self.records * 1e6


def measured(what: str, work: Callable[..., int], *arguments) -> Cost:
    """Do the work in a fresh process and say what it took; it returns how many records it did."""
    queue = multiprocessing.get_context("spawn")
    ours, theirs = queue.Pipe(duplex=False)
    process = queue.Process(target=_measure, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        raise RuntimeError(f"{what}: the measured process ended without an answer") from None
    finally:
        process.join()
    return Cost(what, *found)


def _measure(pipe, work: Callable[..., int], arguments: tuple) -> None:
    warm_up()
    wall, before = time.perf_counter(), _processor()
    records = work(*arguments)
    wall, used = time.perf_counter() - wall, _processor() - before
    own, children = (resource.getrusage(who).ru_maxrss * 1024 for who in
                     (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    workers = arguments[1].workers if len(arguments) > 1 and isinstance(arguments[1], IngestParams) else 0
    pipe.send((records, wall, used, max(own, children), own + children * (workers if workers > 1 else 0)))


def _processor() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def warm_up() -> None:
    """Import and compile what both sides need, so that neither pays for it."""
    import numpy as np
    import wfdb  # noqa: F401

    import components.ingest.step  # noqa: F401
    import components.validate.statistics  # noqa: F401
    from ecg.sources.wfdb_samples import to_microvolt

    twelve = np.arange(12)
    to_microvolt(np.zeros((2, 12), "<i2"), twelve, twelve, np.ones(12), np.ones(12), twelve, -32768,
                 np.zeros((12, 2), np.int16))


def wfdb_loop(data: Path, params: IngestParams, limit: int) -> int:
    """The peer: `wfdb.rdrecord` for each record, nothing kept."""
    import wfdb

    paths = sorted((data / f"records{params.source_rate}").rglob("*.hea"))[:limit or None]
    for path in paths:
        wfdb.rdrecord(str(path.with_suffix("")))
    return len(paths)


def ours(data: Path, params: IngestParams, out: Path) -> int:
    """The whole step: table, signals, quality, folds, digest."""
    from components.ingest.step import run

    result = run(data=data, records=out, params=params, seed=1)
    print(f"  {result.records} records, digest {result.digest[:16]}", flush=True)
    return result.records + result.quarantined


def validated(store: Path, params: ValidateParams, out: Path) -> int:
    """The validate step on a store."""
    from components.validate.step import run

    return run(records=store, validation=out, params=params, seed=1).records


def grown_archive(folder: Path, rows: int) -> Path:
    """Make an archive of so many rows: a thousand simulated records, and folders that are links to theirs."""
    from ecg.sources.simulated import COLUMNS, write_archive

    base = folder / "base"
    if not base.exists():
        write_archive(base, records=REAL_FILES, seed=1)
    grown = folder / f"rows{rows}"
    grown.mkdir()
    lines = (base / "labels.csv").read_text().splitlines()[1:]
    with open(grown / "labels.csv", "w", encoding="utf-8") as table:
        table.write(",".join(COLUMNS) + "\n")
        for number in range(rows):
            copy, line = divmod(number, len(lines))
            if line == 0:
                (grown / f"c{copy}").symlink_to(base / "records")
            record, patient, rest = lines[line].split(",", 2)
            table.write(f"c{copy}/{Path(record).name},{patient}-{copy},{rest}\n")
    return grown


def speed(options: argparse.Namespace, scratch: Path) -> list[Cost]:
    """The peer and ours over the same archive."""
    params = IngestParams(source="ptbxl", source_rate=options.rate, train_folds=(1, 2, 3, 4, 5, 6, 7),
                          validate_folds=(8,), test_folds=(9, 10), limit=options.limit)
    for file in sorted((options.ptbxl / f"records{options.rate}").rglob("*.*")):
        file.read_bytes()  # so that whoever comes first does not pay for the disk
    costs = [measured("wfdb.rdrecord loop", wfdb_loop, options.ptbxl, params, options.peer)]
    for workers in options.workers:
        say(f"ours, {workers} processes")
        costs.append(measured(f"ours, {workers} process{'es' * (workers > 1)}", ours, options.ptbxl,
                              replace(params, workers=workers), scratch / "store"))
    return costs


def scale(options: argparse.Namespace, scratch: Path) -> list[Cost]:
    """Ingest and validate archives of more and more rows."""
    costs = []
    for rows in options.rows:
        say(f"{rows:,} rows")
        archive = grown_archive(scratch, rows)
        params = IngestParams(source="wfdb_folder", duration=options.duration, workers=options.workers[-1])
        costs.append(measured("ingest", ours, archive, params, scratch / "store"))
        if options.validate:
            costs.append(measured("validate", validated, scratch / "store", ValidateParams(min_prevalence=0.0),
                                  scratch / "validation"))
        shutil.rmtree(archive)
        shutil.rmtree(scratch / "store")
    return costs


def table(costs: list[Cost]) -> str:
    """Lay costs out as Markdown; ratios are of processor time a record, to the first row's."""
    lines = ["| | records | wall s | processor s | µs a record | times as fast | peak MiB | all processes MiB |",
             "|---|---|---|---|---|---|---|---|"]
    return "\n".join([*lines, *(
        f"| {c.what} | {c.records:,} | {c.wall:.1f} | {c.processor:.1f} | {c.microseconds:.0f} | "
        f"{costs[0].microseconds / c.microseconds:.1f} | {c.peak / MIB:.0f} | {c.together / MIB:.0f} |"
        for c in costs)])


def slopes(costs: list[Cost]) -> str:
    """Say what each further row costs in memory, and what a million would take."""
    lines = []
    for what in dict.fromkeys(c.what for c in costs):
        rows = [c for c in costs if c.what == what]
        for few, many in pairwise(rows):
            slope = (many.peak - few.peak) / (many.records - few.records)
            million = many.peak + slope * max(0, 1_000_000 - many.records)
            lines.append(f"{what}: {few.records:,} to {many.records:,} rows: {slope:,.0f} bytes a row; a million: "
                         f"{million / MIB:,.0f} MiB")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="vizecg bench ingest", description=__doc__.split("\n")[0])
    parser.add_argument("--ptbxl", type=Path, metavar="DIR", help="an unpacked PTB-XL; without it only --rows is run")
    parser.add_argument("--rate", type=int, choices=(100, 500), default=100, help="which of its files (100)")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="only so many records; 0: all")
    parser.add_argument("--peer", type=int, default=2000, metavar="N", help="records of the peer's loop (2000); 0: all")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N", help="processes (1 2)")
    parser.add_argument("--rows", type=int, nargs="*", default=[], metavar="N", help="of simulated archives")
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="of those archives' stores (10)")
    parser.add_argument("--validate", action="store_true", help="validate those stores too")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where stores are written, and removed again")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        if options.ptbxl:
            print(table(speed(options, Path(folder))), flush=True)
        if options.rows:
            costs = scale(options, Path(folder))
            print(table(costs), slopes(costs), sep="\n\n")


if __name__ == "__main__":
    main()
