"""Run a pipeline in processes of this machine, and keep its log readable.

kfp's local runner prints everything that it knows. Here all of it goes to a file, and the terminal
shows the state of each task and the task's own lines.
"""

import io
import json
import re
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from kfp import local

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTS = re.compile(r"Executing task '([^']+)'")
_ENDS = re.compile(r"Task '([^']+)' finished with status (\w+)")
_OWN = "    "
_NOISE = "[KFP Executor"
LINES_KEPT = 15


@dataclass(frozen=True)
class LocalRun:
    """A finished local run: the folder with one subfolder a task, and what failed."""

    folder: Path
    log: Path
    succeeded: bool
    failed_task: str
    failed_lines: tuple[str, ...]

    def read_json(self, task: str, name: str) -> dict | None:
        """Return what a task wrote to a JSON file of its outputs; None when it wrote none."""
        path = self.folder / task / name
        return json.loads(path.read_text()) if path.exists() else None


class Transcript(io.TextIOBase):
    """Takes the runner's output: all of it into the log, states and the tasks' own lines to the terminal."""

    def __init__(self, log, terminal):
        self._log, self._terminal = log, terminal
        self._line = ""
        self._in_input = False
        self._started, self._running = 0.0, False
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
            self._started, self._running = time.monotonic(), True
            self.tail.clear()
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
            self._in_input = line != "}"
        elif line and not line.lstrip().startswith(_NOISE):
            self.tail.append(line)
            self._show(f"    {line}")

    def _end(self, task: str, status: str) -> None:
        self._running = False
        self._show(f"{task}: {status} ({time.monotonic() - self._started:.1f} s)")
        if status == "FAILURE":
            self.failed_task, self.failed_lines = task, tuple(self.tail)

    def _show(self, line: str) -> None:
        print(line, file=self._terminal, flush=True)


def run_pipeline(pipeline: Callable, arguments: dict, *, root: Path) -> LocalRun:
    """Run a pipeline with kfp's subprocess runner.

    Args:
        pipeline: a function decorated with `dsl.pipeline`.
        arguments: its parameters.
        root: the run makes a folder below it, named by the time.
    """
    folder = root.absolute() / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder), raise_on_error=True)
    log = folder / "log.txt"
    succeeded = True
    with open(log, "w") as file, warnings.catch_warnings():
        # Images and resources have no meaning for processes of this machine; the runner says so for each task.
        warnings.simplefilter("ignore")
        transcript = Transcript(file, sys.stdout)
        with redirect_stdout(transcript):
            try:
                pipeline(**arguments)
            except RuntimeError:
                if not transcript.failed_task:
                    raise
                succeeded = False
    inner = next((path for path in folder.iterdir() if path.is_dir()), folder)
    return LocalRun(inner, log, succeeded, transcript.failed_task, transcript.failed_lines)
