"""What is no ECG page is refused, and what is one is not: `python -m benchmarks.refusal [--prints FOLDER]`.

Pictures that show no ECG (`benchmarks.foreign`) and pages of every layout, clean, scanned and photographed, pass
through the reading path: first locate, then the test of `model.refusal`. With --prints, real prints too; with
--records, pages of real records. --fit learns the test's weights anew, on pictures and pages of other seeds.
"""

import argparse
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.foreign import KINDS, foreign
from ecg.files import write_whole
from ecg.paper.draw import PageOptions, draw_page
from ecg.paper.files import read_image
from ecg.paper.layout import LAYOUTS, layout
from ecg.paper.locate import to_canonical
from ecg.records import RecordStore
from ecg.sources.simulated import plan, simulate
from model.params import PageParams
from model.refusal import BLANK, WEIGHTS, Refusal, features_of, fitted_refusal

PAGE = PageParams()
CAPTURES = ("clean", "scan", "photo")
FIT_SEED, TEST_SEED = 1, 2
"""No picture or page of the one is in the other."""
MICROVOLTS_A_STEP = 5
DPI = 120.0
RIDGE = 1.0
NOISES, STRANGERS = 300, 500
"""Of what locate lets nothing through, so that the fit knows them as no pages: noise as a page, and pages of which most
features lie anywhere."""
LEAST_REFUSED = 0.995
"""Of the pictures of the fit: the bound lies where so many are refused, or lower where that costs pages."""
MOST_PAGES = 0.005


def located(picture: np.ndarray, arranged: str) -> np.ndarray | None:
    """Return the canonical page of a picture; None where locate refuses it."""
    try:
        return to_canonical(picture, height=PAGE.height, width=PAGE.width, px_per_mm=PAGE.px_per_mm,
                            page_layout=layout(arranged)).image
    except ValueError:
        return None


def foreign_pictures(count: int, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield kinds in turn with their pictures."""
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        yield kind, foreign(kind, seed * 100_000 + number // len(KINDS))


def pages(count: int, seed: int, records: Path | None = None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield layout and capture in turn with pages drawn in a style of their own."""
    signals = _signals(count, seed, records)
    for number, signal in enumerate(signals):
        arranged, capture = list(LAYOUTS)[number % len(LAYOUTS)], CAPTURES[number // len(LAYOUTS) % len(CAPTURES)]
        options = PageOptions(layout=arranged, style="sampled", capture=capture, dpi=DPI, seed=seed)
        yield f"{arranged} {capture}", draw_page(signal, sampling_rate=100.0, options=options, record=str(number)).rgb


def _signals(count: int, seed: int, records: Path | None) -> Iterable[np.ndarray]:
    if records is None:
        return (simulate(visit, seed=seed) * np.int16(MICROVOLTS_A_STEP) for visit in plan(records=count, seed=seed))
    store = RecordStore.open(records)
    rows = np.random.default_rng(seed).choice(len(store.table), count, replace=False)
    return (store.signals[row] for row in rows)


def fit(features: np.ndarray, is_page: np.ndarray) -> Refusal:
    """Learn the test: ridge logistic regression on the features, their squares and their products.

    Args:
        features: (N, F).
        is_page: bool (N,).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    centre, spread = features[is_page].mean(axis=0), features[is_page].std(axis=0) + 1e-6
    count = features.shape[1]
    blank = Refusal(tuple(centre), tuple(spread), (1.0,) * (count * (count + 3) // 2), 0.0, 0.0)
    model, terms = LogisticRegression(C=1 / RIDGE, class_weight="balanced", max_iter=5000), blank.terms(features)
    # The bound goes by scores of a model that did not learn from the page or picture.
    quality = 1 / (1 + np.exp(-cross_val_predict(model, terms, is_page, cv=5, method="decision_function")))
    model.fit(terms, is_page)
    learnt = Refusal(*(tuple(np.round(values, 5).tolist()) for values in (centre, spread, model.coef_[0])),
                     round(float(model.intercept_[0]), 5), 0.0)
    wanted = float(np.quantile(quality[~is_page], LEAST_REFUSED))
    return replace(learnt, least=round(min(wanted, float(np.quantile(quality[is_page], MOST_PAGES))), 6))


@dataclass(frozen=True)
class Seen:
    """What locate made of pictures."""

    names: np.ndarray
    refused: np.ndarray
    """bool (N,): by locate; such pages are empty."""
    pages: np.ndarray
    """uint8 (N, H, W)."""


def seen(pictures: Iterable[tuple[str, np.ndarray]], kept: Path | None) -> Seen:
    """Locate pictures, or read from `kept` what was made of them before: locating costs most of the time."""
    if kept and kept.exists():
        with np.load(kept, allow_pickle=False) as known:
            return Seen(**{name: known[name] for name in ("names", "refused", "pages")})
    rows = [(name, located(picture, PAGE.layout)) for name, picture in pictures]
    empty = np.full((PAGE.height, PAGE.width), BLANK, np.uint8)
    result = Seen(np.array([name for name, _ in rows]), np.array([page is None for _, page in rows]),
                  np.stack([empty if page is None else page for _, page in rows]))
    if kept:
        whole = io.BytesIO()
        np.savez_compressed(whole, **vars(result))
        write_whole(kept, whole.getvalue())
    return result


def fitted(options: argparse.Namespace) -> Refusal:
    """Learn from the pictures and pages of the fit that locate lets through, and from what none of them is like."""
    theirs = seen(foreign_pictures(options.pictures, FIT_SEED), _kept(options, "fit-pictures"))
    ours = seen(pages(options.pages, FIT_SEED), _kept(options, "fit-pages"))
    shown = [group.pages[~group.refused] for group in (ours, theirs)]
    features = features_of(np.concatenate([*shown, noises(NOISES, FIT_SEED)]), PAGE)
    strange = strangers(features[:len(shown[0])], STRANGERS, FIT_SEED)
    return fit(np.concatenate([features, strange]), np.arange(len(features) + STRANGERS) < len(shown[0]))


def noises(count: int, seed: int) -> np.ndarray:
    """Return noise in place of canonical pages, fine and coarse, of two levels and of many: uint8 (count, H, W)."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        level = rng.random((PAGE.height, PAGE.width), dtype=np.float32)
        if number % 2:
            level = cv2.GaussianBlur(level, (0, 0), rng.uniform(0.4, 3))
            level = np.clip((level - level.min()) / np.ptp(level), 0, 1)
        made.append(255 * (level > rng.uniform(0.01, 0.99)) if number % 4 < 2 else 255 * level ** rng.uniform(0.1, 10))
    return np.stack(made).astype(np.uint8)


def strangers(features: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return features (count, F) that are some page's with most of them, or all, moved by up to six deviations."""
    rng = np.random.default_rng(seed)
    base = features[rng.integers(len(features), size=count)]
    moved = rng.random(base.shape) < rng.uniform(0.8, 1, (count, 1))
    anywhere = features.mean(axis=0) + features.std(axis=0) * rng.uniform(-6, 6, base.shape)
    return np.where(moved, anywhere, base)


def _kept(options: argparse.Namespace, name: str) -> Path | None:
    return options.kept / f"{name}.npz" if options.kept else None


def table(title: str, known: Seen, refusal: Refusal) -> str:
    """Return a Markdown table: pictures, refused by locate, refused by the test, together."""
    counts: dict[str, list[int]] = {}
    for name, missing, page in zip(known.names, known.refused, known.pages, strict=True):
        refused = not missing and bool(refusal.quality(features_of(page[None], PAGE))[0] < refusal.least)
        row = counts.setdefault(name, [0, 0, 0])
        row[0] += 1
        row[1] += bool(missing)
        row[2] += refused
    counts["**all**"] = list(np.sum(list(counts.values()), axis=0))
    lines = [f"| {title} | pictures | by locate | by the test | refused |", "|---|---|---|---|---|"]
    lines += [f"| {name} | {n} | {a} | {b} | {(a + b) / n:.1%} |" for name, (n, a, b) in counts.items()]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print, or fit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refusal", description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=500, help="that show no ECG (500)")
    parser.add_argument("--pages", type=int, default=300, help="of all layouts and captures (300)")
    parser.add_argument("--prints", type=Path, metavar="FOLDER", help="real prints")
    parser.add_argument("--records", type=Path, metavar="STORE", help="draw the pages from these records")
    parser.add_argument("--kept", type=Path, metavar="FOLDER", help="keep there, and use, what locate made of them")
    parser.add_argument("--fit", action="store_true", help=f"learn the weights anew, into {WEIGHTS.name}")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    if options.fit:
        write_whole(WEIGHTS, json.dumps(asdict(fitted(options)), indent=1) + "\n")
        return
    refusal = fitted_refusal()
    groups = {"no ECG": foreign_pictures(options.pictures, TEST_SEED), "pages": pages(options.pages, TEST_SEED)}
    if options.records:
        groups["pages of real records"] = pages(options.pages, TEST_SEED, options.records)
    if options.prints:
        groups["prints"] = (("real", read_image(path)) for path in sorted(options.prints.iterdir()))
    for title, pictures in groups.items():
        print(table(title, seen(pictures, _kept(options, title.replace(" ", "-"))), refusal), flush=True)


if __name__ == "__main__":
    main()
