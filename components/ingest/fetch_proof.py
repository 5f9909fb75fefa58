"""How it is known that a file arrived whole: the best evidence that the set or the bucket gives.

In this order: the set's own SHA256SUMS.txt; the ETag where it is the MD5 of the content, or of an upload in parts;
a checksum of the whole object that the bucket keeps; and the size alone where there is nothing else.
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable
from pathlib import Path

from components.ingest.fetch_remote import Thing

BLOCK = 1 << 20
MEBI = 1 << 20
USUAL_PARTS = tuple(n * MEBI for n in (5, 8, 10, 15, 16, 25, 32, 50, 64, 100, 128, 256, 512, 1024))
"""Parts in which clients upload, for stores that do not tell."""
MOST_PARTS = 1000
"""Up to here the size of each part is asked for when they are not alike."""
Head = Callable[[dict], dict]
"""Asks for an object's head, with further arguments."""


class Corrupt(Exception):
    """The file is not what the bucket holds."""


class WrongSet(ValueError):
    """The bucket itself holds another file than the set's list of checksums says."""


def prove(path: Path, thing: Thing, *, head: Head, encrypted: bool = False) -> str:
    """Compare a file with the best evidence and return its name: sha256, md5, parts, checksum or size.

    Args:
        path: of the file.
        thing: what the bucket says of it.
        head: asked only where list and ETag say nothing.
        encrypted: the bucket keeps it encrypted under a key, so that its ETag is no MD5.

    Raises:
        Corrupt: it differs; fetching again may help.
        WrongSet: it is what the bucket holds, and not what SHA256SUMS.txt says.
    """
    if path.stat().st_size != thing.size:
        raise Corrupt(f"{thing.name}: {path.stat().st_size} bytes instead of {thing.size}")
    plain = not encrypted and bool(re.fullmatch(r"[0-9a-f]{32}", thing.etag))
    if thing.sha256:
        if _digest(path, "sha256").hex() == thing.sha256:
            return "sha256"
        if plain and _digest(path, "md5").hex() == thing.etag:
            raise WrongSet(f"{thing.name}: the bucket's file is not the one that SHA256SUMS.txt lists")
        raise Corrupt(f"{thing.name}: not the content that SHA256SUMS.txt lists")
    if plain:
        return _require(_digest(path, "md5").hex() == thing.etag, thing, "md5")
    return _by_head(path, thing, head, encrypted)


def _by_head(path: Path, thing: Thing, head: Head, encrypted: bool) -> str:
    told = head({"ChecksumMode": "ENABLED"})
    if told.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
        for field, compute in (("ChecksumSHA256", lambda: _digest(path, "sha256")),
                               ("ChecksumSHA1", lambda: _digest(path, "sha1")), ("ChecksumCRC32", lambda: _crc(path))):
            if field in told and "-" not in told[field]:
                return _require(base64.b64encode(compute()).decode() == told[field], thing, "checksum")
    parts = re.fullmatch(r"([0-9a-f]{32})-(\d+)", thing.etag)
    if parts and not encrypted:
        return _by_parts(path, thing, parts[1], int(parts[2]), head)
    return "size"


def _by_parts(path: Path, thing: Thing, digest: str, count: int, head: Head) -> str:
    """The ETag of an upload in parts is the MD5 of their MD5s, and the number of parts."""
    first = int(head({"PartNumber": 1})["ContentLength"]) if count > 1 else thing.size
    alike = [first] if count == 1 or first < thing.size else list(USUAL_PARTS)
    for size in alike:
        if -(-thing.size // size) == count and _digest_of_parts(path, [size] * count) == digest:
            return "parts"
    if first == thing.size and count > 1:
        return "size"  # the store tells nothing about parts, and none of the usual sizes fits
    sizes = [int(head({"PartNumber": n + 1})["ContentLength"]) for n in range(count)] if count <= MOST_PARTS else []
    return _require(bool(sizes) and _digest_of_parts(path, sizes) == digest, thing, "parts")


def _require(same: bool, thing: Thing, evidence: str) -> str:
    if not same:
        raise Corrupt(f"{thing.name}: not the content that the bucket's {evidence} says")
    return evidence


def _digest_of_parts(path: Path, sizes: list[int]) -> str:
    outer = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        for size in sizes:
            inner = hashlib.md5(usedforsecurity=False)
            while size and (block := file.read(min(size, BLOCK))):
                inner.update(block)
                size -= len(block)
            outer.update(inner.digest())
    return outer.hexdigest()


def _digest(path: Path, kind: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).digest()


def _crc(path: Path) -> bytes:
    value = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            value = zlib.crc32(block, value)
    return value.to_bytes(4, "big")
