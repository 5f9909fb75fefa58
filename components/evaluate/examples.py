"""Pages to look at: where the model was right with a wide margin, and where it was wrong with one."""

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from components.evaluate.evidence import Evidence
from model.evaluation import scores_of, truth_of
from model.explain import explain, tinted
from model.params import PageParams
from model.typed import from_dict

EACH = 4
NAMED = 3


@dataclass(frozen=True)
class Example:
    """One page: its image as a data address, what its record has, what the model called, and how sure it was."""

    record: str
    image: str
    findings: list[dict]
    """name, true, called, probability of every finding that the record has or the model called."""
    why: "Why | None" = None
    """Of the first of them; None where the model reads no page."""


@dataclass(frozen=True)
class Why:
    """What on a page spoke for a finding."""

    name: str
    image: str
    """The page with it in red, as a data address."""
    leads: list[str]
    """The traces that spoke most, with their share."""


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
    page = np.array(evidence.pages.array(row["capture"])[place])
    findings.sort(key=lambda f: -f["probability"])
    return Example(str(row["record"]), png_address(page), findings, _why(evidence, page, findings))


def _why(evidence: Evidence, page: np.ndarray, findings: list[dict]) -> Why | None:
    if evidence.reader is None or not findings:
        return None
    name = findings[0]["name"]
    found = explain(evidence.reader, page, evidence.names.index(name), name,
                    from_dict(PageParams, evidence.pages.page, "page"))
    leads = [f"{lead.lead}{' strip' if lead.strip else ''} {lead.share:.0%}" for lead in found.leads[:NAMED]]
    return Why(name, png_address(tinted(page, found.relevance)[..., ::-1]), leads)


def png_address(page: np.ndarray) -> str:
    """Return a page, uint8 grey (H, W) or BGR (H, W, 3), as a data: address that needs no other file."""
    ok, encoded = cv2.imencode(".png", np.ascontiguousarray(page), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert ok
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()
