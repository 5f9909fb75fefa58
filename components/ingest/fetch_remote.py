"""The other side of a fetch: what a bucket holds, and calls to it that are tried again when it is worth it."""

import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TypeVar

from components.s3 import connect, split_address
from model.params import FetchParams

T = TypeVar("T")
SUMS = "SHA256SUMS.txt"
LEDGER = ".vizecg-fetch.jsonl"
"""What a fetch remembers, in the folder that it fetches into."""
LONGEST_PAUSE = 20.0
"""Seconds between two tries at most."""
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "400", "403")
"""The last two are what a head says, which has no body to say why in: it is only asked for what could be read."""
FOR_NOW = ("RequestTimeout", "RequestTimeTooSkewed", "SlowDown", "Throttling", "ThrottlingException", "InternalError",
           "ServiceUnavailable", "RequestLimitExceeded", "OperationAborted")
CHANGED = ("PreconditionFailed", "412", "NoSuchKey", "404", "InvalidRange", "416")


class Torn(Exception):
    """An answer that is not whole, or not what was asked for: worth another try."""


class Changed(Exception):
    """The bucket no longer holds what its list said."""


@dataclass(frozen=True)
class Thing:
    """One object: `name` is its key below the prefix; `sha256` is what the set's own list says, or empty."""

    key: str
    name: str
    size: int
    etag: str
    sha256: str = ""


class Remote:
    """A prefix of a bucket, for many threads.

    Args:
        address: `s3://BUCKET/PREFIX`.
        params: how to reach it, and how patiently.
        stop: set when everybody is to give up.
        pause: seconds before the second try, twice as many before each further one.
    """

    def __init__(self, address: str, params: FetchParams, *, stop: threading.Event, pause: float = 0.5):
        self.address, self.params, self.stop, self.pause = address, params, stop, pause
        self.bucket, self.prefix = split_address(address, where="ingest.data")
        self._lock = threading.Lock()
        self.client = self._connect()

    def _connect(self):
        return connect(profile=self.params.profile, endpoint=self.params.endpoint, sign=self.params.sign,
                       connections=self.params.workers + 2, seconds=self.params.timeout_s, attempts=1)

    def call(self, work: Callable[[object], T], *, progress: Callable[[], int] = lambda: 0) -> T:
        """Do `work(client)`, again after a pause where that may help; tries that made progress do not count.

        Raises:
            ValueError: the bucket refuses for good: no such bucket, no right to read, keys that are none.
            Changed: the object is no longer there, or is another.
            RuntimeError: as many tries in a row failed as the parameters allow.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        tries, reached = 0, progress()
        while True:
            client = self.client
            try:
                return work(client)
            except (BotoCoreError, ClientError, HTTPError, Torn) as error:
                self._refuse_for_good(error, client)
                failure = " ".join(str(error).split())
            tries, reached = (1 if progress() > reached else tries + 1), progress()
            if tries >= self.params.attempts:
                raise RuntimeError(f"{self.address}: {tries} tries in a row failed; the last: {failure}; what has "
                                   "arrived is kept, call again to go on") from None
            self.stop.wait(min(self.pause * 2 ** (tries - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.0))
            if self.stop.is_set():
                raise RuntimeError(f"{self.address}: given up") from None

    def _refuse_for_good(self, error: Exception, client) -> None:
        """Return where another try may help; keys that have run out are read anew first."""
        from botocore.exceptions import ClientError, NoCredentialsError, ProfileNotFound

        if isinstance(error, NoCredentialsError | ProfileNotFound):
            raise ValueError(f"{self.address}: {error}; set AWS_PROFILE, or ingest.fetch.sign=never for an open "
                             "bucket") from None
        if not isinstance(error, ClientError):
            return
        code, status = error.response["Error"].get("Code", ""), error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code in EXPIRED:
            with self._lock:
                if self.client is client:  # somebody may have renewed them: by then they are read again
                    self.client = self._connect()
        elif code in CHANGED:
            raise Changed(f"{self.address}: {error}") from None
        elif code not in FOR_NOW and 400 <= status < 500 and status != 429:
            why = error.response["Error"].get("Message")
            hint = ("" if status not in (401, 403) else "; give keys, or a profile (ingest.fetch.profile)"
                    if self.params.sign == "never" else "; an open bucket is read with ingest.fetch.sign=never")
            raise ValueError(f"{self.address}: the bucket refuses: {code}{f': {why}' if why else ''}{hint}") from None

    def things(self, include: tuple[str, ...]) -> list[Thing]:
        """List what the patterns name (all when there are none), with the checksums that the set itself ships.

        Raises:
            ValueError: nothing is there, or a key cannot be a file below a folder.
        """
        found = [thing for thing in self._pages() if is_wanted(thing.name, include)]
        if not [thing for thing in found if thing.name != SUMS]:
            raise ValueError(f"{self.address}: holds nothing{' that matches ' + ', '.join(include) if include else ''}")
        names = {thing.name for thing in found}
        for name in names:
            _refuse_unsafe(self.address, name, names)
        sums = next((self._sums(thing) for thing in found if thing.name == SUMS), {})
        return [replace(thing, sha256=sums.get(thing.name, "")) for thing in found]

    def _pages(self) -> Iterator[Thing]:
        token: dict[str, str] = {}
        while True:
            page = self.call(lambda client, token=token: client.list_objects_v2(
                Bucket=self.bucket, Prefix=self.prefix, **token))
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/"):  # what consoles make for an empty folder
                    yield Thing(entry["Key"], entry["Key"].removeprefix(self.prefix), entry["Size"],
                                entry["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _sums(self, thing: Thing) -> dict[str, str]:
        """Read the set's list of checksums; whether it arrived whole is seen when it is fetched as a file."""
        text = self.call(lambda client: _whole(client, self.bucket, thing)).decode("utf-8", "replace")
        rows = (re.fullmatch(r"([0-9a-fA-F]{64})\s+\*?(?:\./)?(.+)", line.strip()) for line in text.splitlines())
        return {row[2]: row[1].lower() for row in rows if row}


def is_wanted(name: str, include: tuple[str, ...]) -> bool:
    """Whether a file is one that the patterns name; without any, all are."""
    return name == SUMS or not include or any(fnmatchcase(name, pattern) for pattern in include)


def _whole(client, bucket: str, thing: Thing) -> bytes:
    import hashlib

    data = client.get_object(Bucket=bucket, Key=thing.key)["Body"].read()
    plain = re.fullmatch(r"[0-9a-f]{32}", thing.etag)
    if len(data) != thing.size or (plain and hashlib.md5(data, usedforsecurity=False).hexdigest() != thing.etag):
        raise Torn(f"{thing.name}: arrived damaged")
    return data


def _refuse_unsafe(address: str, name: str, names: set[str]) -> None:
    """A key is any text; a file's name must stay below the folder and out of the way of our own."""
    pieces = name.split("/")
    if not all(pieces) or {".", ".."} & set(pieces) or re.search(r"[\\\x00-\x1f]", name):
        raise ValueError(f"{address}: the key {name!r} cannot be a file below a folder; leave it out with include")
    for own in (f"{name}.part", f"{name}.part.json"):
        if own in names:
            raise ValueError(f"{address}: {own} stands in the way of fetching {name}; leave one out with include")
    if name == LEDGER:
        raise ValueError(f"{address}: {name} is what a fetch writes here itself; leave it out with include")
    for i in range(1, len(pieces)):
        if "/".join(pieces[:i]) in names:
            raise ValueError(f"{address}: {'/'.join(pieces[:i])!r} is both an object and a folder of others; leave one "
                             "out with include")
