"""How well the grid of a page is found in pictures of it: `python -m benchmarks.locate [--prints FOLDER]`.

Simulated records are drawn on sheets, photographed, scanned and faxed, and located; the truth is the
capture's own transform at the middle of the traces' block. With --prints, what is found on real pictures is
printed beside what people measured on them by hand. Times are processor seconds of one thread.
"""

import argparse
import csv
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.render import records
from ecg.paper.capture import CAPTURES, Captured, capture
from ecg.paper.files import read_image
from ecg.paper.header import invent_header
from ecg.paper.layout import layout
from ecg.paper.locate import AROUND_MM, MIN_CONFIDENCE, Located, overlay, to_canonical
from ecg.paper.print_style import sheet_style
from ecg.paper.sheet import Sheet, draw_sheet

LAYOUT = layout("3x4+1R")
DPI = 200
PAGE = {"height": 256, "width": 512, "px_per_mm": 2.0}
WIDTHS = (1000, 2000)
PITCH_WITHIN, TURN_WITHIN = 0.01, 0.5
SHARES = (0.5, 0.9, 0.98, 1.0)
PRINT_PITCH_WITHIN, PRINT_TURN_WITHIN = 0.03, 1.0
HAND = Path(__file__).resolve().parents[1] / "tests" / "ecg" / "paper" / "prints.csv"


@dataclass(frozen=True)
class Outcome:
    """One picture: errors where it was located."""

    pitch: float = np.nan
    """Relative, of the worse axis."""
    turn: float = np.nan
    """Degrees."""
    place: float = np.nan
    """Largest error of mapped points of the block, in mm."""
    flagged: bool = False
    refused: bool = False
    seconds: float = 0.0


def local_truth(taken: Captured, sheet: Sheet) -> tuple[float, float, float]:
    """Return pixels per mm along x and y and the turn at the middle of the block, from a capture's transform.

    They are means over `AROUND_MM`: a fold changes the pitch by several per cent, but only over a few mm.
    """
    left, top, right, bottom = sheet.labels.block_mm
    middle = np.array([left + right, top + bottom]) / 2
    steps = AROUND_MM / 2 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    right, left, below, above = taken.transform.points((middle + steps) * sheet.labels.px_per_mm)
    along, across = (right - left) / AROUND_MM, (below - above) / AROUND_MM
    return float(np.hypot(*along)), float(np.hypot(*across)), float(np.rad2deg(np.arctan2(along[1], along[0])))


def place_error(located: Located, taken: Captured, sheet: Sheet) -> float:
    """Return by how many mm points of the block are mapped off their true place, the worst of a lattice."""
    x, y = np.meshgrid(np.linspace(0, LAYOUT.width_mm, 6), np.linspace(0, LAYOUT.height_mm, 4))
    points = np.stack([x, y], axis=-1).reshape(-1, 2)
    pixels = taken.transform.points((points + sheet.labels.block_mm[:2]) * sheet.labels.px_per_mm)
    mapped = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1) @ located.homography.T
    return float(np.abs(mapped[:, :2] / mapped[:, 2:] - points).max())


def picture(kind: str, signal: np.ndarray, seed: int, options: argparse.Namespace) -> tuple[Captured, Sheet]:
    """Draw a sheet and capture it at a random size."""
    rng = np.random.default_rng([seed, CAPTURES.index(kind)])
    look = np.random.default_rng([seed, 99])
    sheet = draw_sheet(signal, sampling_rate=100.0, layout=LAYOUT, dpi=DPI, style=sheet_style(options.style, look),
                       header=invent_header(look))
    page = sheet.page.rgb()
    width = int(rng.integers(*WIDTHS, endpoint=True))
    size = round(width * page.shape[0] / page.shape[1]), width
    return capture(page, kind=kind, rng=rng, strength=options.strength, px_per_mm=DPI / 25.4, size=size), sheet


def attempt(taken: Captured, sheet: Sheet) -> Outcome:
    """Locate one capture and compare."""
    started = time.process_time()
    try:
        located = to_canonical(taken.image, **PAGE, page_layout=LAYOUT)
    except ValueError:
        return Outcome(refused=True, seconds=time.process_time() - started)
    seconds = time.process_time() - started
    x, y, turn = local_truth(taken, sheet)
    found_x, found_y = located.px_per_mm_xy
    return Outcome(pitch=max(abs(found_x / x - 1), abs(found_y / y - 1)), turn=abs(located.rotation_deg - turn),
                   place=place_error(located, taken, sheet),
                   flagged=located.confidence < MIN_CONFIDENCE, seconds=seconds)


def captures_table(options: argparse.Namespace) -> str:
    """Return a Markdown table by kind of capture."""
    signals, pages = records(64), options.pages
    lines = ["| capture | pages | pitch error % (50/90/98/100) | turn error deg | place error mm | within both "
             "| flagged | refused | silently wrong | ms |", "|---|---|---|---|---|---|---|---|---|---|"]
    for kind in options.kinds:
        rows = [attempt(*picture(kind, signals[seed % len(signals)], seed, options))
                for seed in range(options.pages)]
        good = [row for row in rows if row.pitch <= PITCH_WITHIN and row.turn <= TURN_WITHIN]
        told = [row for row in rows if row.flagged or row.refused]
        wrong = [seed for seed, row in enumerate(rows) if row not in good and row not in told]
        pitch, turn, place = (_quantiles([getattr(row, name) for row in rows], digits) for name, digits in
                              (("pitch", 4), ("turn", 2), ("place", 2)))
        lines.append(f"| {kind} | {pages} | {_percent(pitch)} | {turn} | {place} | {100 * len(good) / pages:.1f} % "
                     f"| {sum(row.flagged for row in rows)} | {sum(row.refused for row in rows)} "
                     f"| {len(wrong)} {wrong[:8]} | {1e3 * np.median([row.seconds for row in rows]):.0f} |")
    return "\n".join(lines)


def _quantiles(values: list[float], digits: int) -> str:
    values = np.array(values)[~np.isnan(values)]
    return " / ".join(f"{value:.{digits}f}" for value in np.quantile(values, SHARES)) if len(values) else "-"


def _percent(quantiles: str) -> str:
    return " / ".join(f"{100 * float(part):.2f}" for part in quantiles.split(" / ")) if quantiles != "-" else "-"


def prints_table(folder: Path, hand: Path, overlays: Path | None) -> str:
    """Return a Markdown table of real pictures: found beside measured by hand."""
    known = {}
    if hand.is_file():
        with open(hand, newline="", encoding="utf-8") as file:
            known = {row["file"]: row for row in csv.DictReader(file)}
    lines = ["| file | px/mm | by hand | turn | by hand | confidence | scale from | rows | by hand | verdict |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for path in sorted(folder.iterdir()):
        measured = known.get(path.name, {})
        image = read_image(path)
        try:
            located = to_canonical(image, **PAGE, page_layout=LAYOUT)
        except ValueError as error:
            lines.append(f"| {path.name} | {error} | | | | | | | | refused |")
            continue
        if overlays:
            overlays.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(overlays / f"{path.stem}.png"), overlay(image, located)[..., ::-1])
        x, y = located.px_per_mm_xy
        lines.append(f"| {path.name} | {x:.3f} {y:.3f} | {measured.get('px_per_mm_x', '')} "
                     f"{measured.get('px_per_mm_y', '')} | {located.rotation_deg:.2f} "
                     f"| {measured.get('rotation_deg', '')} | {located.confidence:.2f} | {located.scale_from} "
                     f"| {len(located.rows)} | {measured.get('rows', '')} | {_verdict(located, measured)} |")
    return "\n".join(lines)


def _verdict(located: Located, measured: dict) -> str:
    if not measured.get("px_per_mm_x"):
        return ""
    hand = np.array([float(measured["px_per_mm_x"]), float(measured["px_per_mm_y"])])
    pitch = np.abs(np.array(located.px_per_mm_xy) / hand - 1).max()
    turn = abs(located.rotation_deg - float(measured["rotation_deg"] or 0))
    if pitch <= PRINT_PITCH_WITHIN and turn <= PRINT_TURN_WITHIN:
        return "within"
    return "flagged" if located.confidence < MIN_CONFIDENCE else f"WRONG by {100 * pitch:.1f} %, {turn:.1f} deg"


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.locate", description=__doc__.split("\n")[0])
    parser.add_argument("--prints", type=Path, metavar="FOLDER", help="only real pictures of this folder")
    parser.add_argument("--hand", type=Path, default=HAND, help="what was measured on them by hand")
    parser.add_argument("--overlays", type=Path, metavar="FOLDER", help="with --prints: draw what was found")
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", default=list(CAPTURES), choices=CAPTURES)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--style", default="pink", help="of the sheets: a name, or sampled (pink)")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    if options.prints:
        print(prints_table(options.prints, options.hand, options.overlays))
    else:
        print(captures_table(options))


if __name__ == "__main__":
    main()
