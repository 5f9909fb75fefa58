"""Shadow mode: a challenger reads a copy of the traffic; its answers are compared and logged, and never returned.

A line of the log says how two answers differ, and nothing of the page or of who sent it.
"""

import json
import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from model.file_reading import pages_of
from serving.client import Client, Unreadable

WAITING = 32
"""Copies that wait for the challenger; while so many do, further pages are not copied, and counted."""


@dataclass(frozen=True)
class Seen:
    """How the champion's server answered a page."""

    status: int
    answer: dict
    took_ms: float


def compare(ours: Seen, theirs: Seen) -> dict:
    """Say how two answers to the same file differ: whether both read it, decisions that changed, probabilities."""
    line = {"status": [ours.status, theirs.status], "ms": [round(ours.took_ms, 1), round(theirs.took_ms, 1)],
            "versions": [ours.answer.get("version"), theirs.answer.get("version")]}
    if ours.status != 200 or theirs.status != 200:
        return {**line, "same": ours.status == theirs.status, "changed": [], "largest": None}
    changed, largest = set(), 0.0
    for left, right in zip(pages_of(ours.answer), pages_of(theirs.answer), strict=False):
        before, after = (_findings(page) for page in (left, right))
        changed |= {name for name in before.keys() | after.keys() if _present(before, name) != _present(after, name)}
        largest = max([largest, *(abs(before[name]["probability"] - after[name]["probability"])
                                  for name in before.keys() & after.keys())])
    pages = len(pages_of(ours.answer)) == len(pages_of(theirs.answer))
    return {**line, "same": pages and not changed, "changed": sorted(changed), "largest": round(largest, 6)}


def _findings(page: dict) -> dict[str, dict]:
    return {finding["label"]: finding for finding in page.get("findings", [])}


def _present(findings: dict[str, dict], name: str) -> bool | None:
    return findings[name]["present"] if name in findings else None


@dataclass
class Shadow:
    """Sends copies to the challenger in a thread of its own, one at a time, so that nobody waits for it."""

    challenger: Client
    log: Path
    counts: Counter = field(default_factory=Counter)
    """copied, same, differ, failed (the challenger did not answer), skipped (too many waited), unlogged."""
    largest: float = 0.0
    waiting: int = WAITING

    def __post_init__(self) -> None:
        self._copies: queue.Queue = queue.Queue(self.waiting)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def offer(self, page: bytes, seen: Seen, layout: str = "") -> None:
        """Take a copy of a page that was answered, in the layout asked for; returns at once."""
        try:
            self._copies.put_nowait((page, seen, layout))
        except queue.Full:
            self.counts["skipped"] += 1

    def close(self) -> dict:
        """Wait for the copies that are under way; returns what was seen, and writes it as the log's last line.

        Raises:
            OSError: the log cannot be written any more.
        """
        self._copies.put(None)
        self._thread.join()
        summary = {"summary": dict(self.counts), "largest": self.largest}
        self._write(summary)
        return summary

    def _work(self) -> None:
        while (item := self._copies.get()) is not None:
            self.counts["copied"] += 1
            line = self._compared(*item)
            # A full disk must not end the thread: close() waits for it. What it cost is counted, and close() says it.
            try:
                self._write(line)
            except OSError:
                self.counts["unlogged"] += 1

    def _compared(self, page: bytes, seen: Seen, layout: str) -> dict:
        """Ask the challenger, count how it answered, and return the line of the log."""
        started = time.perf_counter()
        try:
            status, answer = _ask(self.challenger, page, layout)
        except Exception as failure:
            # Whatever it is, it is the challenger's: those who were answered must not hear of it.
            self.counts["failed"] += 1
            return {"status": [seen.status, None], "failed": type(failure).__name__}
        line = compare(seen, Seen(status, answer, (time.perf_counter() - started) * 1000))
        self.counts["same" if line["same"] else "differ"] += 1
        self.largest = max(self.largest, line["largest"] or 0.0)
        return line

    def _write(self, line: dict) -> None:
        with open(self.log, "a") as log:
            log.write(json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **line}) + "\n")


def _ask(challenger: Client, page: bytes, layout: str) -> tuple[int, dict]:
    try:
        return 200, challenger.predict(page, layout=layout)
    except Unreadable as why:
        return 422, {"error": str(why), "code": why.code}
