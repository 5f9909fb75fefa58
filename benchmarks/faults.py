"""Fetching through a bad line: how many bytes are wrong or missing after N runs with random faults.

    python -m benchmarks.faults --runs 100

A real S3 server (moto) stands behind a proxy that spoils answers by chance: 500, 503 SlowDown, 403 ExpiredToken, a
connection reset in the middle, a body shorter than it says, a body shorter that says so, flipped bits, silence. In
each run the files differ, a fetch is broken off in the middle, and called again as its user would; then every
file is compared with what was put into the bucket, and one more fetch must not ask for a single byte of content.
"""

import argparse
import hashlib
import http.client
import logging
import random
import socket
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3

from components.ingest.fetch import fetch
from components.ingest.fetch_growing import LEDGER
from model.params import FetchParams

KINDS = ("error 500", "slow down 503", "expired 403", "reset", "short body", "shorter answer", "flipped bits",
         "silence")
RARE = "silence"
"""Costs the client its whole patience, and so the run most of its time: one fault in forty."""
TIMEOUT_S = 6.0
CALLS = 40
"""Most calls of one fetch until it succeeds."""
ERRORS = {"error 500": (500, "InternalError"), "slow down 503": (503, "SlowDown"), "expired 403": (403, "ExpiredToken")}


@dataclass
class Faults:
    """What a proxy does: a fault to `share` of the answers, and after `cut_after` bytes no answer at all."""

    seed: int = 0
    share: float = 0.0
    kinds: tuple[str, ...] = KINDS
    cut_after: int | None = None
    done: Counter = field(default_factory=Counter)
    content: int = 0
    """Bytes of objects that went through, but for the set's own list."""

    def __post_init__(self) -> None:
        self.draws, self.lock = random.Random(self.seed), threading.Lock()

    def draw(self, *, content: bool) -> str:
        """Draw what happens to an answer; only objects' content is flipped, as nothing vouches for a list."""
        with self.lock:
            if self.cut_after is not None and self.content > self.cut_after:
                return "reset"
            kind = self.draws.choice(self.kinds) if self.draws.random() < self.share else ""
            kind = self.draws.choice(self.kinds) if kind == RARE and self.draws.random() < 0.8 else kind
            kind = "" if kind == "flipped bits" and not content else kind
            if kind:
                self.done[kind] += 1
            return kind


class Proxy(BaseHTTPRequestHandler):
    """Hands a request on, and its answer back, spoilt."""

    protocol_version = "HTTP/1.1"
    upstream: tuple[str, int]
    faults: Faults

    def do_GET(self) -> None:
        """Answer as the server behind would, or worse."""
        status, headers, body = self._ask()
        content = self.command == "GET" and "list-type" not in self.path
        kind = self.faults.draw(content=content and bool(body))
        if kind in ERRORS:
            status, code = ERRORS[kind]
            body = f"<Error><Code>{code}</Code><Message>made up</Message></Error>".encode()
            headers = [("Content-Type", "application/xml")]
            body = body if self.command == "GET" else b""
            kind = ""
        if kind == "silence":
            time.sleep(1.2 * TIMEOUT_S)
        with suppress(OSError):
            self._answer(status, headers, body, kind, content)

    do_HEAD = do_GET

    def _ask(self) -> tuple[int, list, bytes]:
        connection = http.client.HTTPConnection(*self.upstream, timeout=30)
        connection.request(self.command, self.path, headers=dict(self.headers))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), body

    def _answer(self, status: int, headers: list, body: bytes, kind: str, content: bool) -> None:
        draw = self.faults.draws.random()
        sent = body[:int(len(body) * draw)] if kind in ("reset", "short body", "shorter answer") else body
        if kind == "flipped bits":
            place = int(len(body) * draw)
            sent = body[:place] + bytes([body[place] ^ 1 << int(8 * draw)]) + body[place + 1:]
        length = len(sent) if kind == "shorter answer" else len(body)
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        said = next((v for n, v in headers if n.lower() == "content-length"), "0")
        self.send_header("Content-Length", said if self.command == "HEAD" else str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)
            self.wfile.flush()
        if content and not self.path.endswith("/SHA256SUMS.txt"):  # which is read each time, to compare with
            with self.faults.lock:
                self.faults.content += len(sent)
        if kind == "reset":  # a linger of nothing makes the kernel send RST instead of FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if kind in ("reset", "short body"):
            self.close_connection = True
            self.connection.close()

    def log_message(self, *_) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """A client that hung up is what this is about."""


@contextmanager
def bad_line(upstream: str, faults: Faults) -> Iterator[str]:
    """Stand between a client and an S3 server; yields the address to use instead of `upstream`."""
    host, port = upstream.removeprefix("http://").split(":")
    handler = type("Handler", (Proxy,), {"upstream": (host, int(port)), "faults": faults})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def s3_server() -> Iterator[str]:
    """A real S3 protocol on loopback; yields its address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request otherwise
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def fill(client, bucket: str, draws: random.Random) -> dict[str, bytes]:
    """Put a made-up archive below `set/`: small files, empty ones, one of many parts, some uploaded in parts."""
    client.create_bucket(Bucket=bucket)
    files = {f"records100/{n:05d}.dat": draws.randbytes(draws.randrange(30_000)) for n in range(8)}
    files |= {"empty.csv": b"", "shards/large.hdf5": draws.randbytes(draws.randrange(1 << 20, 3 << 20)),
              "shards/odd name (1) ü.bin": draws.randbytes(draws.randrange(1 << 20, 2 << 20))}
    if draws.random() < 0.5:
        files["SHA256SUMS.txt"] = "".join(f"{hashlib.sha256(data).hexdigest()} {name}\n"
                                          for name, data in files.items()).encode()
    for name, data in files.items():
        if name == "shards/odd name (1) ü.bin":
            _upload_in_parts(client, bucket, f"set/{name}", data)
        else:
            client.put_object(Bucket=bucket, Key=f"set/{name}", Body=data)
    return files


def _upload_in_parts(client, bucket: str, key: str, data: bytes, *, size: int = 5 << 20) -> None:
    data_parts = [data[i:i + size] for i in range(0, len(data), size)]
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts = [{"PartNumber": n, "ETag": client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=n,
                                                          Body=part)["ETag"]} for n, part in enumerate(data_parts, 1)]
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


@dataclass
class Outcome:
    """What a run came to: bytes that are wrong or missing, files too many, calls, and what was done to it."""

    wrong: int = 0
    strays: int = 0
    calls: int = 0
    again: int = 0
    """Bytes that a further fetch asked for: nothing is fetched twice."""
    content: int = 0
    sent: int = 0
    faults: Counter = field(default_factory=Counter)


def one_run(server: str, seed: int, folder: Path, *, share: float = 0.3, kinds: tuple[str, ...] = KINDS) -> Outcome:
    """Fetch a fresh archive through a bad line, broken off once, and compare every byte."""
    draws, outcome = random.Random(seed), Outcome()
    files = fill(boto3.client("s3", endpoint_url=server), f"run-{seed}", draws)
    outcome.content = sum(map(len, files.values()))
    faults = Faults(seed, share, kinds, cut_after=draws.randrange(outcome.content))
    with bad_line(server, faults) as address:
        params = FetchParams(endpoint=address, workers=4, part_mb=1, attempts=6, timeout_s=TIMEOUT_S)
        for _ in range(CALLS):
            outcome.calls += 1
            try:
                fetch(f"s3://run-{seed}/set", folder, params=params, pause=0.01)
                break
            except RuntimeError as error:
                failure = error
                faults.cut_after = None  # the line is mended, as far as it ever was
        else:
            raise RuntimeError(f"run {seed}: {CALLS} calls did not bring the files; the last: {failure}")
        outcome.sent, outcome.faults = faults.content, faults.done
    # A line of its own: an answer that was held back may still arrive on the first, and was asked for before.
    with bad_line(server, good := Faults()) as address:
        fetch(f"s3://run-{seed}/set", folder, params=replace(params, endpoint=address), pause=0.01)
        outcome.again = good.content
    outcome.wrong, outcome.strays = compare(files, folder)
    return outcome


def _in_scratch(server: str, seed: int, share: float) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        return one_run(server, seed, Path(folder), share=share)


def compare(files: dict[str, bytes], folder: Path) -> tuple[int, int]:
    """Count the bytes that are wrong or missing below a folder, and the files that do not belong there."""
    wrong = 0
    for name, data in files.items():
        path = folder / name
        found = path.read_bytes() if path.is_file() else None
        if found is None:
            wrong += max(1, len(data))
        elif found != data:
            wrong += sum(a != b for a, b in zip(found, data, strict=False)) + abs(len(found) - len(data))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return wrong, len(there - files.keys() - {LEDGER})


def main(argv: list[str] | None = None) -> int:
    """Run them all and print what came of it; 1 when a byte is wrong, missing, or fetched twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--share", type=float, default=0.3, help="of the answers that are spoilt")
    parser.add_argument("--together", type=int, default=8, help="runs at a time: they mostly wait")
    arguments = parser.parse_args(argv)
    started, total = time.monotonic(), Outcome()
    with made_up_keys(), s3_server() as server, ThreadPoolExecutor(arguments.together) as pool:
        seeds = range(arguments.seed, arguments.seed + arguments.runs)
        for one in pool.map(lambda seed: _in_scratch(server, seed, arguments.share), seeds):
            for name in ("wrong", "strays", "calls", "again", "content", "sent"):
                setattr(total, name, getattr(total, name) + getattr(one, name))
            total.faults += one.faults
    print(f"{arguments.runs} runs, {total.calls} calls, {sum(total.faults.values())} faults in "
          f"{time.monotonic() - started:.0f} s")
    print("  " + ", ".join(f"{total.faults[kind]} {kind}" for kind in KINDS))
    print(f"  {total.content / 1e6:.1f} MB of files, {total.sent / 1e6:.1f} MB over the line")
    print(f"  wrong or missing bytes: {total.wrong}; files left over: {total.strays}; bytes fetched again by a further "
          f"call: {total.again}")
    return 1 if total.wrong or total.strays or total.again else 0


@contextmanager
def made_up_keys() -> Iterator[None]:
    """Keys for a server that takes any, instead of those of whoever runs this."""
    import os

    made = {"AWS_ACCESS_KEY_ID": "some", "AWS_SECRET_ACCESS_KEY": "thing", "AWS_DEFAULT_REGION": "us-east-1"}
    kept = {name: os.environ.get(name) for name in (*made, "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL")}
    for name in kept:
        os.environ.pop(name, None)
    os.environ.update(made)
    try:
        yield
    finally:
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


if __name__ == "__main__":
    raise SystemExit(main())
