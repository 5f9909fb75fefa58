"""Ordinary PNG files decoded fast: a scan comes at every request, and Pillow takes a third of the time to read it.

What is in any way out of the ordinary (deeper pixels, interlaced, transparent, turned, damaged, of the wrong length) is
left to Pillow, which knows it all and says what is wrong: the two give the same pixels or this one gives none.
"""

import struct
import zlib

import cv2
import numpy as np
from isal import isal_zlib

from ecg.paper.raster import jit

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_INDEXED = 3
_CHANNELS = {0: 1, 2: 3, _INDEXED: 1}
"""Grey, RGB, and numbers of colours."""
_HARMLESS = (b"pHYs", b"gAMA", b"sRGB", b"cHRM", b"tIME", b"iCCP", b"sBIT", b"bKGD")
"""Chunks that change neither pixels nor their order; eXIf and texts may say that the picture lies on its side."""
_FILTERS = 5


def decode_png(data: bytes) -> np.ndarray | None:
    """Decode a PNG file whose size was checked: RGB, uint8 (H, W, 3); None where it is not an ordinary, whole one."""
    try:
        width, height, channels, packed, palette = _parts(data)
        stride, squeezed = width * channels + 1, isal_zlib.decompressobj()
        # A byte more than belongs there, so that too much is noticed and never unpacked.
        raw = squeezed.decompress(packed, height * stride + 1)
    except (ValueError, struct.error, isal_zlib.error):
        return None
    if len(raw) != height * stride or not squeezed.eof:
        return None
    out = np.empty((height, width * channels), np.uint8)
    if not _unfilter(np.frombuffer(raw, np.uint8).reshape(height, stride), channels, out):
        return None
    if channels == 3:
        return out.reshape(height, width, 3)
    if palette is None:
        return cv2.cvtColor(out, cv2.COLOR_GRAY2RGB)
    colours = np.zeros((256, 1, 3), np.uint8)
    colours[:len(palette), 0] = palette
    return cv2.applyColorMap(out, colours) if out.max() < len(palette) else None


def _parts(data: bytes) -> tuple[int, int, int, bytes, np.ndarray | None]:
    """Return width, height, channels, compressed rows and palette; raises ValueError at the first thing unusual."""
    chunks = list(_chunks(data))
    kind, header = chunks[0] if chunks else (b"", b"")
    if kind != b"IHDR" or not chunks[-1][0] == b"IEND":
        raise ValueError("not whole")
    width, height, depth, colour, *others = struct.unpack(">IIBBBBB", header)
    if depth != 8 or colour not in _CHANNELS or any(others) or not (width and height):
        raise ValueError("unusual pixels")
    palettes = [body for kind, body in chunks if kind == b"PLTE"]
    if any(kind not in (b"IDAT", b"PLTE", *_HARMLESS) for kind, _ in chunks[1:-1]) or \
            len(palettes) != (colour == _INDEXED):
        raise ValueError("unusual chunks")
    palette = np.frombuffer(palettes[0], np.uint8).reshape(-1, 3)[:256] if palettes else None
    return width, height, _CHANNELS[colour], b"".join(body for kind, body in chunks if kind == b"IDAT"), palette


def _chunks(data: bytes):
    """Yield kind and body of each chunk up to the end's."""
    at = len(_SIGNATURE)
    if not data.startswith(_SIGNATURE):
        raise ValueError("no PNG")
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        # struct refuses what is cut short.
        if struct.unpack_from(">I", data, at + 8 + length)[0] != zlib.crc32(body, zlib.crc32(kind)):
            raise ValueError("damaged")
        yield kind, body
        if kind == b"IEND":
            return
        at += 12 + length


@jit
def _unfilter(rows, step, out):
    """Undo PNG's filters of rows, uint8 (H, 1 + W), into out (H, W); False at a filter that does not exist."""
    width = out.shape[1]
    blank = np.zeros(width, np.uint8)
    for i in range(len(rows)):
        kind, row, here = rows[i, 0], rows[i, 1:], out[i]
        above = out[i - 1] if i else blank
        if kind >= _FILTERS:
            return False
        if kind == 0:
            here[:] = row
        elif kind == 2:
            for j in range(width):
                here[j] = row[j] + above[j]
        else:
            _from_left(kind, row, above, step, here)
    return True


@jit
def _from_left(kind, row, above, step, here):
    """Undo a filter that looks left: 1 adds that pixel, 3 its mean with the one above, 4 the likeliest of three."""
    for j in range(len(here)):
        left, corner, up = np.int32(0), np.int32(0), np.int32(above[j])
        if j >= step:
            left, corner = np.int32(here[j - step]), np.int32(above[j - step])
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up) >> 1
        else:
            a, b, c = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
            guess = left if a <= b and a <= c else (up if b <= c else corner)
        here[j] = np.uint8((np.int32(row[j]) + guess) & 255)
