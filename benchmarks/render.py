"""How fast pages are drawn, ours beside others' on the same record: `python -m benchmarks.render`.

One thread, the best of several rounds, of processor time, so that neighbours on the machine change little.
matplotlib always runs; ecg_plot when it is installed; ecg-image-kit when --kit names its checkout.
"""

import argparse
import importlib.util
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ecg.leads import LEADS
from ecg.paper.full_page import draw_indexed_page, write_png
from ecg.paper.layout import layout
from ecg.paper.page import CLEAN, Renderer, sample_style
from ecg.sources.simulated import plan, simulate

LAYOUT = layout("3x4+1R")
RATE, SAMPLES = 100.0, 1000
MICROVOLTS_A_STEP = 5
BATCH = 64
ROUNDS = 5


def records(count: int) -> np.ndarray:
    """Simulated records, int16 µV, (count, 12, 1000)."""
    return np.stack([simulate(visit, seed=7) * np.int16(MICROVOLTS_A_STEP) for visit in plan(records=count, seed=7)])


def seconds_each(work: Callable[[], object], times: int, *, rounds: int = ROUNDS) -> float:
    """Processor seconds of one call, the best round."""
    work()
    best = np.inf
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - started) / times)
    return best


def ours_to_png(signal: np.ndarray, path: Path) -> None:
    """Draw a 2200 x 1700 colour page and write it."""
    write_png(path, draw_indexed_page(signal, sampling_rate=RATE, layout=LAYOUT, dpi=200, header="Record"))


def matplotlib_to_png(signal: np.ndarray, path: Path) -> None:
    """The same page as plain matplotlib draws it: grid by tick lines, a line a trace, 2200 x 1700."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.5), dpi=200)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.05, 0.2, 0.9, 0.6))
    for width, step, colour in ((0.3, 1, "#f9d8d6"), (0.8, 5, "#eea09e")):
        axes.vlines(np.arange(0, 256, step), 0, 125, lw=width, color=colour)
        axes.hlines(np.arange(0, 126, step), 0, 255, lw=width, color=colour)
    for box in LAYOUT.traces:
        part = signal[box.lead, int(box.start * RATE):int((box.start + box.seconds) * RATE)] / 100
        axes.plot(5 + box.left + np.arange(len(part)) / RATE * 25, 120 - box.baseline + part, lw=0.8, color="k")
        axes.text(6 + box.left, 130 - box.baseline, box.name, fontsize=9)
    axes.set(xlim=(0, 255), ylim=(0, 125), xticks=[], yticks=[])
    canvas.print_png(path)


def ecg_plot_to_png(signal: np.ndarray, path: Path) -> None:
    """ecg_plot's own 12-lead page."""
    import ecg_plot
    from matplotlib import pyplot

    ecg_plot.plot(signal / 1000, sample_rate=RATE, columns=4, lead_index=list(LEADS), row_height=6)
    pyplot.savefig(path, dpi=200)
    pyplot.close("all")


def kit_seconds(kit: Path, signal: np.ndarray, *, pages: int = 3) -> float:
    """Wall seconds a page of ecg-image-kit's generator over a folder, its start included."""
    import wfdb

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        for number in range(pages):
            wfdb.wrsamp(f"r{number}", fs=RATE, units=["mV"] * 12, sig_name=list(LEADS), p_signal=signal.T / 1000.0,
                        fmt=["16"] * 12, write_dir=str(source))
        script = kit / "codes/ecg-image-generator/gen_ecg_images_from_data_batch.py"
        started = time.perf_counter()
        subprocess.run([sys.executable, script.name, "-i", str(source), "-o", str(target), "-se", "1"],
                       cwd=script.parent, check=True, capture_output=True)
        return (time.perf_counter() - started) / pages


def measure(kit: Path | None) -> list[tuple[str, str, float]]:
    """Return rows of (task, renderer, seconds a page)."""
    signals = records(BATCH)
    one, styles = signals[0], [sample_style(np.random.default_rng(i)) for i in range(BATCH)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.png")
        task = "page to PNG file, 2200x1700, colour"
        rows.append((task, "VizECGNet", seconds_each(lambda: ours_to_png(one, path), 5)))
        rows.append((task, "matplotlib", seconds_each(lambda: matplotlib_to_png(one, path), 1, rounds=3)))
        if importlib.util.find_spec("ecg_plot"):
            rows.append((task, "ecg_plot", seconds_each(lambda: ecg_plot_to_png(one, path), 1, rounds=3)))
        if kit:
            rows.append((task, "ecg-image-kit", kit_seconds(kit, one)))
    rows.append(("raster of the same page alone", "VizECGNet", seconds_each(
        lambda: draw_indexed_page(one, sampling_rate=RATE, layout=LAYOUT, dpi=200, header="Record"), 5)))
    rows.append(("decoding the same page, JPEG", "cv2", seconds_each(_decoder(one), 5)))
    for height, width, scale in ((256, 512, 2.0), (192, 384, 1.5)):
        draw = Renderer(LAYOUT, height=height, width=width, px_per_mm=scale, sampling_rate=RATE, samples=SAMPLES)
        for kind, looks in (("clean", [CLEAN] * BATCH), ("styled", styles)):
            batch = seconds_each(lambda draw=draw, looks=looks: draw.draw_batch(signals, looks), 1)
            rows.append((f"training page, {width}x{height} grey, {kind}", "VizECGNet", batch / BATCH))
    rows.append(("drawing a style", "VizECGNet", _style_seconds()))
    return rows


def _style_seconds() -> float:
    rng = np.random.default_rng(0)
    return seconds_each(lambda: sample_style(rng), 500)


def _decoder(signal: np.ndarray) -> Callable[[], object]:
    page = draw_indexed_page(signal, sampling_rate=RATE, layout=LAYOUT, dpi=200).rgb()
    data = cv2.imencode(".jpg", page[..., ::-1])[1]
    return lambda: cv2.imdecode(data, cv2.IMREAD_COLOR)


def table(rows: list[tuple[str, str, float]]) -> str:
    """Lay the rows out as Markdown; the last column says how many times faster ours is at the same task."""
    ours = {task: seconds for task, renderer, seconds in rows if renderer == "VizECGNet"}
    out = io.StringIO()
    print("| task | renderer | ms a page | pages/s | ours is faster by |\n|---|---|---|---|---|", file=out)
    for task, renderer, seconds in rows:
        ratio = f"{seconds / ours[task]:.0f}x" if task in ours and renderer != "VizECGNet" else ""
        print(f"| {task} | {renderer} | {1e3 * seconds:.2f} | {1 / seconds:,.4g} | {ratio} |", file=out)
    return out.getvalue()


def write_picture(path: Path) -> None:
    """Write the page that the README shows: a simulated record at 120 dpi."""
    visit = plan(records=1, seed=7)[0]
    header = f"Simulated record {visit.number}\n{visit.patient.age} years, {visit.patient.sex}   {visit.device}"
    write_png(path, draw_indexed_page(records(1)[0], sampling_rate=RATE, layout=LAYOUT, dpi=120, header=header))


def main(arguments: list[str] | None = None) -> None:
    """Measure and print, or write the README's picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__.split("\n")[0])
    parser.add_argument("--kit", type=Path, help="a checkout of ecg-image-kit to measure too")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="only write a page of a simulated record")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    if options.picture:
        write_picture(options.picture)
    else:
        print(table(measure(options.kit)), end="")


if __name__ == "__main__":
    main()
