"""Hostile files: none may crash the reader, hang it, cost it much memory or get an answer without a reason.

`python -m benchmarks.hostile --count 20000` gives the reading path files that are damaged (of every kind that is read),
cut short, larger than they look (headers of 60,000 x 60,000 pixels, bombs), of two kinds at once, of no kind that is
read, or names of other files. A file ends well when it is read, or refused in one line (ValueError). `--live 500` sends
that many of them to a TorchServe of its own as well: no answer may be 5xx, each 4xx must say why. A crash of native
code ends the run. `--case NUMBER` does one again and shows it.
"""

import argparse
import gzip
import io
import resource
import socket
import struct
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from benchmarks.fuzz import damage, limited
from components.progress import track
from components.registry import STEPS
from model.file_reading import FileReading
from model.params import DeployParams
from serving.archive import with_archive

SECONDS = 70.0
"""Longest time of a case: a PDF has 20 s of the processor, by the clock 60."""
WIDTH = 900
"""Of the pages that are damaged: small, so that many are tried."""
MEMORY_LIMIT_MB = 1500
"""How much more the process may come to hold."""
SIDE = 60_000


def templates(page: bytes) -> dict[str, bytes]:
    """Save a page as each kind of file that is read."""
    picture = Image.open(io.BytesIO(page)).convert("RGB")
    picture = picture.resize((WIDTH, round(WIDTH * picture.height / picture.width)))
    made = {kind: _saved(picture, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "PDF")}
    made["TIFF"] = _saved(picture, "TIFF", compression="tiff_lzw", save_all=True, append_images=[picture])
    made["PNG16"] = _saved(picture.convert("I;16"), "PNG")
    made["DICOM"] = _dicom(np.asarray(picture))
    return made


def _saved(picture: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _dicom(pixels: np.ndarray) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    capture, out = Dataset(), io.BytesIO()
    capture.file_meta = FileMetaDataset()
    capture.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    capture.file_meta.MediaStorageSOPClassUID = capture.SOPClassUID = SecondaryCaptureImageStorage
    capture.file_meta.MediaStorageSOPInstanceUID = capture.SOPInstanceUID = generate_uid(entropy_srcs=["hostile"])
    capture.Rows, capture.Columns, capture.SamplesPerPixel = pixels.shape[0], pixels.shape[1], 3
    capture.PhotometricInterpretation, capture.PlanarConfiguration = "RGB", 0
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit, capture.PixelRepresentation, capture.PixelData = 7, 0, pixels.tobytes()
    capture.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _png(width: int, height: int, data: bytes, *, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
            + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def _sides(rng: np.random.Generator) -> tuple[int, int]:
    return tuple(int(rng.choice([0, 1, 7000, SIDE, 65_535, 2**31 - 1])) for _ in range(2)) if rng.random() < 0.5 \
        else (SIDE, SIDE)


def large(rng: np.random.Generator, made: dict[str, bytes]) -> bytes:
    """A file whose header promises far more than it holds, or that unpacks to far more than it is."""
    width, height = _sides(rng)
    zeros = zlib.compress(bytes(1 << 20), 9)
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", 5) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in (
            (256, width), (257, height), (258, 8), (273, 8), (279, 2**31))) + bytes(4)
    jpeg = made["JPEG"]
    frame = jpeg.find(b"\xff\xc0") if b"\xff\xc0" in jpeg else jpeg.find(b"\xff\xc2")
    kinds: list[Callable[[], bytes]] = [
        lambda: _png(width, height, zeros), lambda: _png(width, height, zeros, depth=16, colour=6),
        lambda: _png(7000, 8500, zlib.compress(bytes(8500 * 7001), 9), colour=0),
        lambda: tiff, lambda: made["BMP"][:18] + struct.pack("<ii", width % 2**31, -height % 2**31) + made["BMP"][26:],
        lambda: made["GIF"][:6] + struct.pack("<HH", width & 0xFFFF, height & 0xFFFF) + made["GIF"][10:],
        lambda: jpeg[:frame + 5] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + jpeg[frame + 9:],
        lambda: made["PDF"].replace(b"/MediaBox", b"/MediaBox [ 0 0 1e7 1e7 ] /Old", 1),
        lambda: made["PDF"].replace(f"/Width {WIDTH}".encode(), f"/Width {width}".encode()),
        lambda: b"%PDF-1.4\n1 0 obj<</Length 9/Filter[" + b"/FlateDecode" * 2000 + b"]>>stream\n" + zeros,
        lambda: made["PNG"] + bytes(int(rng.integers(1, 31_000_000)))]
    return kinds[rng.integers(len(kinds))]()


def two_kinds(rng: np.random.Generator, made: dict[str, bytes]) -> bytes:
    """A file that is of two kinds: one after the other, or one with the other's beginning."""
    first, second = (made[name] for name in rng.choice(sorted(made), 2, replace=False))
    starts = (b"%PDF-1.7\n", b"GIF89a", b"II*\0", b"MM\0*", b"RIFF\xff\xff\xff\xffWEBP", b"BM", b"\xff\xd8\xff\xe0",
              b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"<html><script>", bytes(128) + b"DICM",
              b"%!PS-Adobe-3.0 EPSF-3.0\n")
    start = starts[rng.integers(len(starts))]
    return (first + second, start + first, start + first[len(start):], first[:len(first) // 2] + second)[
        rng.integers(4)]


def no_page(rng: np.random.Generator, made: dict[str, bytes]) -> bytes:
    """Something of a kind that is not read."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as inside:
        inside.writestr("../../page.png", bytes(1 << 20))
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha"}">' for i in range(9))
    others = (b"", b"\0", rng.bytes(int(rng.integers(1, 4000))), archive.getvalue(), gzip.compress(bytes(1 << 20)),
              f'<?xml version="1.0"?><!DOCTYPE x [{entities}]><svg xmlns="http://www.w3.org/2000/svg">&a8;</svg>'.encode(),
              b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n", b"\x7fELF" + bytes(200),
              b'{"instances": [{"data": "x"}]}', b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.", b"MZ" + bytes(100),
              b"\0\0\0\x18ftypheic" + bytes(40), b"\0\0\0\x18ftypisom" + bytes(40), b"P6\n60000 60000\n255\n",
              b"push graphic-context\nimage over 0,0 0,0 'https://example.org/x'\n")
    return others[rng.integers(len(others))]


def names(rng: np.random.Generator, made: dict[str, bytes]) -> bytes:
    """The name of a file or a place instead of a file."""
    known = ("../../../etc/passwd", "/etc/shadow", "file:///etc/passwd", "http://127.0.0.1:8081/models", "C:\\boot.ini",
             "sample.png", "\\\\host\\share\\x.png", "%2e%2e%2fmodel.json", "page.png\0.exe",
             "$(reboot)", "`id`", "/dev/zero")
    return known[rng.integers(len(known))].encode() * int(rng.integers(1, 3))


def damaged(rng: np.random.Generator, made: dict[str, bytes]) -> bytes:
    """A page of a kind that is read, with one to four damages."""
    return damage(rng, made[_kind(rng, made)])


def cut(rng: np.random.Generator, made: dict[str, bytes]) -> bytes:
    """A page of a kind that is read, cut short."""
    data = made[_kind(rng, made)]
    return data[:int(rng.integers(0, len(data)))]


def _kind(rng: np.random.Generator, made: dict[str, bytes]) -> str:
    """A kind of file; PDFs less often, each takes a process."""
    share = np.array([0.25 if name == "PDF" else 1.0 for name in sorted(made)])
    return str(rng.choice(sorted(made), p=share / share.sum()))


KINDS: dict[str, tuple[Callable[[np.random.Generator, dict[str, bytes]], bytes], float]] = {
    "damaged": (damaged, 0.45), "cut": (cut, 0.2), "large": (large, 0.1), "two kinds": (two_kinds, 0.1),
    "no page": (no_page, 0.1), "names": (names, 0.05)}
"""How each kind of case is made, and its share."""


def case(seed: int, number: int, made: dict[str, bytes]) -> tuple[str, bytes]:
    """Return a case's kind and its file; the same for the same seed and number."""
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice(list(KINDS), p=[share for _, share in KINDS.values()]))
    return kind, KINDS[kind][0](rng, made)


def judge(reading: FileReading, data: bytes) -> tuple[str, str]:
    """Read a file; returns how it ended and why: `read` and `refused` are well, all else is a fault."""
    try:
        with limited(SECONDS):
            reading.read(data)
    except ValueError as error:
        reason = str(error)
        return ("refused" if reason.strip() and "\n" not in reason else "no reason"), reason
    except TimeoutError:
        return "hang", ""
    except Exception as error:  # whatever comes out here is what is looked for
        return "crash", f"{type(error).__name__}: {error}"
    return "read", ""


def held_mb() -> float:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_process(package: Path, *, count: int, seed: int) -> tuple[Counter, list[str], float]:
    """Judge cases in this process: how they ended by kind, the faults, and the growth of memory in MB."""
    reading = FileReading.open(package)
    page = (package / "sample.png").read_bytes()
    reading.read(page)
    made, ends, faults, before = templates(page), Counter(), [], held_mb()
    for number in track(range(count), label="hostile"):
        kind, data = case(seed, number, made)
        end, why = judge(reading, data)
        ends[kind, end] += 1
        if end not in ("read", "refused"):
            faults.append(f"case {number} ({kind}): {end}: {why[:200]}")
    return ends, faults, held_mb() - before


@contextmanager
def server_of(package: Path, **settings):
    """A TorchServe of our own with a package on it, with settings of section deploy: yields its server."""
    from serving.rollout import load, switch
    from serving.torchserve import reach, stop

    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    addresses = [f"http://127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    params = DeployParams(**dict(zip(("inference", "management", "metrics"), addresses, strict=True)),
                          startup_timeout_s=300, **settings)
    with tempfile.TemporaryDirectory(prefix="vizecg-hostile-") as scratch:
        state, package = Path(scratch, "torchserve"), with_archive(package, Path(scratch, "package"))
        try:
            with reach(state, params) as server:
                switch(server, load(server, package, params))
            yield server
        finally:
            stop(state)


def live(package: Path, *, count: int, seed: int) -> tuple[Counter, list[str]]:
    """Send cases to a server: the statuses, and the faults."""
    from serving.keys import bearer, fresh_key

    made, statuses, faults = templates((package / "sample.png").read_bytes()), Counter(), []
    with server_of(package) as server:
        place = f"{server.inference}/predictions/{DeployParams().name}"
        for number in track(range(count), label="hostile, live"):
            kind, data = case(seed, number, made)
            headers = bearer(fresh_key(server.key_file, "inference"))
            try:
                reply = requests.post(place, data=data, headers=headers, timeout=2 * SECONDS)
            except requests.RequestException as error:
                statuses[type(error).__name__] += 1
                faults.append(f"case {number} ({kind}): no answer: {type(error).__name__}")
                continue
            statuses[reply.status_code] += 1
            if reply.status_code >= 500 or not (reply.ok or _reason(reply)):
                faults.append(f"case {number} ({kind}): HTTP {reply.status_code}: {reply.text[:200]}")
    return statuses, faults


def _reason(reply: requests.Response) -> str:
    try:
        answer = reply.json()
    except ValueError:
        return ""
    return str(answer.get("error") or answer.get("message") or "")


def main(arguments: list[str] | None = None) -> int:
    """Try the cases and print how they ended; the exit status is 1 when one of them ended badly."""
    parser = argparse.ArgumentParser(prog="vizecg bench hostile", description=__doc__.split("\n")[0])
    parser.add_argument("--package", type=Path, default=Path(STEPS["package"].folder), metavar="DIR")
    parser.add_argument("--count", type=int, default=2000, metavar="N", help="cases in this process (2000)")
    parser.add_argument("--live", type=int, default=0, metavar="N", help="cases sent to a server too (0)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, metavar="NUMBER", help="do this one alone")
    options = parser.parse_args(arguments)
    if options.case is not None:
        kind, data = case(options.seed, options.case, templates((options.package / "sample.png").read_bytes()))
        print(kind, len(data), data[:60], *judge(FileReading.open(options.package), data))
        return 0
    started = time.perf_counter()
    ends, faults, growth = in_process(options.package, count=options.count, seed=options.seed)
    print(f"{options.count} cases in {time.perf_counter() - started:.0f} s, memory +{growth:.0f} MB")
    for kind in KINDS:
        print(f"  {kind:10} " + ", ".join(f"{end} {n}" for (of, end), n in sorted(ends.items()) if of == kind))
    if growth > MEMORY_LIMIT_MB:
        faults.append(f"memory grew by {growth:.0f} MB, more than {MEMORY_LIMIT_MB}")
    if options.live:
        statuses, more = live(options.package, count=options.live, seed=options.seed + 1)
        print(f"live: {options.live} cases: " + ", ".join(f"{status} {n}" for status, n in statuses.most_common()))
        faults += more
    print(*faults[:20], f"{len(faults)} faults", sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
