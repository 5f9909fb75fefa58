"""Which part of a page spoke for a finding: gradient times ink, back on the picture that was sent, and lead by lead.

The relevance of a pixel is its ink times the gradient of the finding's log-odds by it, smoothed over some millimetres
(Simonyan et al. 2014; Shrikumar et al. 2017): what of the ink raises the odds. It works on the eager network and on
the packaged program alike, whose operations can be differentiated one by one.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, fx, nn

from ecg.paper.layout import Layout, block_origin
from ecg.paper.locate import Located
from ecg.paper.rows import place_rows
from ecg.paper.surface import map_points
from model.inference import device_of
from model.lead_map import arranged_on, boxes
from model.network import PageReader, ink
from model.params import PageParams
from model.runtimes import PackagedReader

SMOOTH_MM = 2.5
"""Standard deviation over which relevance is averaged: a QRS complex is as wide, and single pixels mean nothing."""
_STRONGEST = 0.995
"""Quantile of the map that is drawn in full colour."""
_HOT, _NAME = (214, 40, 40), (20, 60, 160)


@dataclass(frozen=True)
class LeadShare:
    """How much of a map's mass lies on one trace of the page."""

    lead: str
    strip: bool
    """Whether it is a rhythm strip."""
    share: float


@dataclass(frozen=True)
class Explanation:
    """Why a finding got its probability."""

    label: str
    relevance: np.ndarray
    """float32 (H, W) on the canonical page, >= 0, its sum 1 (or all 0): what spoke for the finding."""
    leads: tuple[LeadShare, ...]
    """The traces by their share of the mass, the largest first."""


def relevance(reader: nn.Module | PackagedReader, pages: np.ndarray, finding: int, *, px_per_mm: float) -> np.ndarray:
    """Return what of each page spoke for a finding.

    Args:
        reader: a `PageReader`, the module of a packaged program, or a package's reader.
        pages: uint8 (B, H, W), canonical.
        finding: position among the reader's classes.
        px_per_mm: of the pages.

    Returns:
        float32 (B, H, W), >= 0; each page's sum is 1, or 0 where nothing spoke for it.
    """
    if isinstance(reader, PackagedReader):
        reader = reader.program
    given, probability = _differentiable(reader, torch.from_numpy(np.array(pages)).to(device_of(reader)))
    p = probability[:, finding].double().clamp(1e-7, 1 - 1e-7)
    gradient, = torch.autograd.grad((p.log() - (-p).log1p()).sum(), given)
    raw = (gradient * given).detach()[:, 0].cpu().numpy().astype(np.float32)
    maps = np.stack([np.maximum(cv2.GaussianBlur(one, (0, 0), SMOOTH_MM * px_per_mm), 0) for one in raw])
    return maps / np.maximum(maps.sum(axis=(1, 2), keepdims=True), 1e-12)


def lead_shares(page_map: np.ndarray, page: PageParams) -> tuple[LeadShare, ...]:
    """Divide a map (H, W) among the traces of the page's layout, the largest share first."""
    arranged = arranged_on(page)
    total = max(float(page_map.sum()), 1e-12)
    shares = []
    for box, (left, top, right, bottom) in zip(arranged.traces, boxes(page), strict=True):
        part = page_map[round(top):round(bottom), round(left):round(right)]
        shares.append(LeadShare(box.name, box.row >= len(arranged.rows), float(part.sum()) / total))
    return tuple(sorted(shares, key=lambda share: -share.share))


def explain(reader: nn.Module | PackagedReader, image: np.ndarray, finding: int, label: str,
            page: PageParams) -> Explanation:
    """Explain one finding of one canonical page, uint8 (H, W)."""
    one = relevance(reader, image[None], finding, px_per_mm=page.px_per_mm)[0]
    return Explanation(label, one, lead_shares(one, page))


def on_picture(page_map: np.ndarray, located: Located, page: PageParams, shape: tuple[int, int]) -> np.ndarray:
    """Bring a map of the canonical page back to the picture on which the page was found.

    Args:
        page_map: float32 (H, W), canonical.
        located: what `to_canonical` found.
        page: of the canonical page.
        shape: height and width of the picture.

    Returns:
        float32 of `shape`; 0 off the page.
    """
    y, x = np.mgrid[:shape[0], :shape[1]].astype(np.float32) + 0.5
    mm = map_points(located.homography, np.stack([x, y], axis=-1))
    canonical = _to_canonical(mm, located, page).astype(np.float32) - 0.5
    return cv2.remap(page_map.astype(np.float32), canonical, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def overlay(image: np.ndarray, explanation: Explanation, located: Located, page: PageParams, *,
            named: int = 3) -> np.ndarray:
    """Draw what spoke for a finding in red on the picture, with the names of the traces that spoke most.

    Args:
        image: uint8, grey (H, W) or RGB (H, W, 3), the one that was located.
        explanation: of one finding.
        located: where the page lies on it.
        page: of the canonical page.
        named: how many traces are named.

    Returns:
        uint8 RGB (H, W, 3).
    """
    out = tinted(image, on_picture(explanation.relevance, located, page, image.shape[:2]))
    arranged = arranged_on(page)
    places = {(box.name, box.row >= len(arranged.rows)): box for box in arranged.traces}
    found = _baselines(located, arranged)
    thick = max(1, round(max(out.shape[:2]) / 900))
    for share in explanation.leads[:named]:
        box = places[share.lead, share.strip]
        corner = _to_pixels(np.array([box.left + 1.0, found[box.row] - _spacing(found, arranged) / 2 + 3.0]), located)
        text = f"{share.lead}{' strip' if share.strip else ''} {share.share:.0%}"
        for colour, width in (((255, 255, 255), 4 * thick), (_NAME, thick)):
            cv2.putText(out, text, tuple(int(v) for v in corner), cv2.FONT_HERSHEY_SIMPLEX, 0.6 * thick, colour, width,
                        cv2.LINE_AA)
    return out


def tinted(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay a map, float (H, W) >= 0, in red over a picture, grey or RGB: uint8 RGB (H, W, 3)."""
    picture = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    inside = heat[heat > 0]
    if not inside.size:
        return picture.copy()
    strength = 0.6 * np.clip(heat / max(float(np.quantile(inside, _STRONGEST)), 1e-12), 0, 1)[..., None]
    return (picture * (1 - strength) + strength * np.array(_HOT)).astype(np.uint8)


def _to_canonical(mm: np.ndarray, located: Located, page: PageParams) -> np.ndarray:
    """Map points of the block as it lies on the paper, mm (..., 2), to canonical pixels: rows were moved together."""
    arranged = arranged_on(page)
    x, y = block_origin(arranged, width_mm=page.width / page.px_per_mm, height_mm=page.height / page.px_per_mm)
    found = _baselines(located, arranged)
    row = np.abs(mm[..., 1:] - found).argmin(axis=-1)
    moved = mm[..., 1] - found[row] + arranged.row_mm * (row + 0.5)
    # Beyond half a row above the first and below the last there is no page.
    moved = np.where(np.abs(mm[..., 1] - found[row]) <= _spacing(found, arranged) / 2, moved, -1e3)
    return np.stack([mm[..., 0] + x, moved + y], axis=-1) * page.px_per_mm


def _to_pixels(block_mm: np.ndarray, located: Located) -> np.ndarray:
    return map_points(np.linalg.inv(located.homography), block_mm)


def _baselines(located: Located, arranged: Layout) -> np.ndarray:
    """Where each layout row's baseline lies below the block's top on the paper, mm."""
    return place_rows(np.asarray(located.rows), arranged.height_mm, 1.0, arranged)


def _spacing(found: np.ndarray, arranged: Layout) -> float:
    """How far the rows lie apart on the paper, mm."""
    return float(np.diff(found).mean()) if len(found) > 1 else arranged.row_mm


def _differentiable(reader: nn.Module, pages: Tensor) -> tuple[Tensor, Tensor]:
    """Run a reader so that its probabilities can be differentiated by the ink: ink (B, 1, H, W), probabilities."""
    with torch.enable_grad():
        if isinstance(reader, PageReader):
            given = ink(pages).requires_grad_()
            return given, torch.sigmoid(reader.path(given))
        watched = _FromInk(reader)
        return watched.given_and_probability(pages)


class _FromInk(fx.Interpreter):
    """Runs a packaged program with the ink, its first float tensor of four axes, as what is differentiated by."""

    def given_and_probability(self, pages: Tensor) -> tuple[Tensor, Tensor]:
        self.given: Tensor | None = None
        result = self.run(pages)
        return self.given, result[0] if isinstance(result, tuple | list) else result

    def run_node(self, node: fx.Node):
        value = super().run_node(node)
        if (self.given is None and node.op == "call_function" and isinstance(value, Tensor)
                and value.is_floating_point() and value.ndim == 4):
            value = self.given = value.detach().requires_grad_()
        return value
