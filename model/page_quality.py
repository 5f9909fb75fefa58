"""How well frozen pages show an ECG, and the bound below which a package refuses a page: what evaluate states of both,
and what the gate finds again."""

from dataclasses import replace

import numpy as np
import pandas as pd

from ecg.pages import PageSet
from model.params import PageParams
from model.refusal import BLANK, bounded_on, features_of, fitted_refusal
from model.typed import as_dict, from_dict


def geometries(pages: PageSet) -> dict[str, PageParams]:
    """Return the page's geometry for each capture: `photo@6x2` has that layout, the others the page's own."""
    own = from_dict(PageParams, pages.page, "page")
    return {capture: replace(own, layout=capture.partition("@")[2] or own.layout) for capture in pages.captures}


def qualities(pages: PageSet, capture: str, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Measure the quality of a capture's pages, 0-1, in the order of the pages' index or of `rows`: (N,)."""
    return fitted_refusal().quality(features_of(pages.array(capture)[rows], geometries(pages)[capture]))


def refusal_figures(pages: PageSet, predictions: pd.DataFrame, *, refused: float) -> dict:
    """Choose the bound on validation pages, and count the test pages that it refuses.

    Args:
        pages: the pages folder.
        predictions: a row for each page, capture after capture in the order of the index; with split, capture, quality.
        refused: share of the validation pages that the bound may refuse.

    Returns:
        What metrics.json says: `test`, the fields of `model.refusal.Refusal`, and `refused`, a share for each capture.
    """
    blank = np.concatenate([pages.array(capture).min(axis=(1, 2)) == BLANK for capture in pages.captures])
    drawn, own = geometries(pages), from_dict(PageParams, pages.page, "page")
    # A reading expects the page's own layout: the bound is about such pages, if there are any.
    usual = [capture for capture, geometry in drawn.items() if geometry == own] or pages.captures
    validate, test = ((predictions["split"] == split).to_numpy() for split in ("validate", "test"))
    bounding = validate & ~blank & predictions["capture"].isin(usual).to_numpy()
    refusal = bounded_on(predictions["quality"].to_numpy()[bounding], refused=refused)
    shares = (predictions["quality"] < refusal.least)[test].groupby(predictions["capture"], sort=False).mean()
    return {"test": as_dict(refusal), "refused": {name: float(share) for name, share in shares.items()}}
