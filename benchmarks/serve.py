"""Ours (TorchServe and its handler) beside a plain FastAPI server with the eager model, on the same pages, in one run.

`python -m benchmarks.serve --checkpoint C --package P` sends a 2200 x 1700 PNG page, one at a time and then sixteen at
once, to both, and times the same work in a process of its own, without a server. The plain server is what people write
first: one file, one `def` route, the eager model, a page at a time; it uses the same code to find the page, and the
same settings of the C library and OpenCV, so that what differs is the serving. Ours alone and the process without a
server take turns. `--minutes 10` goes on with 32 clients at ours alone: failures, growth of the worker's
memory. At the end a worker is killed under load: what that costs, and how long until it is back.
"""

import argparse
import io
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import requests
from PIL import Image

from benchmarks.hostile import server_of
from components.registry import STEPS
from model.params import DeployParams
from model.reading import PageReading
from serving.keys import bearer, fresh_key
from serving.torchserve import WORKERS_ENVIRONMENT

SIZE = (2200, 1700)
AT_ONCE, SOAKING = 16, 32
WARMING, SCRAP = 500, b"no page" * 20_000
"""Java is slow at first: so many requests, refused at once, come before one is timed."""
LONGEST_RETURN_S = 300
NAME = DeployParams().name


def page_of(package: Path) -> bytes:
    """Return the package's page as a PNG of the size that is measured."""
    out = io.BytesIO()
    Image.open(package / "sample.png").convert("RGB").resize(SIZE, Image.Resampling.LANCZOS).save(out, "PNG")
    return out.getvalue()


def plain_app(checkpoint: Path, package: Path):
    """Make the plain server: FastAPI, the eager model, a page at a time."""
    from fastapi import Body, FastAPI

    from model.checkpoint import load_checkpoint
    from model.network import PageReader

    net, _ = load_checkpoint(checkpoint)
    opened = PageReading.open(package)
    eager = PageReading(PageReader(net), opened.meta, opened.page, opened.certainty, opened.refusal)
    app = FastAPI()

    @app.post("/predictions")
    def predict(page: bytes = Body(media_type="application/octet-stream")) -> dict:
        return eager.read(page)

    return app


@contextmanager
def plain_server(checkpoint: Path, package: Path):
    """Start the plain server in a process of its own; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.serve", "--plain", str(port), "--checkpoint",
                                str(checkpoint), "--package", str(package)])
    try:
        until = time.monotonic() + 300
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/docs", timeout=5)
                break
            except requests.RequestException:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("the plain server does not come up") from None
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/predictions"
    finally:
        process.terminate()
        process.wait(30)


def send(session: requests.Session, place: str, page: bytes, headers: dict, *, status: int = 200) -> float:
    """Send a page; returns the seconds until its answer was there.

    Raises:
        RuntimeError: another status than the one expected.
    """
    started = time.perf_counter()
    reply = session.post(place, data=page, timeout=120, headers={"Content-Type": "application/octet-stream", **headers})
    if reply.status_code != status:
        raise RuntimeError(f"HTTP {reply.status_code}: {reply.text[:200]}")
    return time.perf_counter() - started


def alone(place: str, page: bytes, headers: dict, count: int) -> np.ndarray:
    """Send pages one at a time: ms each, without the first two."""
    session = requests.Session()
    return np.array([send(session, place, page, headers) for _ in range(count + 2)][2:]) * 1000


def together(place: str, page: bytes, headers: dict, count: int, clients: int) -> float:
    """Send pages from many clients at once: pages a second."""
    sessions = threading.local()

    def one(_) -> float:
        if not hasattr(sessions, "mine"):
            sessions.mine = requests.Session()
        return send(sessions.mine, place, page, headers)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
        started = time.perf_counter()
        list(pool.map(one, range(count)))
        return count / (time.perf_counter() - started)


def beside_in_process(package: Path, place: str, page: bytes, headers: dict, *, count: int,
                      threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Send a page and read it in this process, as the handler does, by turns: ms each of both.

    By turns, because a machine's speed changes more from minute to minute than the server adds.
    """
    import torch

    from model.file_reading import FileReading

    torch.set_num_threads(threads)
    reading, session = FileReading.open(package), requests.Session()
    for _ in range(WARMING):
        send(session, place, SCRAP, headers, status=422)
    took = []
    for _ in range(count + 2):
        served, started = send(session, place, page, headers), time.perf_counter()
        reading.read(page)
        took.append((served, time.perf_counter() - started))
    return tuple(np.array(took[2:]).T * 1000)


def soak(server, page: bytes, *, seconds: float, clients: int) -> dict:
    """Keep many clients busy for a while; returns requests, failures and the worker's memory before and after."""
    place, ended, lock = f"{server.inference}/predictions/{NAME}", threading.Event(), threading.Lock()
    counts, reasons = {"requests": 0, "failures": 0}, set()

    def client() -> None:
        session = requests.Session()
        while not ended.is_set():
            try:
                send(session, place, page, bearer(fresh_key(server.key_file, "inference")))
                failed = ""
            except Exception as error:
                failed = f"{type(error).__name__}: {str(error)[:80]}"
            with lock:
                counts["requests"] += 1
                counts["failures"] += bool(failed)
                reasons.update({failed} - {""})

    with ThreadPoolExecutor(clients) as pool:
        for _ in range(clients):
            pool.submit(client)
        time.sleep(seconds * 0.2)  # Allocators and caches settle first.
        before = worker_mb(server)
        time.sleep(seconds * 0.8)
        after = worker_mb(server)
        ended.set()
    return {**counts, "before_mb": before, "after_mb": after, "reasons": sorted(reasons)[:3]}


def worker_mb(server) -> float:
    """Return the memory of the workers of the default version."""
    return sum(psutil.Process(pid).memory_info().rss for pid in _workers(server)) / 1e6


def _workers(server) -> list[int]:
    version = next(name for name, default in server.management.versions(NAME).items() if default)
    return server.management.workers(NAME, version)


def recovery(server, page: bytes, clients: int) -> tuple[float, int]:
    """Kill a worker while clients wait: seconds until as many are ready again, and how many requests failed.

    Raises:
        RuntimeError: it does not come back.
    """
    place, failed, before = f"{server.inference}/predictions/{NAME}", [], _workers(server)

    def client(_) -> None:
        try:
            send(requests.Session(), place, page, bearer(fresh_key(server.key_file, "inference")))
        except RuntimeError as error:
            failed.append(str(error))

    with ThreadPoolExecutor(clients) as pool:
        waiting = [pool.submit(client, n) for n in range(clients)]
        time.sleep(0.2)
        psutil.Process(before[0]).kill()
        killed = time.perf_counter()
        for each in waiting:
            each.result()
        while before[0] in (now := _workers(server)) or len(now) < len(before):
            if time.perf_counter() - killed > LONGEST_RETURN_S:
                raise RuntimeError(f"the killed worker is not back after {LONGEST_RETURN_S} s")
            time.sleep(0.1)
    return time.perf_counter() - killed, len(failed)


def measure(options: argparse.Namespace) -> None:
    """Measure both servers and print the table."""
    page, rows = page_of(options.package), {}
    how = {"workers": options.workers, "batch_size": options.batch, "max_batch_delay_ms": options.delay}
    with server_of(options.package, **how) as server:
        place, key = f"{server.inference}/predictions/{NAME}", bearer(fresh_key(server.key_file, "inference"))
        served, inside = beside_in_process(options.package, place, page, key, count=options.count,
                                           threads=max(1, (os.cpu_count() or 1) // options.workers))
        rows["ours"] = served, together(place, page, key, options.count, AT_ONCE)
        print(f"ours: {how}: p50 {np.median(rows['ours'][0]):.1f} ms, {rows['ours'][1]:.2f} pages/s", flush=True)
        with plain_server(options.checkpoint, options.package) as plain:
            rows["plain"] = alone(plain, page, {}, options.count), together(plain, page, {}, options.count, AT_ONCE)
        print(f"{SIZE[0]} x {SIZE[1]} PNG, {len(page) / 1e6:.2f} MB, {os.cpu_count()} cores, load "
              f"{os.getloadavg()[0]:.1f}, {options.count} pages")
        print(f"{'':12}{'p50 ms':>9}{'p99 ms':>9}{f'pages/s at {AT_ONCE}':>16}")
        for name, (took, rate) in rows.items():
            print(f"{name:12}{np.median(took):9.1f}{np.percentile(took, 99):9.1f}{rate:16.2f}")
        print(f"{'in process':12}{np.median(inside):9.1f}{np.percentile(inside, 99):9.1f}")
        print(f"overhead of the server: {np.median(served - inside):.1f} ms at the median; "
              f"throughput {rows['ours'][1] / rows['plain'][1]:.2f} times the plain server's")
        if options.minutes:
            seen = soak(server, page, seconds=options.minutes * 60, clients=SOAKING)
            print(f"soak, {options.minutes:g} min at {SOAKING}: {seen['requests']} requests, {seen['failures']} failed "
                  f"{seen['reasons'] or ''}, worker {seen['before_mb']:.0f} -> {seen['after_mb']:.0f} MB "
                  f"({seen['after_mb'] / seen['before_mb'] - 1:+.1%})")
        took, lost = recovery(server, page, 2 * options.workers)
        print(f"one of {options.workers} workers killed: {lost} of {2 * options.workers} waiting requests failed, it "
              f"is back after {took:.1f} s")


def main(arguments: list[str] | None = None) -> None:
    """Read the arguments and measure, or be the plain server."""
    parser = argparse.ArgumentParser(prog="vizecg bench serve", description=__doc__.split("\n")[0])
    parser.add_argument("--package", type=Path, default=Path(STEPS["package"].folder), metavar="DIR")
    parser.add_argument("--checkpoint", type=Path, default=Path(STEPS["train"].folder), metavar="DIR")
    parser.add_argument("--count", type=int, default=100, metavar="N", help="pages of each measurement (100)")
    parser.add_argument("--minutes", type=float, default=0, help=f"go on for so long with {SOAKING} clients (0)")
    parser.add_argument("--workers", type=int, default=DeployParams().workers, metavar="N", help="of ours")
    parser.add_argument("--batch", type=int, default=DeployParams().batch_size, metavar="N", help="most pages at once")
    parser.add_argument("--delay", type=int, default=DeployParams().max_batch_delay_ms, metavar="MS",
                        help="longest wait for a fuller batch")
    parser.add_argument("--plain", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.plain:
        import uvicorn

        uvicorn.run(plain_app(options.checkpoint, options.package), host="127.0.0.1", port=options.plain,
                    log_level="warning")
    elif WORKERS_ENVIRONMENT.items() <= os.environ.items():
        measure(options)
    else:
        # The C library reads these when a process starts: all that is compared has the same.
        command = [sys.executable, "-m", "benchmarks.serve", *(sys.argv[1:] if arguments is None else arguments)]
        raise SystemExit(subprocess.call(command, env={**os.environ, **WORKERS_ENVIRONMENT}))


if __name__ == "__main__":
    main()
