"""The reading path, the only one: a page image in, findings out. `file_reading` brings files of several pages to it."""

import functools
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from ecg.paper.files import read_image_bytes
from ecg.paper.layout import layout
from ecg.paper.locate import Located, to_canonical
from model.checkpoint import read_json
from model.conformal import named
from model.evaluation import Certainty
from model.explain import Explanation, explain, overlay
from model.export import Reader, load_reader
from model.inference import predict_pages
from model.params import PageParams
from model.refusal import Refusal
from model.runtimes import PackagedReader
from model.typed import from_dict

SCHEMA_VERSION = 1
DECIMALS = 6
"""Of a probability in an answer."""
PROGRAMS = {"model.pt2": "digest", "model.onnx": "onnx_digest"}
"""The programs of a package, and where model.json has their digests; before there was ONNX it had the first alone."""


@dataclass(frozen=True)
class PageReading:
    """An opened package: everything that it takes to read a page.

    Pages pass `prepare` one by one, the model in batches, `answer` one by one.
    """

    reader: PackagedReader | Reader
    meta: dict
    page: PageParams
    certainty: Certainty | None = None
    """Calibration and conformal bounds; None: packaged before there were any."""
    refusal: Refusal | None = None
    """What refuses pictures that show no ECG; None: as above."""

    @classmethod
    def open(cls, folder: Path | str) -> "PageReading":
        """Open a package folder, or the folder into which a .mar was unpacked.

        Raises:
            ValueError: a file is missing or damaged, or a program is not the one that model.json describes.
        """
        folder = Path(folder)
        meta = read_meta(folder)
        check_programs(folder, meta)
        onnx = folder / "model.onnx" if "model.onnx" in programs_of(meta) else None
        reader = PackagedReader(functools.partial(_load_program, folder, meta), onnx)
        labels, known = tuple(meta["label_names"]), meta.get("certainty")
        return cls(reader, meta, from_dict(PageParams, meta["page"], "page"),
                   Certainty.from_dict(known, labels) if known else None,
                   Refusal(**meta["refusal"]) if meta.get("refusal") else None)

    @property
    def learnt(self) -> tuple[str, ...]:
        """The layouts that the reader learnt on; empty: its package does not say."""
        trained = self.meta.get("made_with", {}).get("train")
        # Trained on no layouts by name: on the package's own.
        return () if trained is None else tuple(dict.fromkeys(trained.get("layouts") or [self.meta["page"]["layout"]]))

    def arranged(self, name: str) -> "PageReading":
        """Return the reading of pages in another layout than the package's; a reader may have learnt on several.

        Raises:
            ValueError: no such layout.
        """
        layout(name)
        return replace(self, page=replace(self.page, layout=name))

    def prepare(self, data: bytes) -> Located:
        """Decode an image file and bring the page on it into the canonical form.

        Raises:
            ValueError: no image, too large, or no ECG page can be found on it; one line that says which.
            PageRefusedError: what was found is no 12-lead ECG; a ValueError.
        """
        return self.locate(read_image_bytes(data))

    def locate(self, image: np.ndarray) -> Located:
        """Bring the page on a picture, uint8 RGB (H, W, 3), into the canonical form.

        Raises:
            ValueError: no ECG page can be found on it.
            PageRefusedError: what was found is no 12-lead ECG; a ValueError.
        """
        located = to_canonical(image, height=self.page.height, width=self.page.width, px_per_mm=self.page.px_per_mm,
                               page_layout=layout(self.page.layout))
        if self.learnt and self.page.layout not in self.learnt:
            unlearnt = (f"this reader has not learnt pages arranged as {self.page.layout}, only "
                        f"{', '.join(self.learnt)}: its findings may be wrong; use a reader that has")
            located = replace(located, warnings=(*located.warnings, unlearnt))
        if self.refusal is None:
            return located
        return replace(located, quality=self.refusal.check(located.image, self.page))

    def explain(self, data: bytes, label: str | None = None) -> tuple[Explanation, np.ndarray]:
        """Say which part of a page spoke for a finding.

        Args:
            data: the image file.
            label: the finding; None: the one whose probability is furthest above its threshold.

        Returns:
            The explanation, and the picture with what spoke in red: uint8 RGB (H, W, 3).

        Raises:
            ValueError: as `prepare`, or no such finding.
        """
        labels, image = self.meta["label_names"], read_image_bytes(data)
        if label is not None and label not in labels:
            raise ValueError(f"finding: {label!r} is not one that this model reads: {', '.join(labels)}")
        located = self.locate(image)
        if label is None:
            scores, = predict_pages(self.reader, located.image[None], batch_size=1)
            label = labels[int(np.argmax(scores - [self.meta["thresholds"][name] for name in labels]))]
        why = explain(self.reader, located.image, labels.index(label), label, self.page)
        return why, overlay(image, why, located, self.page)

    def read(self, data: bytes) -> dict:
        """Read one page; raises what `prepare` raises."""
        answer, = self.read_batch([data])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def read_batch(self, pages: list[bytes]) -> list[dict | Exception]:
        """Read pages together; a page that cannot be read gets its own error and leaves the others alone.

        Returns:
            One answer a page, in order: findings with their probabilities, or the exception. A ValueError is
            about the page, any other about us.
        """
        located = [self._attempt(data) for data in pages]
        good = [i for i, page in enumerate(located) if isinstance(page, Located)]
        answers: list[dict | Exception] = list(located)
        for i, answer in zip(good, self.read_located([located[i] for i in good]), strict=True):
            answers[i] = answer
        return answers

    def read_located(self, pages: list[Located]) -> list[dict]:
        """Read pages that were found, together: one answer a page, in order."""
        if not pages:
            return []
        images = np.stack([page.image for page in pages])
        rows = predict_pages(self.reader, images, batch_size=len(pages))
        return [self.answer(row, page) for row, page in zip(rows, pages, strict=True)]

    def answer(self, probabilities_c: np.ndarray, located: Located) -> dict:
        """Turn one page's probabilities, (C,), into the answer that a person or a program gets.

        The fields are described in docs/evaluation.md.
        """
        findings = []
        for label, value in zip(self.meta["label_names"], probabilities_c.tolist(), strict=True):
            threshold = self.meta["thresholds"][label]
            findings.append({"label": label, "probability": round(value, DECIMALS), "threshold": threshold,
                             "present": value >= threshold})
        page = describe(located)
        if located.quality is not None:
            page["quality"] = round(located.quality, DECIMALS)
        if self.certainty is not None:
            self._add_certainty(findings, probabilities_c)
        known = ("name", "digest", "checkpoint_digest", "data_digest", "git_commit", "gate")
        coverage = {} if self.certainty is None else {"coverage": self.certainty.coverage}
        return {"findings": findings, "page": page, "model": {name: self.meta[name] for name in known},
                "version": self.meta["version"], **coverage}

    def _add_certainty(self, findings: list[dict], probabilities_c: np.ndarray) -> None:
        thresholds_c = np.array([finding["threshold"] for finding in findings])
        calibrated, thresholds = (self.certainty.calibrated(values) for values in (probabilities_c, thresholds_c))
        sets = self.certainty.plausible(calibrated)
        for finding, value, threshold, (is_absent, is_present) in zip(findings, calibrated.tolist(),
                                                                      thresholds.tolist(), sets, strict=True):
            finding |= {"calibrated": round(value, DECIMALS), "calibrated_threshold": round(threshold, DECIMALS),
                        "plausible": named(is_absent, is_present)}

    def _attempt(self, data: bytes) -> Located | Exception:
        try:
            return self.prepare(data)
        except Exception as error:
            # Whatever one page does to us must not take the batch's other pages down.
            return error


def describe(located: Located) -> dict:
    """Say in plain values what was found on a picture; it is doubtful where there is a warning."""
    return {"px_per_mm_found": float(located.px_per_mm_found), "confidence": float(located.confidence),
            "doubtful": bool(located.warnings), "warnings": list(located.warnings),
            "scale_from": located.scale_from, "rotation_deg": round(float(located.rotation_deg), 2),
            "quarters_turned": int(located.turned), "rows": len(located.rows),
            "corners": [[round(float(value), 1) for value in corner] for corner in located.corners]}


def read_meta(folder: Path) -> dict:
    """Read a package's model.json.

    Raises:
        ValueError: missing, not JSON, or of another schema version.
    """
    meta = read_json(folder / "model.json", made_by="vizecg package")
    if meta.get("schema") != SCHEMA_VERSION or "thresholds" not in meta:
        raise ValueError(f"{folder}/model.json: not the description of a package of schema {SCHEMA_VERSION}; "
                         "make it with 'vizecg package'")
    return meta


def _load_program(folder: Path, meta: dict) -> nn.Module:
    """Load the program, checked anew: since the package was opened another may have been written in its place."""
    check_programs(folder, meta)
    return load_reader(folder / "model.pt2")


def programs_of(meta: dict) -> tuple[str, ...]:
    """Return the names of a package's programs, the one that every package has first."""
    program, *later = PROGRAMS
    return (program, *(name for name in later if PROGRAMS[name] in meta))


def check_programs(folder: Path, meta: dict) -> None:
    """Check that the programs of a package are those that its model.json describes.

    Raises:
        ValueError: one is missing, or another than is described.
    """
    for name in programs_of(meta):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}/{name}: no such file; make it with 'vizecg package'")
        if file_digest(folder / name) != meta.get(PROGRAMS[name]):
            raise ValueError(f"{folder}/{name}: not the program that model.json describes ({PROGRAMS[name]}); "
                             "package again")


def probabilities(answer: dict) -> dict[str, float]:
    """Return the probabilities of an answer by label."""
    return {finding["label"]: finding["probability"] for finding in answer["findings"]}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
