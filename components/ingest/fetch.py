"""Fetch a bucket's prefix into a folder: in parallel, whole or not at all, and never twice.

Each file grows beside its place as `NAME.part` and takes it once its content is proved (`fetch_proof`). Whatever
ends a fetch early, the next call goes on from what has arrived.
"""

import errno
import shutil
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.ingest.fetch_growing import Growing, Ledger
from components.ingest.fetch_proof import Corrupt, prove
from components.ingest.fetch_remote import SUMS, Changed, Remote, Thing, Torn
from components.progress import counter, say
from components.s3 import is_bucket, split_address
from model.params import FetchParams, IngestParams

CHUNK = 1 << 18
"""Bytes read at a time."""
SPARE = 64 << 20
"""Bytes that a fetch leaves free on the disk."""
MOST_FAILURES = 3
"""How often a file may arrive with another content than the bucket says."""
LISTINGS = 3
"""How often the bucket is listed when what it holds changes under the fetch."""
FILES = {"ptbxl": ("ptbxl_database.csv", "scp_statements.csv", "records{rate}/*", "LICENSE.txt")}
"""What a source needs of its set, where that is less than all of it."""


@dataclass(frozen=True)
class FetchResult:
    """What a fetch came to. `fetched` files came over the wire, `kept` ones were there; `proofs` counts how the
    fetched ones were proved."""

    folder: str
    files: int
    fetched: int
    kept: int
    bytes: int
    proofs: dict[str, int]


def local_folder(data: Path | str, params: IngestParams) -> Path:
    """Return where the data lies on this machine, and fetch it there first when it lies in a bucket."""
    if not is_bucket(data):
        return Path(data)
    bucket, prefix = split_address(str(data), where="ingest.data")
    folder = Path(params.fetch.folder, bucket, prefix)
    # A record that was taken out of the bucket, such as a patient's who withdrew, must not be learnt from again.
    fetch(str(data), folder, params=params.fetch, include=params.fetch.include or needed(params), mirror=True)
    return folder


def needed(params: IngestParams) -> tuple[str, ...]:
    """Return the patterns of the files that a source reads; none: all of them."""
    return tuple(pattern.format(rate=params.source_rate) for pattern in FILES.get(params.source, ()))


def fetch(address: str, folder: Path, *, params: FetchParams, include: tuple[str, ...] = (),
          pause: float = 0.5, mirror: bool = False) -> FetchResult:
    """Bring every object below an address into a folder.

    Args:
        address: `s3://BUCKET/PREFIX`.
        folder: where the files come to lie, named as their keys below the prefix.
        params: section `ingest.fetch`.
        include: patterns (`records100/*`) of what is wanted; none: all. SHA256SUMS.txt comes with it.
        pause: seconds before a failed call is tried again; doubled each time.
        mirror: remove what an earlier fetch brought and the bucket no longer has.

    Raises:
        ValueError: the bucket refuses, holds nothing, or files that the set's own list contradicts; no room.
        RuntimeError: it does not answer, or what it sends keeps being damaged.
        OSError: the disk is full. What has arrived is kept in every case.
    """
    stop = threading.Event()
    remote = Remote(address, params, stop=stop, pause=pause)
    ledger = Ledger(Path(folder))
    try:
        for listing in range(LISTINGS):
            things = remote.things(include)
            transfer = _Transfer(remote, ledger, Path(folder), things, stop)
            try:
                done = transfer.run()
            except Changed as error:
                if listing + 1 == LISTINGS:
                    raise RuntimeError(f"{error}; the bucket changes while it is read; call again") from None
                stop.clear()
                continue
            gone = ledger.gone(things, include)
            if gone and mirror:
                for name in gone:
                    (Path(folder) / name).unlink(missing_ok=True)
                say(f"fetch: {address}: {len(gone)} files are there no more and were removed from {folder} ({gone[0]}"
                    f"{', ...' if len(gone) > 1 else ''})")
            return done
        raise AssertionError("unreachable")
    finally:
        ledger.close()


class _Transfer:
    """One pass over a list of objects by `workers` threads, each taking the next part that is wanted."""

    def __init__(self, remote: Remote, ledger: Ledger, folder: Path, things: list[Thing], stop: threading.Event):
        self.remote, self.ledger, self.folder, self.stop = remote, ledger, folder, stop
        self.params, self.things = remote.params, things
        self.wanted = [thing for thing in things if not self._stands(thing)]
        self.proofs: dict[str, int] = {}
        self.failure: BaseException | None = None
        self.lock = threading.Lock()
        self.again: deque[tuple[Growing, int]] = deque()
        self.fresh = self._parts()

    def _stands(self, thing: Thing) -> bool:
        """Whether the file is there already; one that came some other way is compared with what the bucket says."""
        path = self.folder / thing.name
        if self.ledger.holds(path, thing):
            return True
        if path.is_symlink() or not path.is_file() or path.stat().st_size != thing.size:
            return False
        try:
            evidence = prove(path, thing, head=lambda more: self._head(thing, more))
        except Corrupt:
            return False
        if evidence != "size":
            self.ledger.add(path, thing, evidence)
        return evidence != "size"

    def run(self) -> FetchResult:
        """Bring what is wanted, or raise what stopped it."""
        growing = [Growing(self.folder / t.name, t, self.params.part_mb << 20) for t in self.wanted]
        to_go = sum(thing.size for thing in self.wanted) - sum(g.kept for g in growing)
        self.growing = growing
        self._refuse_full(to_go)
        if self.wanted:
            say(f"fetch: {self.remote.address}: {len(self.wanted)} of {len(self.things)} files to fetch, "
                f"{to_go / 1e6:,.1f} MB")
        with counter(to_go, label="fetch") as self.arrived:
            self._work_together()
        if self.failure:
            raise self.failure
        return FetchResult(str(self.folder), len(self.things), len(self.wanted), len(self.things) - len(self.wanted),
                           to_go, dict(sorted(self.proofs.items())))

    def _refuse_full(self, to_go: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if to_go and to_go + SPARE > free:
            raise ValueError(f"{self.folder}: {to_go / 1e9:.2f} GB are to come and {free / 1e9:.2f} GB are free; make "
                             "room, or fetch less with ingest.fetch.include")

    def _parts(self) -> Iterator[tuple[Growing, int]]:
        for each in self.growing:
            for number in sorted(each.left):
                yield each, number

    def _work_together(self) -> None:
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.params.workers)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:
            self.stop.set()
            for thread in threads:
                thread.join()
            raise
        finally:
            for each in self.growing:
                each.close()

    def _work(self) -> None:
        while not self.stop.is_set():
            with self.lock:
                taken = self.again.popleft() if self.again else next(self.fresh, None)
            if taken is None:
                return
            try:
                self._bring(*taken)
            except BaseException as error:  # carried to the thread that waits
                with self.lock:
                    self.failure = self.failure or error
                self.stop.set()

    def _bring(self, each: Growing, number: int) -> None:
        """Bring one part, from where an earlier try left it; the last one of a file settles it."""
        start, end = each.span(number)
        received = each.arrived.get(number, 0)

        def position() -> int:
            return received

        def work(client) -> None:
            nonlocal received
            for chunk in self._stream(client, each, start + received, end):
                each.write(chunk, start + received)
                received += len(chunk)
                self.arrived(len(chunk))

        try:
            self.remote.call(work, progress=position)
        except OSError as error:
            raise _full(error, self.folder) from None
        finally:
            if received and (received < end - start or each.count > 1):
                self._note(each, number, received)
        if each.done(number):
            self._settle(each)

    @staticmethod
    def _note(each: Growing, number: int, received: int) -> None:
        try:
            each.note(number, received)
        except OSError:
            return  # on a full disk the list of what arrived finds no room either: that part comes again

    def _stream(self, client, each: Growing, at: int, end: int) -> Iterator[bytes]:
        """Ask for bytes `at` to `end` and yield them; whatever is not exactly that is `Torn`."""
        thing = each.thing
        if at == end:
            return
        got = client.get_object(Bucket=self.remote.bucket, Key=thing.key, Range=f"bytes={at}-{end - 1}",
                                IfMatch=f'"{thing.etag}"')
        told = got.get("ContentRange", f"bytes 0-{thing.size - 1}/{thing.size}")
        if told != f"bytes {at}-{end - 1}/{thing.size}":
            got["Body"].close()
            raise Torn(f"{thing.name}: bytes {at}-{end - 1} of {thing.size} were asked for, {told} came")
        if got.get("ServerSideEncryption", "").startswith("aws:kms") or "SSECustomerAlgorithm" in got:
            each.encrypted = True
        left = end - at
        while left and (chunk := got["Body"].read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
            if self.stop.is_set():
                raise Torn("given up")
        if left:
            raise Torn(f"{thing.name}: the answer ends {left} bytes early")

    def _settle(self, each: Growing) -> None:
        if each.thing.size == 0:
            each.write(b"", 0)
        each.close()
        try:
            evidence = prove(each.part, each.thing, head=lambda more: self._head(each.thing, more),
                             encrypted=each.encrypted)
        except Corrupt as error:
            each.failures += 1
            if each.failures >= MOST_FAILURES:
                each.forget()
                raise RuntimeError(f"{self.remote.address}: {error}, {each.failures} times in a row") from None
            each.forget()
            with self.lock:
                self.again.extend((each, number) for number in range(each.count))
            return
        each.settle()
        self.ledger.add(each.path, each.thing, evidence)
        with self.lock:
            self.proofs[evidence] = self.proofs.get(evidence, 0) + 1

    def _head(self, thing: Thing, more: dict) -> dict:
        return self.remote.call(lambda client: client.head_object(Bucket=self.remote.bucket, Key=thing.key, **more))


def _full(error: OSError, folder: Path) -> OSError:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return OSError(error.errno, "the disk is full; what has arrived is kept: make room and call again", str(folder))


__all__ = ["FILES", "SUMS", "FetchResult", "fetch", "local_folder", "needed"]
