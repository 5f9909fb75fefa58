"""Damaged archives: none may crash or hang an ingest, each record comes in rightly or is refused with its reason.

`python -m benchmarks.fuzz --count 10000` damages the files of small archives (WFDB in its formats, .mat, HDF5, tables)
one case at a time: flipped bits, truncations, numbers that lie, odd text, huge or empty files. A case ends well when
the source is refused in one sentence (ValueError), or when every record is either quarantined with a known reason or
has a signal: that of the undamaged archive where its own files are whole, and that of the wfdb package, read from the
same damaged files, where they are not. `--source NAME --template FOLDER` does the same to any other source.
"""

import argparse
import os
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fuzz_archives import TEMPLATES, write_template
from components.ingest.block import Shape, read_one
from components.progress import track
from ecg.quality import REASONS
from ecg.records import BadRecord, RawRecord
from ecg.sources.registry import open_source
from ecg.sources.source import Entry, Source
from ecg.sources.wfdb_files import SignalError, decode_any, to_signal

SECONDS = 10.0
"""Longest time of a case; a sound one takes some milliseconds."""
MEMORY = 2 << 30
"""Bytes of address space that a case may take beyond what the process has."""
SHAPE = Shape(100.0, 10.0)
ODD = (b"\x00", b"\xff\xfe", b'"', b'""', b",", b";", b"\n", b"\r", b"\xef\xbb\xbf", "µ٣é\u2028".encode(),
       b"NaN", b"inf", b"-1", b"0", b"1e308", b"1e-320", b"99999999999999999999", b"4294967296", b"../", b"/etc/passwd",
       b"%s%n", b"{" * 300, b"'", b"#", b"(", b")", b"/", b"+", b":", b"x", b" ", b"\t", b"212", b"16", b"24", b"32",
       b"80", b"508", b"~")


def damage(rng: np.random.Generator, data: bytes) -> bytes:
    """Return a file's content with one to four damages."""
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, len(data) + 1))
        kind = rng.integers(0, 9)
        if kind == 0 and data:
            flipped = bytearray(data)
            for place in rng.integers(0, len(data), rng.integers(1, 9)):
                flipped[place] ^= 1 << int(rng.integers(0, 8))
            data = bytes(flipped)
        elif kind == 1:
            data = data[:at]
        elif kind == 2:
            data = data[:at] + rng.bytes(int(rng.integers(1, 40))) + data[at:]
        elif kind == 3:
            data = data[:at] + data[at + int(rng.integers(1, 60)):]
        elif kind in (4, 5):
            data = data[:at] + ODD[rng.integers(len(ODD))] + data[at + int(rng.integers(0, 4)):]
        elif kind == 6:
            data = _another_number(rng, data)
        elif kind == 7:
            lines = data.split(b"\n")
            lines.insert(int(rng.integers(0, len(lines))), lines[rng.integers(len(lines))])
            data = b"\n".join(lines)
        else:
            data = data[:at] + bytes([int(rng.integers(0, 256))]) * int(rng.choice([1, 1000, 300_000])) + data[at:]
    return data


def _another_number(rng: np.random.Generator, data: bytes) -> bytes:
    """Put another number in the place of one that stands there."""
    words = data.split(b" ")
    numbers = [i for i, word in enumerate(words) if word[:1].isdigit()]
    if numbers:
        words[numbers[rng.integers(len(numbers))]] = str(rng.choice([0, -1, 1, 13, 255, 2**31, 2**63, 10**12])).encode()
    return b" ".join(words)


@dataclass(frozen=True)
class Verdict:
    """How a case ended: `refused` or `read` are well, all else is a fault; `records` counts what became of each."""

    kind: str
    detail: str
    records: Counter


def judge(source_name: str, folder: Path, changed: set[str], sound: dict[str, np.ndarray]) -> Verdict:
    """Open and read a damaged archive."""
    records: Counter = Counter()
    try:
        with limited(SECONDS):
            try:
                source = open_source(source_name, folder)
            except ValueError as error:
                return Verdict("refused" if str(error).strip() else "no reason", str(error), records)
            for entry in source.entries:
                out = np.zeros((12, SHAPE.samples), np.int16)
                outcome = read_one(source, entry, SHAPE, out)
                if isinstance(outcome, BadRecord):
                    if outcome.reason not in REASONS or not outcome.detail:
                        return Verdict("no reason", repr(outcome), records)
                    records[outcome.reason] += 1
                    continue
                records["read"] += 1
                if wrong := _wrong(source, entry, changed, sound):
                    return Verdict("wrong", wrong, records)
    except TimeoutError:
        return Verdict("hang", "", records)
    except Exception as error:  # whatever comes out here is what is looked for
        return Verdict("crash", f"{type(error).__name__}: {error}", records)
    return Verdict("read", "", records)


def _wrong(source: Source, entry: Entry | BadRecord, changed: set[str], sound: dict[str, np.ndarray]) -> str:
    """Say what is wrong with a record that was read, or nothing."""
    item = source.read(entry)
    if not isinstance(item, RawRecord) or not np.isfinite(item.signal_mv).all():
        return f"{entry.record}: stored, but not read again"
    assert isinstance(entry, Entry)
    name = Path(entry.path).name
    if not any(file.split(".")[0] == name.split(".")[0] for file in changed):
        if key(entry) in sound and not np.array_equal(item.signal_mv, sound[key(entry)]):
            return f"{name}: another signal, though its files are whole"
        return ""
    if not source.direct:
        return ""
    try:
        theirs = to_signal(decode_any(entry.path))
    except SignalError as error:
        return f"{name}: read here, and wfdb says {error}"
    if not np.array_equal(theirs.millivolt, item.signal_mv) or theirs.sampling_rate != item.sampling_rate:
        return f"{name}: another signal than wfdb's"
    return ""


def key(entry: Entry) -> str:
    """Where a record's signal lies, whatever the table calls it."""
    return f"{Path(entry.path).name} {entry.row}"


@contextmanager
def limited(seconds: float):
    """Raise TimeoutError after so many seconds, MemoryError beyond `MEMORY` more bytes than now."""
    def late(number, frame):
        raise TimeoutError

    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, before[1]))
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(source: str, template: Path, *, count: int, seed: int) -> tuple[Counter, Counter, list[str]]:
    """Judge `count` damaged copies of an archive: verdicts, what became of the records, and the faults."""
    verdicts: Counter = Counter()
    records: Counter = Counter()
    faults: list[str] = []
    whole = open_source(source, template)
    sound = {key(entry): item.signal_mv for entry in whole.entries
             if isinstance(entry, Entry) and isinstance(item := whole.read(entry), RawRecord)}
    files = sorted(path.relative_to(template) for path in template.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "archive")
        shutil.copytree(template, folder)
        for number in track(range(count), label=f"fuzz {source}"):
            rng = np.random.default_rng([seed, number])
            chosen = [files[i] for i in rng.choice(len(files), min(len(files), rng.integers(1, 3)), replace=False)]
            for file in chosen:
                (folder / file).write_bytes(damage(rng, (template / file).read_bytes()))
                os.utime(folder / file, ns=(0, number))  # two cases may fall into one tick, and HDF5 files stay open
            verdict = judge(source, folder, {file.name for file in chosen}, sound)
            verdicts[verdict.kind] += 1
            records += verdict.records
            if verdict.kind not in ("read", "refused"):
                where = ", ".join(map(str, chosen))
                faults.append(f"{source} case {number} ({where}): {verdict.kind}: {verdict.detail}")
            for file in chosen:
                shutil.copyfile(template / file, folder / file)
                os.utime(folder / file, ns=(0, number + count))
    return verdicts, records, faults


def main(arguments: list[str] | None = None) -> int:
    """Fuzz and print what became of it; the exit status is 1 when anything crashed, hung or was read wrongly."""
    parser = argparse.ArgumentParser(prog="vizecg bench fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="cases of each source (1000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", nargs="+", default=sorted(TEMPLATES), metavar="NAME", help="kinds of sources")
    parser.add_argument("--template", type=Path, metavar="DIR", help="small sound archive of the one source named")
    options = parser.parse_args(arguments)
    failed = False
    for source in options.source:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            template = options.template or write_template(Path(scratch, "template"), source)
            verdicts, records, faults = fuzz(source, template, count=options.count, seed=options.seed)
        print(f"{source}: {options.count} cases in {time.perf_counter() - started:.0f} s: {dict(verdicts)}; "
              f"records: {dict(records.most_common())}")
        print(*faults[:20], sep="\n")
        failed |= bool(faults)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
