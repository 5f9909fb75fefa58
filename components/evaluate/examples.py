"""Pages to look at: where the model was right with a wide margin, and where it was wrong with one."""

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from components.evaluate.evidence import Evidence
from model.evaluation import scores_of, truth_of

EACH = 4


@dataclass(frozen=True)
class Example:
    """One page: its image as a data address, what its record has, what the model called, and how sure it was."""

    record: str
    image: str
    findings: list[dict]
    """name, true, called, probability of every finding that the record has or the model called."""


def examples(evidence: Evidence) -> tuple[list[Example], list[Example]]:
    """Return hits and misses among the first capture's test pages, of as many different findings as there are."""
    capture = evidence.captures[0]
    rows = np.flatnonzero((evidence.pages.index["split"] == "test").to_numpy())
    of_capture = evidence.predictions[evidence.predictions["capture"] == capture]
    table = of_capture.iloc[rows]
    truth, scores = truth_of(table, evidence.names), scores_of(table, evidence.names)
    # How far each probability lies on the right side of its threshold (negative: on the wrong one).
    margin = (scores - np.array([evidence.thresholds[n] for n in evidence.names])) * np.where(truth, 1, -1)
    right = (margin >= 0).all(axis=1)
    hits = _spread(np.where(right[:, None] & truth, margin, -np.inf))
    misses = _spread(np.where(~right[:, None], -margin, -np.inf), positive=True)
    return tuple([_example(evidence, table.iloc[r], rows[r], scores[r], truth[r]) for r in chosen]
                 for chosen in (hits, misses))


def _spread(rank: np.ndarray, *, positive: bool = False) -> list[int]:
    """Choose rows of the highest rank (N, C), a class only once while others are left."""
    chosen: list[int] = []
    free = rank.copy()
    while len(chosen) < EACH and np.isfinite(rank).any():
        if not np.isfinite(free).any() or (positive and free.max() <= 0):
            free = rank.copy()
        row, column = np.unravel_index(np.argmax(free), free.shape)
        if not np.isfinite(free[row, column]) or (positive and free[row, column] <= 0):
            break
        chosen.append(int(row))
        rank[row] = free[row] = -np.inf
        free[:, column] = -np.inf
    return chosen


def _example(evidence: Evidence, row, place: int, scores: np.ndarray, truth: np.ndarray) -> Example:
    called = scores >= np.array([evidence.thresholds[n] for n in evidence.names])
    findings = [{"name": name, "true": bool(truth[c]), "called": bool(called[c]), "probability": float(scores[c])}
                for c, name in enumerate(evidence.names) if truth[c] or called[c]]
    page = evidence.pages.array(row["capture"])[place]
    return Example(str(row["record"]), png_address(page), sorted(findings, key=lambda f: -f["probability"]))


def png_address(page: np.ndarray) -> str:
    """Return a grey page, uint8 (H, W), as a data: address that needs no other file."""
    ok, encoded = cv2.imencode(".png", np.ascontiguousarray(page), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert ok
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()
