"""Samples of WFDB signal files, from bytes to numbers: the formats 16, 212, 24 and 32.

The formats are those of the WFDB manual, signal(5). The file is read at once with one call of the system.
"""

import math
import os

import numba
import numpy as np

from ecg.leads import LEADS
from ecg.quality import FLAT_MV, LIMIT_MV
from ecg.records import MICROVOLTS_PER_MILLIVOLT

BYTES = {"16": 2.0, "212": 1.5, "24": 3.0, "32": 4.0}
ASKED_FOR = 1 << 16
"""Bytes up to which room is made without asking how long the file is."""
NOT_SOUND = -1
CROPPED = 1 << len(LEADS)


def needed_bytes(fmt: str, count: int) -> int:
    """Return how many bytes so many samples take."""
    return math.ceil(BYTES[fmt] * count)


def read_bytes(file: str, *, most: int) -> bytes:
    """Read the first `most` bytes of a file, or the whole of a shorter one."""
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if most > ASKED_FOR and (size := os.fstat(handle).st_size) < most:  # a header may claim any length
            most = size
        parts = [os.read(handle, most)]
        if len(parts[0]) == most:
            return parts[0]
        while len(parts[-1]) and (left := most - sum(map(len, parts))) > 0:
            parts.append(os.read(handle, left))
        return b"".join(parts)
    finally:
        os.close(handle)


def decode(data: bytes, fmt: str, *, count: int, offset: int = 0) -> np.ndarray:
    """Decode `count` samples that begin at byte `offset`: int16 for format 16, else int32."""
    if fmt == "16":
        return np.frombuffer(data, "<i2", count, offset)
    if fmt == "32":
        return np.frombuffer(data, "<i4", count, offset)
    raw = np.frombuffer(data, np.uint8, needed_bytes(fmt, count), offset)
    return _unpack_24(raw) if fmt == "24" else _unpack_212(raw, count)


def _unpack_24(raw: np.ndarray) -> np.ndarray:
    triple = raw.reshape(-1, 3).astype(np.int32)
    return triple[:, 0] | triple[:, 1] << 8 | (triple[:, 2] ^ 0x80) - 0x80 << 16


def _unpack_212(raw: np.ndarray, count: int) -> np.ndarray:
    """Two samples of twelve bits share three bytes; an odd last one has two."""
    whole = np.zeros(-(-count // 2) * 3, np.int32)
    whole[:len(raw)] = raw
    low, middle, high = whole.reshape(-1, 3).T
    pairs = np.stack([low | (middle & 0x0F) << 8, high | (middle & 0xF0) << 4], axis=1)
    return ((pairs ^ 0x800) - 0x800).reshape(-1)[:count]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def to_microvolt(digital: np.ndarray, order: np.ndarray, baselines: np.ndarray, gains: np.ndarray, scales: np.ndarray,
                 checksums: np.ndarray, missing: int, out: np.ndarray) -> int:
    """Verify a twelve-lead record and scale it into the store's form, in one pass over each lead.

    The values are, bit for bit, those of the way by float32 millivolt that resampled records take (a test compares
    them). Whatever keeps a record from being stored as it is makes this give up: somebody else then says why.

    Args:
        digital: integers, shape (T, 12).
        order: where each of the twelve leads stands among the channels.
        baselines: of each channel, as its gain, its unit in millivolt and its stated checksum are.
        gains: in steps a unit.
        scales: in millivolt a unit.
        checksums: 16-bit sums, signed or not.
        missing: the value that stands for a missing sample, the least there is.
        out: int16 (12, samples), samples <= T; filled with microvolt.

    Returns:
        A bit for each flat lead, or `NOT_SOUND`.
    """
    length, samples = digital.shape[0], out.shape[1]
    values = np.empty(length, np.int32)  # each loop does one thing, so that all but the first do many at once
    flat = 0
    for lead in range(12):
        channel = order[lead]
        for t in range(length):
            values[t] = digital[t, channel]
        total, least, greatest = 0, values[0], values[0]
        for t in range(length):
            total += values[t]
        for t in range(length):
            least = min(least, values[t])
        for t in range(length):
            greatest = max(greatest, values[t])
        base, gain, scale = float(baselines[channel]), gains[channel], scales[channel]
        low = np.float32((least - base) / gain * scale)
        high = np.float32((greatest - base) / gain * scale)
        if (total - checksums[channel]) % 65536 != 0 or least <= missing:
            return NOT_SOUND
        if max(abs(low), abs(high)) > np.float32(LIMIT_MV) or not np.isfinite(high - low):
            return NOT_SOUND
        if high - low <= np.float32(FLAT_MV):
            flat |= 1 << lead
        for t in range(samples):
            millivolt = np.float32((values[t] - base) / gain * scale)
            out[lead, t] = np.int16(np.rint(millivolt * np.float32(MICROVOLTS_PER_MILLIVOLT)))
    return NOT_SOUND if flat == (1 << 12) - 1 else flat


def flags_of(bits: int) -> tuple[str, ...]:
    """Return the flags of a record that is stored as it is, from its bits: flat leads, and cropped."""
    if not bits:
        return ()
    flat = tuple(f"flat:{lead}" for i, lead in enumerate(LEADS) if bits >> i & 1)
    return (*flat, "cropped") if bits & CROPPED else flat
