"""Run a pipeline in processes of this machine, and keep its log readable.

kfp's local runner prints everything that it knows. Here all of it goes to a file, and the terminal
shows the state of each task and the task's own lines. What a run finished is not done again by the next one:
results are kept below the root, by image, parameters and inputs.
"""

import io
import itertools
import json
import logging
import os
import re
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from kfp import local

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTS = re.compile(r"Executing task '([^']+)'")
_ENDS = re.compile(r"Task '([^']+)' finished with status (\w+)")
_REUSED = re.compile(r"Task (\S+) cache hit \(key=(\w+)\)")
_AGAIN = re.compile(r"Task (\S+) failed \(attempt (\d+)/(\d+)\)")
_OWN = "    "
_NOISE = "[KFP Executor"
_DUMPED = re.compile(r'\s*("[^"]+": .*|(-?[\d.]+|"[^"]*"|true|false|null|[{}\[\]])[\]},]*)$')
"""A line of an executor's dump of its input, of which two may be printed at a time."""
UNBUFFERED = "PYTHONUNBUFFERED"
LINES_KEPT = 15
CACHE = ".cache"
"""Below the root: what finished tasks of earlier runs came to."""


@dataclass(frozen=True)
class LocalRun:
    """A finished local run: the folder with one subfolder a task, and what failed."""

    folder: Path
    log: Path
    succeeded: bool
    failed_task: str
    failed_lines: tuple[str, ...]
    reused: dict[str, Path] = field(default_factory=dict)
    """For each task whose result an earlier run had: the folder that it wrote then."""

    def read_json(self, task: str, name: str) -> dict | None:
        """Return what a task wrote to a JSON file of its outputs; None when it wrote none."""
        path = self.reused.get(task, self.folder / task) / name
        return json.loads(path.read_text()) if path.exists() else None


class Transcript(io.TextIOBase):
    """Takes the runner's output: all of it into the log, states and the tasks' own lines to the terminal."""

    def __init__(self, log, terminal):
        self._log, self._terminal = log, terminal
        self._line = ""
        self._in_input = False
        self._started: dict[str, float] = {}
        self._running = 0
        self.tail: deque[str] = deque(maxlen=LINES_KEPT)
        self.failed_task, self.failed_lines = "", ()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Take any piece of text; whole lines are looked at."""
        self._log.write(text)
        self._log.flush()
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take(_COLOUR.sub("", line).rstrip())
        return len(text)

    def _take(self, line: str) -> None:
        if started := _STARTS.search(line):
            if not self._running:
                self.tail.clear()
            self._started[started[1]] = time.monotonic()
            self._running += 1
            self._show(f"{started[1]}: running")
        elif ended := _ENDS.search(line):
            self._end(ended[1], ended[2])
        elif self._running and line.startswith(_OWN):
            self._take_own(line.removeprefix(_OWN))

    def _take_own(self, line: str) -> None:
        """A line of the task itself, unless it belongs to the executor's dump of its input."""
        if "Got executor_input:" in line:
            self._in_input = True
        elif self._in_input:
            self._in_input = (line if self._running == 1 else line.strip()) != "}"
        elif self._running > 1 and _DUMPED.match(line):
            return
        elif line and not line.lstrip().startswith(_NOISE):
            self.tail.append(line)
            self._show(f"    {line}")

    def _end(self, task: str, status: str) -> None:
        self._running = max(0, self._running - 1)
        self._show(f"{task}: {status} ({time.monotonic() - self._started.get(task, time.monotonic()):.1f} s)")
        if status == "FAILURE":
            self.failed_task, self.failed_lines = task, tuple(self.tail)

    def note(self, line: str) -> None:
        """Take a line that the runner logs and does not print: into the log, and its state to the terminal."""
        self._log.write(line + "\n")
        if reused := _REUSED.search(line):
            self._show(f"{reused[1]}: done before, taken from the cache")
        elif again := _AGAIN.search(line):
            self._show(f"{again[1]}: try {int(again[2]) + 1} of {again[3]}")

    def _show(self, line: str) -> None:
        print(line, file=self._terminal, flush=True)


class _Notes(logging.Handler):
    """Hands the runner's log lines to the transcript, and remembers which results came from the cache."""

    def __init__(self, transcript: Transcript, cache: Path):
        super().__init__(logging.INFO)
        self.transcript, self.cache = transcript, cache
        self.reused: dict[str, Path] = {}

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        self.transcript.note(line)
        if hit := _REUSED.search(line):
            (entry,) = self.cache.glob(f"{hit[2]}*.json")
            outputs = json.loads(entry.read_text()).values()
            places = [Path(output["uri"]).parent for output in outputs if isinstance(output, dict) and "uri" in output]
            if places:
                self.reused[hit[1]] = places[0]


@contextmanager
def _listening(notes: _Notes):
    """Hear the root logger, to which kfp says what it takes from the cache."""
    root = logging.getLogger()
    level = root.level
    root.addHandler(notes)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(notes)
        root.setLevel(level)


@contextmanager
def _printed_at_once() -> Iterator[None]:
    """Let a task's lines come when they are printed: into a pipe Python keeps them until the end, past the traceback
    of what failed."""
    before = os.environ.get(UNBUFFERED)
    os.environ[UNBUFFERED] = "1"
    try:
        yield
    finally:
        os.environ.pop(UNBUFFERED)
        if before is not None:
            os.environ[UNBUFFERED] = before


def _fresh_folder(root: Path) -> Path:
    """Make a folder named by the time; runs that begin within one second are told apart by a number."""
    named = time.strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        folder = root / (named if number == 1 else f"{named}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise AssertionError("there is always a next number")


def run_pipeline(pipeline: Callable, arguments: dict, *, root: Path, runner=None, cache: bool = True) -> LocalRun:
    """Run a pipeline with one of kfp's local runners.

    Args:
        pipeline: a function decorated with `dsl.pipeline`.
        arguments: its parameters.
        root: the run makes a folder below it, named by the time.
        runner: a runner of kfp.local; processes of this machine when None.
        cache: take results that an earlier run below `root` finished with the same image, parameters and inputs.
    """
    folder = _fresh_folder(root.absolute())
    kept = root.absolute() / CACHE
    local.init(runner or local.SubprocessRunner(use_venv=False), pipeline_root=str(folder), raise_on_error=True,
               enable_caching=cache, cache_root=str(kept))
    log = folder / "log.txt"
    succeeded = True
    with open(log, "w") as file, warnings.catch_warnings():
        # Images and resources have no meaning for processes of this machine; the runner says so for each task.
        warnings.simplefilter("ignore")
        transcript = Transcript(file, sys.stdout)
        notes = _Notes(transcript, kept)
        with _listening(notes), redirect_stdout(transcript), _printed_at_once():
            try:
                pipeline(**arguments)
            except RuntimeError:
                if not transcript.failed_task:
                    raise
                succeeded = False
    inner = next((path for path in folder.iterdir() if path.is_dir()), folder)
    return LocalRun(inner, log, succeeded, transcript.failed_task, transcript.failed_lines, notes.reused)
