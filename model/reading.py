"""The reading path, the only one: bytes of a page image in, findings out. Handler, client and package use it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg.paper.files import read_image_bytes
from ecg.paper.layout import layout
from ecg.paper.locate import Located, to_canonical
from model.checkpoint import read_json
from model.export import Reader, load_reader
from model.inference import predict_pages
from model.params import PageParams, from_dict

SCHEMA_VERSION = 1
DECIMALS = 6
"""Of a probability in an answer."""


@dataclass(frozen=True)
class PageReading:
    """An opened package: everything that it takes to read a page.

    Pages pass `prepare` one by one, the model in batches, `answer` one by one.
    """

    reader: Reader
    meta: dict
    page: PageParams

    @classmethod
    def open(cls, folder: Path | str) -> "PageReading":
        """Open a package folder, or the folder into which a .mar was unpacked.

        Raises:
            ValueError: a file is missing or damaged, or the program is not the one that model.json describes.
        """
        folder = Path(folder)
        meta = read_meta(folder)
        program = folder / "model.pt2"
        if not program.is_file():
            raise ValueError(f"{program}: no such file; make it with 'vizecg package'")
        if file_digest(program) != meta["digest"]:
            raise ValueError(f"{program}: not the program that model.json describes (digest); package again")
        return cls(load_reader(program), meta, from_dict(PageParams, meta["page"], "page"))

    def prepare(self, data: bytes) -> Located:
        """Decode an image file and bring the page on it into the canonical form.

        Raises:
            ValueError: no image, too large, or no ECG page can be found on it; one line that says which.
        """
        image = read_image_bytes(data)
        return to_canonical(image, height=self.page.height, width=self.page.width, px_per_mm=self.page.px_per_mm,
                            page_layout=layout(self.page.layout))

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
        if good:
            images = np.stack([located[i].image for i in good])
            probabilities = predict_pages(self.reader, images, batch_size=len(good))
            for i, row in zip(good, probabilities, strict=True):
                answers[i] = self.answer(row, located[i])
        return answers

    def answer(self, probabilities_c: np.ndarray, located: Located) -> dict:
        """Turn one page's probabilities, (C,), into the answer that a person or a program gets."""
        findings = []
        for label, value in zip(self.meta["label_names"], probabilities_c.tolist(), strict=True):
            threshold = self.meta["thresholds"][label]
            findings.append({"label": label, "probability": round(value, DECIMALS), "threshold": threshold,
                             "present": value >= threshold})
        known = ("name", "digest", "checkpoint_digest", "data_digest", "git_commit", "gate")
        return {"findings": findings,
                "page": {"px_per_mm_found": float(located.px_per_mm_found), "confidence": float(located.confidence)},
                "model": {name: self.meta[name] for name in known}, "version": self.meta["version"]}

    def _attempt(self, data: bytes) -> Located | Exception:
        try:
            return self.prepare(data)
        except Exception as error:
            # Whatever one page does to us must not take the batch's other pages down.
            return error


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


def probabilities(answer: dict) -> dict[str, float]:
    """Return the probabilities of an answer by label."""
    return {finding["label"]: finding["probability"] for finding in answer["findings"]}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
