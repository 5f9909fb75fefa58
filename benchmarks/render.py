"""How fast pages are drawn, ours beside others' on the same record: `python -m benchmarks.render`.

One thread, the best of several rounds, of processor time, so that neighbours on the machine change little.
matplotlib always runs; ecg_plot and ecg-image-kit when --peers names an interpreter that has what they need, and --kit
the latter's checkout.
"""

import argparse
import io
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ecg.leads import LEADS
from ecg.paper.capture import capture
from ecg.paper.header import Header
from ecg.paper.layout import layout
from ecg.paper.locate import to_canonical
from ecg.paper.page import CLEAN, Renderer, sample_style
from ecg.paper.png import write_png
from ecg.paper.sheet import Sheet, draw_sheet
from ecg.sources.simulated import plan, simulate

LAYOUT = layout("3x4+1R")
RATE, SAMPLES = 100.0, 1000
MICROVOLTS_A_STEP = 5
BATCH = 64
ROUNDS = 5
OURS = "VizECGNet"


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


def ours(signal: np.ndarray, dpi: float = 200) -> Sheet:
    """Draw a letter page: 2200 x 1700 pixels at 200 dpi."""
    return draw_sheet(signal, sampling_rate=RATE, layout=LAYOUT, dpi=dpi, header=Header((("Record",),)))


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


_ECG_PLOT = """
import sys, time
import numpy as np, matplotlib
matplotlib.use("Agg")
import ecg_plot
from matplotlib import pyplot
signal = np.load(sys.argv[1]) / 1000
best = 1e9
for _ in range(4):
    started = time.process_time()
    ecg_plot.plot(signal, sample_rate=float(sys.argv[3]), columns=4)
    pyplot.savefig(sys.argv[2], dpi=200)
    pyplot.close("all")
    best = min(best, time.process_time() - started)
print(best)
"""


def ecg_plot_seconds(python: Path, signal: np.ndarray) -> float:
    """Processor seconds of ecg_plot's own 12-lead page to a PNG file."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "signal.npy"), signal)
        done = subprocess.run([python, "-c", _ECG_PLOT, f"{folder}/signal.npy", f"{folder}/page.png", str(RATE)],
                              check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def kit_seconds(python: Path, kit: Path, signal: np.ndarray, *, few: int = 1, many: int = 5) -> float:
    """Processor seconds a page of ecg-image-kit's generator over a folder, its start left out by difference."""
    return (_kit_run(python, kit, signal, many) - _kit_run(python, kit, signal, few)) / (many - few)


def _kit_run(python: Path, kit: Path, signal: np.ndarray, pages: int) -> float:
    import wfdb

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        for number in range(pages):
            wfdb.wrsamp(f"r{number}", fs=RATE, units=["mV"] * 12, sig_name=list(LEADS), p_signal=signal.T / 1000.0,
                        fmt=["16"] * 12, write_dir=str(source))
        script = kit / "codes/ecg-image-generator/gen_ecg_images_from_data_batch.py"
        started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([python, script.name, "-i", source, "-o", target, "-se", "1"], cwd=script.parent, check=True,
                       capture_output=True)
        written = len(list(target.glob("*.png")))
        if written != pages:
            raise RuntimeError(f"ecg-image-kit wrote {written} of {pages} pages")
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - started


def measure(peers: Path | None, kit: Path | None) -> list[tuple[str, str, float]]:
    """Return rows of (task, renderer, seconds a page)."""
    signals = records(BATCH)
    return [*_to_file(signals[0], peers, kit), *_training(signals), *_captured(signals[0])]


def _to_file(signal: np.ndarray, peers: Path | None, kit: Path | None) -> list[tuple[str, str, float]]:
    task, rows = "page to PNG file, 2200x1700, colour", []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.png")
        rows.append((task, OURS, seconds_each(lambda: write_png(path, ours(signal).page), 20)))
        rows.append((task, "matplotlib", seconds_each(lambda: matplotlib_to_png(signal, path), 1, rounds=3)))
    if peers:
        rows.append((task, "ecg_plot", ecg_plot_seconds(peers, signal)))
    if peers and kit:
        rows.append((task, "ecg-image-kit", kit_seconds(peers, kit, signal)))
    rows.append(("raster of the same page alone", OURS, seconds_each(lambda: ours(signal), 20)))
    rows.append(("raster with all labels", OURS, seconds_each(lambda: ours(signal).labels, 20)))
    return rows


def _training(signals: np.ndarray) -> list[tuple[str, str, float]]:
    styles, rows = [sample_style(np.random.default_rng(i)) for i in range(BATCH)], []
    for height, width, scale in ((256, 512, 2.0), (192, 384, 1.5)):
        draw = Renderer(LAYOUT, height=height, width=width, px_per_mm=scale, sampling_rate=RATE, samples=SAMPLES)
        for kind, looks in (("clean", [CLEAN] * BATCH), ("styled", styles)):
            batch = seconds_each(lambda draw=draw, looks=looks: draw.draw_batch(signals, looks), 1)
            rows.append((f"training page, {width}x{height} grey, {kind}", OURS, batch / BATCH))
    return [*rows, ("drawing a style", OURS, _style_seconds())]


def _captured(signal: np.ndarray) -> list[tuple[str, str, float]]:
    """Photos of pages, and finding the page on one again; a decoder of JPEG files is what they would replace."""
    draw = Renderer(LAYOUT, height=256, width=512, px_per_mm=2.0, sampling_rate=RATE, samples=SAMPLES)
    small, large = draw.draw(signal), ours(signal, 93).page.grey()
    rng = np.random.default_rng(0)
    rows = [("photo of a page, 1024x768 grey", OURS, seconds_each(
                lambda: capture(large, kind="photo", rng=rng, px_per_mm=93 / 25.4, size=(768, 1024)), 20)),
            ("photo of a page, 512x256 grey", OURS, seconds_each(
                lambda: capture(small, kind="photo", rng=rng, px_per_mm=2.0), 40))]
    photo = capture(ours(signal, 150).page.rgb(), kind="photo", rng=np.random.default_rng(1), px_per_mm=150 / 25.4,
                    size=(1200, 1600)).image
    rows.append(("finding the page on a photo, 1600x1200", OURS, seconds_each(
        lambda: to_canonical(photo, height=256, width=512, px_per_mm=2.0), 3)))
    data = cv2.imencode(".jpg", photo[..., ::-1])[1]
    return [*rows, ("decoding that photo, JPEG", "cv2", seconds_each(lambda: cv2.imdecode(data, 1), 5))]


def _style_seconds() -> float:
    rng = np.random.default_rng(0)
    return seconds_each(lambda: sample_style(rng), 500)


def table(rows: list[tuple[str, str, float]]) -> str:
    """Lay the rows out as Markdown; the last column says how many times faster ours is at the same task."""
    ours = {task: seconds for task, renderer, seconds in rows if renderer == OURS}
    out = io.StringIO()
    print("| task | renderer | ms a page | pages/s | ours is faster by |\n|---|---|---|---|---|", file=out)
    for task, renderer, seconds in rows:
        ratio = f"{seconds / ours[task]:.0f}x" if task in ours and renderer != OURS else ""
        print(f"| {task} | {renderer} | {1e3 * seconds:.2f} | {1 / seconds:,.4g} | {ratio} |", file=out)
    return out.getvalue()


def write_picture(path: Path) -> None:
    """Write the page that the README shows: a simulated record at 120 dpi."""
    visit = plan(records=1, seed=7)[0]
    about = f"{visit.patient.age} years, {visit.patient.sex}"
    header = Header(((f"Simulated record {visit.number}", about),), str(visit.device))
    write_png(path, draw_sheet(records(1)[0], sampling_rate=RATE, layout=LAYOUT, dpi=120, header=header).page)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print, or write the README's picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__.split("\n")[0])
    parser.add_argument("--peers", type=Path, metavar="PYTHON",
                        help="an interpreter that has ecg_plot and what ecg-image-kit needs, to measure them too")
    parser.add_argument("--kit", type=Path, metavar="DIR", help="a checkout of ecg-image-kit")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="only write a page of a simulated record")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    if options.picture:
        write_picture(options.picture)
    else:
        print(table(measure(options.peers, options.kit)), end="")


if __name__ == "__main__":
    main()
