"""export: a package for other runtimes, ONNX and 8-bit ONNX, each compared with the packaged program."""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ecg.files import write_whole
from ecg.pages import PageSet
from model.export import load_reader, worst_difference
from model.int8 import measure_loss, write_int8
from model.package import check_package
from model.reading import PageReading
from model.runtimes import OnnxReader, write_onnx
from serving.archive import with_archive

PARITY = 1e-4
"""Largest difference of a probability between ONNX and the packaged program."""
CALIBRATION_PAGES = 64


@dataclass(frozen=True)
class ExportResult:
    """What was written and how far it is from the packaged program; None: no 8-bit file was asked for."""

    onnx: str
    parity: float
    int8: str | None = None
    auroc: float | None = None
    auroc_int8: float | None = None
    loss: float | None = None
    largest_int8: float | None = None


def run(*, package: Path, pages: Path | None, onnx: Path, int8: Path | None = None, limit: int = 0) -> ExportResult:
    """Write a package's program as ONNX, and as 8-bit ONNX where asked for; FILE.json says what was measured.

    Args:
        package: what `vizecg package` wrote.
        pages: evaluation pages, on which both are compared; the 8-bit file's ranges come from the validation split.
            None, without an 8-bit file: both are compared on the package's own page.
        onnx: the file to write.
        int8: the 8-bit file to write.
        limit: of test pages a capture that the loss is measured on; 0: all.

    Raises:
        ValueError: the package is damaged or is where the files would go, the pages are not its model's, or the ONNX
            differs by more than `PARITY`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # What comes with the project has no archive for TorchServe, and needs none here.
        meta = check_package(with_archive(package, Path(scratch, "package")))
    if onnx.parent.resolve() == package.resolve():
        raise ValueError(f"--onnx: {onnx} lies in the package, whose model.json would be written over; give another "
                         "folder")
    page_set = _fitting(pages, meta) if pages else None
    if page_set is None and int8:
        raise ValueError("--int8: needs --pages, whose validation pages its ranges come from")
    seen = page_set.array(page_set.captures[-1]) if page_set else _own_page(package)
    program = load_reader(package / "model.pt2")
    onnx.parent.mkdir(parents=True, exist_ok=True)
    write_onnx(package / "model.pt2", onnx)
    parity = worst_difference(OnnxReader(onnx), program, seen)
    if not parity <= PARITY:
        onnx.unlink()
        raise ValueError(f"{onnx}: differs from the packaged program by {parity:.2g} in probability, more than "
                         f"{PARITY:g}")
    result = ExportResult(str(onnx), parity)
    if int8 is not None:
        write_int8(onnx, int8, _calibration_pages(page_set))
        loss = measure_loss(program, OnnxReader(int8), page_set, limit=limit)
        result = ExportResult(str(onnx), parity, str(int8), loss.reference, loss.other, loss.reference - loss.other,
                              loss.largest)
    about = {**asdict(result), "version": meta["version"], "digest": meta["digest"],
             "pages_digest": page_set.digest if page_set else None}
    write_whole(onnx.with_suffix(".json"), (json.dumps(about, indent=1) + "\n").encode())
    return result


def _fitting(pages: Path, meta: dict) -> PageSet:
    page_set = PageSet.open(pages)
    if dict(page_set.page) != dict(meta["page"]) or list(page_set.label_names) != list(meta["label_names"]):
        raise ValueError(f"{pages}/pages.json: page or label_names are not the package's; give the pages that it was "
                         "evaluated on")
    return page_set


def _own_page(package: Path) -> np.ndarray:
    """The page that comes with the package, as the network sees it, uint8 (1, H, W)."""
    return PageReading.open(package).prepare((package / "sample.png").read_bytes()).image[None]


def _calibration_pages(pages: PageSet) -> np.ndarray:
    """Pages of the validation split, the same number of each capture."""
    rows = np.flatnonzero((pages.index["split"] == "validate").to_numpy())
    if not len(rows):
        raise ValueError(f"{pages.path}: no page of the validate split, which 8-bit ranges are taken from")
    each = rows[:max(1, CALIBRATION_PAGES // len(pages.captures))]
    return np.concatenate([pages.array(capture)[each] for capture in pages.captures])
