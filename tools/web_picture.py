"""Draw the pictures of the web page in docs/: `python tools/web_picture.py`, in a Chromium of this machine.

The reader of zoo/ptbxl reads a photo of a simulated record that the renderer draws, the same each time.
"""

import functools
import io
import shutil
import socket
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from components.gallery import MICROVOLTS_A_STEP, RATE
from ecg.paper.draw import PageOptions, draw_page
from ecg.paper.picture_files import write_picture
from ecg.sources.simulated import plan, simulate
from model.file_reading import FileReading
from serving.web.app import make_app

ROOT = Path(__file__).resolve().parents[1]
SEED = 8
"""A thickened left ventricle with ST depression."""
VIEWS = {"web.webp": ({"width": 1180, "height": 900}, "light", (1180, 1440)),
         "web-phone.webp": ({"width": 390, "height": 844}, "dark", (390, 1640))}
"""For each picture: the window, the scheme, and how much of the page is kept, in pixels."""


def photo(folder: Path) -> Path:
    """Draw the page that is read."""
    signal = simulate(plan(records=1, seed=SEED)[0], seed=SEED) * np.int16(MICROVOLTS_A_STEP)
    options = PageOptions(dpi=150, seed=SEED, capture="photo")
    page = draw_page(signal, sampling_rate=RATE, options=options, record="demo")
    write_picture(folder / "page.jpg", page.rgb, dpi=150, quality=90)
    return folder / "page.jpg"


@contextmanager
def served():
    """Serve the web page at a free port; yields its address."""
    read = functools.partial(FileReading.open(ROOT / "zoo" / "ptbxl").read, explain=True)
    server = uvicorn.Server(uvicorn.Config(make_app(read), log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


def main() -> None:
    """Draw both pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as scratch, served() as address, sync_playwright() as playwright:
        page_file = photo(Path(scratch))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, (window, scheme, (width, height)) in VIEWS.items():
            page = browser.new_context(viewport=window, color_scheme=scheme, reduced_motion="reduce").new_page()
            page.goto(address)
            page.set_input_files("#file", page_file)
            page.wait_for_selector("#results .title", timeout=120_000)
            page.wait_for_function("[...document.images].every((image) => image.complete)")
            shot = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
            Image.open(io.BytesIO(shot)).save(ROOT / "docs" / name, "WEBP", quality=72, method=6)
        browser.close()


if __name__ == "__main__":
    main()
