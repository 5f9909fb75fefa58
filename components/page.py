"""page: records to pictures of their printed pages, with labels of everything that lies on them."""

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from components.progress import say, track
from ecg.files import write_whole
from ecg.paper.draw import DrawnPage, PageOptions, draw_page
from ecg.paper.kit import kit_labels
from ecg.paper.picture_files import FORMATS, write_picture
from ecg.records import RecordStore
from ecg.sources.wfdb_files import SignalError, read_leads

SIGNAL_FILES = (".hea", ".dat", ".mat")
QUARANTINE = "quarantine.csv"
IN_PROCESS = 4
"""So few pages are drawn before other processes have started."""


@dataclass(frozen=True)
class PageResult:
    """How many pages were written, and how many records were refused with their reasons."""

    pages: int
    quarantined: int


@dataclass(frozen=True)
class _Job:
    """One record to draw: a WFDB file's path without its ending, or a record store and a row."""

    name: str
    path: Path
    row: int | None
    copies: int
    out: Path
    options: PageOptions
    ending: str
    labels: bool
    kit: bool


def run(*, records: list[Path], out: Path, options: PageOptions, ending: str = "png", labels: bool = False,
        kit: bool = False, copies: int = 1, jobs: int = 0) -> PageResult:
    """Draw records into a folder: one picture each and, if asked for, NAME.json and NAME.masks.png.

    A picture looks the same whatever the number of jobs. A record that cannot be read is listed with its reason in
    `quarantine.csv` of the folder; the others are drawn.

    Args:
        records: WFDB records (with or without an ending), folders of them, and record stores.
        out: the folder; pictures already there are replaced one by one.
        options: what the pages are to look like.
        ending: of the pictures, one of `FORMATS`.
        labels: whether to write sample points, boxes, masks and the parameters of the capture.
        kit: whether to write what ecg-image-kit writes: NAME-0.png, NAME-0.json with its keys, and the record beside.
        copies: pictures a record, each sampled anew.
        jobs: processes; 0: one a core.

    Raises:
        ValueError: nothing to draw, or an option that is not known.
    """
    if ending not in FORMATS:
        raise ValueError(f"--format: must be one of {', '.join(FORMATS)}, not {ending!r}")
    found = [_Job(name, path, row, copies, out, options, ending, labels, kit)
             for source in records for name, path, row in _records(source)]
    _refuse_twins(found)
    # A first page here: an option that no page can have is one line, not one a record.
    draw_page(np.zeros((12, 100), np.float32), sampling_rate=10.0, options=replace(options, start=0.0))
    out.mkdir(parents=True, exist_ok=True)
    refused = [row for row in track(_outcomes(found, jobs or os.cpu_count() or 1), total=len(found), label="page")
               if row]
    _write_quarantine(out, refused)
    return PageResult(copies * (len(found) - len(refused)), len(refused))


def _records(source: Path) -> Iterator[tuple[str, Path, int | None]]:
    """Yield name, path and row of every record that a path of the command line stands for."""
    if (source / "store.json").is_file():
        for row, name in enumerate(RecordStore.open(source).table["record"]):
            yield str(name), source, row
    elif source.is_dir():
        headers = sorted(source.rglob("*.hea"))
        if not headers:
            raise ValueError(f"{source}: no WFDB record (*.hea) and no record store in this folder")
        for header in headers:
            yield str(header.relative_to(source).with_suffix("")), header.with_suffix(""), None
    else:
        path = source.with_suffix("") if source.suffix in SIGNAL_FILES else source
        if not path.with_name(path.name + ".hea").is_file():
            raise ValueError(f"{source}: no such record; name a WFDB record, a folder of them or a record store")
        yield path.name, path, None


def _refuse_twins(found: list[_Job]) -> None:
    seen: dict[str, Path] = {}
    for job in found:
        if job.name in seen:
            raise ValueError(f"{job.path}: named like {seen[job.name]}; one picture would replace the other. "
                             "Draw them into two folders")
        seen[job.name] = job.path


def _outcomes(found: list[_Job], jobs: int) -> Iterator[dict | None]:
    """Draw all records; yields a row of the quarantine for each, or None."""
    if jobs == 1 or len(found) * found[0].copies <= IN_PROCESS:
        yield from map(_draw, found)
        return
    # Not forked: the kernels' threads would not survive it.
    with ProcessPoolExecutor(jobs, mp_context=get_context("forkserver"), initializer=cv2.setNumThreads,
                             initargs=(1,)) as pool:
        for future in as_completed([pool.submit(_draw, job) for job in found]):
            yield future.result()


def _draw(job: _Job) -> dict | None:
    try:
        signal_uv, rate, notes = _signal(job)
    except SignalError as error:
        return {"record": job.name, "reason": error.reason, "detail": error.detail}
    try:
        for copy in range(job.copies):
            name = f"{job.name}-{copy}" if job.copies > 1 or job.kit else job.name
            page = draw_page(signal_uv, sampling_rate=rate, options=job.options, record=name)
            _write(job, name, page, notes)
        if job.kit and job.row is None:
            _copy_record(job)
    except ValueError as error:
        return {"record": job.name, "reason": "not_drawn", "detail": str(error)}
    return None


def _signal(job: _Job) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Return (12, T) µV, the sampling rate, and sentences on leads."""
    if job.row is None:
        millivolt, rate, notes = read_leads(job.path)
        return millivolt * 1000, rate, notes
    store = _store(job.path)
    return np.asarray(store.signals[job.row], np.float32), store.sampling_rate, ()


@lru_cache(maxsize=2)
def _store(path: Path) -> RecordStore:
    return RecordStore.open(path)


def _write(job: _Job, name: str, page: DrawnPage, notes: tuple[str, ...]) -> None:
    target = job.out / f"{name}.{job.ending}"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_picture(target, page.image, dpi=page.labels.px_per_mm * 25.4)
    notes += page.sheet.notes
    for note in notes:
        say(f"{name}: {note}")
    if job.kit or job.labels:
        described = kit_labels(page) if job.kit else describe(page)
        write_whole(target.with_suffix(".json"), json.dumps({**described, "notes": notes}).encode())
    if job.labels:
        masks = np.packbits(page.masks(), axis=0, bitorder="little")
        wide = np.zeros((2, *masks.shape[1:]), np.uint16)
        wide[:len(masks)] = masks
        write_whole(target.with_suffix(".masks.png"), cv2.imencode(".png", wide[0] | wide[1] << 8)[1].tobytes())


def _copy_record(job: _Job) -> None:
    """Put the record's own files beside its pictures, as ecg-image-kit does."""
    header = job.path.with_name(f"{job.path.name}.hea")
    lines = [line for line in header.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    target = (job.out / job.name).parent
    for name in {header.name, *(line.split()[0] for line in lines[1:])}:
        # Read before, so the names are those of files beside the header.
        shutil.copyfile(header.parent / Path(name).name, target / Path(name).name)


def describe(page: DrawnPage) -> dict:
    """Return everything known of a page as plain values: labels, layout, style and the capture as drawn."""
    captured = page.captured
    return {**page.labels.as_json(), "layout": page.sheet.layout.name, "sequential": page.sheet.layout.sequential,
            "style": vars(page.sheet.style),
            "capture": {"kind": captured.kind, "strength": captured.strength, **captured.parameters}
            if captured else {"kind": "clean"}}


def _write_quarantine(out: Path, refused: list[dict]) -> None:
    path = out / QUARANTINE
    if refused:
        table = pd.DataFrame(refused, columns=["record", "reason", "detail"]).sort_values("record")
        write_whole(path, table.to_csv(index=False))
    else:
        path.unlink(missing_ok=True)
