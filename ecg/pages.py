"""The pages folder: frozen evaluation pages, one uint8 array a capture, and the table of who is on them.

`<capture>.npy` is uint8 (N, H, W), grey, 255 = paper; `index.parquet` has one row a page in the same order
(record, patient, split, age, sex, device, signal_quality, `label:<name>`); `pages.json` says schema, digests, label
names, captures and the geometry of the canonical page.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class PageSet:
    """An opened pages folder; the pages stay on disk until they are indexed."""

    path: Path
    index: pd.DataFrame
    label_names: tuple[str, ...]
    captures: tuple[str, ...]
    page: dict
    """Geometry: the values of params.yaml's section `page`."""
    digest: str
    data_digest: str
    made_with: dict = field(default_factory=dict)
    """The parameters of the steps up to these pages; empty for pages of an earlier version."""

    @classmethod
    def open(cls, path: Path | str) -> "PageSet":
        """Open a pages folder read-only.

        Raises:
            ValueError: the folder is no pages folder, one of another schema version, or its files disagree.
        """
        path = Path(path)
        meta = _read_meta(path)
        index = pd.read_parquet(path / "index.parquet")
        pages = cls(path, index, tuple(meta["label_names"]), tuple(meta["captures"]), meta["page"], meta["digest"],
                    meta["data_digest"], meta.get("made_with", {}))
        for capture in pages.captures:
            pages.array(capture)
        return pages

    def array(self, capture: str) -> np.ndarray:
        """Return one capture's pages, memory-mapped uint8 (N, H, W), in the order of `index`."""
        expected = (len(self.index), self.page["height"], self.page["width"])
        try:
            array = np.load(self.path / f"{capture}.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path}/{capture}.npy: cannot be read ({error}); render again") from None
        if array.shape != expected or array.dtype != np.uint8:
            raise ValueError(f"{self.path}/{capture}.npy: {array.dtype} {array.shape}, but index and pages.json say "
                             f"uint8 {expected}; render again")
        return array


    def refuse_changed(self) -> None:
        """Hash the pages and their table again.

        Raises:
            ValueError: they are not what pages.json says.
        """
        hashes = [hashlib.sha256(np.ascontiguousarray(self.array(capture))).hexdigest() for capture in self.captures]
        if digest_of(hashes, self.index, self.captures, self.page) != self.digest:
            raise ValueError(f"{self.path}: the pages or their index are not those that pages.json describes (digest); "
                             "render again")


def digest_of(hashes: list[str], index: pd.DataFrame, captures: tuple[str, ...], page: dict) -> str:
    """Hash what a model is measured on: the hash of each capture's pages, and their table."""
    parts = json.dumps([hashes, captures, page, index.to_csv(index=False)])
    return hashlib.sha256(parts.encode()).hexdigest()


def _read_meta(path: Path) -> dict:
    try:
        meta = json.loads((path / "pages.json").read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: not a pages folder (no pages.json); make one with 'vizecg render'") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}/pages.json: not valid JSON ({error}); render again") from None
    if meta.get("schema") != SCHEMA_VERSION:
        raise ValueError(f"{path}/pages.json: field schema is {meta.get('schema')!r}, this version reads "
                         f"{SCHEMA_VERSION}; render again")
    return meta
