"""Whether explanations point at what matters: `python -m benchmarks.explanation --checkpoint DIR`.

Localisation: one lead of a simulated page is altered over its own seconds, its ST segments raised or its beats
made wide; the map of the finding whose odds rose most must hold more mass on that lead's box than the box's share
of all ink (chance, as only ink can have mass), and than the same box of the unaltered page. Sanity (Adebayo et al.
2018): with weights drawn anew, layer by layer from the head down, the map must become another.
"""

import argparse
import copy
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from ecg.leads import LEADS
from ecg.paper.layout import fitted, layout
from ecg.paper.page import CLEAN, Renderer
from ecg.sources.simulated import plan, simulate
from model.calibration import logit
from model.checkpoint import load_checkpoint
from model.explain import relevance
from model.inference import predict_pages
from model.lead_map import boxes
from model.network import PageReader
from model.params import PageParams
from model.typed import from_dict

MICROVOLTS_A_STEP, RATE = 5, 100.0
SEED = 31
REACTED = 0.5
"""Log-odds: where no finding rises so much, the model did not see the change, and no map can show it."""


@dataclass(frozen=True)
class Altered:
    """One page and what was changed on it."""

    lead: str
    rise: float
    """Of the log-odds of the finding that rose most."""
    mass: float
    """Of its map on the altered box."""
    before: float
    """The same on the unaltered page."""
    ink: float
    """The altered box's share of the page's ink."""
    area: float


def alter(signal_uv: np.ndarray, lead: int, first: int, stop: int, kind: str) -> np.ndarray:
    """Change a lead, (12, T) µV, between two samples: `raised` ST segments or `wide` beats, found by their slope."""
    changed = signal_uv.astype(np.float32)
    part = changed[lead, first:stop]
    steep = np.abs(np.gradient(signal_uv[1, first:stop].astype(np.float32)))
    beats = [at for at in np.flatnonzero(steep > 0.5 * steep.max()) if at + 45 < len(part)]
    kept = [at for number, at in enumerate(beats) if number == 0 or at - beats[number - 1] > 20]
    time = np.arange(len(part), dtype=np.float32)
    for at in kept:
        if kind == "raised":
            part += 350 * np.exp(-0.5 * ((time - at - 18) / 8) ** 2)
        else:
            part += 900 * np.exp(-0.5 * ((time - at - 4) / 5) ** 2) - 500 * np.exp(-0.5 * ((time - at - 20) / 7) ** 2)
    return changed


def localised(net: nn.Module, page: PageParams, count: int) -> list[Altered]:
    """Alter one lead of each of `count` simulated pages and explain them."""
    arranged = fitted(layout(page.layout), height_mm=page.height / page.px_per_mm)
    rng, reader = np.random.default_rng(SEED), PageReader(net)
    renderer = Renderer(arranged, height=page.height, width=page.width, px_per_mm=page.px_per_mm, sampling_rate=RATE,
                        samples=1000)
    grid = [number for number, box in enumerate(arranged.traces)
            if box.row < len(arranged.rows) and box.name not in arranged.rhythm]
    results = []
    for visit in plan(records=count, seed=SEED):
        signal = simulate(visit, seed=SEED) * np.int16(MICROVOLTS_A_STEP)
        number = int(rng.choice(grid))
        box = arranged.traces[number]
        first, stop = int(box.start * RATE), int((box.start + box.seconds) * RATE)
        changed = alter(signal, box.lead, first, stop, str(rng.choice(["raised", "wide"])))
        pages = renderer.draw_batch(np.stack([signal.astype(np.float32), changed]), [CLEAN] * 2)
        odds = logit(predict_pages(reader, pages, batch_size=2))
        finding = int(np.argmax(odds[1] - odds[0]))
        maps = relevance(reader, pages, finding, px_per_mm=page.px_per_mm)
        left, top, right, bottom = (round(side) for side in boxes(page)[number])
        inside = np.s_[top:bottom, left:right]
        ink = 1 - pages[1] / 255.0
        results.append(Altered(LEADS[box.lead], float(odds[1, finding] - odds[0, finding]),
                               float(maps[1][inside].sum()), float(maps[0][inside].sum()),
                               float(ink[inside].sum() / ink.sum()), (bottom - top) * (right - left) / ink.size))
    return results


def randomised(net: nn.Module, page: PageParams, count: int) -> list[tuple[str, float]]:
    """Draw weights anew from the head down; return after each stage the rank correlation with the true maps."""
    renderer = Renderer(fitted(layout(page.layout), height_mm=page.height / page.px_per_mm), height=page.height,
                        width=page.width, px_per_mm=page.px_per_mm, sampling_rate=RATE, samples=1000)
    signals = [simulate(visit, seed=SEED) * np.int16(MICROVOLTS_A_STEP) for visit in plan(records=count, seed=SEED)]
    pages = renderer.draw_batch(np.stack(signals), [CLEAN] * count)
    true = relevance(PageReader(net), pages, 0, px_per_mm=page.px_per_mm)
    shaken = copy.deepcopy(net)
    torch.manual_seed(SEED)
    stages = []
    parts = [(name, part) for name, part in shaken.page_path().named_modules()
             if isinstance(part, nn.Linear | nn.Conv2d)][::-1]
    for number, (name, part) in enumerate(parts):
        nn.init.normal_(part.weight, std=float(part.weight.detach().std()) or 0.05)
        if number in (0, len(parts) // 2, len(parts) - 1):
            maps = relevance(PageReader(shaken), pages, 0, px_per_mm=page.px_per_mm)
            stages.append((f"{number + 1} of {len(parts)} layers, down to {name}",
                           float(np.mean([rank_correlation(a, b) for a, b in zip(true, maps, strict=True)]))))
    return stages


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's correlation of two maps on blocks of 8 x 8 pixels; 0 where one is flat."""
    small = [cv2.resize(one, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA).ravel() for one in (a, b)]
    ranks = [np.argsort(np.argsort(one)) for one in small]
    return 0.0 if any(np.ptp(one) == 0 for one in small) else float(np.corrcoef(*ranks)[0, 1])


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explanation", description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR")
    parser.add_argument("--pages", type=int, default=120)
    options = parser.parse_args(arguments)
    net, meta = load_checkpoint(options.checkpoint)
    page = from_dict(PageParams, meta["page"], "page")
    everything = localised(net, page, options.pages)
    rows = [row for row in everything if row.rise >= REACTED]
    print(f"localisation: {len(everything)} pages altered; on {len(rows)} a finding's log-odds rose by {REACTED}")
    if rows:
        mass, before, ink, area = (np.array([getattr(row, name) for row in rows])
                                   for name in ("mass", "before", "ink", "area"))
        print(f"mass on the altered lead: mean {mass.mean():.3f}, median {np.median(mass):.3f}; chance by ink "
              f"{ink.mean():.3f}, by area {area.mean():.3f}; before the change {before.mean():.3f}")
        print(f"more than by chance on {np.mean(mass > ink):.1%} of them, than before on {np.mean(mass > before):.1%}; "
              f"{mass.mean() / ink.mean():.1f} times chance")
    for name, correlation in randomised(net, page, min(options.pages, 12)):
        print(f"sanity: weights drawn anew, {name}: rank correlation {correlation:.2f}")


if __name__ == "__main__":
    main()
